"""Reading audio: the same samples whole and in pieces, in every format."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
from conftest import ASTERISK

from ptsel_fairseq.base.audio import AudioFile, read_audio, read_whole_audio
from ptsel_fairseq.base.errors import PtselError

FORMATS = {
    "wav": {"subtype": "PCM_16"},
    "flac": {},
    "ogg": {"format": "OGG", "subtype": "VORBIS"},
    "opus": {"format": "OGG", "subtype": "OPUS"},
    "mp3": {"format": "MP3"},
}


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """40 s of clips, one after the other, in two channels that differ."""
    clips = sorted((ASTERISK / "audio" / "it").glob("*.ogg"))
    mono = np.concatenate([soundfile.read(clip, dtype="float32")[0] for clip in clips])[:640_000]
    return np.stack([mono, 0.5 * mono[::-1]], axis=1)


@pytest.mark.parametrize("kind", FORMATS)
def test_pieces_are_the_whole(kind, speech, tmp_path):
    file = tmp_path / f"speech.{kind}"
    soundfile.write(file, speech, 16_000, **FORMATS[kind])
    whole = read_audio(file, 16_000)
    assert len(whole) == len(speech)
    assert np.abs(whole - speech.mean(axis=1)).mean() < 0.01
    np.testing.assert_array_equal(read_whole_audio(file, 16_000, len(speech), "here"), whole)
    with AudioFile(file, 16_000) as audio:
        pieces = [audio.read(n) for n in (1, 777, 100_003, 0, 400_000, 1_000_000, 5)]
    np.testing.assert_array_equal(np.concatenate(pieces), whole)
    assert [len(piece) for piece in pieces[-2:]] == [len(speech) - 500_781, 0]


@pytest.mark.parametrize("samples", [1, 639_999, 640_001, 2_000_000])
def test_another_length_than_the_manifests(samples, speech, tmp_path):
    soundfile.write(tmp_path / "speech.flac", speech, 16_000)
    with pytest.raises(PtselError, match=f"^here: the manifest says {samples} samples, the audio has 640000"):
        read_whole_audio(tmp_path / "speech.flac", 16_000, samples, "here")


def test_a_bad_sample_far_into_the_file_is_named(speech, tmp_path, monkeypatch):
    monkeypatch.setattr("ptsel_fairseq.base.audio.PIECE", 1000)
    speech = speech.copy()
    speech[123_456] = np.inf
    soundfile.write(tmp_path / "speech.wav", speech, 16_000, subtype="FLOAT")
    with pytest.raises(PtselError, match="sample 123456 "):
        read_audio(tmp_path / "speech.wav", 16_000)


def test_a_header_that_promises_more_than_memory_holds(speech, tmp_path):
    """What is read counts, not what the header says."""
    soundfile.write(tmp_path / "speech.wav", speech[:16_000], 16_000, subtype="PCM_16")
    content = bytearray((tmp_path / "speech.wav").read_bytes())
    place = content.index(b"data") + 4
    content[4:8] = content[place : place + 4] = b"\xff\xff\xff\x7f"
    (tmp_path / "speech.wav").write_bytes(content)
    assert len(read_audio(tmp_path / "speech.wav", 16_000)) == 16_000


def test_a_fault_of_a_recording_comes_whole_from_another_process(tmp_path):
    import pickle

    from ptsel_fairseq.base.errors import RecordingError

    with pytest.raises(RecordingError) as caught:
        read_audio(tmp_path / "none.wav", 16000, "train.tsv, line 2 (none.wav)")
    again = pickle.loads(pickle.dumps(caught.value))
    assert (again.where, str(again)) == (caught.value.where, str(caught.value))
    assert again.fault.startswith("no such audio file")
    assert str(again) == f"train.tsv, line 2 (none.wav): {again.fault}"
