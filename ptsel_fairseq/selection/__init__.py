"""Tracks and downstream classes to scores, and these to weights λ.

The names below are loaded when first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

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
_MODULE_OF = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_MODULE_OF[name]}"), name)
    globals()[name] = value
    return value
