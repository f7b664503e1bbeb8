"""The readers of published music corpora, on miniature trees in each corpus's own layout."""

from __future__ import annotations

import json

import pytest
from corpus_tools import write, write_common_voice

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.corpora.prepare import prepare_command
from ptsel_fairseq.downstream.metrics.answer_files import read_labels


def test_medley_solos_db(tmp_path, recordings):
    rows = [
        (subset, i, f"uuid-{subset}-{i}") for subset in ("training", "validation", "test") for i in range(2)
    ]
    for subset, i, uuid in rows:
        recordings.write(tmp_path / "audio" / f"Medley-solos-DB_{subset}-{i}_{uuid}.wav", rate=44100)
    write(
        tmp_path / "Medley-solos-DB_metadata.csv",
        "subset,instrument,instrument_id,song_id,uuid4",
        *(
            f"{subset},{('clarinet', 'distorted electric guitar')[i]},{i},7,{uuid}"
            for subset, i, uuid in rows
        ),
    )
    prepare_command("medley-solos-db", tmp_path, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out" / "valid.tsv")
    assert {u.samples for u in manifest} == {8000}
    names = read_classes(tmp_path / "out" / "classes" / "instrument.tsv", manifest, 16000).names()
    assert names == ["clarinet", "distorted electric guitar"]
    assert "5,841" in (tmp_path / "out" / "report.md").read_text()


def test_openmic_keeps_its_mask(tmp_path, recordings):
    keys = {"train": ["000046_3840", "000135_483840"], "test": ["155310_372480"]}
    for split, names in keys.items():
        write(tmp_path / "partitions" / f"split01_{split}.csv", *names)
        for name in names:
            recordings.write(tmp_path / "audio" / name[:3] / f"{name}.ogg", rate=44100)
    write(
        tmp_path / "openmic-2018-aggregated-labels.csv",
        "sample_key,instrument,relevance,num_responses",
        *("000046_3840,clarinet,0.17105,3", "000046_3840,flute,0,3", "155310_372480,flute,0.9,3"),
    )
    prepare_command("openmic-2018", tmp_path, tmp_path / "out")
    assert read_labels(tmp_path / "out" / "labels" / "train.tsv").values == {
        "000/000046_3840.flac\tclarinet": "0.17105",
        "000/000046_3840.flac\tflute": "0",
    }
    manifest = read_manifest(tmp_path / "out" / "test.tsv")
    assert [u.path for u in manifest] == ["155/155310_372480.flac"]
    (tmp_path / "openmic-2018-aggregated-labels.csv").write_text("sample_key,instrument\n")
    with pytest.raises(PtselError, match="line 1: expected the columns sample_key, instrument, relevance"):
        prepare_command("openmic-2018", tmp_path, tmp_path / "again")


ONTOLOGY = [
    {"id": "/m/04szw", "name": "Musical instrument", "child_ids": ["/m/0fx80y", "/m/0l14jd"]},
    {"id": "/m/0l14jd", "name": "Choir", "child_ids": []},
    {"id": "/m/0fx80y", "name": "Plucked string instrument", "child_ids": ["/m/0342h"]},
    {"id": "/m/0342h", "name": "Guitar", "child_ids": ["/m/042v_gx"]},
    {"id": "/m/042v_gx", "name": "Acoustic guitar", "child_ids": []},
    {"id": "/m/09x0r", "name": "Speech", "child_ids": []},
]


@pytest.fixture
def audioset(tmp_path, recordings):
    root = tmp_path / "audioset"
    write(root / "ontology.json", json.dumps(ONTOLOGY))
    head = ("# Segments csv created Sun Mar  5 10:54:25 2017", "# num_ytids=3", "# YTID, start_seconds, ...")
    write(
        root / "balanced_train_segments.csv",
        *head,
        '--4gqARaEJE, 0.000, 10.000, "/m/09x0r,/m/0342h,/m/042v_gx,/m/04szw"',
        '--BfvyPmVMo, 20.000, 30.000, "/m/09x0r"',
        '-0xzrMun0Rs, 30.000, 40.000, "/m/0l14jd,/m/0342h"',
    )
    write(root / "unbalanced_train_segments.csv", *head, 'Ya_1-2c3d4e, 0.000, 10.000, "/m/0l14jd"')
    write(
        root / "eval_segments.csv",
        *head,
        '_gone-video, 0.000, 10.000, "/m/0342h"',
        'x0123456_78, 1, 9, "/m/0342h"',
    )
    recordings.write(root / "balanced" / "--4gqARaEJE.wav", rate=44100)
    recordings.write(root / "balanced" / "--BfvyPmVMo.wav", rate=44100)
    recordings.write(root / "balanced" / "Y-0xzrMun0Rs.wav", rate=48000)
    recordings.write(root / "more" / "Ya_1-2c3d4e_0.000_10.000.flac", rate=44100)
    recordings.write(root / "eval" / "x0123456_78_1.ogg", rate=44100)
    return root


def test_audioset_has_the_clips_with_an_instrument_that_are_there(audioset, tmp_path, capsys):
    out = tmp_path / "out"
    prepare_command("audioset", audioset, out)
    paths = {
        split: [u.path for u in read_manifest(out / f"{split}.tsv")]
        for split in ("train", "balanced", "eval")
    }
    assert paths["balanced"] == ["balanced/--4gqARaEJE.flac", "balanced/Y-0xzrMun0Rs.flac"]
    assert paths["train"] == [*paths["balanced"], "more/Ya_1-2c3d4e_0.000_10.000.flac"]
    assert paths["eval"] == ["eval/x0123456_78_1.flac"]
    assert "Of 5 clips with an instrument" in capsys.readouterr().out
    assert "the audio of 4 is here" in (out / "report.md").read_text()
    labels = read_labels(out / "labels" / "balanced.tsv").values
    assert len(labels) == 2 * 4  # every clip is asked about every instrument, not about speech or the root
    there = {key.split("\t")[1] for key, value in labels.items() if "--4gq" in key and value == "1"}
    assert there == {"Guitar", "Acoustic guitar"}
    # One class where one instrument is left, the lowest of its branch; the choir with a guitar has two.
    lines = (out / "classes" / "instrument.tsv").read_text().splitlines()[1:]
    assert lines == [
        "balanced/--4gqARaEJE.flac\tAcoustic guitar",
        "eval/x0123456_78_1.flac\tGuitar",
        "more/Ya_1-2c3d4e_0.000_10.000.flac\tChoir",
    ]


def test_audioset_without_its_audio_or_with_another_ontology(audioset, tmp_path):
    for file in [*audioset.rglob("*.wav"), *audioset.rglob("*.flac"), *audioset.rglob("*.ogg")]:
        file.unlink()
    with pytest.raises(
        PtselError, match=r"5 clips of balanced_train.* expected files such as --4gqARaEJE\.wav"
    ):
        prepare_command("audioset", audioset, tmp_path / "out")
    write(audioset / "ontology.json", json.dumps(ONTOLOGY[1:]))
    with pytest.raises(PtselError, match=r"ontology\.json: expected AudioSet's ontology, .* found KeyError"):
        prepare_command("audioset", audioset, tmp_path / "out")
    write(audioset / "ontology.json", json.dumps(ONTOLOGY))
    write(audioset / "eval_segments.csv", "a video, and no more")
    with pytest.raises(PtselError, match=r"eval_segments\.csv, line 1: .* found 2 fields"):
        prepare_command("audioset", audioset, tmp_path / "out")


def test_files_of_audioset_that_are_not_used_are_counted(audioset, tmp_path, recordings):
    prepare_command("audioset", audioset, tmp_path / "plain")
    assert "Not used" not in (tmp_path / "plain" / "report.md").read_text()
    (audioset / "balanced" / "._--4gqARaEJE.wav").write_bytes(b"\0\5\x16\7")
    for name in ("more/--4gqARaEJE.flac", "more/one.wav", "more/two.MP3", "noise.wav", "z.wav"):
        recordings.write(audioset / name, rate=44100, format=name.rpartition(".")[2].upper())
    prepare_command("audioset", audioset, tmp_path / "out")
    report = (tmp_path / "out" / "report.md").read_text()
    assert (
        "4 files that have no YouTube id in their names (first: more/one.wav; more/two.MP3; noise.wav)"
        in report
    )
    assert "1 files that have the id of another file (first: more/--4gqARaEJE.flac)" in report
    assert (tmp_path / "out" / "train.tsv").read_text().split("\n", 1)[1] == (
        tmp_path / "plain" / "train.tsv"
    ).read_text().split("\n", 1)[1]


def test_lists_of_audioset_from_windows(audioset, tmp_path):
    prepare_command("audioset", audioset, tmp_path / "plain")
    for file in (audioset / "ontology.json", *audioset.glob("*.csv")):
        file.write_bytes(b"\xef\xbb\xbf" + file.read_bytes().replace(b"\n", b"\r\n"))
    prepare_command("audioset", audioset, tmp_path / "out")
    for name in ("labels/balanced.tsv", "classes/instrument.tsv"):
        assert (tmp_path / "out" / name).read_text() == (tmp_path / "plain" / name).read_text()
    (audioset / "eval_segments.csv").write_bytes(b"\xff\xfe")
    with pytest.raises(PtselError, match=r"eval_segments.csv: not a UTF-8 text file"):
        prepare_command("audioset", audioset, tmp_path / "out")


def test_a_corpus_is_never_written_to(tmp_path, recordings, audioset):
    root = write_common_voice(tmp_path / "en", recordings)
    lists = {split: (root / f"{split}.tsv").read_text() for split in ("train", "dev", "test")}
    with pytest.raises(
        PtselError, match=r"en: what is written there would mix with the corpus in .*en; give a"
    ):
        prepare_command("common-voice", root, root)  # its lists have the names of manifests
    assert {split: (root / f"{split}.tsv").read_text() for split in lists} == lists
    prepare_command("common-voice", root, root / "out")
    with pytest.raises(
        PtselError, match="would mix"
    ):  # its copies would be found as other clips the next time
        prepare_command("audioset", audioset, audioset / "out")
    with pytest.raises(PtselError, match="would mix"):
        prepare_command("audioset", audioset.rename(tmp_path / "audio"), tmp_path)


@pytest.fixture
def jamendo(tmp_path, recordings):
    """Two tasks of MTG-Jamendo with a track or two a split; a tag is a column of its own."""
    root = tmp_path / "jamendo"
    head = "TRACK_ID\tARTIST_ID\tALBUM_ID\tPATH\tDURATION\tTAGS"
    rows = {
        ("instrument", "train"): [
            "1\t14/214.mp3\tinstrument---guitar\tinstrument---piano",
            "2\t48/948.mp3\tinstrument---piano",
        ],
        ("instrument", "validation"): ["3\t50/950.mp3\tinstrument---guitar"],
        ("instrument", "test"): ["4\t51/951.mp3\tinstrument---piano"],
        ("moodtheme", "train"): ["1\t14/214.mp3\tmood/theme---happy"],
        ("moodtheme", "validation"): ["3\t50/950.mp3\tmood/theme---happy\tmood/theme---film"],
        ("moodtheme", "test"): ["4\t51/951.mp3\tmood/theme---film"],
    }  # fmt: skip
    for (task, split), lines in rows.items():
        tracks = []
        for line in lines:
            artist, path, *tags = line.split("\t")
            tracks.append("\t".join([f"track_{artist}", f"artist_{artist}", "album_1", path, "0.5", *tags]))
        write(root / "data" / "splits" / "split-0" / f"autotagging_{task}-{split}.tsv", head, *tracks)
    for path in ("14/214.mp3", "48/948.low.mp3", "50/950.mp3", "51/951.mp3"):
        recordings.write(root / "audio" / path, rate=44100, format="MP3")
    return root


def test_mtg_jamendo_has_several_tags_and_several_tasks(jamendo, tmp_path):
    out = tmp_path / "out"
    prepare_command("mtg-jamendo", jamendo, out)
    assert [u.path for u in read_manifest(out / "instrument" / "train.tsv")] == [
        "14/214.flac",
        "48/948.low.flac",
    ]
    assert [u.path for u in read_manifest(out / "moodtheme" / "valid.tsv")] == ["50/950.flac"]
    assert read_labels(out / "labels" / "instrument" / "train.tsv").values == {
        "14/214.flac\tinstrument/guitar": "1",
        "14/214.flac\tinstrument/piano": "1",
        "48/948.low.flac\tinstrument/guitar": "0",
        "48/948.low.flac\tinstrument/piano": "1",
    }
    assert read_labels(out / "labels" / "moodtheme" / "test.tsv").values == {
        "51/951.flac\tmood/theme/film": "1",
        "51/951.flac\tmood/theme/happy": "0",
    }
    report = (out / "report.md").read_text()
    assert "14,395" in report
    assert "genre/train" in report
    assert "not there" in report


def test_mtg_jamendo_with_lists_that_cannot_be_used(jamendo, tmp_path):
    lists = jamendo / "data" / "splits" / "split-0"
    file = lists / "autotagging_moodtheme-test.tsv"
    good = file.read_text()
    file.write_text(good.replace("artist_4", "artist_1"))
    with pytest.raises(PtselError, match=r"1 artists are in two splits of moodtheme \(first: artist_1\)"):
        prepare_command("mtg-jamendo", jamendo, tmp_path / "out")
    file.write_text(good.replace("mood/theme---film", "film"))
    with pytest.raises(PtselError, match=r"line 2: expected TRACK_ID.* and tags such as mood/theme---happy"):
        prepare_command("mtg-jamendo", jamendo, tmp_path / "out")
    file.write_text(good.replace("TAGS", "TAG"))
    with pytest.raises(PtselError, match="line 1: expected the columns TRACK_ID, ARTIST_ID"):
        prepare_command("mtg-jamendo", jamendo, tmp_path / "out")
    for left in lists.glob("*-test.tsv"):
        left.unlink()
    with pytest.raises(
        PtselError, match=r"the folder of the corpus with data/splits/split-0/autotagging_TASK"
    ):
        prepare_command("mtg-jamendo", jamendo, tmp_path / "out")
