"""From any sample rate to the grid's, block by block, so that recordings of hours take no more memory than minutes.

torchaudio's windowed sinc does it where torchaudio can be imported (beside a CPU build of torch its CUDA wheels
cannot), else soxr. The two agree to about -80 dB below half of the lower rate, but not bit for bit, so what was used
is written beside the audio.
"""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import SAMPLE_RATE

TORCHAUDIO, SOXR = "torchaudio", "soxr"
RESAMPLERS = (TORCHAUDIO, SOXR)
# torchaudio's own settings for quality like resampy's kaiser_best.
KAISER_BEST = {
    "lowpass_filter_width": 64,
    "rolloff": 0.9475937167399596,
    "resampling_method": "sinc_interp_kaiser",
    "beta": 14.769656459379492,
}
LARGEST_KERNEL = (
    1 << 24
)  # values: rates without a common divisor, such as 44099 Hz, need one filter an output phase


@lru_cache(maxsize=1)
def why_no_torchaudio() -> str:
    """Why torchaudio cannot be imported here; empty if it can."""
    try:
        import torchaudio  # noqa: F401
    except (ImportError, OSError, RuntimeError) as error:  # OSError: its extension does not fit this torch
        return str(error).splitlines()[0] if str(error) else type(error).__name__
    return ""


def default_resampler() -> str:
    """The resampler that is used unless another is asked for."""
    return SOXR if why_no_torchaudio() else TORCHAUDIO


def make_resampler(name: str, rate: int) -> Resampler:
    """A resampler from `rate` Hz to the grid's rate.

    Raises:
        PtselError: an unknown name, a rate that is no rate, or torchaudio where it cannot be imported.
    """
    if name not in RESAMPLERS:
        raise PtselError(f"expected a resampler of {', '.join(RESAMPLERS)}, found {name!r}")
    if not 0 < rate < 10**7:
        raise PtselError(f"expected a sample rate above 0, found {rate} Hz")
    if rate == SAMPLE_RATE:
        return Resampler()
    if name == SOXR:
        return _Soxr(rate)
    if why_no_torchaudio():
        raise PtselError(
            f"torchaudio cannot be imported here ({why_no_torchaudio()}); take --resampler soxr, or see Install in "
            "the README"
        )
    return _Torchaudio(rate)


class Resampler:
    """Takes a waveform in blocks and gives it at 16 kHz, float32; this one has nothing to do."""

    def push(self, block: np.ndarray) -> np.ndarray:
        """What can be given by now, float32 [samples]."""
        return block

    def finish(self) -> np.ndarray:
        """What is left at the end of the waveform."""
        return np.zeros(0, np.float32)


class _Soxr(Resampler):
    def __init__(self, rate: int) -> None:
        import soxr

        self._stream = soxr.ResampleStream(rate, SAMPLE_RATE, 1, dtype="float32")

    def push(self, block: np.ndarray) -> np.ndarray:
        return self._stream.resample_chunk(block)

    def finish(self) -> np.ndarray:
        return self._stream.resample_chunk(np.zeros(0, np.float32), last=True)


class _Torchaudio(Resampler):
    """Blocks overlap by the filter's reach, so that the result is that of the whole waveform at once."""

    def __init__(self, rate: int) -> None:
        common = math.gcd(rate, SAMPLE_RATE)
        self._down, self._up = rate // common, SAMPLE_RATE // common
        self._resample: Any = _torchaudio_filter(rate)
        reach = int(self._resample.width) + self._down
        self._margin = -(-reach // self._down) * self._down
        self._waiting = np.zeros(self._margin, np.float32)

    def push(self, block: np.ndarray) -> np.ndarray:
        self._waiting = np.concatenate([self._waiting, block])
        usable = (len(self._waiting) - 2 * self._margin) // self._down * self._down
        if usable <= 0:
            return np.zeros(0, np.float32)
        out = self._of(self._waiting[: usable + 2 * self._margin], usable * self._up // self._down)
        self._waiting = self._waiting[usable:]
        return out

    def finish(self) -> np.ndarray:
        left = len(self._waiting) - self._margin
        padded = np.concatenate([self._waiting, np.zeros(self._margin, np.float32)])
        return self._of(padded, -(-left * self._up // self._down))

    def _of(self, samples: np.ndarray, count: int) -> np.ndarray:
        import torch

        first = self._margin * self._up // self._down
        with torch.no_grad():
            return self._resample(torch.from_numpy(samples))[first : first + count].numpy()


@lru_cache(maxsize=8)
def _torchaudio_filter(rate: int) -> Any:
    from torchaudio.transforms import Resample

    common = math.gcd(rate, SAMPLE_RATE)
    phases, slow = SAMPLE_RATE // common, min(rate, SAMPLE_RATE)
    taps = 2 * KAISER_BEST["lowpass_filter_width"] * rate / slow + rate // common  # type: ignore[operator]
    if phases * taps > LARGEST_KERNEL:
        raise PtselError(
            f"torchaudio's filter from {rate} to {SAMPLE_RATE} Hz is too large; take --resampler soxr"
        )
    return Resample(rate, SAMPLE_RATE, **KAISER_BEST)
