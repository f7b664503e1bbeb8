"""HSIC in its three forms against published numbers, a literal U-statistic and literal matrices."""

from __future__ import annotations

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection import cka, cosine_kernel, gaussian_downsample, hsic, label_kernel, score_labels
from ptsel_fairseq.selection.weighting.group import GroupObjective

GOLDEN = Path(__file__).parents[1] / "golden" / "synthetic_ci.json"
FORMS = ("reference", "biased", "unbiased")


@pytest.fixture(scope="module")
def golden() -> dict:
    """Numbers of an implementation that matches 47 published kernel matrices."""
    return json.loads(GOLDEN.read_text())


def random_kernels(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 3)) + 1
    return cosine_kernel(x), label_kernel(x[:, 0] + rng.normal(size=n), variance=0.7)


def test_every_golden_quantity(golden):
    weights = np.array(golden["lambda_weights"])
    joint: dict[str, list[float]] = {form: [] for form in FORMS}
    keys = dict(zip(FORMS, ("ref_n2", "biased", "unbiased"), strict=True))
    counts = []
    for entry in golden["classes"]:
        z = np.array(entry["Z"])
        counts.append(entry["n"])
        x = np.array([gaussian_downsample(np.array(frames), 10).ravel() for frames in entry["X"]])
        np.testing.assert_allclose(x[0].reshape(10, -1), entry["gd10_first"], rtol=0, atol=1e-9)
        K = cosine_kernel(x)
        np.testing.assert_allclose(K, entry["K"], rtol=0, atol=1e-9)
        kernels = [label_kernel(column) for column in z.T]
        np.testing.assert_allclose(kernels[0], entry["L0"], rtol=0, atol=1e-9)
        for kernel, expected in zip(kernels, entry["single"], strict=True):
            for form in FORMS:
                assert hsic(K, kernel, form) == pytest.approx(expected[keys[form]], abs=1e-9)
            nm1 = hsic(K, kernel, "reference", divisor="(n-1)2")
            assert nm1 == pytest.approx(expected["ref_nm1"], abs=1e-9)
        # The product kernel is the kernel of labels scaled by the square roots of their weights.
        product = label_kernel(z * np.sqrt(weights))
        np.testing.assert_allclose(product, entry["Llambda_unclamped"], rtol=0, atol=1e-9)
        logs = np.clip(np.log(np.maximum(kernels, np.finfo(float).tiny)), -10, 0)
        clamped = np.exp(np.tensordot(weights, logs, 1))
        np.testing.assert_allclose(clamped, entry["Llambda_clamped"], rtol=0, atol=1e-9)
        for form in FORMS:  # only the released form cuts the exponents
            value = hsic(K, clamped if form == "reference" else product, form)
            assert value == pytest.approx(entry["lambda"][keys[form]], abs=1e-9)
            joint[form].append(value)
    points = {
        "x": np.array(
            [
                gaussian_downsample(np.array(frames), 10).ravel()
                for entry in golden["classes"]
                for frames in entry["X"]
            ]
        ),
        "labels": dict(zip("abc", np.concatenate([e["Z"] for e in golden["classes"]]).T, strict=True)),
        "classes": np.repeat([entry["class"] for entry in golden["classes"]], counts),
    }
    for form in FORMS:
        assert np.mean(joint[form]) == pytest.approx(golden["mean_over_classes"][keys[form]], abs=1e-9)
        weighted = np.average(joint[form], weights=counts)
        assert weighted == pytest.approx(golden["weighted_mean_eq4"][keys[form]], abs=1e-9)
    group = GroupObjective(**points, estimator="reference")
    expected = golden["mean_over_classes"]["ref_n2"]
    assert group(weights)[0] == pytest.approx(expected, abs=1e-9)
    for number, (name, record) in enumerate(
        score_labels(**points, estimator="reference", permutations=0).items()
    ):
        by_class = {entry["class"]: entry["single"][number]["ref_n2"] for entry in golden["classes"]}
        assert record.per_class == pytest.approx(by_class, abs=1e-9), name
        assert record.score == pytest.approx(np.mean(list(by_class.values())), abs=1e-9)


def literal_u_statistic(K: np.ndarray, L: np.ndarray) -> float:
    """Mean of K_ij (L_ij + L_qr - 2 L_iq) over all ordered tuples of four different samples."""
    n = len(K)
    total = [
        K[i, j] * (L[i, j] + L[q, r] - 2 * L[i, q]) for i, j, q, r in itertools.permutations(range(n), 4)
    ]
    return float(np.mean(total))


@pytest.mark.parametrize("n", [4, 5, 6, 8])
def test_unbiased_is_the_u_statistic(n):
    K, L = random_kernels(n, seed=n)
    assert hsic(K, L, "unbiased") == pytest.approx(literal_u_statistic(K, L), abs=1e-14)


