"""Distorted input, from which the labels of the clean waveform are predicted (PASE+, Ravanelli et al. 2020).

The signal processing is that of the package audiomentations. Here are the choice of distortions, their seeds, and
what keeps the frames where the labels are: an impulse response is moved to its strongest sample, filters have zero
phase, and nothing changes the length.
"""

from __future__ import annotations

import contextlib
import random
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from fairseq.data.data_utils import numpy_seed

from ptsel_fairseq.base.errors import PtselError

# name -> its settings with their defaults, in the order of PASE+; `probability` has none
KINDS: dict[str, dict[str, Any]] = {
    "reverberation": {"folder": None},
    "overlap": {"snr": [5.0, 10.0]},
    "noise": {"snr": [0.0, 10.0], "folder": None},
    "clipping": {"percent": [1, 20]},
    "chop": {"times": 5, "seconds": [0.02, 0.15]},
    "band_drop": {"centre": [200.0, 6000.0], "width": [0.2, 1.0]},
}
NEEDED = ("reverberation",)  # these need their folder
PAIRS = ("snr", "percent", "seconds", "centre", "width")


def check_distortion(block: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The distortions of ``task.distortion`` with their defaults, in order; PtselError if they cannot be used."""
    unknown = sorted(set(map(str, block)) - set(KINDS))
    if unknown:
        raise PtselError(
            f"task.distortion: expected distortions among {', '.join(KINDS)}, found {', '.join(unknown)}"
        )
    checked = {}
    for kind, defaults in KINDS.items():
        if kind not in block:
            continue
        where, given = f"task.distortion.{kind}", block[kind]
        if not isinstance(given, Mapping) or "probability" not in given:
            raise PtselError(f"{where}: expected settings such as {{probability: 0.4}}, found {given!r}")
        unknown = sorted(set(map(str, given)) - {"probability", *defaults})
        if unknown:
            raise PtselError(
                f"{where}: expected settings among {', '.join(['probability', *defaults])}, found {', '.join(unknown)}"
            )
        filled = {**defaults, **given}
        if not _number(filled["probability"]) or not 0 <= filled["probability"] <= 1:
            raise PtselError(
                f"{where}.probability: expected a number from 0 to 1, found {filled['probability']!r}"
            )
        _check_values(where, filled, needs_folder=kind in NEEDED)
        if filled["probability"] > 0:
            checked[kind] = filled
    return checked


def _check_values(where: str, settings: Mapping[str, Any], needs_folder: bool) -> None:
    for name in PAIRS:
        if name in settings:
            pair = settings[name]
            usable = isinstance(pair, (list, tuple)) and len(pair) == 2 and all(map(_number, pair))
            if not usable or pair[0] > pair[1] or (name != "snr" and pair[0] < 0):
                raise PtselError(f"{where}.{name}: expected the smallest and the largest, found {pair!r}")
    if "times" in settings and (not isinstance(settings["times"], int) or settings["times"] < 1):
        raise PtselError(f"{where}.times: expected a whole number of at least 1, found {settings['times']!r}")
    folder = settings.get("folder")
    if folder is None and not needs_folder:
        return
    if folder is None or not Path(folder).is_absolute() or not Path(folder).is_dir():
        raise PtselError(
            f"{where}.folder: expected an absolute path of a folder of audio files, found {folder!r}"
        )


class Distortion:
    """Draws distortions for one utterance after the other and applies them.

    What happens to an utterance follows from the seed alone. Can be pickled; each process builds its own transforms.

    Args:
        settings: as `check_distortion` returns them.
        sample_rate: in Hz.
    """

    def __init__(self, settings: Mapping[str, Mapping[str, Any]], sample_rate: int) -> None:
        self.settings = dict(settings)
        self.sample_rate = sample_rate
        _ = self._transforms  # a library or a folder that is missing is found before training begins

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_transforms"}

    def __call__(self, waveform: np.ndarray, seed: int, another: Callable[[int], np.ndarray]) -> np.ndarray:
        """The distorted waveform, float32 [samples].

        Args:
            waveform: float32 [samples].
            seed: 32 bits; the only source of chance.
            another: number below 2 ** 31 -> waveform of another utterance, for overlapping speech.
        """
        with _seeded(seed):
            for kind, settings in self.settings.items():
                # Every draw is made, so that one probability does not change what another distortion does.
                happens, inner = random.random() < settings["probability"], random.getrandbits(31)
                if happens:
                    with _seeded(inner):
                        waveform = self._apply(kind, waveform, another)
        return np.ascontiguousarray(waveform, dtype=np.float32)

    def _apply(self, kind: str, waveform: np.ndarray, another: Callable[[int], np.ndarray]) -> np.ndarray:
        settings = self.settings[kind]
        if kind == "reverberation":
            return self._reverberated(waveform)
        if kind == "overlap":
            return self._overlapped(waveform, another(random.getrandbits(31)))
        if kind == "chop":
            for _ in range(random.randint(1, settings["times"])):
                waveform = self._chopped(waveform)
            return waveform
        return self._transforms[kind](waveform, self.sample_rate)

    @cached_property
    def _transforms(self) -> dict[str, Any]:
        library, built = _library(), {}
        for kind, settings in self.settings.items():
            if kind == "reverberation":
                built[kind] = library.ApplyImpulseResponse(
                    _files(kind, settings["folder"]), p=1.0, leave_length_unchanged=False
                )
            elif kind == "noise":
                low, high = settings["snr"]
                built[kind] = (
                    library.AddColorNoise(min_snr_db=low, max_snr_db=high, p=1.0)
                    if settings["folder"] is None
                    else library.AddBackgroundNoise(
                        _files(kind, settings["folder"]), min_snr_db=low, max_snr_db=high, p=1.0
                    )
                )
            elif kind == "clipping":
                low, high = settings["percent"]
                built[kind] = library.ClippingDistortion(round(low), round(high), p=1.0)
            elif kind == "band_drop":
                (low, high), (narrow, wide) = settings["centre"], settings["width"]
                built[kind] = library.BandStopFilter(low, high, narrow, wide, zero_phase=True, p=1.0)
        return built

    def _reverberated(self, waveform: np.ndarray) -> np.ndarray:
        """Of the level and at the place of the original: the strongest sample of the response is its time 0."""
        transform = self._transforms["reverberation"]
        heard = transform(waveform, self.sample_rate)
        start = _delay(transform.parameters["ir_file_path"], self.sample_rate)
        heard = heard[start : start + len(waveform)]
        return heard * (_rms(waveform) / max(_rms(heard), 1e-12))

    def _overlapped(self, waveform: np.ndarray, other: np.ndarray) -> np.ndarray:
        from audiomentations.core.utils import calculate_desired_noise_rms

        if len(other) > len(waveform):
            start = random.randint(0, len(other) - len(waveform))
            other = other[start : start + len(waveform)]
        if (
            "reverberation" in self.settings
            and random.random() < self.settings["reverberation"]["probability"]
        ):
            other = self._reverberated(other)
        ratio = random.uniform(*self.settings["overlap"]["snr"])
        loudness = _rms(other)
        if loudness < 1e-12:
            return waveform
        wanted = calculate_desired_noise_rms(_rms(waveform), ratio)
        mixed = waveform.copy()
        start = random.randint(0, len(waveform) - len(other))
        mixed[start : start + len(other)] += other * (wanted / loudness)
        return mixed

    def _chopped(self, waveform: np.ndarray) -> np.ndarray:
        low, high = (
            min(1.0, seconds * self.sample_rate / len(waveform))
            for seconds in self.settings["chop"]["seconds"]
        )
        return _library().TimeMask(low, high, fade_duration=0.0, p=1.0)(waveform, self.sample_rate)


def _library() -> Any:
    try:
        import audiomentations
    except ModuleNotFoundError as error:
        raise PtselError(
            f"task.distortion: needs the package audiomentations ({error}); pip install 'ptsel_fairseq[distortion]'"
        ) from None
    return audiomentations


def _files(kind: str, folder: str) -> list[str]:
    from audiomentations.core.utils import find_audio_files_in_paths

    found = sorted(map(str, find_audio_files_in_paths(folder)))
    if not found:
        raise PtselError(f"task.distortion.{kind}.folder: no audio files below {folder}")
    return found


@lru_cache(maxsize=1024)
def _delay(file: str, sample_rate: int) -> int:
    """The strongest sample of an impulse response, at the sample rate of the audio."""
    from audiomentations.core.audio_loading_utils import load_sound_file

    response, _ = load_sound_file(file, sample_rate, mono=True)
    return int(np.abs(response).argmax())


def _rms(waveform: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64))))


@contextlib.contextmanager
def _seeded(seed: int) -> Iterator[None]:
    """Both generators that audiomentations draws from start at the seed; afterwards they are as they were."""
    state = random.getstate()
    random.seed(seed)
    try:
        with numpy_seed(seed), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # e.g. of an impulse response that was resampled
            yield
    finally:
        random.setstate(state)


def _number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)
