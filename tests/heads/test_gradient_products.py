"""Inner products of the labels' gradients: float32 over whole gradients against all of it in float64."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ptsel_fairseq.heads.balancing import RULES, build_balancing, check_balancing, gradient_products
from ptsel_fairseq.heads.balancing import gradient as gradient_module
from ptsel_fairseq.heads.balancing import rule as rule_module

COUNT, SHAPE = 5, (4, 500, 64)
OF_GRADIENTS = [rule.name for rule in RULES.all() if rule.of_gradients]


def drawn(scales, seed=0, alike=0.0):
    """Frames, and losses whose gradients there are known: float64 [labels, numbers]."""
    torch.manual_seed(seed)
    frames = torch.randn(SHAPE, requires_grad=True)
    common = torch.randn(SHAPE)
    directions = [
        (alike * common + (1 - alike) * torch.randn(SHAPE)) * torch.rand(SHAPE).pow(4) * scale
        for scale in scales
    ]
    losses = [(frames * direction).sum() for direction in directions]
    return frames, losses, torch.stack(directions).double().flatten(1)


def within(found, exact):
    """The largest error of a product, over the product of both lengths."""
    lengths = exact.diagonal().sqrt()
    return float(((found.double() - exact).abs() / torch.outer(lengths, lengths).clamp(min=1e-300)).max())


@pytest.mark.parametrize("precision", ["highest", "medium"])
@pytest.mark.parametrize(
    "scales",
    [[1.0] * COUNT, [1e-15, 1e-5, 1.0, 1e5, 1e15], [1e-30, 1e-30, 1e-25, 1e-28, 1e-29], [0.0, 1, 1, 1, 1]],
    ids=["alike", "unlike", "tiny", "one is zero"],
)
def test_they_are_those_of_float64(scales, precision):
    frames, losses, gradients = drawn(scales)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision(precision)
    try:
        with torch.autocast("cpu", torch.bfloat16, enabled=precision == "medium"):
            found = gradient_products(losses, frames)
    finally:
        torch.set_float32_matmul_precision(before)
    assert found.dtype is torch.float64
    assert within(found, gradients @ gradients.T) < 1e-6


def test_what_is_not_finite_is_seen():
    frames, losses, _ = drawn([1.0, 1.0])
    assert not gradient_products([losses[0], losses[1] * float("inf")], frames).isfinite().all()


def weights_after(name, gram, lambdas):
    rule = build_balancing(name, check_balancing(name, {}), lambdas)
    ones = torch.ones(len(gram))
    rule.observe(ones, ones, gram)
    rule.end_update(lambda values: values)
    return rule.weights.numpy()


@pytest.mark.parametrize("alike", [0.0, 0.5, 0.9])
@pytest.mark.parametrize("name", OF_GRADIENTS)
def test_each_rule_gives_the_weights_of_float64(name, alike):
    frames, losses, gradients = drawn([0.1, 1.0, 3.0, 10.0, 30.0], alike=alike)
    lambdas = [0.3, 0.3, 0.2, 0.1, 0.1]
    found = weights_after(name, gradient_products(losses, frames), lambdas)
    exact = weights_after(name, gradients @ gradients.T, lambdas)
    np.testing.assert_allclose(found, exact, rtol=2e-4, atol=1e-5 * np.abs(exact).max())


@pytest.mark.parametrize("name", OF_GRADIENTS)
def test_two_labels_of_one_gradient_give_weights_of_a_moderate_size(name):
    """Rounding must not be taken for a direction of its own."""
    frames, losses, _ = drawn([1.0, 1.0, 1e-3])
    found = weights_after(name, gradient_products([*losses, losses[0] * 0.7], frames), [0.25] * 4)
    assert np.isfinite(found).all()
    assert np.abs(found).max() < 1e4


@pytest.mark.parametrize("name", OF_GRADIENTS)
def test_a_device_without_float64_is_served(name, monkeypatch):
    """As on Apple's: no number in double precision is made where the gradients are."""
    monkeypatch.setattr(rule_module, "WITHOUT_FLOAT64", ("cpu",))
    assert gradient_module.wide is rule_module.wide
    frames, losses, gradients = drawn([0.1, 1.0, 3.0])
    gram = gradient_products(losses, frames)
    assert gram.dtype is torch.float32
    exact = weights_after(name, gradients @ gradients.T, [0.4, 0.3, 0.3])
    np.testing.assert_allclose(weights_after(name, gram, [0.4, 0.3, 0.3]), exact, rtol=1e-3, atol=1e-4)
