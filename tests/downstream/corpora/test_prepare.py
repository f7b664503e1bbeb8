"""`ptsel prepare` on miniature trees in each corpus's own layout, made of the bundled recordings."""

from __future__ import annotations

import hashlib
import json
import re
import resource
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from conftest import BIN, run_command
from corpus_tools import CLIPS, Recordings, stop_converting_after, write, write_librispeech

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_classes, read_manifest
from ptsel_fairseq.cli.downstream import CORPUS_NAMES
from ptsel_fairseq.data import conversion
from ptsel_fairseq.downstream.corpora import timit
from ptsel_fairseq.downstream.corpora.prepare import letters, prepare_command, split_order
from ptsel_fairseq.downstream.corpora.registry import CORPORA
from ptsel_fairseq.downstream.corpora.splits import normalise
from ptsel_fairseq.downstream.metrics.answer_files import read_labels, read_trials


@pytest.fixture
def recordings():
    return Recordings()


@pytest.fixture
def librispeech(tmp_path, recordings):
    return write_librispeech(tmp_path / "LibriSpeech", recordings)


def test_librispeech(librispeech, tmp_path, capsys):
    out = tmp_path / "out"
    prepare_command("librispeech", librispeech, out)
    manifest = read_manifest(out / "dev-clean.tsv")
    assert [u.path for u in manifest] == [f"dev-clean/84/1240/84-1240-000{i}.flac" for i in range(3)]
    assert {u.samples for u in manifest} == {8000}
    assert manifest.root == librispeech
    assert (out / "dev-clean.wrd").read_text().splitlines()[1] == "MISTER O'NEIL 1"
    assert (out / "dev-clean.ltr").read_text().splitlines()[1] == "M I S T E R | O ' N E I L | 1 |"
    dictionary = (out / "dict.ltr.txt").read_text().splitlines()
    assert dictionary[0] == "| 9"
    assert "0 1" in dictionary  # of train alone
    assert read_classes(out / "classes" / "speaker.tsv", manifest, 16000).names() == ["84"]
    report = capsys.readouterr().out
    assert (out / "report.md").read_text() in report
    row = next(line for line in report.splitlines() if "dev-clean" in line)
    assert [cell.strip() for cell in row.split("|")[1:-1]] == [
        *("dev-clean", "3", "2,703", "0.00", "5.4", "DIFFERS: -2,700 utterances")
    ]
    assert "not there" in next(line for line in report.splitlines() if "test-other" in line)


def test_what_was_prepared_is_fit_for_training(librispeech, tmp_path):
    assert run_command("ptsel", "prepare", "librispeech", librispeech, tmp_path / "out").returncode == 0
    done = run_command(
        *("ptsel", "check", tmp_path / "out", "--classes", tmp_path / "out" / "classes" / "speaker.tsv")
    )
    assert done.returncode == 0, done.stderr
    for split in ("train-clean-100", "dev-clean"):
        assert f"{split}: 3 utterances" in done.stdout


def test_a_half_unpacked_corpus_is_named_with_examples(librispeech, tmp_path):
    for file in sorted(librispeech.glob("dev-clean/*/*/*.flac"))[1:]:
        file.unlink()
    done = run_command("ptsel", "prepare", "librispeech", librispeech, tmp_path / "out")
    assert done.returncode == 2
    message = done.stderr.strip().splitlines()[-1]
    assert (
        "2 of 6 audio files that the corpus's lists name are missing (first: dev-clean/84/1240/84-1"
        in message
    )
    assert "unpack all its archives here again" in message
    assert not (tmp_path / "out").exists()


def test_a_file_that_was_cut_off_or_resampled_is_named(librispeech, tmp_path, recordings):
    broken, other = sorted(librispeech.glob("dev-clean/*/*/*.flac"))[:2]
    broken.write_bytes(b"fLaC")
    recordings.write(other, rate=8000)
    with pytest.raises(
        PtselError, match=r"2 of 6 .*0000.flac: cannot be decoded .*expected 16000 Hz, found 8000"
    ):
        prepare_command("librispeech", librispeech, tmp_path / "out")


