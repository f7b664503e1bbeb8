"""All clips of a plan -> 16 kHz FLAC; a clip that is there already is not played again."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from ptsel_fairseq.base.audio_length import audio_length
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import map_ordered
from ptsel_fairseq.data.conversion import MADE_OF, write_flac
from ptsel_fairseq.data.resampling import SOXR, make_resampler
from ptsel_fairseq.downstream.corpora.music.fluidsynth import RATE, Synthesizer, render


@dataclass(frozen=True)
class Sheet:
    """What one clip is rendered from."""

    path: str
    midi: bytes
    reverb: tuple[float, float, float, float]
    peak: float


def made_of(sheet: Sheet, seconds: float, synthesizer: Synthesizer) -> str:
    """The SHA-256 of all that a clip's sound depends on; it is kept in the file."""
    parts = (sheet.reverb, sheet.peak, seconds, synthesizer.font_sha256, synthesizer.version)
    return hashlib.sha256(sheet.midi + repr(parts).encode()).hexdigest()


def waveform_of(sheet: Sheet, seconds: float, synthesizer: Synthesizer) -> np.ndarray:
    """The clip at FluidSynth's 44.1 kHz, float32 [samples], its largest sample the clip's peak.

    Raises:
        PtselError: FluidSynth fails or plays nothing.
    """
    waveform = render(synthesizer, sheet.midi, sheet.reverb, round(seconds * RATE))
    loudest = float(np.abs(waveform).max(initial=0))
    if not loudest:
        raise PtselError(f"{sheet.path}: silent; does {synthesizer.font} hold General MIDI's sounds?")
    return waveform * np.float32(sheet.peak / loudest)


def render_all(
    sheets: Sequence[Sheet], folder: Path, seconds: float, synthesizer: Synthesizer, jobs: int | None
) -> int:
    """Render what is not there yet; returns how many clips that were."""
    todo = [sheet for sheet in sheets if not _is_there(sheet, folder, seconds, synthesizer)]
    work = partial(_render_one, folder, seconds, synthesizer)
    done = map_ordered(work, todo, jobs=jobs if len(todo) > 3 else 1)
    bar = progress_bar(done, total=len(sheets), initial=len(sheets) - len(todo), desc="playing", unit="clip")
    return sum(1 for _ in bar)


def _is_there(sheet: Sheet, folder: Path, seconds: float, synthesizer: Synthesizer) -> bool:
    import soundfile

    file = folder / sheet.path
    length = audio_length(file)
    if length.fault or length.samples != round(seconds * SAMPLE_RATE):
        return False
    try:
        with soundfile.SoundFile(file) as sound:
            return sound.comment == MADE_OF + made_of(sheet, seconds, synthesizer)
    except (OSError, soundfile.LibsndfileError):
        return False


def _render_one(folder: Path, seconds: float, synthesizer: Synthesizer, sheet: Sheet) -> None:
    resampler = make_resampler(SOXR, RATE)  # one for all, as for other corpora
    waveform = waveform_of(sheet, seconds, synthesizer)
    blocks = np.concatenate([resampler.push(waveform), resampler.finish()])
    wanted = round(seconds * SAMPLE_RATE)
    blocks = np.pad(blocks, (0, max(0, wanted - len(blocks))))[:wanted]
    write_flac(folder / sheet.path, [blocks], made_of(sheet, seconds, synthesizer))
