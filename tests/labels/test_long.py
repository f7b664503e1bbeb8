"""Long recordings in blocks: the tracks of the whole, in memory that does not grow with the length."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import ASTERISK, ROOT, contents

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.extraction import long_recordings as blocks
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.labels.extraction.worker import Piece, analyse_piece
from ptsel_fairseq.labels.signal import rhythm, voice_quality
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.labels.store.writer import StoreWriter
from ptsel_fairseq.labels.tracks import compute_tracks, resolve

GRID = FrameGrid()
# What is resampled rounds by where it begins, and quiet bins beside loud ones show it; the others are sums.
ROUNDED = {
    "chroma": 2e-6, "chroma_cens": 5e-3, "chroma_cqt": 5e-3, "cqt": 1.0, "tonnetz": 2e-3,
}  # fmt: skip


@pytest.fixture(scope="module")
def speech() -> np.ndarray:
    """70 s: clips of five voices one after the other, the first half more quietly."""
    clips = sorted((ASTERISK / "audio").rglob("*.ogg"))[::9]
    wave = np.concatenate([soundfile.read(clip, dtype="float32")[0] for clip in clips])[: 70 * 16_000 + 123]
    wave[: len(wave) // 2] *= 0.02
    return wave


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of 20 s, so that a minute is a long recording."""
    monkeypatch.setattr(blocks, "FRAMES", 1024)
    monkeypatch.setattr(blocks, "LONGEST_WHOLE", 2048)


def in_blocks(waveform: np.ndarray, names: list[str]) -> dict[str, tuple]:
    assert blocks.is_long(len(waveform), GRID)
    return compute_tracks(waveform, resolve(names), GRID)


def at_once(waveform: np.ndarray, names: list[str]) -> dict[str, tuple]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blocks, "LONGEST_WHOLE", len(waveform))
        return compute_tracks(waveform, resolve(names), GRID)


@pytest.mark.slow
@pytest.mark.parametrize("cut", [0, 320 * 440])
def test_every_label_is_that_of_the_whole(speech, small_blocks, cut):
    """Byte for byte but for what rounds; also where the last block has only some frames of its own."""
    waveform = speech[: len(speech) - cut]
    found, expected = in_blocks(waveform, ["all"]), at_once(waveform, ["all"])
    assert list(found) == list(expected)
    for name, (values, valid) in expected.items():
        np.testing.assert_allclose(found[name][0], values, rtol=0, atol=ROUNDED.get(name, 0), err_msg=name)
        if valid is not None:
            np.testing.assert_array_equal(found[name][1], valid, err_msg=name)


def test_what_belongs_to_the_whole_file_is_not_found_block_by_block(speech, small_blocks):
    """The loud half of the recording lifts the level below which onsets of the quiet half do not count."""
    expected = at_once(speech, ["onset_strength"])["onset_strength"][0]
    quiet_half = compute_tracks(speech[: 320 * 1536], resolve(["onset_strength"]), GRID)["onset_strength"][0]
    assert np.abs(quiet_half[:1000] - expected[:1000]).max() > 0.1
    np.testing.assert_array_equal(in_blocks(speech, ["onset_strength"])["onset_strength"][0], expected)


def test_a_voice_that_never_stops(small_blocks, monkeypatch):
    """A glide of 60 s is one voiced stretch; its periods are found from its middle, in windows of 0.5 s."""
    time = np.arange(60 * 16_000) / 16_000
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(time / 3) + 2 * np.sin(40 * time)) / 16_000
    waveform = sum(np.sin(k * phase) / k for k in range(1, 20)).astype(np.float32) * 0.1
    names = ["f0", "jitter", "shimmer", "log_hnr"]
    expected = at_once(waveform, names)
    assert expected["jitter"][1].mean() > 0.95
    assert 0 < np.median(expected["jitter"][0]) < 0.05
    monkeypatch.setattr(voice_quality, "AT_ONCE", 8000)
    for found in (in_blocks(waveform, names), at_once(waveform, names)):
        for name in names:
            np.testing.assert_array_equal(found[name][0], expected[name][0])
            np.testing.assert_array_equal(found[name][1], expected[name][1])


def test_the_context_is_wider_than_any_window():
    """Frames of the context, 10 s, against what a label's frame looks at on one side."""
    assert blocks.FRAMES % 512 == blocks.CONTEXT % 512 == 0
    widest = max(label.window for label in resolve(["all"])) / 2
    assert widest < blocks.CONTEXT / GRID.frame_rate
    assert rhythm.TEMPOGRAM_FRAMES / 2 + 2 < blocks.CONTEXT


@pytest.mark.parametrize("samples", [320 * 2047 + 400, 320 * 2048 + 400, 320 * 3071 + 400, 320 * 3071 + 719])
def test_blocks_cover_every_frame_once(samples, small_blocks):
    waveform = np.arange(samples, dtype=np.float32)
    end = 0
    for block in blocks.cut(lambda: blocks.Waveform(waveform), samples, GRID):
        assert block.begin == end
        end = block.end
        assert block.first == max(block.begin - 512, 0)
        assert GRID.num_frames(len(block.waveform)) == block.last - block.first
        assert block.waveform[0] == 320 * block.first
    assert end == GRID.num_frames(samples)
    assert block.waveform[-1] == samples - 1


