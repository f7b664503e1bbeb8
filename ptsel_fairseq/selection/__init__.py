"""Tracks and downstream classes to scores, and these to weights λ.

The names below are loaded when first used, so that importing the package costs nothing.
"""

from typing import TYPE_CHECKING

from ptsel_fairseq.base.late import late_attributes

if TYPE_CHECKING:
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
_MODULES = {
    "embedding": ("embed", "gaussian_downsample", "log_mel_db"),
    "estimators.hsic": ("cka", "hsic"),
    "estimators.kernels": ("cosine_kernel", "label_kernel"),
    "label_score": ("LabelScore",),
    "points": ("Points", "build_points"),
    "score": ("score_labels",),
    "weighting.comparison": ("Comparison", "compare_methods"),
    "weighting.dependence": ("label_dependence",),
    "weighting.group": ("GroupObjective",),
    "weighting.method": ("Weights", "select_weights"),
}
__getattr__, __dir__ = late_attributes(
    __name__, {name: module for module, names in _MODULES.items() for name in names}
)
