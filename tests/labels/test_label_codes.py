"""Labels of codes on real speech: clusters, random codes, files; against scikit-learn and literal forms."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import LABELS, run_command
from sklearn.cluster import KMeans
from sklearn.metrics import pairwise_distances_argmin

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import file_checksum
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels import extract, make_codes
from ptsel_fairseq.labels.codes import make
from ptsel_fairseq.labels.codes.codebook import load_codebook
from ptsel_fairseq.labels.store.reader import LabelStore


@pytest.fixture
def store(store_dir: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(store_dir, tmp_path / "store"))


def all_frames(store: LabelStore, label: str) -> np.ndarray:
    return np.concatenate([store.track(label, i) for i in range(store.num_utterances)])


def all_valid(store: LabelStore, label: str) -> np.ndarray:
    return np.concatenate([store.valid(label, i) for i in range(store.num_utterances)])


def test_clusters_are_the_nearest_centres_of_a_fit_as_good_as_lloyds(data_dir, store):
    make_codes(data_dir, "cluster", store, kmeans="log_mel", codes=20)
    centres = np.load(store / "codebooks" / "cluster.centres.npy")
    for split in ("train", "valid"):
        found = LabelStore(store, split)
        codes = all_frames(found, "cluster")[:, 0]
        expected = pairwise_distances_argmin(all_frames(found, "log_mel").astype(np.float64), centres)
        np.testing.assert_array_equal(codes, expected)
        assert found.info("cluster").codes == 20
        np.testing.assert_array_equal(found.statistics("cluster").counts, np.bincount(expected, minlength=20))
    frames = all_frames(LabelStore(store, "train"), "log_mel").astype(np.float64)
    ours = np.square(frames - centres[pairwise_distances_argmin(frames, centres)]).sum()
    assert ours <= 1.05 * KMeans(20, n_init=3, random_state=0).fit(frames).inertia_


def test_random_codes_are_those_of_the_equation(data_dir, store):
    make_codes(data_dir, "drawn", store, random="log_mel", codes=300, seed=5)
    arrays = {name: np.load(store / "codebooks" / f"drawn.{name}.npy") for name in ("projection", "centres")}
    statistics = LabelStore(store, "train").statistics("log_mel")
    limit = np.sqrt(6 / (80 + 16))
    assert np.abs(arrays["projection"]).max() < limit
    assert np.abs(arrays["projection"]).std() * np.sqrt(12) == pytest.approx(limit, rel=0.1)
    assert arrays["centres"].std() == pytest.approx(1, abs=0.05)
    found = LabelStore(store, "valid")
    for frame, code in list(zip(found.track("log_mel", 0), found.track("drawn", 0)[:, 0], strict=True))[::7]:
        x = arrays["projection"].T @ ((frame.astype(np.float64) - statistics.mean) / statistics.std)
        x = x / np.linalg.norm(x)
        distances = [np.linalg.norm(c / np.linalg.norm(c) - x) for c in arrays["centres"]]
        assert code == int(np.argmin(distances))


def test_seeds_repeat_and_differ(data_dir, store):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        make_codes(data_dir, name, store, kmeans="log_mel", codes=5, seed=seed, sample=400)
        make_codes(data_dir, f"{name}_drawn", store, random="log_mel", codes=50, seed=seed)
    found = LabelStore(store, "valid")
    for kind in ("", "_drawn"):
        a, b, c = (all_frames(found, name + kind) for name in "abc")
        np.testing.assert_array_equal(a, b)
        assert (a != c).any()


def test_frames_without_a_value_have_no_code(data_dir, store):
    make_codes(data_dir, "pitch", store, kmeans="f0", codes=8)
    found = LabelStore(store, "train")
    voiced = all_valid(found, "f0")
    np.testing.assert_array_equal(all_valid(found, "pitch"), voiced)
    codes = all_frames(found, "pitch")[:, 0]
    assert not codes[~voiced].any()
    np.testing.assert_array_equal(
        found.statistics("pitch").counts, np.bincount(codes[voiced].astype(int), minlength=8)
    )
    centres = np.load(store / "codebooks" / "pitch.centres.npy")
    assert centres.min() > 40  # the zeros of unvoiced frames were not clustered


def test_the_other_labels_stay_byte_for_byte(data_dir, store, store_dir):
    make_codes(data_dir, "cluster", store, kmeans="log_mel", codes=4)
    for split in ("train", "valid"):
        for file in (store_dir / split).glob("*.npy"):
            assert file_checksum(store / split / file.name) == file_checksum(file)
        before, after = (json.loads((s / split / "header.json").read_text()) for s in (store_dir, store))
        entry = after["labels"].pop("cluster")
        assert after == before
        assert entry["info"]["codes"] == 4
        assert all("codes" not in other["info"] for other in before["labels"].values())
        assert np.load(store / split / "cluster.npy").dtype == np.int16
    assert set(LabelStore(store, "train").labels) == {*LABELS, "cluster"}


def test_an_interrupted_run_goes_on_to_the_same_codes(data_dir, store, monkeypatch):
    make_codes(data_dir, "whole", store, kmeans="log_mel", codes=6)
    real, done = make._of_codebook, []

    def failing(codebook, reader):
        def coded(line):
            if line == 5 and reader.split == "train":
                raise KeyboardInterrupt
            done.append(line)
            return real(codebook, reader)(line)

        return coded

    monkeypatch.setattr(make, "_of_codebook", failing)
    with pytest.raises(KeyboardInterrupt):
        make_codes(data_dir, "torn", store, kmeans="log_mel", codes=6)
    assert "torn" not in LabelStore(store, "train").labels
    monkeypatch.setattr(
        make, "_of_codebook", lambda *words: lambda line: done.append(line) or real(*words)(line)
    )
    done.clear()
    make_codes(data_dir, "torn", store, kmeans="log_mel", codes=6, splits=["train"])
    found = LabelStore(store, "train")
    assert done == list(range(5, found.num_utterances))
    np.testing.assert_array_equal(all_frames(found, "torn"), all_frames(found, "whole"))


def write_km(folder: Path, data_dir: Path, hop: int, codes: int) -> dict[str, list[np.ndarray]]:
    """Files of fairseq's form with a known code at each frame of `hop` samples and a window of 400."""
    folder.mkdir()
    written = {}
    for split in ("train", "valid"):
        rng = np.random.default_rng(len(split))
        written[split] = [
            rng.integers(0, codes, 1 + (utterance.samples - 400) // hop)
            for utterance in read_manifest(data_dir / f"{split}.tsv")
        ]
        lines = [" ".join(map(str, line)) for line in written[split]]
        (folder / f"{split}.km").write_text("\n".join(lines) + "\n")
    return written


@pytest.mark.parametrize(("rate", "hop"), [(50, 320), (100, 160)])
def test_a_file_of_fairseq_is_read_frame_for_frame(data_dir, store, tmp_path, rate, hop):
    written = write_km(tmp_path / "km", data_dir, hop, 40_000)
    make_codes(data_dir, "own", store, file=tmp_path / "km", codes=40_000, rate=rate)
    for split, lines in written.items():
        found = LabelStore(store, split)
        for i, line in enumerate(lines):
            codes = found.track("own", i)[:, 0]
            # Frame i of the grid begins at sample 320 i, frame j of the file at sample hop j.
            literal = [line[320 * frame // hop] for frame in range(found.num_frames(i))]
            np.testing.assert_array_equal(codes, literal)
        assert np.load(store / split / "own.npy").dtype == np.int32


def test_a_file_that_does_not_fit_is_refused(data_dir, store, tmp_path):
    write_km(tmp_path / "km", data_dir, 320, 9)
    with pytest.raises(PtselError, match=r"train\.km, line 1 .*expected \d+ codes.*at 100 a second"):
        make_codes(data_dir, "own", store, file=tmp_path / "km", rate=100)
    with pytest.raises(PtselError, match="expected 50 or 100 frames a second, found 25"):
        make_codes(data_dir, "own", store, file=tmp_path / "km", rate=25)
    with pytest.raises(PtselError, match="expected more than 8, the largest code"):
        make_codes(data_dir, "own", store, file=tmp_path / "km", codes=8)
    valid = tmp_path / "km" / "valid.km"
    lines = valid.read_text().splitlines()
    valid.write_text("\n".join(lines[:-1]))
    with pytest.raises(PtselError, match=rf"valid\.km: expected {len(lines)} lines"):
        make_codes(data_dir, "own", store, file=tmp_path / "km")
    for wrong in ("-1", "1.5", "x", "16777216"):
        valid.write_text("\n".join([lines[0], f"{wrong} {lines[1][2:]}", *lines[2:]]))
        with pytest.raises(PtselError, match=r"valid\.km, line 2 .*whole numbers from 0"):
            make_codes(data_dir, "own", store, file=tmp_path / "km")
    assert "own" not in LabelStore(store, "train").labels


def test_splits_of_a_file_have_the_same_number_of_codes(data_dir, store, tmp_path):
    write_km(tmp_path / "km", data_dir, 320, 9)
    make_codes(data_dir, "own", store, file=tmp_path / "km", splits=["train"], codes=12)
    with pytest.raises(PtselError, match="own is there with 12 codes, this would have 9; give --codes 12"):
        make_codes(data_dir, "own", store, file=tmp_path / "km", splits=["valid"])
    make_codes(data_dir, "own", store, file=tmp_path / "km", splits=["valid"], codes=12)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ({}, "expected one of --kmeans LABEL, --random LABEL and --file FOLDER, found none"),
        ({"kmeans": "f0", "random": "f0"}, "found 2"),
        ({"kmeans": "f0", "codes": 1}, "--codes: expected a number from 2"),
        ({"kmeans": "f0", "sample": 0}, "--sample: expected a number of frames"),
        ({"kmeans": "f0", "codes": 90_000}, "90000 clusters of f0 need as many different frames, found"),
        ({"kmeans": "loudness"}, "no label 'loudness' in this store"),
        ({"name": "f0", "kmeans": "zcr"}, "the name of a label or pool"),
        ({"name": "pase", "kmeans": "zcr"}, "the name of a label or pool"),
        ({"name": "A b", "kmeans": "zcr"}, "expected a name of lower-case letters"),
        ({"kmeans": "zcr", "fit_split": "test"}, "test.tsv"),
    ],
)
def test_what_cannot_be_is_refused(data_dir, store, words, message):
    with pytest.raises(PtselError, match=message):
        make_codes(data_dir, **{"name": "codes", "store": store, **words})
    assert "codes" not in LabelStore(store, "train").labels


def test_a_codebook_is_never_changed(data_dir, store):
    make_codes(data_dir, "cluster", store, kmeans="log_mel", codes=4, splits=["train"])
    for other in ({"codes": 5}, {"seed": 2}, {"sample": 300}, {"kmeans": "zcr"}):
        with pytest.raises(PtselError, match="this codebook was made with"):
            make_codes(
                data_dir, **{"name": "cluster", "store": store, "kmeans": "log_mel", "codes": 4, **other}
            )
    with pytest.raises(PtselError, match="is a label of codes already"):
        make_codes(data_dir, "again", store, kmeans="cluster", splits=["train"])
    centres = store / "codebooks" / "cluster.centres.npy"
    centres.write_bytes(centres.read_bytes()[:-1] + b"\0")
    with pytest.raises(PtselError, match="not the array that was written"):
        load_codebook(store, "cluster")


def test_an_array_with_another_code_is_damaged(data_dir, store):
    make_codes(data_dir, "cluster", store, kmeans="log_mel", codes=4)
    array = np.load(store / "valid" / "cluster.npy")
    array[0] = 4
    np.save(store / "valid" / "cluster.npy", array)
    with pytest.raises(PtselError, match="expected codes from 0 to 3 in utterance 0, found"):
        LabelStore(store, "valid").track("cluster", 0)


def test_the_command_makes_the_targets_of_hubert(data_dir, store):
    run_command("ptsel", "extract", data_dir, "--labels", "mfcc", "--store", store)
    done = run_command("ptsel", "codes", data_dir, "hubert", "--store", store)
    assert done.returncode == 0, done.stderr
    info = LabelStore(store, "valid").info("hubert")
    assert (info.codes, info.parameters["of"], info.parameters["kind"]) == (100, "mfcc", "kmeans")
    assert "is there already" in run_command("ptsel", "codes", data_dir, "hubert", "--store", store).stdout


def test_a_corpus_that_grows_is_coded_by_the_same_centres(data_dir, tmp_path, capsys):
    root, *lines = (data_dir / "train.tsv").read_text().splitlines()
    folder, store = tmp_path / "data", tmp_path / "store"
    folder.mkdir()
    manifest = folder / "train.tsv"
    manifest.write_text("\n".join([root, *lines[:6]]) + "\n")
    extract(manifest, ["zcr", "f0"], store)
    make_codes(folder, "pitch", store, kmeans="f0", codes=5, splits=["train"])
    before = LabelStore(store, "train")
    codes = [before.track("pitch", i).copy() for i in range(6)]
    manifest.write_text("\n".join([root, lines[7], *lines[:6]]) + "\n")  # one more, before the others
    with pytest.raises(PtselError, match="made from a manifest with"):
        make_codes(folder, "pitch", store, kmeans="f0", codes=5, splits=["train"])
    extract(manifest, ["zcr", "f0"], store)
    assert "make it again with `ptsel codes`" in capsys.readouterr().out
    assert "pitch" not in LabelStore(store, "train").labels
    make_codes(folder, "pitch", store, kmeans="f0", codes=5, splits=["train"])
    after = LabelStore(store, "train")
    for i, track in enumerate(codes):
        np.testing.assert_array_equal(after.track("pitch", i + 1), track)
    voiced = after.valid("f0", 0)
    centres = np.load(store / "codebooks" / "pitch.centres.npy")
    expected = pairwise_distances_argmin(after.track("f0", 0)[voiced].astype(np.float64), centres)
    np.testing.assert_array_equal(after.track("pitch", 0)[voiced, 0], expected)
    # A manifest of recordings that are all there needs no new codes: they move with their recordings.
    manifest.write_text("\n".join([root, *lines[2:6]]) + "\n")
    extract(manifest, ["zcr", "f0"], store)
    shorter = LabelStore(store, "train")
    for i, track in enumerate(codes[2:]):
        np.testing.assert_array_equal(shorter.track("pitch", i), track)
    assert shorter.statistics("pitch").counts.sum() == shorter.statistics("f0").frames
