"""Manifests and class files: what is read, and what each fault says."""

from __future__ import annotations

import math

import pytest
from conftest import ASTERISK

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.data.make_manifest import manifest_command
from ptsel_fairseq.downstream.speech.transcripts import read_transcripts

GOOD = "/audio\na.flac\t16000\nb/c.flac\t32000\n"


def manifest_of(tmp_path, text=GOOD, name="train.tsv"):
    file = tmp_path / name
    file.write_text(text)
    return file


def test_reads_what_fairseq_reads(tmp_path):
    manifest = read_manifest(manifest_of(tmp_path))
    assert [(u.index, u.path, u.samples) for u in manifest] == [(0, "a.flac", 16000), (1, "b/c.flac", 32000)]
    assert str(manifest.audio_path(manifest.utterances[1])) == "/audio/b/c.flac"
    assert manifest.split == "train"
    assert manifest.where(manifest.utterances[1]).endswith("train.tsv, line 3 (b/c.flac)")


def test_agrees_with_fairseq_on_the_bundled_manifest(tmp_path):
    data = pytest.importorskip("fairseq.data")
    manifest = read_manifest(ASTERISK / "train.tsv")
    fairseq = data.FileAudioDataset(str(ASTERISK / "train.tsv"), sample_rate=16000)
    assert [u.samples for u in manifest] == list(fairseq.sizes)


def test_the_checksum_follows_paths_and_lengths_but_not_the_audio_folder(tmp_path):
    first = read_manifest(manifest_of(tmp_path)).checksum
    assert read_manifest(manifest_of(tmp_path, GOOD.replace("/audio", "/elsewhere"))).checksum == first
    assert read_manifest(manifest_of(tmp_path, GOOD.replace("32000", "32001"))).checksum != first
    assert read_manifest(manifest_of(tmp_path, GOOD.replace("a.flac", "z.flac"))).checksum != first


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected the folder"),
        ("a.flac\t16000\n", "line 1: expected the folder"),
        ("/audio\n", "found none"),
        ("/audio\na.flac 16000\n", "line 2: .*'a.flac 16000'"),
        ("/audio\na.flac\t16000\nb.flac\tlong\n", "line 3"),
        ("/audio\na.flac\t0\n", "line 2"),
        ("/audio\na.flac\t16000\textra\n", "line 2"),
    ],
)
def test_a_faulty_manifest_names_its_line(tmp_path, text, message):
    with pytest.raises(PtselError, match=message):
        read_manifest(manifest_of(tmp_path, text))


def test_a_missing_manifest_shows_an_example_line(tmp_path):
    with pytest.raises(PtselError, match=r"no such file.*<TAB>"):
        read_manifest(tmp_path / "train.tsv")


def read(tmp_path, text):
    file = tmp_path / "classes.tsv"
    file.write_text(text)
    return read_classes(file, read_manifest(manifest_of(tmp_path)), SAMPLE_RATE)


def test_classes_of_utterances_and_of_segments(tmp_path):
    whole = read(tmp_path, "path\tclass\na.flac\tx\nother.flac\ty\n")
    assert [(s.utterance, s.start, s.end, s.name) for s in whole.segments] == [(0, 0.0, math.inf, "x")]
    assert (whole.other_paths, whole.unlabelled) == (1, 1)
    parts = read(tmp_path, "path\tstart\tend\tclass\nb/c.flac\t0.5\t1.0\tAH\nb/c.flac\t1.0\t2.01\tT\n")
    # Aligners round up; the end is cut to that of the audio.
    assert [(s.utterance, s.start, s.end, s.name) for s in parts.segments] == [
        (1, 0.5, 1.0, "AH"),
        (1, 1.0, 2.0, "T"),
    ]
    assert parts.names() == ["AH", "T"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty file"),
        ("a.flac\tx\n", "line 1: expected the header"),
        ("path\tclass\n", "no lines"),
        ("path\tclass\na.flac\n", "line 2: expected 2 fields"),
        ("path\tclass\na.flac\tx\na.flac\ty\n", "one class for each utterance.*'x' and 'y'"),
        ("path\tclass\nz.flac\tx\n", "none of its 1 lines"),
        ("path\tstart\tend\tclass\na.flac\t0.5\t0.4\tx\n", "line 2: expected 0 <= start < end <= 1.000"),
        ("path\tstart\tend\tclass\na.flac\t0.5\t1.5\tx\n", "line 2"),
        ("path\tstart\tend\tclass\na.flac\tnan\t0.5\tx\n", "line 2"),
        ("path\tstart\tend\tclass\na.flac\thalf\t0.5\tx\n", "line 2"),
    ],
)
def test_a_faulty_class_file_names_its_line(tmp_path, text, message):
    with pytest.raises(PtselError, match=message):
        read(tmp_path, text)


