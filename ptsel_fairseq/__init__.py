"""Choose pretext labels by conditional independence, then pretrain wav2vec 2.0 with them.

This folder is a fairseq user directory (``common.user_dir``): fairseq imports it, and that import
registers task, model and criterion. Imported by anything else it stays light, so that the command line
answers at once and the offline half works without fairseq.
"""

import sys

from ptsel_fairseq.base.version import __version__ as __version__

if "fairseq" in sys.modules:
    from ptsel_fairseq import plugin  # noqa: F401  (registers the plugin's classes)
