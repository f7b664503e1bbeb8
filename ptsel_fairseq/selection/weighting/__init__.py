"""Ways to λ: from scores, and points, to the weights of the labels."""

from ptsel_fairseq.selection.weighting.way import (
    DEFAULT_METHOD,
    WAYS,
    Candidates,
    Options,
    Way,
    register,
)

__all__ = ["DEFAULT_METHOD", "WAYS", "Candidates", "Options", "Way", "register"]
