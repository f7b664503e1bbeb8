"""Praat: pitch by autocorrelation, harmonicity, jitter and shimmer of its periods, formants by Burg's method.

Praat lays its 10 ms frames symmetrically into a sound. Its values are asked for at the half steps of the grid, between
two of its frames by linear interpolation as Praat itself does, and a frame is the mean of its three half steps as far
as they are defined. Zeros are put around the waveform, so that the first and the last frame have values.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ptsel_fairseq.labels.backends.backend import MARGIN, Backend, load, same_label
from ptsel_fairseq.labels.label import Label

if TYPE_CHECKING:
    import numpy as np

    from ptsel_fairseq.labels.label import Computed
    from ptsel_fairseq.labels.signal.analysis import Analysis

INSTALL = "pip install praat-parselmouth"
STEP = 0.010  # seconds between its frames
FLOOR, CEILING = 60.0, 600.0  # Hz, of the pitch
SILENCE, PERIODS_PER_WINDOW = 0.1, 4.5  # of the harmonicity
UNVOICED_HARMONICITY = -200.0  # what it says where there is none
SPAN = 0.080  # seconds of periods for jitter and shimmer: a 60 ms window and the half steps beside it
SHORTEST, LONGEST, LARGEST_FACTOR, LARGEST_AMPLITUDE_FACTOR = 1e-4, 0.02, 1.3, 1.6  # Praat's defaults
COUNT = 3  # formants
FORMANTS = {
    "highest_formants": 5,
    "highest_hz": 5500.0,
    "half_window_seconds": 0.025,
    "pre_emphasis_from_hz": 50.0,
}


def sound(analysis: Analysis) -> Any:
    """The waveform as Praat's Sound, with zeros around it."""
    import numpy as np

    def make() -> Any:
        waveform = np.pad(analysis.waveform.astype(np.float64), MARGIN)
        return load("parselmouth", "praat", INSTALL).Sound(waveform, analysis.grid.sample_rate)

    return analysis.shared("sound", make)


def pitch(analysis: Analysis) -> Any:
    """Praat's Pitch of the waveform."""
    return analysis.shared(
        "pitch",
        lambda: sound(analysis).to_pitch_ac(time_step=STEP, pitch_floor=FLOOR, pitch_ceiling=CEILING),
    )


def periods(analysis: Analysis) -> Any:
    """Praat's PointProcess: a mark for each period."""
    call = load("parselmouth.praat", "praat", INSTALL).call
    return analysis.shared(
        "periods", lambda: call([sound(analysis), pitch(analysis)], "To PointProcess (cc)")
    )


def half_step_times(analysis: Analysis) -> np.ndarray:
    """The centres of the half steps in the padded sound, seconds [2 T + 1]."""
    import numpy as np

    from ptsel_fairseq.labels.signal.framing import on_half_steps

    places = on_half_steps(analysis.num_samples, analysis.grid)
    return (MARGIN + places.first_centre + places.step * np.arange(places.frames)) / analysis.grid.sample_rate


