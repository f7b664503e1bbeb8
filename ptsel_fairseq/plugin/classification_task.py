"""fairseq's audio classification, made to start: one class for each utterance.

fairseq's task reads its classes without special symbols and then asks the dictionary for the padding symbol, which it
does not have: it ends with an AttributeError before the first update (ve-fairseq 0.12.3). This one gives it numbers
that are no class.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fairseq.data import Dictionary
from fairseq.tasks import register_task
from fairseq.tasks.audio_classification import AudioClassificationConfig, AudioClassificationTask

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_lines
from ptsel_fairseq.base.messages import examples

NO_CLASS = -100  # what torch's losses leave out


@dataclass
class PtselAudioClassificationConfig(AudioClassificationConfig):
    """fairseq's; `labels` is the suffix of the files with classes, ``cls``."""


@register_task("ptsel_audio_classification", dataclass=PtselAudioClassificationConfig)
class PtselAudioClassificationTask(AudioClassificationTask):
    """Classify whole utterances: ``<split>.cls`` has a class for each line of the manifest, ``dict.cls.txt`` all."""

    def load_target_dictionary(self) -> Dictionary | None:
        dictionary = super().load_target_dictionary()
        if dictionary is not None:
            dictionary.pad_index = dictionary.eos_index = dictionary.unk_index = NO_CLASS
        return dictionary

    def load_dataset(
        self, split: str, task_cfg: PtselAudioClassificationConfig | None = None, **kwargs
    ) -> None:
        labels = (task_cfg or self.cfg).labels
        check_classes(Path(self.cfg.data) / f"{split}.{labels}", self.target_dictionary.symbols, labels)
        super().load_dataset(split, task_cfg, **kwargs)


def check_classes(file: Path, known: Sequence[str], labels: str) -> None:
    """Raise PtselError unless every line is a class of the dictionary; fairseq would leave others out of the loss."""
    lines = read_lines(file, "a class on each line, as `ptsel targets` writes them")
    unknown = [(number, line) for number, line in enumerate(lines, start=1) if line not in set(known)]
    if unknown:
        shown = examples(f"line {number}: {line!r}" for number, line in unknown)
        raise PtselError(
            f"{file}: {len(unknown)} lines are no class of dict.{labels}.txt {shown}; write both with "
            "`ptsel targets`"
        )
