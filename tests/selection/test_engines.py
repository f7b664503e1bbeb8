"""Scores and labels do not depend on where they are computed: processes, a cluster of two workers, a device."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ASTERISK, run_command
from test_score import points_given_classes

from ptsel_fairseq.base.device import check_device
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection import score_labels
from ptsel_fairseq.selection.estimators import one_class as class_scores
from ptsel_fairseq.selection.estimators.gpu import device_inner_products
from ptsel_fairseq.selection.estimators.hsic import inner_products
from ptsel_fairseq.selection.label_score import read_scores

distributed = pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def engine():
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as running:
        yield running.scheduler_address.replace("tcp://", "dask://")


def labelled_points():
    x, z, classes = points_given_classes(11, sizes=(40, 25, 60, 3, 33))
    holes = z.copy()
    holes[::7] = np.nan
    return x, {"z": z, "holes": holes, "vector": np.column_stack([x[:, 0], z])}, classes


@pytest.mark.parametrize("estimator", ["cka", "hsic", "reference"])
def test_cluster_and_processes_score_as_one_process(estimator, engine, monkeypatch):
    monkeypatch.setattr("ptsel_fairseq.selection.score_kernels.LONG_WORK_SECONDS", 0)
    x, labels, classes = labelled_points()
    here = score_labels(x, labels, classes, estimator=estimator, permutations=50, jobs=1)
    for settings in ({"jobs": 2}, {"engine": engine}):
        there = score_labels(x, labels, classes, estimator=estimator, permutations=50, **settings)
        assert there.keys() == here.keys()
        for name, record in here.items():
            for number in ("score", "p", "z", "interval", "null_interval", "standard_error"):
                assert there[name][number] == pytest.approx(record[number], rel=1e-10, abs=1e-14)
            assert there[name].per_class == pytest.approx(record.per_class, rel=1e-10)
            assert there[name].points_per_class == record.points_per_class
            assert there[name].classes_too_small == record.classes_too_small


def test_the_command_on_a_cluster(engine, data_dir, store_dir, tmp_path):
    for name, extra in (("here", []), ("there", ["--engine", engine])):
        done = run_command(
            "ptsel", "score", data_dir, "--store", store_dir, "--classes", ASTERISK / "classes" / "phone.tsv",
            "--out", tmp_path / name, "--cache", tmp_path / f"{name}-speech", "--permutations", 19, *extra,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "Traceback" not in done.stderr
    one, two = (read_scores(tmp_path / name / "scores.json")[0] for name in ("here", "there"))
    for name, record in one.items():
        assert two[name].score == pytest.approx(record.score, rel=1e-10)
        assert two[name].p == record.p


def test_a_store_made_on_a_cluster_is_byte_identical(engine, data_dir, tmp_path):
    for name, extra in (("here", ["--jobs", 1]), ("there", ["--engine", engine])):
        done = run_command(
            "ptsel", "extract", data_dir, "--splits", "train", "--labels", "f0", "log_mel", "zcr",
            "--store", tmp_path / name, *extra,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
    one, two = (sorted((tmp_path / name / "train").iterdir()) for name in ("here", "there"))
    assert [file.name for file in one] == [file.name for file in two]
    for first, second in zip(one, two, strict=True):
        if first.name != "header.json":  # it has the command
            assert first.read_bytes() == second.read_bytes(), first.name


def test_products_by_torch_equal_numpys():
    rng = np.random.default_rng(0)
    C, kernels = rng.normal(size=(23, 23)), rng.normal(size=(4, 23, 23))
    orders = np.array([rng.permutation(23) for _ in range(7)])
    np.testing.assert_allclose(
        device_inner_products(C, kernels, orders, "cpu"), inner_products(C, kernels, orders), rtol=1e-12
    )


def test_scores_by_torch_equal_numpys(monkeypatch):
    """The same road as on a GPU, but for the device's name."""
    x, labels, classes = labelled_points()
    here = score_labels(x, labels, classes, estimator="cka", permutations=30)
    monkeypatch.setattr("ptsel_fairseq.selection.score.check_device", lambda device: None)
    monkeypatch.setattr(class_scores, "free_bytes", lambda device: 1e9)
    monkeypatch.setattr(
        class_scores,
        "device_inner_products",
        lambda *arrays, device: device_inner_products(*arrays, device="cpu"),
    )
    there = score_labels(x, labels, classes, estimator="cka", permutations=30, device="cuda")
    for name, record in here.items():
        assert there[name].score == pytest.approx(record.score, rel=1e-10)
        assert there[name].p == record.p


def test_products_are_made_on_the_device(monkeypatch):
    """All of it there, and one result of each batch of orders brought back."""
    torch = pytest.importorskip("torch")
    from fake_device import OnDevice

    back = []
    monkeypatch.setattr(
        torch.Tensor, "cpu", lambda self: back.append(self) or torch.zeros(self.shape).double()
    )
    monkeypatch.setattr("ptsel_fairseq.selection.estimators.gpu.BYTES_AT_ONCE", 8 * 30**2 * 4)
    rng = np.random.default_rng(0)
    orders = np.array([rng.permutation(30) for _ in range(10)])
    with OnDevice() as device:
        found = device_inner_products(np.eye(30), rng.normal(size=(2, 30, 30)), orders, device="meta")
    assert found.shape == (2, 10)
    assert device.operations > 5
    assert [tuple(part.shape) for part in back] == [(2, 4), (2, 4), (2, 2)]


@pytest.mark.parametrize(
    ("device", "message"),
    [("gpu", "expected cpu, cuda or cuda:N, found 'gpu'"), ("cuda:97", "finds [0-9]+ GPUs")],
)
def test_a_device_that_is_not_there_is_refused(device, message):
    with pytest.raises(PtselError, match=message):
        check_device(device)


@pytest.mark.gpu
@pytest.mark.slow
def test_on_a_gpu():
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no GPU here")
    x, labels, classes = labelled_points()
    here = score_labels(x, labels, classes, estimator="cka", permutations=200)
    there = score_labels(x, labels, classes, estimator="cka", permutations=200, device="cuda")
    for name, record in here.items():
        assert there[name].score == pytest.approx(record.score, rel=1e-10)
        assert there[name].p == record.p