def at_times(
    frame_times: np.ndarray, values: np.ndarray, valid: np.ndarray, times: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A track between its frames as Praat tells it: undefined if the nearest frame is, else linear if both are defined.

    Args:
        frame_times: evenly spaced seconds [n]; values, valid: [n]; times: where, seconds [m].

    Returns:
        values and mask, [m].
    """
    import numpy as np

    step = frame_times[1] - frame_times[0] if len(frame_times) > 1 else STEP
    position = np.clip((times - frame_times[0]) / step, 0, len(values) - 1)
    near = np.floor(position + 0.5).astype(int)
    far = np.where(position >= near, np.ceil(position), np.floor(position)).astype(int)
    share = np.where(valid[far], np.abs(position - near), 0.0)
    return values[near] + share * (values[far] - values[near]), valid[near]


def _to_grid(analysis: Analysis, values: np.ndarray, valid: np.ndarray) -> Computed:
    """Half steps, one column or several that share a mask, on the grid's frames."""
    import numpy as np

    from ptsel_fairseq.labels.signal.framing import to_grid_where_valid

    if not analysis.num_frames:
        return np.zeros((0, values.shape[1]), np.float32), np.zeros(0, bool)
    columns = [to_grid_where_valid(column, valid) for column in values.T]
    return np.stack([column for column, _ in columns], axis=1), columns[0][1]


def f0(analysis: Analysis) -> Computed:
    found = pitch(analysis)
    frequency = found.selected_array["frequency"]
    values, valid = at_times(found.xs(), frequency, frequency > 0, half_step_times(analysis))
    return _to_grid(analysis, values[:, None], valid)


def log_hnr(analysis: Analysis) -> Computed:
    found = sound(analysis).to_harmonicity_ac(STEP, FLOOR, SILENCE, PERIODS_PER_WINDOW)
    ratio = found.values[0]
    values, valid = at_times(found.xs(), ratio, ratio > UNVOICED_HARMONICITY, half_step_times(analysis))
    return _to_grid(analysis, values[:, None], valid)


def jitter(analysis: Analysis) -> Computed:
    return _of_periods(analysis, periods(analysis), "Get jitter (local)", LARGEST_FACTOR)


def shimmer(analysis: Analysis) -> Computed:
    both = [sound(analysis), periods(analysis)]
    return _of_periods(analysis, both, "Get shimmer (local)", LARGEST_FACTOR, LARGEST_AMPLITUDE_FACTOR)


def _of_periods(analysis: Analysis, source: Any, command: str, *factors: float) -> Computed:
    """What a command says of the periods around each frame."""
    import numpy as np

    call = load("parselmouth.praat", "praat", INSTALL).call
    centres = half_step_times(analysis)[1::2]
    values = np.array(
        [call(source, command, t - SPAN / 2, t + SPAN / 2, SHORTEST, LONGEST, *factors) for t in centres]
    )
    return values.reshape(-1, 1), np.isfinite(values)


def formants(analysis: Analysis) -> Computed:
    """The three lowest formants where Praat's pitch is voiced and all three are found, Hz."""
    import numpy as np

    found = sound(analysis).to_formant_burg(
        time_step=STEP,
        max_number_of_formants=FORMANTS["highest_formants"],
        maximum_formant=FORMANTS["highest_hz"],
        window_length=FORMANTS["half_window_seconds"],
        pre_emphasis_from=FORMANTS["pre_emphasis_from_hz"],
    )
    times = half_step_times(analysis)
    numbers = range(1, COUNT + 1)
    values = np.array([[found.get_value_at_time(number, t) for number in numbers] for t in times])
    values = values.reshape(len(times), len(numbers))
    frequency = pitch(analysis).selected_array["frequency"]
    _, voiced = at_times(pitch(analysis).xs(), frequency, frequency > 0, times)
    defined = voiced & np.isfinite(values).all(axis=1)
    return _to_grid(analysis, np.where(defined[:, None], values, 0.0), defined)


UNVOICED = "frames that it calls unvoiced"
PITCH = {"range_hz": [FLOOR, CEILING]}
MARKS = {**PITCH, "largest_period_factor": LARGEST_FACTOR, "span_seconds": SPAN}

LABELS = (
    same_label("f0", "fundamental frequency by autocorrelation", "Praat, To Pitch (ac); Boersma 1993", 3 / FLOOR, f0,
               UNVOICED, **PITCH),
    Label("formants", COUNT, "Hz", "the three lowest formants", "Praat, To Formant (burg); Childers 1978", 0.050,
          formants, "frames that it calls unvoiced, and those in which it finds fewer than three",
          parameters={**FORMANTS, **PITCH}),
    same_label("jitter", "mean difference of neighbouring periods over the mean period",
               "Praat, Get jitter (local)", SPAN, jitter, "frames with fewer than three periods in 80 ms", **MARKS),
    same_label("log_hnr", "harmonics-to-noise ratio", "Praat, To Harmonicity (ac); Boersma 1993",
               PERIODS_PER_WINDOW / FLOOR, log_hnr, UNVOICED, lowest_hz=FLOOR, silence=SILENCE),
    same_label("shimmer", "mean difference of neighbouring periods' amplitudes over the mean amplitude",
               "Praat, Get shimmer (local)", SPAN, shimmer, "frames with fewer than three periods in 80 ms", **MARKS,
               largest_amplitude_factor=LARGEST_AMPLITUDE_FACTOR),
)  # fmt: skip

BACKEND = Backend(
    "praat",
    "Praat",
    "praat-parselmouth",
    "parselmouth",
    INSTALL,
    "GNU General Public License, version 3 or later",
    {label.name: label for label in LABELS},
)
