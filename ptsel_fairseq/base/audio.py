"""Reading audio as fairseq will: mono float32 at the rate of the grid, never resampled."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType

import numpy as np

from ptsel_fairseq.base.errors import RecordingError

PIECE = 1 << 20  # samples (66 s) decoded at once
LOUDEST = 32.0  # of full scale: far beyond what any recording reaches, far below integers taken for floats


class AudioFile:
    """An audio file read from its beginning to its end in pieces, channels averaged, full scale 1.

    Nothing is ever sought, since decoders of compressed audio do not give the same samples after a jump: the pieces
    of one reading are those of any other.

    Args:
        file: anything libsndfile reads (WAV, FLAC, Ogg Vorbis or Opus, MP3).
        sample_rate: the rate that the file must have, in Hz.
        where: how messages name the utterance; default, the file.

    Raises:
        RecordingError: missing or unreadable file, or another rate.
    """

    def __init__(self, file: Path | str, sample_rate: int, where: str | None = None) -> None:
        import soundfile

        self._where = where or str(file)
        self.position = 0  # samples read so far
        if not Path(file).is_file():
            raise RecordingError(self._where, f"no such audio file: {file}")
        try:
            self._sound = soundfile.SoundFile(file)
        except soundfile.LibsndfileError as error:
            raise self._undecodable(error) from None
        self._sound.seekable = lambda: False  # or soundfile seeks after each piece, to where it is
        if self._sound.samplerate != sample_rate:
            self._sound.close()
            raise RecordingError(
                self._where,
                f"expected audio at {sample_rate} Hz, found {self._sound.samplerate} Hz; resample it "
                f"first (for example: sox IN -r {sample_rate} -c 1 OUT), since fairseq does not",
            )

    def __enter__(self) -> AudioFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def samples(self) -> int:
        """How many the file says that it has."""
        return self._sound.frames

    def close(self) -> None:
        self._sound.close()

    def read(self, samples: int) -> np.ndarray:
        """The next `samples` samples, float32, fewer only at the end of the file.

        Raises:
            RecordingError: audio that cannot be decoded, or samples that are not finite.
        """
        pieces = []
        while samples > 0:
            piece = self._read_piece(min(samples, PIECE))
            pieces.append(piece)
            samples -= len(piece)
            if not len(piece):
                break
        return pieces[0] if len(pieces) == 1 else np.concatenate([*pieces, np.zeros(0, np.float32)])

    def _read_piece(self, samples: int) -> np.ndarray:
        import soundfile

        try:
            waveform = self._sound.read(samples, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            raise self._undecodable(error) from None
        mono = np.ascontiguousarray(waveform[:, 0]) if waveform.shape[1] == 1 else waveform.mean(axis=1)
        if not np.isfinite(mono).all():
            bad = self.position + int(np.flatnonzero(~np.isfinite(mono))[0])
            raise RecordingError(
                self._where, f"sample {bad} of the audio is not a finite number; the file is damaged"
            )
        if len(mono) and np.abs(mono).max() > LOUDEST:
            raise RecordingError(
                self._where,
                f"the audio reaches {np.abs(mono).max():g} times full scale; it holds integers saved as "
                "floats, divide them by their full scale (32768 for 16 bit)",
            )
        self.position += len(mono)
        return mono

    def check_length(self, samples: int) -> None:
        """Read what is left; raise RecordingError if the audio has not as many `samples` as the manifest says."""
        while len(self._read_piece(PIECE)):
            pass
        if self.position != samples:
            raise RecordingError(
                self._where,
                f"the manifest says {samples} samples, the audio has {self.position}; "
                "the file is cut off or the manifest old",
            )

    def _undecodable(self, error: Exception) -> RecordingError:
        return RecordingError(
            self._where, f"the audio cannot be decoded ({getattr(error, 'error_string', error)})"
        )


def read_whole_audio(file: Path | str, sample_rate: int, samples: int, where: str) -> np.ndarray:
    """As `read_audio`; raises RecordingError too if the audio has not as many `samples` as the manifest says."""
    with AudioFile(file, sample_rate, where) as audio:
        waveform = audio.read(samples)
        audio.check_length(samples)
    return waveform


def read_audio(file: Path | str, sample_rate: int, where: str | None = None) -> np.ndarray:
    """The waveform of an audio file, float32 [samples], channels averaged, full scale 1.

    Raises:
        RecordingError: missing or unreadable file, another rate, or samples that are not finite.
    """
    with AudioFile(file, sample_rate, where) as audio:
        pieces = [audio.read(PIECE)]
        while len(pieces[-1]) == PIECE:
            pieces.append(audio.read(PIECE))
    return pieces[0] if len(pieces) == 1 else np.concatenate(pieces)
