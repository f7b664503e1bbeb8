"""Tracks and downstream classes to scores of conditional independence, and these to weights λ."""

from ptsel_fairseq.selection.embedding import embed, gaussian_downsample, log_mel_db
from ptsel_fairseq.selection.estimators.hsic import cka, hsic
from ptsel_fairseq.selection.estimators.kernels import cosine_kernel, label_kernel
from ptsel_fairseq.selection.label_score import LabelScore
from ptsel_fairseq.selection.points import Points, build_points
from ptsel_fairseq.selection.score import score_labels
from ptsel_fairseq.selection.weighting.comparison import Comparison, compare_methods
from ptsel_fairseq.selection.weighting.dependence import label_dependence
from ptsel_fairseq.selection.weighting.group import GroupObjective
from ptsel_fairseq.selection.weighting.method import Weights, select_weights

__all__ = [
    "Comparison",
    "GroupObjective",
    "LabelScore",
    "Points",
    "Weights",
    "build_points",
    "cka",
    "compare_methods",
    "cosine_kernel",
    "embed",
    "gaussian_downsample",
    "hsic",
    "label_dependence",
    "label_kernel",
    "log_mel_db",
    "score_labels",
    "select_weights",
]
