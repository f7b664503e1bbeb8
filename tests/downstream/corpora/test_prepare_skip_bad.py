"""`ptsel prepare --skip-bad`: recordings that cannot be used are left out of everything that is written."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from corpus_tools import write

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.corpora.prepare import prepare_command
from ptsel_fairseq.downstream.metrics.answer_files import read_labels

HEAD = "client_id\tpath\tsentence"


@pytest.fixture
def common_voice(tmp_path, recordings):
    """Eight clips to train on, two in each of the other splits."""
    root = tmp_path / "en"
    for split, count in (("train", 8), ("dev", 2), ("test", 2)):
        rows = []
        for i in range(count):
            recordings.write(root / "clips" / f"{split}_{i}.mp3", rate=48000)
            rows.append(f"speaker{split}{i}\t{split}_{i}.mp3\tHello {'abcdefgh'[i]}")
        write(root / f"{split}.tsv", HEAD, *rows)
    return root


@pytest.fixture
def voxceleb(tmp_path, recordings):
    """Two utterances of each of four speakers; the trials are of the last two."""
    root = tmp_path / "vox"
    names = [f"id1000{speaker}/abc/0000{i}.wav" for speaker in (1, 2, 3, 4) for i in (1, 2)]
    for name in names:
        recordings.write(root / "wav" / name)
    write(root / "iden_split.txt", *(f"{1 + i % 2} {name}" for i, name in enumerate(names)))
    write(
        root / "veri_test.txt",
        f"1 {names[4]} {names[5]}",
        f"0 {names[4]} {names[6]}",
        f"0 {names[5]} {names[7]}",
        f"1 {names[6]} {names[7]}",
    )
    return root


def cut(file: Path) -> None:
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2])


def spoil(clips: Path) -> dict[str, str]:
    """Damage four of the twelve clips of `common_voice`; what has to be said of each."""
    (clips / "train_0.mp3").write_bytes(b"")
    (clips / "train_2.mp3").unlink()
    (clips / "train_5.mp3").write_bytes(b"\0" * 300)
    cut(clips / "dev_1.mp3")
    return {
        "clips/train_0.mp3": "is empty",
        "clips/train_2.mp3": "is missing",
        "clips/train_5.mp3": "cannot be decoded (",
        "clips/dev_1.mp3": "is cut off, expected 24000 samples, found ",
    }


def written(out: Path, *but: str) -> dict[str, bytes]:
    """Content of every file by its path, without those named in `but`."""
    files = sorted(file for file in out.rglob("*") if file.is_file() and file.name not in but)
    return {file.relative_to(out).as_posix(): file.read_bytes() for file in files}


def drop_lines(file: Path, *holding: str) -> None:
    lines = file.read_text().splitlines()
    write(file, *(line for line in lines if not any(word in line for word in holding)))


def test_what_is_written_is_that_of_lists_without_the_bad_recordings(common_voice, tmp_path, capsys):
    reasons = spoil(common_voice / "clips")
    out = tmp_path / "out"
    prepare_command("common-voice", common_voice, out, skip_bad=True)
    lines = (out / "bad.txt").read_text().splitlines()
    for line, (path, reason) in zip(lines, reasons.items(), strict=True):
        assert line.startswith(f"{path}\t{reason}")
    said = capsys.readouterr().out
    report = (out / "report.md").read_text()
    assert report in said
    assert "Skipped: 4 of 12 recordings, which cannot be used (bad.txt)." in report
    first = "; ".join(line.replace("\t", ": ") for line in lines[:3])
    assert f"* train: 3 of 8 (first: {first})" in report
    assert f"* dev: 1 of 2 (first: {lines[3]})".replace("\t", ": ") in report
    assert "* test" not in report
    assert said.endswith("report.md, bad.txt\n")
    for split in ("train", "dev"):
        drop_lines(common_voice / f"{split}.tsv", *(path.split("/")[1] for path in reasons))
    found = written(out, "report.md", "bad.txt")
    assert len((out / "train.ltr").read_text().splitlines()) == len(read_manifest(out / "train.tsv")) == 5
    shutil.rmtree(out)
    prepare_command("common-voice", common_voice, out)
    assert written(out, "report.md") == found


def test_a_corpus_without_bad_files_is_the_same_with_and_without_the_option(
    common_voice, librispeech, tmp_path, capsys
):
    for name, root in (("common-voice", common_voice), ("librispeech", librispeech)):
        out = tmp_path / "out"
        prepare_command(name, root, out)
        plain, said = written(out), capsys.readouterr().out
        shutil.rmtree(out)
        write(out / "bad.txt", "of an earlier run")
        prepare_command(name, root, out, skip_bad=True)
        assert written(out) == plain
        assert capsys.readouterr().out == said
        shutil.rmtree(out)


def test_without_the_option_the_error_names_it(common_voice, tmp_path):
    clips = common_voice / "clips"
    spoil(clips)
    for what in ("1 of 12 audio files that .* are missing", "3 of 12 audio files cannot be used"):
        with pytest.raises(PtselError, match=rf"{what} .*; unpack .* or leave them out with --skip-bad$"):
            prepare_command("common-voice", common_voice, tmp_path / "out")
        shutil.copy(clips / "train_1.mp3", clips / "train_2.mp3")
    assert not (tmp_path / "out" / "bad.txt").exists()


def test_trials_that_name_a_skipped_recording_are_left_out(voxceleb, tmp_path):
    (voxceleb / "wav" / "id10003" / "abc" / "00002.wav").unlink()
    (voxceleb / "wav" / "id10001" / "abc" / "00001.wav").write_bytes(b"RIFF")
    out = tmp_path / "out"
    prepare_command("voxceleb1", voxceleb, out, skip_bad=True)
    assert (out / "verification" / "veri_test.txt").read_text().splitlines() == [
        "0 id10003/abc/00001.wav id10004/abc/00001.wav",
        "1 id10004/abc/00001.wav id10004/abc/00002.wav",
    ]
    report = (out / "report.md").read_text()
    assert "* verification/veri_test.txt: 2 of 4 trials, which name one of these recordings" in report
    assert "* verification/test: 1 of 4 (first: id10003/abc/00002.wav: is missing)" in report
    paths = {
        u.path for file in out.rglob("*/*.tsv") if file.parent.name != "classes" for u in read_manifest(file)
    }
    assert len(paths) == 6
    speakers = (out / "classes" / "speaker.tsv").read_text().splitlines()[1:]
    assert {line.split("\t")[0] for line in speakers} == paths
    (voxceleb / "wav" / "id10004" / "abc" / "00001.wav").unlink()
    with pytest.raises(PtselError, match=r"each of the 4 trials of verification/veri_test.txt names a rec"):
        prepare_command("voxceleb1", voxceleb, tmp_path / "again", skip_bad=True)
    assert not (tmp_path / "again").exists()


def test_labels_of_a_skipped_recording_are_left_out(tmp_path, recordings):
    root, out = tmp_path / "audioset", tmp_path / "out"
    names = {"/m/04szw": "Musical instrument", "/m/0342h": "Guitar", "/m/0l14jd": "Choir"}
    write(
        root / "ontology.json",
        json.dumps(
            [
                {"id": mark, "name": name, "child_ids": [*names][1:] if mark == "/m/04szw" else []}
                for mark, name in names.items()
            ]
        ),
    )
    for file in ("balanced_train_segments.csv", "eval_segments.csv"):
        write(root / file, *(f'{file[:10]}{i}, 0, 10, "/m/0342h"' for i in range(3)))
        for i in range(3):
            recordings.write(root / "clips" / f"{file[:10]}{i}.wav", rate=44100)
    (root / "clips" / "balanced_t1.wav").write_bytes(b"RIFF")
    prepare_command("audioset", root, out, skip_bad=True)
    labels = read_labels(out / "labels" / "balanced.tsv").values
    assert {key.split("\t")[0] for key in labels} == {"clips/balanced_t0.flac", "clips/balanced_t2.flac"}
    assert "balanced_t1" not in (out / "classes" / "instrument.tsv").read_text()
    report = (out / "report.md").read_text()
    assert "Skipped: 1 of 6 recordings" in report  # once, though it is in two splits
    assert "* train: 1 of 3" in report
    assert "* balanced: 1 of 3" in report


def test_recordings_that_are_not_copied_are_decoded_to_their_end(librispeech, tmp_path):
    clip = librispeech / "dev-clean" / "84" / "1240" / "84-1240-0001.flac"
    long = clip.with_name("84-1240-0002.flac")
    cut(clip)
    content = bytearray(long.read_bytes())
    content[22:26] = (8100).to_bytes(4, "big")  # samples that its header promises
    prepare_command("librispeech", librispeech, tmp_path / "headers")
    long.write_bytes(content)
    prepare_command("librispeech", librispeech, tmp_path / "out", skip_bad=True)
    assert [u.path for u in read_manifest(tmp_path / "out" / "dev-clean.tsv")] == [
        "dev-clean/84/1240/84-1240-0000.flac"
    ]
    reasons = [line.split("\t")[1] for line in (tmp_path / "out" / "bad.txt").read_text().splitlines()]
    assert reasons[0].startswith("the audio cannot be decoded (")
    assert reasons[1] == "is cut off, expected 8100 samples, found 8000"


def test_a_wav_that_was_cut_off_and_one_from_a_pipe(voxceleb, tmp_path, recordings):
    """libsndfile says of a WAV as many samples as are there, whatever its header promises."""
    halved, piped = (voxceleb / "wav" / "id10001" / "abc" / f"0000{i}.wav" for i in (1, 2))
    cut(halved)
    content = piped.read_bytes()
    piped.write_bytes(content.replace(b"data" + (16000).to_bytes(4, "little"), b"data" + b"\xff" * 4))
    assert piped.read_bytes() != content
    prepare_command("voxceleb1", voxceleb, tmp_path / "out", skip_bad=True)
    assert (tmp_path / "out" / "bad.txt").read_text() == (
        "id10001/abc/00001.wav\tis cut off, expected 8000 samples, found 3989\n"
    )
    root = tmp_path / "Medley"
    for i, subset in enumerate(("training", "validation", "test")):
        recordings.write(root / f"Medley-solos-DB_{subset}-0_{i}.wav", rate=44100)
    write(
        root / "Medley-solos-DB_metadata.csv",
        "subset,instrument,instrument_id,song_id,uuid4",
        *(f"{subset},flute,0,7,{i}" for i, subset in enumerate(("training", "validation", "test"))),
    )
    cut(root / "Medley-solos-DB_test-0_2.wav")
    with pytest.raises(
        PtselError, match=r"1 of 3 .*test-0_2.wav: is cut off, expected 22050 samples, found 11"
    ):
        prepare_command("medley-solos-db", root, tmp_path / "copied")
