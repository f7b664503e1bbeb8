"""The command line `ptsel`: argument parsing only."""

from ptsel_fairseq.cli.program import main

__all__ = ["main"]
