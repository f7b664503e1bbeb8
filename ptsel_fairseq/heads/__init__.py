"""Pretext heads, their losses and balancing rules: torch modules for any trainer, without fairseq.

    from ptsel_fairseq import heads, labels

    dataset = labels.CropDataset("data/train.tsv", store, ["f0", "loudness"], seed=1)
    pretext = heads.PretextLoss({"f0": 0.4, "loudness": 0.6}, dataset.dims, width=768)
    loss = own_loss + pretext(frames, batch["pretext"]).loss        # frames: the encoder's output [batch, frames, 768]

Each name is imported when it is first used.
"""

from typing import TYPE_CHECKING

from ptsel_fairseq.base.late import late_attributes

if TYPE_CHECKING:
    from ptsel_fairseq.heads.heads import PtselHeads as PtselHeads
    from ptsel_fairseq.heads.losses import Errors as Errors
    from ptsel_fairseq.heads.losses import pretext_errors as pretext_errors
    from ptsel_fairseq.heads.pretext import PretextLoss as PretextLoss
    from ptsel_fairseq.heads.pretext import PretextOutput as PretextOutput
    from ptsel_fairseq.heads.pretext import mean_over_processes as mean_over_processes
    from ptsel_fairseq.heads.settings import HeadSettings as HeadSettings
else:
    _PLACES = {
        "Errors": "losses",
        "HeadSettings": "settings",
        "PretextLoss": "pretext",
        "PretextOutput": "pretext",
        "PtselHeads": "heads",
        "mean_over_processes": "pretext",
        "pretext_errors": "losses",
    }
    __getattr__, __dir__ = late_attributes(__name__, _PLACES)

__all__ = [
    "Errors",
    "HeadSettings",
    "PretextLoss",
    "PretextOutput",
    "PtselHeads",
    "mean_over_processes",
    "pretext_errors",
]