def test_portable_manifests_become_absolute(tmp_path):
    manifest_command(ASTERISK, tmp_path / "data")
    portable, absolute = read_manifest(ASTERISK / "train.tsv"), read_manifest(tmp_path / "data" / "train.tsv")
    first_line = (tmp_path / "data" / "train.tsv").read_text().splitlines()[0]
    assert first_line.startswith("/")
    assert absolute.checksum == portable.checksum
    assert absolute.audio_path(absolute.utterances[0]).is_file()


def test_a_folder_of_audio_becomes_two_disjoint_splits(tmp_path):
    manifest_command(ASTERISK / "audio", tmp_path, valid_percent=10, seed=3)
    train, valid = read_manifest(tmp_path / "train.tsv"), read_manifest(tmp_path / "valid.tsv")
    paths = [u.path for u in train], [u.path for u in valid]
    assert not set(paths[0]) & set(paths[1])
    bundled = [u for split in ("train", "valid") for u in read_manifest(ASTERISK / f"{split}.tsv")]
    assert {(u.path, u.samples) for u in [*train, *valid]} == {(u.path, u.samples) for u in bundled}
    assert len(valid) == round(len(bundled) / 10)
    again = tmp_path / "again"
    manifest_command(ASTERISK / "audio", again, valid_percent=10, seed=3)
    assert (again / "valid.tsv").read_text() == (tmp_path / "valid.tsv").read_text()


def test_manifest_of_a_folder_without_audio_is_refused(tmp_path):
    with pytest.raises(PtselError, match="expected audio files"):
        manifest_command(tmp_path, tmp_path / "out")


def test_a_byte_order_mark_is_read_over_unless_fairseq_would_stumble(tmp_path):
    manifest = read_manifest(manifest_of(tmp_path))
    classes = tmp_path / "classes.tsv"
    classes.write_bytes("\ufeffpath\tclass\r\na.flac\tx\r\nb/c.flac\ty\r\n".encode())
    assert read_classes(classes, manifest, SAMPLE_RATE).names() == ["x", "y"]
    marked = manifest_of(tmp_path, f"\ufeff{GOOD}", "marked.tsv")
    with pytest.raises(
        PtselError, match=r"marked.tsv: begins with a byte order mark, which fairseq takes for text"
    ):
        read_manifest(marked)
    (tmp_path / "train.wrd").write_text("\ufeffONE\nTWO\n")
    with pytest.raises(PtselError, match=r"train.wrd: begins with a byte order mark"):
        read_transcripts(manifest)


def test_lengths_beyond_32_bits_are_read_in_whichever_block_they_come(tmp_path):
    lines = [f"{'x' * 90}{i}.wav\t{i + 1}" for i in range(2000)]  # several blocks
    lines[1500] = f"long.wav\t{2**40}"
    (tmp_path / "train.tsv").write_text("\n".join(["/audio", *lines]) + "\n")
    found = read_manifest(tmp_path / "train.tsv")
    assert found.samples.tolist() == [2**40 if i == 1500 else i + 1 for i in range(2000)]
    assert found.path(1500) == "long.wav"
    assert [path.decode() for path in found.raw_paths()] == [line.split("\t")[0] for line in lines]
