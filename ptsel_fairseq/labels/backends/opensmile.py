"""openSMILE: the columns of ComParE_2016 and eGeMAPSv02 that the labels of this package are modelled on.

Its frames are 10 ms apart, as the half steps of the grid, but the first begins with the first sample. With zeros put
before the waveform a frame's centre lies on each half step, so that nothing is interpolated; and since the columns are
means of three frames (``_sma``), the one on a grid frame's centre is the mean of three half steps, as for every track.
How many zeros depends on the length of openSMILE's frame, 20 or 60 ms. It works on 16-bit samples.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.labels.backends.backend import Backend, load, same_label
from ptsel_fairseq.labels.label import Label

if TYPE_CHECKING:
    import numpy as np

    from ptsel_fairseq.labels.label import Computed
    from ptsel_fairseq.labels.signal.analysis import Analysis

INSTALL = "pip install opensmile"
COMPARE, GEMAPS = "ComParE_2016", "eGeMAPSv02"
STEP = 0.010  # seconds between its frames
SHORT, LONG = 0.020, 0.060  # seconds of its frames
BEHIND = 0.140  # seconds of zeros after the waveform: its last frames need what follows

NEXT_TO_ZERO = 2.0**-14  # full scale 1


@dataclass(frozen=True)
class Column:
    """Where openSMILE has a label.

    frame: seconds that its frame sees.
    late: frames by which it answers later than a filter around the frame would.
    zero_is_undefined: whether it prints 0 where it has no value.
    """

    feature_set: str
    name: str
    frame: float
    late: int = 0
    zero_is_undefined: bool = False

    def compute(self, analysis: Analysis) -> Computed:
        """The label's track."""
        import numpy as np

        values = column_on_grid(analysis, self)
        if not self.zero_is_undefined:
            return values[:, None]
        return values[:, None], np.asarray(values != 0)


def column_on_grid(analysis: Analysis, column: Column) -> np.ndarray:
    """A column's values on the frames of the grid, [frames]."""
    import numpy as np

    grid, frames = analysis.grid, analysis.num_frames
    step = round(STEP * grid.sample_rate)
    if grid.hop != 2 * step:
        raise PtselError(
            f"--backend opensmile: its frames are 10 ms apart and meet a grid of 20 ms, not one of hop {grid.hop}"
        )
    if not frames:
        return np.zeros(0, np.float32)
    half = round(column.frame * grid.sample_rate) // 2
    first = max(1, math.ceil((grid.centre(0) - half) / step))  # its frame on the centre of the grid's first
    before = half + first * step - grid.centre(0)
    table = analysis.shared(
        (column.feature_set, before),
        lambda: _columns(analysis.waveform, column.feature_set, before, column.frame == LONG),
    )
    return table[column.name][first + column.late :: 2][:frames]


def _columns(
    waveform: np.ndarray, feature_set: str, before: int, no_crossings: bool
) -> dict[str, np.ndarray]:
    """All columns of a feature set for a waveform with zeros before and behind it.

    Zeros count as zero crossings. With `no_crossings` the padding is therefore the smallest 16-bit value that is not
    zero, with the sign of the nearest nonzero sample.
    """
    import numpy as np

    from ptsel_fairseq.base.grid import SAMPLE_RATE

    behind = round(BEHIND * SAMPLE_RATE)
    signs = np.sign(waveform[waveform != 0])
    ends = np.array([signs[0], signs[-1]] if len(signs) else [0, 0]) * np.float32(NEXT_TO_ZERO * no_crossings)
    padded = np.pad(waveform, (before, behind), constant_values=(ends[0], ends[1]))
    table = _extractor(feature_set).process_signal(padded, SAMPLE_RATE)
    return {name: table[name].to_numpy(dtype=np.float32) for name in table.columns}


@cache
def _extractor(feature_set: str) -> Any:
    program = load("opensmile", "opensmile", INSTALL)
    return program.Smile(program.FeatureSet[feature_set], program.FeatureLevel.LowLevelDescriptors)


def _label(
    name: str,
    feature_set: str,
    column: str,
    frame: float,
    description: str,
    undefined: str | None = None,
    late: int = 0,
) -> Label:
    parameters = {"shifted_seconds": -late * STEP} if late else {}
    return same_label(
        name, description, f"openSMILE, {feature_set}, {column}", frame,
        Column(feature_set, column, frame, late, undefined is not None).compute, undefined, **parameters,
    )  # fmt: skip


UNVOICED = "frames that it calls unvoiced"
NO_PERIODS = "frames in which it finds no periods"

LABELS = (
    _label("alpha_ratio", GEMAPS, "alphaRatio_sma3", SHORT, "power in 1-5 kHz over power in 50 Hz-1 kHz"),
    _label("audspec_l1", COMPARE, "audspec_lengthL1norm_sma", SHORT, "L1 norm of the auditory spectrum"),
    _label("f0", COMPARE, "F0final_sma", LONG, "fundamental frequency by sub-harmonic summation", UNVOICED),
    _label("jitter", COMPARE, "jitterLocal_sma", LONG, "mean difference of neighbouring periods", NO_PERIODS),
    _label("log_hnr", GEMAPS, "HNRdBACF_sma3nz", LONG, "harmonics-to-noise ratio", UNVOICED),
    _label("loudness", GEMAPS, "Loudness_sma3", SHORT, "sum of the auditory bands"),
    # Its filter only looks back: two frames later than one around the frame.
    _label("rasta_l1", COMPARE, "audspecRasta_lengthL1norm_sma", SHORT, "L1 norm of the RASTA-filtered auditory "
           "spectrum", late=2),
    _label("rms_energy", COMPARE, "pcm_RMSenergy_sma", SHORT, "root mean square"),
    _label("shimmer", COMPARE, "shimmerLocal_sma", LONG, "mean difference of neighbouring amplitudes", NO_PERIODS),
    _label("voicing", COMPARE, "voicingFinalUnclipped_sma", LONG, "strength of the best pitch candidate"),
    _label("zcr", COMPARE, "pcm_zcr_sma", LONG, "zero-crossing rate"),
)  # fmt: skip

BACKEND = Backend(
    "opensmile",
    "openSMILE",
    "opensmile",
    "opensmile",
    INSTALL,
    "audEERING Research License, for research and teaching, no commercial use, neither of it nor of features or models "
    "made with it",
    {label.name: label for label in LABELS},
)