@pytest.mark.parametrize("name", CORPUS_NAMES)
def test_a_folder_that_is_not_the_corpus(name, tmp_path):
    (tmp_path / "holiday photographs").mkdir()
    with pytest.raises(PtselError, match=r"expected (the|a) folder .*; found holiday photographs"):
        prepare_command(name, tmp_path, tmp_path / "out")
    with pytest.raises(PtselError, match="found no such folder"):
        prepare_command(name, tmp_path / "none", tmp_path / "out")


def test_timit(tmp_path, recordings):
    root = tmp_path / "TIMIT"
    for speaker in ("TRAIN/DR1/FCJF0", "TEST/DR1/FAKS0", "TEST/DR1/MDAB0", "TEST/DR3/MKCH0"):
        for name in ("SA1", "SX37"):
            folder = root / speaker
            recordings.write(folder / f"{name}.WAV", format="NIST", subtype="PCM_16")
            write(folder / f"{name}.TXT", "0 8000 She's not-so quick, is she?")
            write(
                folder / f"{name}.PHN",
                "0 1600 h#",
                "1600 3200 sh",
                "3200 4000 ix",
                "4000 4800 q",
                "4800 8000 zh",
            )
    shutil.copy(CLIPS[0], root / "TRAIN" / "DR1" / "FCJF0" / "SX37.WAV.wav")  # a twin that some copies hold
    prepare_command("timit", root, tmp_path / "out")
    out = tmp_path / "out"
    for split, path in (("train", "TRAIN/DR1/FCJF0"), ("dev", "TEST/DR1/FAKS0"), ("test", "TEST/DR1/MDAB0")):
        manifest = read_manifest(out / f"{split}.tsv")
        assert [u.path for u in manifest] == [f"{path}/SX37.WAV"]
        assert (out / f"{split}.phn").read_text() == "sil sh ih sh\n"
        assert (out / f"{split}.wrd").read_text() == "SHE'S NOT SO QUICK IS SHE\n"
    phones = read_classes(out / "classes" / "phone.tsv", manifest, 16000)
    assert [(s.start, s.end, s.name) for s in phones.segments][1:4] == [
        *((0.1, 0.2, "sh"), (0.2, 0.25, "ix"), (0.25, 0.3, "q"))
    ]
    assert read_classes(out / "classes" / "phone39.tsv", manifest, 16000).names() == ["ih", "sh", "sil"]
    assert (out / "dict.phn.txt").read_text().splitlines()[0] == "sh 2"


def test_the_command_line_offers_every_corpus():
    assert tuple(CORPORA) == CORPUS_NAMES


def test_timits_lists():
    assert len(set(timit.CORE_TEST.split())) == 24
    assert len(set(timit.DEVELOPMENT.split())) == 50
    assert not set(timit.CORE_TEST.split()) & set(timit.DEVELOPMENT.split())
    phones = [*timit.KEPT.split(), *timit.FOLDED, timit.DELETED]
    assert len(phones) == len(set(phones)) == 61
    assert len({timit.fold(phone) for phone in phones} - {None}) == 39


def test_a_phone_that_timit_does_not_have(tmp_path, recordings):
    folder = tmp_path / "TRAIN" / "DR1" / "FCJF0"
    recordings.write(folder / "SX37.WAV", format="NIST")
    write(folder / "SX37.TXT", "0 8000 She")
    write(folder / "SX37.PHN", "0 1600 h#", "1600 8000 schwa")
    with pytest.raises(PtselError, match="line 2: 'schwa' is none of TIMIT's 61 phones"):
        prepare_command("timit", tmp_path, tmp_path / "out")


