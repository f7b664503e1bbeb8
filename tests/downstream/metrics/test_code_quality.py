"""PNMI and purities of codes against phones: against scikit-learn, and on the bundled speech."""

from __future__ import annotations

import shutil

import numpy as np
import pytest
from conftest import ASTERISK, run_command
from sklearn.metrics import homogeneity_score
from sklearn.metrics.cluster import contingency_matrix

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream import code_quality
from ptsel_fairseq.downstream.metrics.code_quality import quality_of_label
from ptsel_fairseq.labels import LabelStore, make_codes


def test_they_are_those_of_scikit_learn():
    rng = np.random.default_rng(0)
    phones = rng.choice(["a", "b", "s", "sil"], 3000, p=[0.5, 0.2, 0.2, 0.1])
    codes = (np.unique(phones, return_inverse=True)[1] * 3 + rng.integers(0, 7, 3000)) % 11
    found = code_quality(codes, phones)
    assert found.pnmi == pytest.approx(homogeneity_score(phones, codes), rel=1e-9)
    table = contingency_matrix(phones, codes)
    assert found.phone_purity == pytest.approx(table.max(axis=0).sum() / 3000)
    assert found.cluster_purity == pytest.approx(table.max(axis=1).sum() / 3000)
    assert (found.frames, found.codes, found.phones) == (3000, 11, 4)


def test_the_ends_of_the_scales():
    phones = np.array(list("aabbcc"))
    same = code_quality(phones, phones)
    assert (same.pnmi, same.phone_purity, same.cluster_purity) == (pytest.approx(1), 1, 1)
    none = code_quality(np.zeros(6), phones)
    assert (none.pnmi, none.phone_purity, none.cluster_purity) == (pytest.approx(0), pytest.approx(1 / 3), 1)


def test_what_cannot_be_judged_is_refused():
    with pytest.raises(PtselError, match="as many codes as phones"):
        code_quality(np.zeros(3), np.zeros(4))
    with pytest.raises(PtselError, match="expected two or more"):
        code_quality(np.arange(3), np.zeros(3))
    with pytest.raises(PtselError, match="expected two or more"):
        code_quality(np.zeros(0), np.zeros(0))


def test_clusters_of_bundled_speech_know_phones_better_than_shuffled_ones(data_dir, store_dir, tmp_path):
    store, phones = shutil.copytree(store_dir, tmp_path / "store"), ASTERISK / "classes" / "phone.tsv"
    make_codes(data_dir, "cluster", store, kmeans="log_mel", codes=30)
    manifest, opened = read_manifest(data_dir / "valid.tsv"), LabelStore(store, "valid")
    class_file = read_classes(phones, manifest, 16_000)
    found = quality_of_label(manifest, opened, "cluster", class_file)
    codes, names = [], []
    for segment in class_file.segments:  # literally, frame by frame
        for frame, code in enumerate(opened.track("cluster", segment.utterance)[:, 0]):
            if segment.start <= (320 * frame + 200) / 16_000 < segment.end:
                codes.append(code)
                names.append(segment.name)
    assert found.frames == len(codes) > 500
    assert found.pnmi == pytest.approx(homogeneity_score(names, codes), rel=1e-9)
    shuffled = np.random.default_rng(0).permutation(codes)
    assert found.pnmi > 2 * code_quality(shuffled, np.array(names)).pnmi
    with pytest.raises(PtselError, match="log_mel is no label of codes"):
        quality_of_label(manifest, opened, "log_mel", class_file)
    done = run_command(
        *("ptsel", "codes", data_dir, "cluster", "--store", store, "--kmeans", "log_mel"),
        *("--codes", 30, "--splits", "valid", "--classes", phones),
    )
    assert done.returncode == 0, done.stderr
    assert f"valid: cluster against phone.tsv: PNMI {found.pnmi:.3f}" in done.stdout
