"""Rules that combine conflicting gradients: their defining properties, and the reference library where it is."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptsel_fairseq.heads.balancing import build_balancing, check_balancing
from ptsel_fairseq.heads.balancing.conflict import bargain

NAMES = ["cagrad", "aligned_mtl", "nash_mtl", "upgrad"]
LAMBDAS = np.array([0.5, 0.3, 0.2])


def rule_of(name, lambdas=LAMBDAS):
    return build_balancing(name, check_balancing(name, {}), list(lambdas))


def gradients(seed, count=3, width=6, unlike=True):
    rng = np.random.default_rng(seed)
    scale = 10.0 ** rng.integers(-1, 2, (count, 1)) if unlike else 1.0
    return rng.standard_normal((count, width)) * scale


def combined(name, g, lambdas=LAMBDAS):
    """λ · w after one update, and the direction that it gives."""
    rule = rule_of(name, lambdas)
    ones = torch.ones(len(g))
    rule.observe(ones, ones, torch.tensor(g @ g.T))
    rule.end_update(lambda values: values)
    alpha = rule.weights.double().numpy() * lambdas
    return alpha, alpha @ g


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", range(4))
def test_the_scale_of_all_gradients_does_not_matter(name, seed):
    g = gradients(seed)
    alpha, _ = combined(name, g)
    assert (alpha >= 0).all() or name == "aligned_mtl"  # which may turn a gradient round
    np.testing.assert_allclose(combined(name, 1e-3 * g)[0], alpha, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_that_say_nothing_change_nothing(name):
    assert combined(name, np.zeros((3, 4)))[0] == pytest.approx(LAMBDAS)


@pytest.mark.parametrize("seed", range(6))
def test_cagrad_is_the_best_for_the_worst_label_within_its_ball(seed):
    """max over ‖d - g_0‖ ≤ c ‖g_0‖ of min_k ⟨g_k, d⟩, against many points of the ball and of its surface."""
    g = gradients(seed, width=3, unlike=False)
    _, d = combined("cagrad", g)
    middle = LAMBDAS @ g
    radius = 0.5 * np.linalg.norm(middle)
    assert np.linalg.norm(d - middle) == pytest.approx(radius, rel=1e-3)
    others = np.random.default_rng(seed).standard_normal((200_000, 3))
    others *= radius / np.linalg.norm(others, axis=1, keepdims=True)
    worst = (g @ (middle + others).T).min(0).max()
    assert (g @ d).min() >= worst - 1e-3 * np.abs(g @ middle).max()


@pytest.mark.parametrize("seed", range(4))
def test_aligned_gradients_are_orthogonal_and_of_the_least_length(seed):
    g = gradients(seed)
    rule = rule_of("aligned_mtl")
    balance = np.array([rule.combine(g @ g.T, unit) for unit in np.eye(3)])
    aligned = balance @ g
    least = np.linalg.svd(g, compute_uv=False)[-1] ** 2
    np.testing.assert_allclose(aligned @ aligned.T, least * np.eye(3), atol=1e-8 * least)
    assert combined("aligned_mtl", g)[0].sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_in_the_bargain_each_label_gains_its_share(seed):
    g = gradients(seed)
    alpha, d = combined("nash_mtl", g)
    gains = (g @ d) * alpha / LAMBDAS
    np.testing.assert_allclose(gains, gains[0], rtol=1e-4)
    assert (gains > 0).all()
    assert alpha.sum() == pytest.approx(1, abs=1e-5)
    gram = g @ g.T
    np.testing.assert_allclose(gram @ bargain(gram, LAMBDAS), LAMBDAS / bargain(gram, LAMBDAS), rtol=1e-6)


def test_the_bargain_is_found_for_opposite_and_for_equal_gradients():
    for gram in (np.array([[1.0, -0.999999], [-0.999999, 1.0]]), np.ones((2, 2)), np.diag([1.0, 1e-8])):
        alpha = bargain(gram, np.array([0.5, 0.5]))
        np.testing.assert_allclose(gram @ alpha * alpha, [0.5, 0.5], rtol=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_upgrad_harms_no_label_and_changes_nothing_without_conflict(seed):
    g = gradients(seed)
    _, d = combined("upgrad", g)
    assert (g @ d).min() >= -1e-5 * np.abs(g @ d).max()
    agreeing = np.abs(g)
    assert combined("upgrad", agreeing)[0] == pytest.approx(LAMBDAS, rel=1e-5)


@pytest.mark.parametrize(("name", "theirs"), [("upgrad", "UPGrad"), ("aligned_mtl", "AlignedMTL")])
def test_it_is_that_of_torchjd(name, theirs):
    aggregation = pytest.importorskip("torchjd.aggregation", reason="the other implementation is optional")
    for seed in range(5):
        g = gradients(seed, count=3, unlike=False)
        reference = getattr(aggregation, theirs)(pref_vector=torch.tensor(LAMBDAS))(torch.tensor(g)).numpy()
        _, d = combined(name, g)
        if name == "aligned_mtl":  # ours is scaled
            reference, d = (v / np.linalg.norm(v) for v in (reference, d))
        np.testing.assert_allclose(d, reference, atol=2e-3 * np.linalg.norm(reference))
