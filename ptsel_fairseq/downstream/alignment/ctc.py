"""Forced alignment with a CTC model of one's own: any language, letters or phones."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ptsel_fairseq.base.audio import read_whole_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import file_checksum
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.downstream.alignment.aligner import NotAligned, Stretch
from ptsel_fairseq.downstream.features.wav2vec import load_ctc
from ptsel_fairseq.downstream.speech.spelling import letters
from ptsel_fairseq.downstream.speech.utterances import Spoken

WORD_END = "|"


@dataclass(frozen=True)
class CtcAligner:
    """Letters and words, or phones, on the best path of a CTC model (Graves et al. 2006) through its own symbols.

    A CTC model says a symbol in few frames and blank around them. A stretch is therefore drawn out to the middle of
    the blanks on each side; at both ends of the utterance and at a word end it is not. Its confidence is the
    geometric mean of the probabilities of its symbols' frames, blanks left out.
    """

    model: Path
    checksum: str
    kinds: tuple[str, ...]
    transcripts: str | None

    @classmethod
    def of_checkpoint(cls, model: Path) -> CtcAligner:
        """Check that a checkpoint is a CTC model of letters or phones; raise PtselError if not."""
        labels = load_ctc(model).labels
        kinds = {"ltr": ("word", "letter"), "phn": ("phone",)}.get(labels)
        if kinds is None:
            raise PtselError(
                f"{model}: expected a model of letters (task.labels=ltr) or phones (phn), found {labels!r}"
            )
        return cls(model, file_checksum(model), kinds, ".wrd" if labels == "ltr" else ".phn")

    def provenance(self) -> dict[str, Any]:
        return {"kind": "ctc", "model": str(self.model), "checksum": self.checksum, "version": 1}

    def align(self, spoken: Spoken) -> dict[str, list[Stretch]]:
        model = load_ctc(self.model)
        names = (letters(spoken.text) if "letter" in self.kinds else spoken.text).split()
        if not spoken.text.split():
            raise NotAligned("nothing in its transcript")
        number = {symbol: i for i, symbol in enumerate(model.symbols)}
        unknown = sorted({name for name in names if name not in number})
        if unknown:
            raise NotAligned(f"not in the model's dictionary: {' '.join(unknown)}")
        if spoken.samples < model.grid.window:
            raise NotAligned(f"{spoken.samples} samples make no frame of {model.grid.window}")
        waveform = read_whole_audio(spoken.file, SAMPLE_RATE, spoken.samples, spoken.where)
        log_probs = model.log_probs(waveform)
        targets = np.array([number[name] for name in names])
        path = best_path(log_probs, targets)
        if path is None:
            raise NotAligned(f"its {len(log_probs)} frames are too few for {len(targets)} symbols")
        pieces = stretches_of_path(path, log_probs, targets, model.grid)
        if "phone" in self.kinds:
            return {"phone": [piece._replace(name=name) for piece, name in zip(pieces, names, strict=True)]}
        return {"word": words_of(pieces, names), "letter": letters_of(pieces, names)}


def best_path(log_probs: np.ndarray, targets: np.ndarray, blank: int = 0) -> np.ndarray | None:
    """The most likely sequence of frames that CTC collapses into `targets` (Viterbi).

    Args:
        log_probs: [frames, symbols].
        targets: [length], without blanks; the same symbol twice needs a blank between.

    Returns:
        For each frame the place in `targets` that it says, or -1 for a blank; int [frames]. None if there are
        too few frames.
    """
    # States: blank, first target, blank, second target, ... blank.
    symbols = np.full(2 * len(targets) + 1, blank)
    symbols[1::2] = targets
    may_skip = np.zeros(
        len(symbols), dtype=bool
    )  # the blank before a target that differs from the one before
    may_skip[3::2] = targets[1:] != targets[:-1]
    score = np.full(len(symbols), -np.inf)
    score[:2] = log_probs[0, symbols[:2]]
    came_from = np.zeros((len(log_probs), len(symbols)), dtype=np.int8)  # states back: 0, 1 or 2
    for frame in range(1, len(log_probs)):
        candidates = np.full((3, len(symbols)), -np.inf)
        candidates[0] = score
        candidates[1, 1:] = score[:-1]
        candidates[2, 2:] = np.where(may_skip[2:], score[:-2], -np.inf)
        came_from[frame] = candidates.argmax(axis=0)
        score = candidates.max(axis=0) + log_probs[frame, symbols]
    state = len(symbols) - 1
    if len(symbols) > 1 and score[-2] > score[-1]:
        state -= 1
    if not np.isfinite(score[state]):
        return None
    path = np.empty(len(log_probs), dtype=int)
    for frame in range(len(log_probs) - 1, -1, -1):
        path[frame] = state // 2 if state % 2 else -1
        state -= int(came_from[frame, state])
    return path


def stretches_of_path(
    path: np.ndarray, log_probs: np.ndarray, targets: np.ndarray, grid: FrameGrid
) -> list[Stretch]:
    """Time and confidence of each target; blanks between two targets are divided in the middle."""
    spoken = np.flatnonzero(path >= 0)
    first = np.searchsorted(path[spoken], np.arange(len(targets)), side="left")
    last = np.searchsorted(path[spoken], np.arange(len(targets)), side="right") - 1
    starts, ends = spoken[first], spoken[last] + 1
    middles = (ends[:-1] + starts[1:]) / 2
    # A frame stands for the hop around its centre.
    offset = (grid.window - grid.hop) / 2

    def seconds(frame: float) -> float:
        return float((frame * grid.hop + offset) / grid.sample_rate)

    lefts, rights = [starts[0], *middles], [*middles, ends[-1]]
    found = []
    for i, target in enumerate(targets):
        confidence = float(np.exp(log_probs[starts[i] : ends[i], target].mean()))
        found.append(Stretch(seconds(lefts[i]), seconds(rights[i]), "", confidence))
    return found


def words_of(pieces: list[Stretch], names: list[str]) -> list[Stretch]:
    """Words from the letters between word ends."""
    found: list[Stretch] = []
    start = 0
    for i, name in enumerate(names):
        if name == WORD_END:
            parts = pieces[start:i]
            confidence = float(np.exp(np.mean(np.log([max(part.confidence or 0, 1e-30) for part in parts]))))
            found.append(Stretch(parts[0].start, parts[-1].end, "".join(names[start:i]), confidence))
            start = i + 1
    return found


def letters_of(pieces: list[Stretch], names: list[str]) -> list[Stretch]:
    """All letters but the word ends."""
    return [piece._replace(name=name) for piece, name in zip(pieces, names, strict=True) if name != WORD_END]
