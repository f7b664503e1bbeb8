"""What can be set of the recognition of speech, without the libraries that do it."""

from __future__ import annotations

from dataclasses import dataclass

HEADS = ("blstm", "linear")
SUFFIXES = {"word": ".wrd", "phone": ".phn"}  # of the texts beside a manifest, by the unit of error rates
LABELS = {"ltr": "word", "phn": "phone"}  # the unit of error rates by the labels that a model was trained on


@dataclass(frozen=True)
class Settings:
    """How a recogniser is built and trained.

    Attributes:
        head: one of `HEADS`: ``blstm`` (SUPERB: a projection and two bidirectional layers) or ``linear``.
        size: of the BLSTM's projection, and of its states in each direction; SUPERB 1,024.
        learning_rate: of Adam.
        batch: utterances of a step.
        epochs: at most.
        patience: epochs after which it ends if neither error nor loss on the validation part fell.
        device: cpu or cuda; of the recogniser, not of the features.
    """

    head: str = "blstm"
    size: int = 1024
    learning_rate: float = 1e-3
    batch: int = 8
    epochs: int = 60
    patience: int = 8
    device: str = "cpu"