def test_voxceleb1(tmp_path, recordings):
    names = [f"id1000{speaker}/abc/0000{i}.wav" for speaker in (1, 2, 3) for i in (1, 2)]
    for name in names:
        recordings.write(tmp_path / "wav" / name)
    write(tmp_path / "iden_split.txt", *(f"{1 + i % 3} {name}" for i, name in enumerate(names)))
    write(
        tmp_path / "veri_test.txt",
        f"1 {names[4]} {names[5]}",
        f"0 {names[4]} {names[2]}",
        f"1 {names[4]} {names[5]}",
    )
    out = tmp_path / "out"
    prepare_command("voxceleb1", tmp_path, out)
    tested = read_manifest(out / "verification" / "test.tsv")
    assert [u.path for u in tested] == names[2:]
    assert [u.path for u in read_manifest(out / "verification" / "train.tsv")] == names[:2]
    assert [u.path for u in read_manifest(out / "identification" / "valid.tsv")] == [names[1], names[4]]
    trials = read_trials(out / "verification" / "veri_test.txt").values
    assert trials == {f"{names[4]}\t{names[5]}": "1", f"{names[4]}\t{names[2]}": "0"}
    assert read_classes(out / "classes" / "speaker.tsv", tested, 16000).names() == ["id10002", "id10003"]


def test_iemocap(tmp_path, recordings):
    for session in (1, 2):
        rows = []
        for i, emotion in enumerate(("neu", "exc", "fru", "xxx")):
            name = f"Ses0{session}F_script01_1_{'FM'[i % 2]}00{i}"
            recordings.write(
                tmp_path
                / f"Session{session}"
                / "sentences"
                / "wav"
                / f"Ses0{session}F_script01_1"
                / f"{name}.wav"
            )
            rows += [f"[{i}.0000 - {i}.5000]\t{name}\t{emotion}\t[2.5, 2.5, 2.5]", "C-E2:\tNeutral;\t()"]
        folder = tmp_path / f"Session{session}" / "dialog" / "EmoEvaluation"
        write(
            folder / f"Ses0{session}F_script01_1.txt",
            "% [START_TIME - END_TIME] TURN_NAME EMOTION",
            "",
            *rows,
        )
        write(folder / f"._Ses0{session}F_script01_1.txt", "a shadow file of another system")
    prepare_command("iemocap", tmp_path, tmp_path / "out")
    manifest = read_manifest(tmp_path / "out" / "session2.tsv")
    assert len(manifest) == 2
    kinds = {
        kind: read_classes(tmp_path / "out" / "classes" / f"{kind}.tsv", manifest, 16000).names()
        for kind in ("emotion", "speaker", "session")
    }
    expected = {
        "emotion": ["happy", "neutral"],
        "speaker": ["session2F", "session2M"],
        "session": ["session2"],
    }
    assert kinds == expected


