"""A store, scores and weights that version 0.1.0 wrote are read, and give the numbers they gave then."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest
from conftest import ASTERISK, ROOT

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.base.weights_file import read_weights
from ptsel_fairseq.labels.store import LabelStore

OLD = ROOT / "tests" / "golden" / "v0_1"


@pytest.fixture
def old_store(tmp_path: Path) -> Path:
    return Path(shutil.copytree(OLD / "store", tmp_path / "store"))


def test_the_store(old_store):
    """Tracks as this version computes them; statistics as they were printed then."""
    from ptsel_fairseq.base.audio import read_audio
    from ptsel_fairseq.labels.tracks import compute_tracks, resolve

    manifest = read_manifest(OLD / "train.tsv")
    store = LabelStore(old_store, "train")
    store.check_manifest(manifest)
    assert store.labels == ("f0", "loudness", "zcr")
    assert store.statistics("f0").frames == 423
    np.testing.assert_allclose(store.statistics("f0").mean, [197.77711641929392])
    np.testing.assert_allclose(store.statistics("f0").std, [59.95739316415782])
    for utterance in manifest:
        waveform = read_audio(manifest.audio_path(utterance), 16_000)
        for name, track in compute_tracks(waveform, resolve(list(store.labels)), store.grid).items():
            np.testing.assert_allclose(store.track(name, utterance.index), track.values, rtol=1e-4, atol=1e-5)
            np.testing.assert_array_equal(store.valid(name, utterance.index), track.valid)


def test_a_label_is_added_to_the_store(old_store):
    from ptsel_fairseq.labels.extraction.extract import extract

    before = {name: (old_store / "train" / f"{name}.npy").read_bytes() for name in ("f0", "zcr")}
    extract(read_manifest(OLD / "train.tsv"), ["zcr", "rms_energy"], old_store, jobs=1)
    assert LabelStore(old_store, "train").labels == ("f0", "loudness", "rms_energy", "zcr")
    assert all((old_store / "train" / f"{name}.npy").read_bytes() == kept for name, kept in before.items())


def test_a_label_that_is_defined_anew_is_not_mixed_with_the_old_one(old_store):
    from ptsel_fairseq.labels.extraction.extract import extract

    with pytest.raises(
        PtselError, match="f0 is of definition 1, this version of ptsel makes 2; extract into another"
    ):
        extract(read_manifest(OLD / "train.tsv"), ["f0"], old_store, jobs=1)


def test_an_extraction_that_it_left_unfinished_is_done_again(old_store):
    """Its journal is of another kind; it is not believed, and nothing of it stays."""
    from ptsel_fairseq.labels.extraction.extract import extract

    folder = old_store / "train"
    (folder / "header.json").unlink()
    frames = LabelStore(OLD / "store", "train").track("zcr", 0)
    for file in (*folder.glob("f0*"), folder / "loudness.npy"):
        file.unlink()
    (folder / "zcr.npy").rename(folder / "zcr.npy.partial")
    (folder / "journal.partial").write_text("[a plan]\n\n0 1 2 3 .\n")
    extract(read_manifest(OLD / "train.tsv"), ["zcr"], old_store, jobs=1)
    assert not list(folder.glob("*.partial"))
    np.testing.assert_allclose(LabelStore(old_store, "train").track("zcr", 0), frames, rtol=1e-5)


def test_another_manifest_needs_another_store(old_store, tmp_path):
    """It did not keep which recording each row is of, so that nothing can be taken over."""
    from ptsel_fairseq.labels.extraction.extract import extract

    root, *lines = (OLD / "train.tsv").read_text().splitlines()
    (tmp_path / "train.tsv").write_text("\n".join([str((OLD / root).resolve()), *lines[:-1]]) + "\n")
    with pytest.raises(PtselError, match="another --store"):
        extract(read_manifest(tmp_path / "train.tsv"), ["zcr"], old_store, jobs=1)


def test_the_scores():
    from ptsel_fairseq.selection.label_score import read_scores

    scores, provenance = read_scores(OLD / "ci" / "scores.json")
    assert provenance["estimator"] == "cka"
    assert provenance["versions"]["ptsel_fairseq"] == "0.1.0"
    printed = {"f0": -0.3531, "loudness": -0.3429, "zcr": 0.582}
    assert {name: score.score for name, score in scores.items()} == pytest.approx(printed, abs=1e-4)
    assert scores["f0"].interval == pytest.approx((-0.757, 0.211), abs=1e-3)


def test_the_weights_and_what_selects_them(tmp_path):
    """The same λ from its scores and points: by `direct` and by the group."""
    from conftest import run_command

    for name, method in (("weights.yaml", "direct"), ("weights_group.yaml", "group")):
        expected, sum_to_one = read_weights(OLD / name)
        assert sum_to_one
        done = run_command("ptsel", "select", OLD / "ci", "--method", method, "--out", tmp_path / name)
        assert done.returncode == 0, done.stderr
        found, _ = read_weights(tmp_path / name)
        assert found == pytest.approx(expected, abs=1e-4)


def test_the_audio_is_bundled():
    manifest = read_manifest(OLD / "train.tsv")
    assert manifest.root == (ASTERISK / "audio").resolve()
    assert all(manifest.audio_path(utterance).is_file() for utterance in manifest)