@pytest.fixture
def long_dir(speech, tmp_path) -> Path:
    """A manifest of a long recording between two short ones."""
    parts = {"a.flac": speech[:40_000], "b.flac": speech, "c.flac": speech[50_000:80_000]}
    for name, wave in parts.items():
        soundfile.write(tmp_path / name, wave, 16_000)
    lines = [f"{name}\t{len(wave)}" for name, wave in parts.items()]
    (tmp_path / "train.tsv").write_text("\n".join([str(tmp_path), *lines]) + "\n")
    return tmp_path


def test_a_long_recording_goes_to_its_place_in_the_store(long_dir, small_blocks, monkeypatch):
    """The worker writes it itself; engines that see other disks send it. The bytes are the same."""
    manifest, names = read_manifest(long_dir / "train.tsv"), ["f0", "log_mel", "rasta_l1"]
    extract(manifest, names, long_dir / "store", jobs=1)
    store = LabelStore(long_dir / "store", "train")
    for utterance in manifest:
        waveform = soundfile.read(manifest.audio_path(utterance), dtype="float32")[0]
        for name, (values, valid) in compute_tracks(waveform, resolve(names), GRID).items():
            np.testing.assert_array_equal(store.track(name, utterance.index), values)
            if valid is not None:
                np.testing.assert_array_equal(store.valid(name, utterance.index), valid)
    monkeypatch.setattr(blocks, "is_long", lambda samples, grid: False)
    monkeypatch.setattr(blocks, "LONGEST_WHOLE", 1 << 40)
    extract(manifest, names, long_dir / "sent", jobs=1)
    assert contents(long_dir / "store") == contents(long_dir / "sent")


def test_a_worker_left_behind_by_a_killed_extraction_stops_writing(long_dir, small_blocks):
    """The arrays of the same names may be another extraction's by then."""
    manifest = read_manifest(long_dir / "train.tsv")
    utterance = manifest.utterances[1]
    writer = StoreWriter(long_dir / "store", manifest, resolve(["zcr"]), GRID)
    writer.open()
    piece = Piece(manifest.audio_path(utterance), utterance.samples, "here", ("zcr",), GRID)
    place = {"arrays": writer.arrays, "first_row": writer.first_row(1)}
    with pytest.raises(PtselError, match="has ended"):
        analyse_piece(dataclasses.replace(piece, **place, owner=-1))
    assert not writer.arrays.of["zcr"].values.read(0, writer.first_row(2)).any()
    found = analyse_piece(dataclasses.replace(piece, **place, owner=os.getppid()))
    assert found.tracks == {}
    rows = writer.arrays.of["zcr"].values.read(writer.first_row(1), writer.first_row(2))
    assert found.crcs == {"zcr": (zlib.crc32(rows.tobytes()), 0)}
    assert writer.arrays.of["zcr"].values.read(writer.first_row(1), writer.first_row(2)).any()
    writer.close()


@pytest.mark.usefixtures("nothing_stays_registered")
def test_labels_of_users_see_the_whole_recording(long_dir, small_blocks):
    mine = long_dir / "mine.py"
    mine.write_text(
        "import numpy as np\n"
        "from ptsel_fairseq.labels.user import register\n"
        "@register('seen', unit='samples', description='length of the waveform')\n"
        "def seen(analysis):\n"
        "    return np.full(analysis.num_frames, len(analysis.waveform))\n"
    )
    manifest = read_manifest(long_dir / "train.tsv")
    extract(manifest, ["seen", "zcr"], long_dir / "store", jobs=1, user_labels=[mine])
    store = LabelStore(long_dir / "store", "train")
    assert (store.track("seen", 1) == manifest.utterances[1].samples).all()
    extract(manifest, ["zcr"], long_dir / "alone", jobs=1)
    np.testing.assert_array_equal(
        store.track("zcr", 1), LabelStore(long_dir / "alone", "train").track("zcr", 1)
    )


@pytest.mark.parametrize("change", [-200_000, -10, 10])
def test_a_long_recording_of_another_length_is_named(long_dir, small_blocks, change):
    file = long_dir / "train.tsv"
    root, a, b, c = file.read_text().splitlines()
    samples = int(b.split("\t")[1])
    file.write_text("\n".join([root, a, f"b.flac\t{samples - change}", c]) + "\n")
    with pytest.raises(
        PtselError, match=rf"line 3 .*the manifest says {samples - change} samples, the audio has {samples};"
    ):
        extract(read_manifest(file), ["f0", "zcr"], long_dir / "store", jobs=1)
    with pytest.raises(PtselError, match="not finished"):
        LabelStore(long_dir / "store", "train")


MEMORY = """
import resource, sys
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.base.manifest import read_manifest
for split in ("short", "long"):
    extract(read_manifest(f"{sys.argv[1]}/{split}.tsv"), sys.argv[2:], f"{sys.argv[1]}/store", jobs=1)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_length(speech, tmp_path):
    """Five times the length of what is analysed at once takes no more memory, but for what is said of the pitch."""
    labels = ["f0", "jitter", "log_mel", "rasta_l1", "spectral_flux"]
    for split, times in (("short", 2), ("long", 10)):
        with soundfile.SoundFile(tmp_path / f"{split}.wav", "w", 16_000, 1) as out:
            for _ in range(times):
                out.write(speech)
        (tmp_path / f"{split}.tsv").write_text(f"{tmp_path}\n{split}.wav\t{times * len(speech)}\n")
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, tmp_path, *labels], capture_output=True, text=True, cwd=ROOT
    )
    assert done.returncode == 0, done.stderr
    short, long = map(int, done.stdout.split())
    assert long - short < 30