def test_common_voice_is_converted_and_goes_on_where_it_stopped(tmp_path, recordings, monkeypatch):
    root = tmp_path / "en"
    sentences = {"train": "“Well, it’s Zoë!”", "dev": 'He said "no".', "test": "ça va — oui?"}
    for i, (split, sentence) in enumerate(sentences.items()):
        recordings.write(root / "clips" / f"common_voice_en_{i}.mp3", rate=48000)
        write(
            root / f"{split}.tsv",
            "client_id\tpath\tsentence\tage",
            f"s{i}\tcommon_voice_en_{i}.mp3\t{sentence}\t",
        )
    real = conversion.write_flac
    converted = stop_converting_after(2, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        prepare_command("common-voice", root, tmp_path / "out")
    monkeypatch.setattr(
        conversion, "write_flac", lambda file, blocks: (converted.append(file.name), real(file, blocks))[1]
    )
    prepare_command("common-voice", root, tmp_path / "out")
    assert converted == [f"common_voice_en_{i}.flac" for i in range(3)]
    texts = [(tmp_path / "out" / f"{split}.wrd").read_text().strip() for split in sentences]
    assert texts == ["WELL IT'S ZOË", "HE SAID NO", "ÇA VA OUI"]
    manifest = read_manifest(tmp_path / "out" / "train.tsv")
    copy = manifest.audio_path(manifest.utterances[0])
    assert soundfile.info(copy).samplerate == 16000
    assert soundfile.info(copy).frames == manifest.utterances[0].samples
    original = soundfile.read(CLIPS[0], frames=8000)[0]
    found = soundfile.read(copy)[0]
    aligned = max(
        np.corrcoef(original[1000:6000], found[1000 + k : 6000 + k])[0, 1] for k in range(-900, 900)
    )
    assert aligned > 0.98  # MP3 adds a delay, and some noise


def test_splits_come_in_the_order_of_their_use():
    names = ["en/test", "en/other", "en/train", "en/valid", "test-clean", "dev-clean", "train-other-500"]
    assert sorted(names, key=split_order) == [
        *("train-other-500", "dev-clean", "test-clean", "en/train", "en/valid", "en/test", "en/other")
    ]


def test_texts_keep_letters_of_every_alphabet():
    assert normalise("Ёлка, «мир» — 'да' 5%") == "ЁЛКА МИР ДА 5"
    assert normalise("नमस्ते दुनिया।") == "नमस्ते दुनिया"
    assert letters("AB  C") == "A B | C |"


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


def test_speakers_in_two_splits_are_reported(librispeech, tmp_path, recordings, capsys):
    prepare_command("librispeech", librispeech, tmp_path / "apart")
    assert "In more than one split of a task: 0 of 2 speaker." in capsys.readouterr().out
    chapter = librispeech / "dev-clean" / "103" / "1241"
    recordings.write(chapter / "103-1241-0000.flac")
    write(chapter / "103-1241.trans.txt", "103-1241-0000 AGAIN")
    prepare_command("librispeech", librispeech, tmp_path / "mixed")
    assert "In more than one split of a task: 1 of 2 speaker (first: 103)." in capsys.readouterr().out


def test_missing_transcripts_and_unreadable_lists_are_named(librispeech, tmp_path, recordings):
    (librispeech / "dev-clean" / "84" / "1240" / "84-1240.trans.txt").rename(tmp_path / "elsewhere")
    with pytest.raises(
        PtselError, match=r"1 chapters have no transcripts.*\(first: dev-clean/84/1240\); unpack"
    ):
        prepare_command("librispeech", librispeech, tmp_path / "out")
    (librispeech / "dev-clean" / "84" / "1240" / "84-1240.trans.txt").write_bytes(b"84-1240-0000 \xff\xfe\n")
    with pytest.raises(PtselError, match=r"84-1240.trans.txt: not a UTF-8 text file"):
        prepare_command("librispeech", librispeech, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def common_voice(root, recordings):
    """Three clips, one in each split."""
    for i, split in enumerate(("train", "dev", "test")):
        recordings.write(root / "clips" / f"c_{i}.mp3", rate=48000)
        write(root / f"{split}.tsv", "client_id\tpath\tsentence\tage", f"s{i}\tc_{i}.mp3\tHello\tteens")
    return root


def test_damaged_mp3_are_counted_with_three_examples(tmp_path, recordings):
    root = tmp_path / "en"
    rows = ["client_id\tpath\tsentence"]
    for i in range(5):
        file = root / "clips" / f"common_voice_en_{i}.mp3"
        recordings.write(file, rate=48000)
        if i:
            file.write_bytes(b"\0" * 300)
        rows.append(f"s{i}\t{file.name}\tHello")
    for split, named in (("train", rows[:4]), ("dev", [rows[0], rows[4]]), ("test", [rows[0], rows[5]])):
        write(root / f"{split}.tsv", *named)
    with pytest.raises(
        PtselError, match=r"4 of 5 audio files cannot be used \(first: .*_1.*_2.*_3.*; unpack"
    ) as found:
        prepare_command("common-voice", root, tmp_path / "out")
    assert "_4.mp3" not in str(found.value)
    (root / "dev.tsv").write_bytes(b"client_id\tpath\tsentence\ns\xff\ta.mp3\tx\n")
    with pytest.raises(PtselError, match=r"dev.tsv: not a UTF-8 text file"):
        prepare_command("common-voice", root, tmp_path / "out")


def test_an_mp3_that_is_cut_off_or_empty_is_named(tmp_path, recordings):
    root = common_voice(tmp_path / "en", recordings)
    cut = root / "clips" / "c_1.mp3"
    cut.write_bytes(cut.read_bytes()[: cut.stat().st_size // 2])  # decodes, without the rest of its sentence
    (root / "clips" / "c_2.mp3").write_bytes(b"")
    with pytest.raises(
        PtselError,
        match=r"2 of 3 .*c_1.mp3: is cut off, expected 24000 samples, found \d+; .*c_2.mp3: is empty",
    ):
        prepare_command("common-voice", root, tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").rglob("*.*")] == ["c_0.flac"]


def test_a_full_disk_is_said_in_one_line(tmp_path, recordings):
    root = common_voice(tmp_path / "en", recordings)
    done = subprocess.run(
        [str(BIN / "ptsel"), "prepare", "common-voice", str(root), str(tmp_path / "out")],
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert re.search(r"ptsel: error: .*c_0.flac: cannot be written \(.*\)$", done.stderr.strip())
    assert "Traceback" not in done.stderr
    assert not [file for file in (tmp_path / "out").rglob("*") if file.is_file()]


def test_a_corpus_is_never_written_to(tmp_path, recordings, audioset):
    root = common_voice(tmp_path / "en", recordings)
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


def test_two_copies_are_compared_by_their_checksums(librispeech, tmp_path):
    def reported():
        prepare_command("librispeech", librispeech, tmp_path / "out")
        rows = [line.split() for line in (tmp_path / "out" / "report.md").read_text().splitlines()]
        return {row[1]: row[0] for row in rows if len(row) == 2 and len(row[0]) == 64}

    first = reported()
    assert list(first) == ["train-clean-100", "dev-clean"]
    for split, checksum in first.items():
        rows = (tmp_path / "out" / f"{split}.tsv").read_text().split("\n", 1)[1]
        assert checksum == hashlib.sha256(rows.encode()).hexdigest()
    librispeech = librispeech.rename(tmp_path / "elsewhere")
    assert reported() == first
    clip = librispeech / "dev-clean" / "84" / "1240" / "84-1240-0001.flac"
    soundfile.write(clip, soundfile.read(clip)[0][:-1], 16000)
    second = reported()
    assert [split for split in first if first[split] != second[split]] == ["dev-clean"]


def test_what_is_named_twice_or_not_at_all_is_not_passed_over(librispeech, tmp_path, recordings):
    texts = librispeech / "dev-clean" / "84" / "1240" / "84-1240.trans.txt"
    lines = texts.read_text().splitlines()
    write(texts, *lines, lines[0])
    with pytest.raises(
        PtselError, match=r"1 recordings are twice in .*\(first: dev-clean/84/1240/84-1240-0000.flac"
    ):
        prepare_command("librispeech", librispeech, tmp_path / "out")
    write(texts, lines[1])
    with pytest.raises(
        PtselError, match=r"2 recordings have no line .*84-1240-0000.flac; .*84-1240-0002.flac\); unp"
    ):
        prepare_command("librispeech", librispeech, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_shadow_files_windows_text_and_paths_in_any_script(librispeech, tmp_path):
    prepare_command("librispeech", librispeech, tmp_path / "plain")
    chapter = librispeech / "dev-clean" / "84" / "1240"
    for shadow in ("._84-1240.trans.txt", "._84-1240-0000.flac", ".DS_Store"):
        (chapter / shadow).write_bytes(b"\0\5\x16\7\xff")
    texts = chapter / "84-1240.trans.txt"
    texts.write_bytes(b"\xef\xbb\xbf" + texts.read_bytes().replace(b"\n", b"\r\n"))
    moved = librispeech.rename(tmp_path / "Libri Speech, é 中")
    prepare_command("librispeech", moved, tmp_path / "out ü")
    for file in sorted(file for file in (tmp_path / "plain").rglob("*.*") if file.suffix != ".tsv"):
        assert (tmp_path / "out ü" / file.relative_to(tmp_path / "plain")).read_bytes() == file.read_bytes()
    assert read_manifest(tmp_path / "out ü" / "dev-clean.tsv").root == moved


def test_common_voice_of_windows_and_odd_sentences(tmp_path, recordings):
    root = common_voice(tmp_path / "en", recordings)
    train = root / "train.tsv"
    train.write_bytes('\ufeffclient_id\tpath\tsentence\r\ns0\tc_0.mp3\t"— …\r\n'.encode())
    write(root / "dev.tsv", "client_id\tpath\tsentence")
    prepare_command("common-voice", root, tmp_path / "out")
    assert (tmp_path / "out" / "train.wrd").read_text() == "\n"
    report = (tmp_path / "out" / "report.md").read_text()
    assert "1 sentences hold no letter or digit, their text is empty (first: clips/c_0.mp3)." in report
    assert "dev.tsv names no clip." in report
    write(train, "client_id\tpath\tsentence", "s0\tc_0.mp3\tHello\tworld")  # its second half would be lost
    with pytest.raises(PtselError, match=r"train.tsv, line 2: expected 3 fields, found more"):
        prepare_command("common-voice", root, tmp_path / "out")
    write(train, "client_id\tpath\tsentence", f"s0\tc_0.mp3\t{'x' * 200_000}")
    with pytest.raises(PtselError, match=r"train.tsv: not a table of fields \(field larger"):
        prepare_command("common-voice", root, tmp_path / "out")


@pytest.mark.parametrize(
    ("old", "new"), [("\tneu\t", " neu "), ("\tneu\t", "\tneutral\t"), ("\tSes01F_impro01_F", "\tSes1_")]
)
def test_a_turn_of_iemocap_that_cannot_be_read_is_not_passed_over(old, new, tmp_path, recordings):
    name = "Ses01F_impro01_F000"
    recordings.write(tmp_path / "Session1" / "sentences" / "wav" / "Ses01F_impro01" / f"{name}.wav")
    rows = [f"[6.2901 - 8.2357]\t{name}\tneu\t[2.5, 2.5, 2.5]", f"[9.0 - 9.5]\t{name}\txxx\t[2.5, 2.5, 2.5]"]
    file = tmp_path / "Session1" / "dialog" / "EmoEvaluation" / "Ses01F_impro01.txt"
    write(file, "% [START_TIME - END_TIME] TURN_NAME EMOTION", *rows)
    prepare_command("iemocap", tmp_path, tmp_path / "out")
    write(file, *[row.replace(old, new) for row in rows[:1]] * 4)
    with pytest.raises(
        PtselError,
        match=r"4 turns are not written as .* \(first: .*line 1, .*line 2, .*line 3, [^;]*\); unpack",
    ):
        prepare_command("iemocap", tmp_path, tmp_path / "again")


def test_lists_of_openmic_that_contradict_each_other(tmp_path, recordings):
    labels = tmp_path / "openmic-2018-aggregated-labels.csv"
    rows = ["sample_key,instrument,relevance", "000046_3840,flute,0.2", "155310_372480,flute,0.9"]
    partitions = [tmp_path / "partitions" / f"split01_{split}.csv" for split in ("train", "test")]
    for key, file in zip(("000046_3840", "155310_372480"), partitions, strict=True):
        write(file, f"\ufeff{key}\r")
        recordings.write(tmp_path / "audio" / key[:3] / f"{key}.ogg", rate=44100)
    for faulty, message in (
        ([*rows, "000046_3840,flute,0.8"], "expected each pair once, found 000046_3840 flute again"),
        (
            [*rows, "000047_3840,flute,0.8"],
            r"1 samples of .*labels.csv are in neither partition \(first: 000047",
        ),
        (
            [*rows, "000046_3840,drums,much"],
            "expected a relevance from 0 to 1, found 'much' for 000046_3840 drums",
        ),
        ([*rows, "000046_3840,drums,nan"], "expected a relevance from 0 to 1, found 'nan'"),
    ):
        write(labels, *faulty)
        with pytest.raises(PtselError, match=message):
            prepare_command("openmic-2018", tmp_path, tmp_path / "out")
    write(labels, *rows)
    prepare_command("openmic-2018", tmp_path, tmp_path / "out")
    write(partitions[1], "155310_372480", "000046_3840")
    with pytest.raises(PtselError, match=r"1 recordings are twice .*000/000046_3840.flac"):
        prepare_command("openmic-2018", tmp_path, tmp_path / "again")
    partitions[1].write_bytes(b"\xff\xfe")
    with pytest.raises(PtselError, match=r"split01_test.csv: not a UTF-8 text file"):
        prepare_command("openmic-2018", tmp_path, tmp_path / "again")


def test_files_of_audioset_that_are_not_used_are_counted(audioset, tmp_path, recordings):
    prepare_command("audioset", audioset, tmp_path / "plain")
    assert "Not used" not in (tmp_path / "plain" / "report.md").read_text()
    (audioset / "balanced" / "._--4gqARaEJE.wav").write_bytes(b"\0\5\x16\7")
    for name in ("more/--4gqARaEJE.flac", "more/one.wav", "more/two.MP3", "noise.wav", "z.wav"):
        recordings.write(audioset / name, rate=44100, format=name.rpartition(".")[2].upper())
    prepare_command("audioset", audioset, tmp_path / "out")
    report = (tmp_path / "out" / "report.md").read_text()
    assert (
        "4 files that have no YouTube id in their names (first: more/one.wav, more/two.MP3, noise.wav)"
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


def test_timit_as_riff_alone_and_half_unpacked(tmp_path, recordings):
    root = tmp_path / "timit"
    for name in ("SX37", "SX127", "SI667", "SI1027"):
        folder = root / "TRAIN" / "DR1" / "FCJF0"
        recordings.write(folder / f"{name}.WAV.wav")
        write(folder / f"{name}.TXT", "0 8000 She")
        write(folder / f"{name}.PHN", "0 1600 h#", "1600 8000 sh")
        (folder / f"._{name}.WAV").write_bytes(b"\0\5\x16\7")
    prepare_command("timit", root, tmp_path / "out")
    paths = [u.path for u in read_manifest(tmp_path / "out" / "train.tsv")]
    assert paths == [f"TRAIN/DR1/FCJF0/{name}.WAV.wav" for name in ("SI1027", "SI667", "SX127", "SX37")]
    for file in [*root.rglob("*.TXT")]:
        write(file, "She had")
        with pytest.raises(
            PtselError, match=rf"{file.name}: expected a line such as '0 46797 She .* found 'She had'"
        ):
            prepare_command("timit", root, tmp_path / "again")
        write(file, "0 8000 She")
    for file in [*root.rglob("*.TXT")]:
        file.unlink()
    with pytest.raises(
        PtselError, match=r"4 recordings have no .TXT or .PHN beside them \(first: .*SI1027.*SX127[^3]*\)"
    ):
        prepare_command("timit", root, tmp_path / "again")


def test_a_file_with_two_parts_in_voxceleb1(tmp_path, recordings):
    name = "id10001/abc/00001.wav"
    recordings.write(tmp_path / "wav" / name)
    write(tmp_path / "veri_test.txt", f"1 {name} {name}")
    write(tmp_path / "iden_split.txt", f"1 {name}", f"3 {name}")
    with pytest.raises(
        PtselError, match=rf"iden_split.txt, line 2: expected each file once, found {name} again"
    ):
        prepare_command("voxceleb1", tmp_path, tmp_path / "out")