@pytest.mark.slow
def test_unbiased_is_the_u_statistic_of_twelve():
    K, L = random_kernels(12, seed=12)
    assert hsic(K, L, "unbiased") == pytest.approx(literal_u_statistic(K, L), abs=1e-14)


@given(n=st.integers(2, 30), seed=st.integers(0, 1000))
def test_traces_are_the_explicit_ones(n, seed):
    K, L = random_kernels(n, seed)
    for form, c in (("reference", 1 / n**2), ("biased", 1 / n)):
        H = np.eye(n) - c
        for divisor, value in (("n2", n**2), ("(n-1)2", (n - 1) ** 2)):
            explicit = np.trace(K @ H @ L @ H) / value
            assert hsic(K, L, form, divisor) == pytest.approx(explicit, rel=1e-10, abs=1e-14)


@given(n=st.integers(4, 30), seed=st.integers(0, 1000))
def test_unbiased_is_songs_formula(n, seed):
    K, L = random_kernels(n, seed)
    k, m = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
    song = (np.sum(k * m) + k.sum() * m.sum() / ((n - 1) * (n - 2)) - 2 / (n - 2) * (k.sum(0) @ m.sum(0))) / (
        n * (n - 3)
    )
    assert hsic(K, L, "unbiased") == pytest.approx(song, rel=1e-9, abs=1e-14)


def test_unbiased_has_mean_zero_under_independence():
    rng = np.random.default_rng(0)
    K, L = random_kernels(12, seed=3)
    orders = [rng.permutation(12) for _ in range(4000)]
    values = {
        form: [hsic(K, L[order][:, order], form) for order in orders] for form in ("biased", "unbiased")
    }
    error = np.std(values["unbiased"]) / np.sqrt(len(orders))
    assert abs(np.mean(values["unbiased"])) < 4 * error
    assert np.mean(values["biased"]) > 20 * error


def test_floors():
    # The released form hardly centres: with L = I it gives about 1/n, with L = 1 the mean of K.
    K, _ = random_kernels(40, seed=0)
    assert hsic(K, np.eye(40), "reference") == pytest.approx(1 / 40, rel=0.05)
    assert hsic(K, np.ones((40, 40)), "reference") == pytest.approx(K.mean(), rel=0.06)
    assert hsic(K, np.eye(40), "unbiased") == pytest.approx(0, abs=1e-15)
    assert hsic(K, np.ones((40, 40)), "biased") == pytest.approx(0, abs=1e-15)


def test_cka_is_a_cosine():
    K, L = random_kernels(25, seed=1)
    assert cka(K, K) == pytest.approx(1, abs=1e-12)
    assert cka(K, 3 * K + 2) == pytest.approx(1, abs=1e-9)
    explicit = hsic(K, L) / np.sqrt(hsic(K, K) * hsic(L, L))
    assert cka(K, L) == pytest.approx(explicit, rel=1e-10)
    assert abs(cka(K, L)) < 1
    assert np.isnan(cka(K, np.ones((25, 25))))


def test_hyppo_agrees():
    # It centres 1 - K, a distance; the constant vanishes, so its debiased statistic is our alignment.
    independence = pytest.importorskip("hyppo.independence", reason="hyppo is not installed")
    K, L = random_kernels(30, seed=5)
    found = independence.Dcorr(compute_distance=None, bias=False).statistic(1 - K, 1 - L)
    assert cka(K, L) == pytest.approx(found, abs=1e-12)


@pytest.mark.slow  # dcor compiles for a quarter of a minute when it is imported first
def test_dcor_agrees():
    dcor = pytest.importorskip("dcor", reason="dcor is not installed")
    K, L = random_kernels(30, seed=6)
    hollow = [kernel - np.diag(np.diag(kernel)) for kernel in (K, L)]  # it expects distances
    theirs = dcor.u_product(*(dcor.u_centered(kernel) for kernel in hollow))
    assert hsic(K, L, "unbiased") == pytest.approx(theirs, rel=1e-9)


@pytest.mark.parametrize(
    ("shape", "other", "form", "message"),
    [
        ((3, 3), (3, 3), "unbiased", "at least 4 samples, found 3"),
        ((1, 1), (1, 1), "reference", "at least 2 samples, found 1"),
        ((5, 5), (4, 4), "biased", "two square matrices of one size"),
        ((5, 4), (5, 4), "biased", "two square matrices of one size"),
        ((5, 5), (5, 5), "kendall", "reference, biased, unbiased"),
    ],
)
def test_what_cannot_be_computed_is_refused(shape, other, form, message):
    with pytest.raises(PtselError, match=message):
        hsic(np.ones(shape), np.ones(other), form)


def test_kernels_that_are_not_finite_are_refused():
    K = np.ones((5, 5))
    K[1, 2] = np.nan
    with pytest.raises(PtselError, match="finite"):
        hsic(K, np.ones((5, 5)))
