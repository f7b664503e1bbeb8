"""Run `ptsel` as ``python -m ptsel_fairseq``."""

from ptsel_fairseq.cli.program import main

if __name__ == "__main__":
    main()
