"""Every metric by name: its title, and which way is better."""

from __future__ import annotations

from dataclasses import dataclass

TARGET_PRIORS = (0.01, 0.05)  # of minDCF: the x-vector papers and NIST SRE; the VoxCeleb challenge


@dataclass(frozen=True)
class Measure:
    """How a metric is shown; a title that ends in ``%`` is of a share, shown times 100."""

    title: str
    lower_is_better: bool = False


# In the order in which they are shown.
MEASURES: dict[str, Measure] = {
    "wer": Measure("WER %", lower_is_better=True),
    "cer": Measure("CER %", lower_is_better=True),
    "per": Measure("PER %", lower_is_better=True),
    "eer": Measure("EER %", lower_is_better=True),
    **{f"min_dcf_{prior:g}": Measure(f"minDCF (prior {prior:g})", True) for prior in TARGET_PRIORS},
    "accuracy": Measure("accuracy %"),
    "uar": Measure("UAR %"),
    "macro_f1": Measure("macro-F1 %"),
    "mean_f1": Measure("mean F1 %"),
    "mean_f1_both": Measure("mean F1 of yes and no %"),
    "map": Measure("mAP %"),
    "r2": Measure("R²"),
    "ccc": Measure("CCC"),
}
