"""Which pretext labels there are, what each means, and how one waveform becomes all of them.

Work that labels share (spectra, the pitch analysis) is done once for each waveform. Importing this module is
light: the analyses are imported when a waveform is analysed.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.labels.grid import SAMPLE_RATE, FrameGrid

if TYPE_CHECKING:
    import numpy as np

    from ptsel_fairseq.labels.prosody import Pitch
    from ptsel_fairseq.labels.spectral import ShortSpectra

    # float32 [frames, dim], and bool [frames] where the label can be undefined.
    Track = tuple[np.ndarray, np.ndarray | None]


class Analysis:
    """One waveform with the analyses that several labels need, each made when first asked for."""

    def __init__(self, waveform: np.ndarray, grid: FrameGrid) -> None:
        self.waveform = waveform
        self.grid = grid

    @cached_property
    def spectra(self) -> ShortSpectra:
        from ptsel_fairseq.labels.spectral import short_spectra

        return short_spectra(self.waveform, self.grid)

    @cached_property
    def pitch(self) -> Pitch:
        from ptsel_fairseq.labels.prosody import pitch

        return pitch(self.waveform, self.grid)

    @cached_property
    def log_mel(self) -> np.ndarray:
        from ptsel_fairseq.labels.spectral import log_mel

        return log_mel(self.waveform, self.grid)


@dataclass(frozen=True)
class Label:
    """A pretext label: a named function of the waveform.

    Attributes:
        unit: of the values.
        undefined: when a frame has no value, in words; None if it always has one.
        unvoiced_value: what openSMILE prints there, for the estimator `reference` only.
        window: seconds of audio that one analysis frame sees.
        version: raised whenever the values change, so that stores of two versions are not mixed.
        compute: the track of an analysed waveform.
    """

    name: str
    dim: int
    unit: str
    description: str
    source: str
    window: float
    compute: Callable[[Analysis], Track]
    undefined: str | None = None
    unvoiced_value: float | None = None
    version: int = 1
    parameters: dict[str, Any] = field(default_factory=dict)


def _loudness(analysis: Analysis) -> Track:
    from ptsel_fairseq.labels.spectral import loudness

    return loudness(analysis.spectra, analysis.grid), None


def _rasta_l1(analysis: Analysis) -> Track:
    from ptsel_fairseq.labels.spectral import rasta_l1

    return rasta_l1(analysis.spectra, analysis.grid), None


def _alpha_ratio(analysis: Analysis) -> Track:
    from ptsel_fairseq.labels.spectral import alpha_ratio

    return alpha_ratio(analysis.spectra, analysis.grid), None


def _log_mel(analysis: Analysis) -> Track:
    return analysis.log_mel, None


def _mfcc(analysis: Analysis) -> Track:
    from ptsel_fairseq.labels.spectral import mfcc

    return mfcc(analysis.log_mel), None


def _f0(analysis: Analysis) -> Track:
    from ptsel_fairseq.labels.prosody import f0

    return f0(analysis.pitch)


def _voicing(analysis: Analysis) -> Track:
    from ptsel_fairseq.labels.prosody import voicing

    return voicing(analysis.pitch), None


def _log_hnr(analysis: Analysis) -> Track:
    from ptsel_fairseq.labels.prosody import log_hnr

    return log_hnr(analysis.waveform, analysis.pitch, analysis.grid)


def _rms_energy(analysis: Analysis) -> Track:
    from ptsel_fairseq.labels.prosody import rms_energy

    return rms_energy(analysis.waveform, analysis.grid), None


def _zcr(analysis: Analysis) -> Track:
    from ptsel_fairseq.labels.prosody import zcr

    return zcr(analysis.waveform, analysis.grid), None


_LABELS = (
    Label(
        "loudness", 1, "arbitrary", "sum of compressed, equal-loudness weighted auditory bands",
        "Hermansky 1990", 0.020, _loudness, parameters={"bands": 26, "range_hz": [20, 8000], "compression": 0.33},
    ),
    Label("rms_energy", 1, "full scale", "root mean square", "definition", 0.020, _rms_energy),
    Label(
        "f0", 1, "Hz", "fundamental frequency by sub-harmonic summation and a smooth path", "Hermes 1988", 0.060, _f0,
        undefined="unvoiced frames", unvoiced_value=0.0,
        parameters={"range_hz": [52, 620], "harmonics": 15, "compression": 0.85, "voicing_threshold": 0.68},
    ),
    Label(
        "voicing", 1, "0 to 1", "strength of the best pitch candidate", "Hermes 1988", 0.060, _voicing,
        parameters={"silence_rms": 1e-3},
    ),
    Label(
        "alpha_ratio", 1, "dB", "power in 1-5 kHz over power in 50 Hz-1 kHz", "Sundberg and Nordenberg 2006; GeMAPS",
        0.020, _alpha_ratio,
    ),
    Label("zcr", 1, "crossings/sample", "zero-crossing rate", "definition", 0.060, _zcr),
    Label(
        "rasta_l1", 1, "arbitrary", "L1 norm of the RASTA-filtered auditory spectrum", "Hermansky and Morgan 1994",
        0.020, _rasta_l1, parameters={"lower_edge_hz": 1.0, "warm_up_half_steps": 4},
    ),
    Label(
        "log_hnr", 1, "dB", "harmonics-to-noise ratio from the autocorrelation at the pitch period", "Boersma 1993",
        0.060, _log_hnr, undefined="unvoiced frames", unvoiced_value=-100.0,
    ),
    Label(
        "log_mel", 80, "dB", "80 mel bands of the power spectrum", "Slaney's mel scale, as librosa", 0.025, _log_mel,
        parameters={"range_hz": [0, 8000], "floor_db": -100},
    ),
    Label(
        "mfcc", 39, "dB", "13 mel-frequency cepstral coefficients, first and second derivatives",
        "Davis and Mermelstein 1980", 0.025, _mfcc, parameters={"coefficients": 13, "delta_width": 9},
    ),
)  # fmt: skip

LABELS = {label.name: label for label in sorted(_LABELS, key=lambda label: label.name)}


def names() -> list[str]:
    """All labels, sorted."""
    return list(LABELS)


def get(name: str) -> Label:
    """The label of a name; raise PtselError naming those there are."""
    if name not in LABELS:
        raise PtselError(f"no label {name!r}; the labels are {', '.join(LABELS)}")
    return LABELS[name]


def resolve(requested: Sequence[str]) -> list[Label]:
    """The labels of a request, sorted, ``all`` standing for every one; PtselError for one that is not known."""
    wanted = {name for word in requested for name in (names() if word == "all" else [word])}
    return [get(name) for name in sorted(wanted)]


def compute_tracks(waveform: np.ndarray, labels: Sequence[Label], grid: FrameGrid) -> dict[str, Track]:
    """The tracks of one waveform.

    Args:
        waveform: float32 [samples], full scale 1, at the grid's sample rate.
        labels: which.
        grid: the frames on which the tracks lie.

    Returns:
        name -> (values float32 [frames, dim], mask bool [frames] or None where the label is always defined).

    Raises:
        PtselError: a grid of another sample rate than the labels are defined for, or a value that is not finite,
            which would be a fault of the label.
    """
    import numpy as np

    if grid.sample_rate != SAMPLE_RATE:
        raise PtselError(
            f"the labels are defined for audio at {SAMPLE_RATE} Hz, not for {grid.sample_rate} Hz"
        )

    analysis = Analysis(waveform, grid)
    tracks = {label.name: label.compute(analysis) for label in labels}
    frames = grid.num_frames(len(waveform))
    for label in labels:
        values, valid = tracks[label.name]
        if values.shape != (frames, label.dim) or (valid is not None and valid.shape != (frames,)):
            raise PtselError(
                f"label {label.name}: expected a track of {(frames, label.dim)}, found {values.shape}"
            )
        if not np.isfinite(values).all():
            raise PtselError(f"label {label.name}: a value that is not finite where the label is defined")
    return tracks


def print_catalogue() -> None:
    """Print every label with its dimension, unit, meaning and source."""
    width = max(map(len, LABELS))
    for label in LABELS.values():
        undefined = f"; undefined in {label.undefined}" if label.undefined else ""
        print(
            f"{label.name:{width}s}  {label.dim:3d}  {label.unit:16s}  {label.description} ({label.source}){undefined}"
        )
