"""Reading audio as fairseq will: mono float32 at the rate of the grid, never resampled."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ptsel_fairseq.errors import PtselError


def read_whole_audio(file: Path | str, sample_rate: int, samples: int, where: str) -> np.ndarray:
    """As `read_audio`; raises PtselError too if the audio has not as many `samples` as the manifest says."""
    waveform = read_audio(file, sample_rate, where)
    if len(waveform) != samples:
        raise PtselError(
            f"{where}: the manifest says {samples} samples, the audio has {len(waveform)}; "
            "the file is cut off or the manifest old"
        )
    return waveform


def read_audio(file: Path | str, sample_rate: int, where: str | None = None) -> np.ndarray:
    """The waveform of an audio file, channels averaged, full scale 1.

    Args:
        file: anything libsndfile reads (WAV, FLAC, Ogg Vorbis or Opus, MP3).
        sample_rate: the rate that the file must have, in Hz.
        where: how messages name the utterance; default, the file.

    Returns:
        float32 [samples].

    Raises:
        PtselError: missing or unreadable file, another rate, or samples that are not finite.
    """
    import soundfile

    where = where or str(file)
    if not Path(file).is_file():
        raise PtselError(f"{where}: no such audio file: {file}")
    try:
        waveform, found_rate = soundfile.read(file, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise PtselError(f"{where}: the audio cannot be decoded ({error.error_string})") from None
    if found_rate != sample_rate:
        raise PtselError(
            f"{where}: expected audio at {sample_rate} Hz, found {found_rate} Hz; resample it first "
            f"(for example: sox IN -r {sample_rate} -c 1 OUT), since fairseq does not"
        )
    mono = waveform[:, 0] if waveform.shape[1] == 1 else waveform.mean(axis=1)
    if not np.isfinite(mono).all():
        bad = int(np.flatnonzero(~np.isfinite(mono))[0])
        raise PtselError(f"{where}: sample {bad} of the audio is not a finite number; the file is damaged")
    return np.ascontiguousarray(mono)
