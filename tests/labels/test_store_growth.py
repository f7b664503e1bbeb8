"""A store keeps up with its corpus: utterances added, taken out, reordered, renamed, replaced; as a new one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from conftest import ASTERISK, contents, run_command
from test_store_resumed import extract_a_part

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.identity import Identity
from ptsel_fairseq.base.manifest import Manifest, read_manifest
from ptsel_fairseq.labels.extraction import extract as extraction
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.labels.store import LabelStore

LABELS = ["f0", "mfcc", "zcr"]
CLIPS = sorted((ASTERISK / "audio" / "en").glob("*.ogg"))[:11]


@pytest.fixture(scope="module")
def waveforms() -> list[np.ndarray]:
    return [soundfile.read(clip, dtype="float32")[0][: 8000 + 640 * i] for i, clip in enumerate(CLIPS)]


class Corpus:
    """A folder of 16-bit WAV files and its manifest, in which things change."""

    def __init__(self, folder: Path, waveforms: list[np.ndarray]) -> None:
        self.folder, self.files = folder, {}
        for i, waveform in enumerate(waveforms):
            self.add(f"{i:02d}.wav", waveform)

    def add(self, name: str, waveform: np.ndarray) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(self.folder / name, waveform, 16_000, subtype="PCM_16")
        self.files[name] = len(waveform)

    def manifest(self, names: list[str] | None = None) -> Manifest:
        lines = [f"{name}\t{self.files[name]}" for name in names or sorted(self.files)]
        file = self.folder / "train.tsv"
        file.write_text("\n".join([str(self.folder), *lines]) + "\n")
        return read_manifest(file)


@pytest.fixture
def corpus(tmp_path: Path, waveforms) -> Corpus:
    return Corpus(tmp_path / "corpus", waveforms)


@pytest.fixture
def computed(monkeypatch) -> list[tuple[str, tuple[str, ...]]]:
    """File and labels of each utterance that is computed, as it happens."""
    done = []
    real = extraction.analyse_piece

    def counted(piece):
        done.append((piece.file.name, piece.labels))
        return real(piece)

    monkeypatch.setattr(extraction, "analyse_piece", counted)
    return done


def assert_as_new(store: Path, manifest: Manifest, labels: list[str]) -> None:
    new = store.with_name(store.name + "-new")
    shutil.rmtree(new, ignore_errors=True)
    extract(manifest, labels, new, jobs=1)
    assert contents(store) == contents(new)
    LabelStore(store, "train").check_manifest(manifest)


def test_a_tenth_more_is_a_tenth_of_the_work(corpus, tmp_path, computed):
    names = sorted(corpus.files)
    extract(corpus.manifest(names[:4] + names[5:]), LABELS, tmp_path / "store", jobs=1)
    assert len(computed) == 10
    computed.clear()
    extract(corpus.manifest(), LABELS, tmp_path / "store", jobs=1)
    assert computed == [("04.wav", ("f0", "mfcc", "zcr"))]
    assert_as_new(tmp_path / "store", corpus.manifest(), LABELS)


@pytest.mark.parametrize("change", ["fewer", "reordered", "renamed", "moved", "touched", "twice"])
def test_nothing_is_computed_where_every_recording_is_known(corpus, tmp_path, computed, change):
    extract(corpus.manifest(), LABELS, tmp_path / "store", jobs=1)
    names = sorted(corpus.files)
    computed.clear()
    if change == "fewer":
        names = names[1::2]
    elif change == "reordered":
        names = names[::-1]
    elif change == "renamed":
        (corpus.folder / names[2]).rename(corpus.folder / "99.wav")
        corpus.files["99.wav"] = corpus.files.pop(names[2])
        names = sorted(corpus.files)
    elif change == "moved":
        shutil.copytree(corpus.folder, tmp_path / "elsewhere")  # copies have times of their own
        corpus.folder = tmp_path / "elsewhere"
        for name in names:
            os.utime(corpus.folder / name)
    elif change == "touched":
        os.utime(corpus.folder / names[3])
    else:
        names = [*names, names[0]]
    manifest = corpus.manifest(names)
    extract(manifest, [*LABELS, "rms_energy"], tmp_path / "store", jobs=1)
    assert {labels for _, labels in computed} == {("rms_energy",)}
    monkey = tmp_path / "store"
    new = tmp_path / "new"
    extract(manifest, LABELS, new, jobs=1)
    extract(manifest, [*LABELS, "rms_energy"], new, jobs=1)
    assert contents(monkey) == contents(new)


def test_a_recording_that_was_replaced_is_computed_anew(corpus, tmp_path, computed, waveforms):
    """Of the same name, length and size in bytes."""
    extract(corpus.manifest(), LABELS, tmp_path / "store", jobs=1)
    before = LabelStore(tmp_path / "store", "train").statistics("f0")
    size = (corpus.folder / "06.wav").stat().st_size
    corpus.add("06.wav", 0.1 * np.random.default_rng(0).standard_normal(len(waveforms[6])))
    assert (corpus.folder / "06.wav").stat().st_size == size
    computed.clear()
    extract(corpus.manifest(), LABELS, tmp_path / "store", jobs=1)
    assert computed == [("06.wav", ("f0", "mfcc", "zcr"))]
    assert LabelStore(tmp_path / "store", "train").statistics("f0").mean != before.mean
    assert_as_new(tmp_path / "store", corpus.manifest(), LABELS)


def test_labels_that_are_not_asked_for_wait_and_are_completed(corpus, tmp_path, computed, capsys):
    """Few labels of a larger corpus cost those labels only; the others lose nothing and nobody reads them half done."""
    names = sorted(corpus.files)
    extract(corpus.manifest(names[:8]), ["f0", "rms_energy", "zcr"], tmp_path / "store", jobs=1)
    computed.clear()
    extract(corpus.manifest(), ["zcr"], tmp_path / "store", jobs=1)
    assert computed == [(name, ("zcr",)) for name in names[8:]]
    assert "f0 lacks recordings" in capsys.readouterr().out
    assert LabelStore(tmp_path / "store", "train").labels == ("zcr",)
    computed.clear()
    extract(corpus.manifest(), ["f0", "rms_energy"], tmp_path / "store", jobs=1)
    assert computed == [(name, ("f0", "rms_energy")) for name in names[8:]]
    new = tmp_path / "new"
    extract(corpus.manifest(), ["zcr"], new, jobs=1)
    extract(corpus.manifest(), ["f0", "rms_energy"], new, jobs=1)
    assert contents(tmp_path / "store") == contents(new)


def test_labels_that_are_not_asked_for_stay_where_nothing_is_missing(corpus, tmp_path, computed):
    names = sorted(corpus.files)
    extract(corpus.manifest(), ["f0", "zcr"], tmp_path / "store", jobs=1)
    computed.clear()
    extract(corpus.manifest(names[:5]), ["zcr"], tmp_path / "store", jobs=1)
    assert computed == []
    assert_as_new(tmp_path / "store", corpus.manifest(names[:5]), ["f0", "zcr"])


def test_interrupted_labels_survive_another_extraction(corpus, tmp_path, computed):
    manifest = corpus.manifest()
    extract_a_part(tmp_path / "store", manifest, ["f0", "mfcc"], 7)
    extract(manifest, ["zcr"], tmp_path / "store", jobs=1)
    computed.clear()
    extract(manifest, LABELS, tmp_path / "store", jobs=1)
    assert computed == [(f"{i:02d}.wav", ("f0", "mfcc")) for i in range(7, 11)]
    new = tmp_path / "new"
    extract(manifest, ["zcr"], new, jobs=1)
    extract(manifest, LABELS, new, jobs=1)
    assert contents(tmp_path / "store") == contents(new)


def test_an_interrupted_extraction_goes_on_for_another_manifest(corpus, tmp_path, computed):
    names = sorted(corpus.files)
    extract_a_part(tmp_path / "store", corpus.manifest(names[2:]), LABELS, 6)
    extract_a_part(tmp_path / "store", corpus.manifest(names[::-1]), LABELS, 1)
    computed.clear()
    extract(corpus.manifest(), LABELS, tmp_path / "store", jobs=1)
    assert [name for name, _ in computed] == ["00.wav", "01.wav", "08.wav", "09.wav"]
    assert_as_new(tmp_path / "store", corpus.manifest(), LABELS)


def test_a_label_that_was_growing_is_not_lost_to_another_extraction(corpus, tmp_path, computed):
    """Interrupted while it grew, then the corpus is extracted without it, then with it."""
    names = sorted(corpus.files)
    extract(corpus.manifest(names[:6]), ["f0", "zcr"], tmp_path / "store", jobs=1)
    extract_a_part(tmp_path / "store", corpus.manifest(), ["f0"], 2)
    extract(corpus.manifest(), ["zcr"], tmp_path / "store", jobs=1)
    computed.clear()
    extract(corpus.manifest(), ["f0"], tmp_path / "store", jobs=1)
    assert computed == [(name, ("f0",)) for name in names[8:]]
    assert not list((tmp_path / "store").rglob("*.partial"))


@pytest.mark.parametrize("cut", [0, 60, 300, 1000])
def test_arrays_of_an_interrupted_extraction_that_were_cut_off(corpus, tmp_path, computed, cut):
    extract_a_part(tmp_path / "store", corpus.manifest(), ["f0", "zcr"], 7)
    with (tmp_path / "store" / "train" / "zcr.npy.partial").open("r+b") as file:
        file.truncate(cut)
    computed.clear()
    extract(corpus.manifest(), ["f0", "zcr"], tmp_path / "store", jobs=1)
    assert [labels for _, labels in computed] == [("zcr",)] * 7 + [("f0", "zcr")] * 4
    assert_as_new(tmp_path / "store", corpus.manifest(), ["f0", "zcr"])


def test_rows_of_an_interrupted_extraction_that_are_not_what_was_written(corpus, tmp_path, computed, capsys):
    """Zeros where a disk lost a block: of the mask of one utterance, and the values of another."""
    manifest = corpus.manifest()
    extract_a_part(tmp_path / "store", manifest, ["f0"], 9)
    folder = tmp_path / "store" / "train"
    frames = np.cumsum([0, *(1 + (u.samples - 400) // 320 for u in manifest)])
    for name, utterance, kind in (("f0", 3, np.float32), ("f0.valid", 6, np.bool_)):
        array = np.memmap(folder / f"{name}.npy.partial", kind, "r+", offset=128)
        array[frames[utterance] : frames[utterance + 1]] = 0
        array.flush()
    computed.clear()
    extract(manifest, ["f0"], tmp_path / "store", jobs=1)
    assert [name for name, _ in computed] == ["03.wav", "06.wav", "09.wav", "10.wav"]
    assert "2 utterances of the interrupted extraction are damaged" in capsys.readouterr().out
    assert_as_new(tmp_path / "store", manifest, ["f0"])


def test_damaged_arrays_are_not_taken_over(corpus, tmp_path, computed, capsys):
    names = sorted(corpus.files)
    extract(corpus.manifest(names[:9]), ["f0", "zcr"], tmp_path / "store", jobs=1)
    with (tmp_path / "store" / "train" / "zcr.npy").open("r+b") as file:
        file.seek(500)
        file.write(b"\x00\x00\x80\x3f")
    computed.clear()
    extract(corpus.manifest(), ["f0", "zcr"], tmp_path / "store", jobs=1)
    assert "zcr is damaged" in capsys.readouterr().out
    assert [labels for _, labels in computed] == [("zcr",)] * 9 + [("f0", "zcr")] * 2
    assert_as_new(tmp_path / "store", corpus.manifest(), ["f0", "zcr"])


def test_other_software_is_not_mixed(corpus, tmp_path, computed, monkeypatch, capsys):
    names = sorted(corpus.files)
    with monkeypatch.context() as patch:
        patch.setattr("ptsel_fairseq.labels.store.plan.software_versions", lambda: {"torch": "1.0"})
        extract(corpus.manifest(names[:9]), ["zcr"], tmp_path / "store", jobs=1)
    computed.clear()
    extract(corpus.manifest(), ["zcr"], tmp_path / "store", jobs=1)
    assert len(computed) == 11
    assert "zcr is computed anew, its software being another now" in capsys.readouterr().out
    assert_as_new(tmp_path / "store", corpus.manifest(), ["zcr"])


def test_another_type_of_values_is_refused(corpus, tmp_path):
    names = sorted(corpus.files)
    extract(corpus.manifest(names[:9]), ["zcr"], tmp_path / "store", jobs=1, dtype="float16")
    before = contents(tmp_path / "store")
    with pytest.raises(
        PtselError, match="stored as float16, and would be completed as float32; give --dtype"
    ):
        extract(corpus.manifest(), ["zcr"], tmp_path / "store", jobs=1)
    assert contents(tmp_path / "store") == before
    extract(corpus.manifest(), ["zcr"], tmp_path / "store", jobs=1, dtype="float16")
    assert LabelStore(tmp_path / "store", "train").num_utterances == 11


def test_the_finished_labels_are_there_until_the_new_ones_are(corpus, tmp_path):
    """Whoever trains from the store while it grows reads what was there."""
    names = sorted(corpus.files)
    extract(corpus.manifest(names[:8]), ["f0", "zcr"], tmp_path / "store", jobs=1)
    old = LabelStore(tmp_path / "store", "train").track("zcr", 5).copy()
    extract_a_part(tmp_path / "store", corpus.manifest(), ["f0", "zcr"], 2)
    store = LabelStore(tmp_path / "store", "train")
    assert store.num_utterances == 8
    np.testing.assert_array_equal(store.track("zcr", 5), old)


@pytest.mark.parametrize("damage", ["a line less", "another path", "no file", "words"])
def test_a_damaged_list_of_recordings(corpus, tmp_path, damage):
    extract(corpus.manifest(), ["zcr"], tmp_path / "store", jobs=1)
    file = tmp_path / "store" / "train" / "recordings.tsv"
    lines = file.read_text().splitlines()
    if damage == "no file":
        file.unlink()
    else:
        text = {"a line less": lines[:-1], "another path": [lines[0], lines[1].replace("00", "77"), *lines[2:]],
                "words": ["a", "b", "c"]}[damage]  # fmt: skip
        file.write_text("\n".join(text) + "\n")
    with pytest.raises(PtselError, match=r"recordings\.tsv: the list of recordings .*extract it again"):
        extract(corpus.manifest(), ["f0"], tmp_path / "store", jobs=1)


def test_training_scoring_and_check_notice_a_replaced_recording(corpus, tmp_path, waveforms):
    """`check` also where size and time are as they were; the others where one of them is not."""
    manifest = corpus.manifest()
    extract(manifest, ["zcr"], tmp_path / "store", jobs=1)
    store = LabelStore(tmp_path / "store", "train")
    store.check_recordings(manifest, thorough=True)
    file = corpus.folder / "06.wav"
    before = file.stat()
    corpus.add("06.wav", -waveforms[6])
    with pytest.raises(
        PtselError, match=r"line 8 \(06\.wav\): the file holds another recording.*ptsel extract"
    ):
        store.check_recordings(manifest)
    os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
    store.check_recordings(manifest)  # what neither size nor time tells
    done = run_command("ptsel", "check", corpus.folder, "--store", tmp_path / "store")
    assert done.returncode == 2
    assert "holds another recording" in done.stdout
    (corpus.folder / "09.wav").unlink()
    with pytest.raises(PtselError, match=r"\(09\.wav\): the file is not there any more"):
        store.check_recordings(manifest)
    with pytest.raises(PtselError, match=r"holds another recording.*\(and 1 files more\)"):
        store.check_recordings(manifest, thorough=True)


def test_of_many_other_times_some_files_are_read(corpus, tmp_path, waveforms, monkeypatch):
    """After copying a corpus: a start of training does not read all of it, and finds one that is another."""
    manifest = corpus.manifest()
    extract(manifest, ["zcr"], tmp_path / "store", jobs=1)
    store = LabelStore(tmp_path / "store", "train")
    for i, waveform in enumerate(waveforms):
        corpus.add(f"{i:02d}.wav", waveform)
        os.utime(corpus.folder / f"{i:02d}.wav", ns=(0, 0))
    read = []
    real = Identity.is_of
    monkeypatch.setattr(
        Identity, "is_of", lambda self, file, thorough: read.append(file.name) or real(self, file)
    )
    store.check_recordings(manifest, read=4)
    assert read == ["00.wav", "02.wav", "05.wav", "08.wav"]
    for i, waveform in enumerate(waveforms):
        corpus.add(f"{i:02d}.wav", 0.5 * waveform)
    with pytest.raises(PtselError, match=r"\(and 3 files more\)"):
        store.check_recordings(manifest, read=4)
    read.clear()
    with pytest.raises(PtselError, match=r"line 2 \(00\.wav\).*\(and 2 files more\)"):
        store.check_recordings(manifest, look_at=3)
    assert read == ["00.wav", "03.wav", "07.wav"]


def test_values_that_are_not_finite_are_refused(corpus, tmp_path):
    extract(corpus.manifest(), ["zcr"], tmp_path / "store", jobs=1)
    array = np.memmap(tmp_path / "store" / "train" / "zcr.npy", np.float32, "r+", offset=128)
    array[3] = np.inf
    array.flush()
    store = LabelStore(tmp_path / "store", "train")
    store.track("zcr", 1)
    with pytest.raises(
        PtselError, match=r"zcr\.npy: the track of utterance 0 .*not finite.*extract it again"
    ):
        store.track("zcr", 0)
