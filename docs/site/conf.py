"""Sphinx configuration of the documentation site; `make docs` builds it (tools/build_docs.py)."""

from ptsel_fairseq import __version__

project = "ptsel_fairseq"
author = "the ptsel_fairseq developers"
copyright = "the ptsel_fairseq developers, MIT licence"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx.ext.napoleon", "sphinx.ext.viewcode"]
root_doc = "index"
source_suffix = {".md": "markdown"}
# Heading anchors as on code hosting sites, so that a link works there and here.
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]
suppress_warnings = ["myst.header", "misc.highlighting_failure"]

autodoc_typehints = "signature"
autodoc_typehints_format = "short"
autodoc_member_order = "bysource"
autodoc_default_options = {"members": True, "show-inheritance": True}
# Training needs a fairseq; its reference must build without one.
autodoc_mock_imports = ["fairseq"]

html_theme = "furo"
html_title = f"ptsel_fairseq {__version__}"
html_static_path: list[str] = []
html_show_sourcelink = False
html_copy_source = False
