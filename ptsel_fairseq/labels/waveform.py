"""Labels of a waveform in memory: what a notebook calls. Every input that would give a wrong number is refused."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import TYPE_CHECKING

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.base.threads import one_thread
from ptsel_fairseq.labels.tracks import compute_tracks, resolve

if TYPE_CHECKING:
    import numpy as np
    from matplotlib.figure import Figure
    from torch import Tensor

    from ptsel_fairseq.labels.label import Label, Track

# Of a float sample; decoders of lossy formats overshoot full scale a little, integers in floats by far.
LARGEST_SAMPLE = 8.0
FULL_SCALE = {"int16": "32768", "int32": "2147483648", "int8": "128"}


def compute(
    waveform: np.ndarray | Tensor,
    names: str | Sequence[str],
    *,
    sample_rate: float,
    backend: str | None = None,
) -> dict[str, Track]:
    """The tracks of one waveform, bit for bit as `ptsel extract` stores them.

    Args:
        waveform: numpy array or torch tensor [samples], one channel, float32 or float64, full scale 1. A tensor may
            be on any device and may want a gradient; what is computed is on the CPU, without one. Integers are
            refused, since their full scale is not known (16 bits often come as int32).
        names: a label, or labels and pools, as `labels.names()` and `labels.POOLS` list them.
        sample_rate: of the waveform in Hz. The labels are defined for 16,000; others are refused, never resampled.
        backend: compute them with another program, for comparison: ``"opensmile"``, ``"praat"`` or ``"world"``.

    Returns:
        label name -> `Track` with values float32 [frames, dim] and valid bool [frames], in the order asked for, the
        labels of a pool sorted. There are ``1 + (samples - 400) // 320`` frames; frame i is centred on sample
        320 i + 200.

    Raises:
        PtselError: a waveform of another type, rank or rate, shorter than 400 samples, beyond full scale or with
            samples that are not finite; a label that is not known; a fault in a user's label.

    Examples:
        A tone of 200 Hz at half of full scale:

        >>> import numpy as np
        >>> from ptsel_fairseq import labels
        >>> tone = 0.5 * np.sin(2 * np.pi * 200 * np.arange(16000) / 16000)
        >>> tracks = labels.compute(tone, ["rms_energy", "zcr"], sample_rate=16000)
        >>> tracks["rms_energy"].values.shape, bool(tracks["rms_energy"].valid.all())
        ((49, 1), True)
        >>> round(float(tracks["rms_energy"].values[25, 0]), 3)  # 0.5 over the root of 2
        0.354
        >>> labels.compute(tone, "loudnes", sample_rate=16000)  # doctest: +ELLIPSIS
        Traceback (most recent call last):
            ...
        ptsel_fairseq.base.errors.PtselError: no label 'loudnes'; did you mean 'loudness'?; the labels are ...
    """
    found = requested(names, backend)
    checked = checked_waveform(waveform, sample_rate)
    # Sums in another number of threads round otherwise; extraction gives each worker one.
    with one_thread(load_torch=True):
        return compute_tracks(checked, found, FrameGrid())


def draw(
    waveform: np.ndarray | Tensor, names: str | Sequence[str], *, sample_rate: float, title: str = ""
) -> Figure:
    """Labels of a waveform below its spectrogram, on one time axis, as a figure of matplotlib.

    A grey band is the mean of a label over the waveform, one standard deviation to each side; a track has gaps where
    the label is undefined. F0, if asked for, is drawn over the spectrogram as well.

    Args:
        waveform, names, sample_rate: as of `compute`.
        title: above the spectrogram.

    Raises:
        PtselError: as of `compute`.
    """
    from ptsel_fairseq.labels.figures import figure_of_waveform

    tracks = compute(waveform, names, sample_rate=sample_rate)
    return figure_of_waveform(checked_waveform(waveform, sample_rate), resolve(list(tracks)), tracks, title)


def requested(names: str | Sequence[str], backend: str | None = None) -> list[Label]:
    """The labels that are asked for, in this order, each once; PtselError for what is not a name of any."""
    words = [names] if isinstance(names, str) else list(names)
    if not words:
        raise PtselError("names: expected a label or labels such as ['f0', 'loudness'], found none")
    for word in words:
        if not isinstance(word, str):
            raise PtselError(
                f"names: expected names of labels such as ['f0', 'loudness'], found {word!r} ({type(word).__name__})"
            )
    found = {label.name: label for word in words for label in resolve([word], backend)}
    return list(found.values())


def checked_waveform(waveform: np.ndarray | Tensor, sample_rate: float) -> np.ndarray:
    """The waveform as float32 [samples] on the CPU; PtselError, with the remedy, for one that labels cannot be of."""
    import numpy as np

    if not isinstance(sample_rate, Real) or isinstance(sample_rate, bool):
        raise PtselError(f"sample_rate: expected a number of Hz, found {sample_rate!r}")
    if sample_rate != SAMPLE_RATE:
        raise PtselError(
            f"sample_rate: the labels are defined for {SAMPLE_RATE} Hz, found {float(sample_rate):g} Hz; resample the "
            f"waveform first, for example librosa.resample(waveform, orig_sr={float(sample_rate):g}, "
            f"target_sr={SAMPLE_RATE})"
        )
    if hasattr(waveform, "detach"):
        waveform = waveform.detach().cpu()
        type_name = str(waveform.dtype).removeprefix("torch.")
        shape = tuple(waveform.shape)
    elif isinstance(waveform, np.ndarray):
        type_name, shape = waveform.dtype.name, waveform.shape
    else:
        raise PtselError(
            f"waveform: expected a numpy array or a torch tensor [samples], found {type(waveform).__name__}; "
            "for a list, numpy.asarray(waveform, dtype='float32')"
        )
    if type_name not in ("float32", "float64"):
        raise PtselError(f"waveform: expected float32 or float64 at full scale 1, found {_remedy(type_name)}")
    if len(shape) != 1:
        raise PtselError(
            f"waveform: expected one channel, [samples], found shape {shape}; {_one_channel(shape)}"
        )
    window = FrameGrid().window
    if shape[0] < window:
        raise PtselError(
            f"waveform: expected at least {window} samples ({1000 * window / SAMPLE_RATE:g} ms), the width of one "
            f"frame, found {shape[0] or 'none'}; pad it with zeros, or leave it out"
        )
    samples = np.asarray(waveform)
    finite = np.isfinite(samples)
    if not finite.all():
        first = int(finite.argmin())
        raise PtselError(
            f"waveform: {int((~finite).sum())} of {len(samples)} samples are not finite, first sample {first} "
            f"({samples[first]}); the recording is damaged, or was divided by its silence: leave it out or mend it"
        )
    peak = float(np.abs(samples).max())
    if peak > LARGEST_SAMPLE:
        raise PtselError(
            f"waveform: expected samples at full scale 1, found one of {peak:g}; if they were integers, divide by "
            "their full scale (32768 for 16 bits)"
        )
    return np.ascontiguousarray(samples, dtype=np.float32)


def _remedy(type_name: str) -> str:
    """What was found instead of float samples, and what to do about it."""
    if type_name in FULL_SCALE:
        return (
            f"{type_name}; divide by the full scale of the recording's samples, for example "
            f"waveform / {FULL_SCALE[type_name]} if they use all of {type_name}"
        )
    if type_name.startswith("uint"):
        return f"{type_name}, whose zero is in the middle of its range; subtract that and divide by it"
    if type_name in ("float16", "bfloat16"):
        return f"{type_name}, too coarse for quiet audio; take the recording as float32 from the start"
    return f"{type_name}; read the audio as float32, for example soundfile.read(file, dtype='float32')"


def _one_channel(shape: tuple[int, ...]) -> str:
    """How an array of this shape becomes one channel."""
    if len(shape) == 2 and 1 in shape:
        return f"take waveform{'[0]' if shape[0] == 1 else '[:, 0]'}"
    if len(shape) == 2:
        axis = 0 if shape[0] < shape[1] else 1
        return f"average the channels, waveform.mean({axis}), as fairseq does, or take one of them"
    return "give one waveform at a time"
