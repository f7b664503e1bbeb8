"""Lengths that headers do not say or lie about, and files that end too soon."""

from __future__ import annotations

import os
import resource
import struct

import numpy as np
import pytest
import soundfile

from ptsel_fairseq.base.audio import AudioFile, read_audio
from ptsel_fairseq.base.audio_length import audio_length
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.data.decoding import UndecodableError, open_sound
from ptsel_fairseq.data.inspection import inspect_file


def noise(seconds=1.0, rate=16_000, seed=0):
    return np.random.default_rng(seed).uniform(-0.5, 0.5, int(seconds * rate)).astype(np.float32)


def write(file, waveform, rate=16_000, **how):
    soundfile.write(file, waveform, rate, **how)
    return file


def claim(file, samples):
    """Put a number of samples into the header of a FLAC; 0 is unknown."""
    content = bytearray(file.read_bytes())
    content[21] = content[21] & 0xF0 | samples >> 32
    content[22:26] = struct.pack(">I", samples & 0xFFFFFFFF)
    file.write_bytes(bytes(content))


def cut(file, share):
    content = file.read_bytes()
    file.write_bytes(content[: int(len(content) * share)])


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.wav", {}),
        ("a.flac", {}),
        ("a.ogg", {}),
        ("a.opus", {"format": "OGG", "subtype": "OPUS"}),
        ("a.mp3", {"format": "MP3"}),
        ("a.wav", {"endian": "BIG"}),
        ("a.aiff", {}),
    ],
)
@pytest.mark.parametrize("seconds", [0.2, 1.0, 20.0])
def test_whole_files_are_whole(tmp_path, name, how, seconds):
    file = write(tmp_path / name, noise(seconds), **how)
    found = audio_length(file)
    assert (found.samples, found.rate, found.channels, found.fault) == (int(seconds * 16_000), 16_000, 1, "")
    with open_sound(file) as sound:
        assert abs(sum(map(len, sound.blocks)) - found.samples) <= 0.01 * found.samples


@pytest.mark.parametrize(
    ("name", "how"),
    [
        ("a.wav", {}),
        ("a.wav", {"endian": "BIG"}),
        ("a.ogg", {}),
        ("a.opus", {"format": "OGG", "subtype": "OPUS"}),
    ],
)
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9])
def test_a_file_that_was_cut_off_is_found_by_its_header(tmp_path, name, how, share):
    file = write(tmp_path / name, noise(5), **how)
    cut(file, share)
    assert "cut off" in audio_length(file).fault
    assert ("cut off", True) in [finding[:2] for finding in inspect_file(file, 80_000, False).findings]


@pytest.mark.parametrize("tag", [b"", b"ID3\x04\0\0\0\0\0\x0a" + bytes(10)])
def test_an_mp3_without_a_length_is_cut_off_where_its_last_frame_is(tmp_path, tag):
    """Frames of 72 bytes (MPEG 2, 16 kbit/s at 16 kHz) that a decoder takes for silence, and no Xing header."""
    frame = bytes([0xFF, 0xF3, 0x28, 0xC4]) + bytes(68)
    (tmp_path / "a.mp3").write_bytes(tag + 40 * frame)
    assert not audio_length(tmp_path / "a.mp3").fault
    (tmp_path / "a.mp3").write_bytes(tag + 40 * frame + b"TAG" + bytes(125))
    assert not audio_length(tmp_path / "a.mp3").fault
    (tmp_path / "a.mp3").write_bytes((tag + 40 * frame)[:-30])
    assert "cut off" in audio_length(tmp_path / "a.mp3").fault
    with pytest.raises(UndecodableError, match="cut off"), open_sound(tmp_path / "a.mp3"):
        pass


@pytest.mark.parametrize("samples", [0, 2**36 - 1, 4_000_000_000])
def test_a_length_that_is_unknown_or_forged_is_counted(tmp_path, samples):
    file = write(tmp_path / "a.flac", noise())
    claim(file, samples)
    assert (audio_length(file).samples, audio_length(file).fault) == (16_000, "")
    assert not inspect_file(file, 16_000, False).findings
    assert len(read_audio(file, 16_000)) == 16_000
    with open_sound(file) as sound:
        assert (sound.promised, sum(map(len, sound.blocks))) == (0, 16_000)


@pytest.mark.parametrize("rate", [1, 7, 999, 2**31 - 1])
def test_a_rate_that_no_recording_has(tmp_path, rate):
    file = write(tmp_path / "a.wav", noise())
    content = bytearray(file.read_bytes())
    content[24:28] = struct.pack("<I", rate)
    file.write_bytes(bytes(content))
    assert "Hz" in audio_length(file).fault
    with pytest.raises(UndecodableError), open_sound(file):
        pass


def test_no_claim_asks_for_memory(tmp_path):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    file = write(tmp_path / "a.flac", noise(30))
    claim(file, 2**35)
    audio_length(file)
    inspect_file(file, 480_000, False)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kB; the header says 137 GB


def test_what_is_no_file_or_empty(tmp_path):
    (tmp_path / "a.wav").mkdir()
    (tmp_path / "b.wav").touch()
    (tmp_path / "c.wav").write_bytes(b"RIFF")
    os.mkfifo(tmp_path / "d.wav")
    faults = [audio_length(tmp_path / name).fault for name in ("a.wav", "b.wav", "c.wav", "d.wav", "e.wav")]
    assert faults[:2] == ["is no file", "is empty"]
    assert faults[2].startswith("cannot be decoded")
    assert faults[3:] == ["is no file", "is missing"]


def amplitudes(waveform, tmp_path, **how):
    file = write(tmp_path / "a.wav", waveform, **how)
    return file, [finding[:2] for finding in inspect_file(file, len(waveform), False).findings]


def test_integers_saved_as_floats_are_refused_by_every_reader(tmp_path):
    for scale in (32_767, 127):
        file, found = amplitudes(noise() * 2 * scale, tmp_path, subtype="FLOAT")
        assert found == [("beyond full scale", True)]
        with pytest.raises(PtselError, match="times full scale"), AudioFile(file, 16_000) as audio:
            audio.read(16_000)
    file, found = amplitudes(noise() * 3, tmp_path, subtype="FLOAT")
    assert found == [("beyond full scale", False)]
    assert len(read_audio(file, 16_000)) == 16_000
    assert amplitudes(noise() * 1.9, tmp_path, subtype="FLOAT")[1] == []


def test_channels_that_cancel_are_silent_and_quiet_ones_are_quiet(tmp_path):
    x = noise()
    for channels in ([x, -x], [x, x, -x, -x]):
        assert ("silent", False) in amplitudes(np.stack(channels, 1), tmp_path)[1]
    assert ("silent", False) not in amplitudes(np.stack([x, 0 * x], 1), tmp_path)[1]
    assert ("silent", False) not in amplitudes(np.stack([x, noise(seed=1)], 1), tmp_path)[1]
    assert amplitudes(1e-4 * x, tmp_path)[1] == [("silent", False)]


def test_samples_that_are_no_numbers(tmp_path):
    for value in (np.nan, np.inf, -np.inf):
        x = noise()
        x[777] = value
        assert amplitudes(x, tmp_path, subtype="FLOAT")[1] == [("not finite", True)]
