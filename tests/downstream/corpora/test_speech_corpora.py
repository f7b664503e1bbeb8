"""The readers of published speech corpora, on miniature trees in each corpus's own layout."""

from __future__ import annotations

import shutil

import pytest
from corpus_tools import CLIPS, write

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.corpora.catalogue import timit
from ptsel_fairseq.downstream.corpora.prepare import prepare_command
from ptsel_fairseq.downstream.metrics.answer_files import read_trials


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
