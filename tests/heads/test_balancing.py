"""Balancing: what each rule does to two losses of unlike scale, and where its state goes."""

from __future__ import annotations

import io
import itertools

import numpy as np
import pytest
import torch

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.heads.balancing import RULES, build_balancing, check_balancing, min_norm
from ptsel_fairseq.heads.heads import PtselHeads
from ptsel_fairseq.heads.losses import pretext_errors
from ptsel_fairseq.heads.pretext import observe
from ptsel_fairseq.heads.settings import HeadSettings

ACTIVE = RULES.names()
OF_GRADIENTS = [rule.name for rule in RULES.all() if rule.of_gradients]
SHORT = {"period": 3, "learning_rate": 0.2}
SCALE = np.array([100.0, 1.0])


def rule_of(name, count=2, seed=7):
    options = check_balancing(
        name, {key: value for key, value in SHORT.items() if key in RULES.get(name).options}
    )
    return build_balancing(name, options, [0.7, *[0.3 / (count - 1)] * (count - 1)], seed)


def alone(values):
    return values


def show(balancing, losses, frames=10.0):
    """One micro-batch of these mean losses, with gradients as long as they are large."""
    losses = torch.tensor(np.asarray(losses), dtype=torch.float32)
    gram = None
    if balancing.of_gradients:
        lengths = frames * losses.double()
        gram = torch.outer(lengths, lengths) * (torch.eye(len(losses)) + 0.1)
    balancing.observe(losses * frames, torch.full_like(losses, frames), gram)


def toy(name, updates=60):
    """Weights of each update, the losses falling slowly, the second faster."""
    balancing, seen = rule_of(name), []
    for t in range(updates):
        show(balancing, SCALE * np.array([0.995, 0.98]) ** t)
        balancing.end_update(alone)
        seen.append(balancing.weights.numpy().copy())
    return np.array(seen)


# Gradients that agree leave upgrad nothing to do; test_conflict.py has others.
@pytest.mark.parametrize("name", [name for name in ACTIVE if name != "upgrad"])
def test_every_rule_differs_from_none(name):
    weights = toy(name)
    assert np.isfinite(weights).all()
    assert np.abs(weights[-1] - 1).max() > 1e-3 or np.abs(weights - 1).max() > 0.5
    if name in ("initial_ratio", "running_ratio", "dwa", "random", "gradnorm", "mgda"):
        np.testing.assert_allclose(weights.sum(1), 2, rtol=1e-5)


@pytest.mark.parametrize("name", ["initial_ratio", "running_ratio", "uncertainty", "imtl_l", "geometric"])
def test_ratio_and_uncertainty_rules_undo_the_scale(name):
    balancing = rule_of(name)
    for _ in range(300):
        show(balancing, SCALE)
        balancing.end_update(alone)
    first, second = balancing.weights.numpy() * SCALE
    assert first == pytest.approx(second, rel=0.05)


def test_rules_follow_their_formulas():
    history = SCALE * np.array([0.995, 0.98]) ** np.arange(60)[:, None]
    initial = history[:3].mean(0)
    np.testing.assert_allclose(toy("initial_ratio")[-1], 2 / initial / (1 / initial).sum(), rtol=1e-5)
    running = history[0]
    for t, losses in enumerate(history[1:], start=2):
        running = running + (losses - running) / min(t, 3)
    np.testing.assert_allclose(toy("running_ratio")[-1], 2 / running / (1 / running).sum(), rtol=1e-5)
    ratio = np.exp(history[57:60].mean(0) / history[54:57].mean(0) / 2)
    np.testing.assert_allclose(toy("dwa")[-1], 2 * ratio / ratio.sum(), rtol=1e-5)
    mean = np.exp((np.array([0.7, 0.3]) * np.log(history[-1])).sum())
    np.testing.assert_allclose(toy("geometric")[-1], mean / history[-1], rtol=1e-5)
    np.testing.assert_allclose(toy("equal")[-1] * [0.7, 0.3], 0.5, rtol=1e-6)
    kept = toy("worker_dropout", 400)
    assert set(np.unique(kept)) == {0.0, 2.0}
    assert kept.mean() == pytest.approx(1, abs=0.15)


def test_uncertainty_reaches_the_minimum_of_its_objective():
    balancing = rule_of("uncertainty")
    for _ in range(400):
        show(balancing, SCALE)
        balancing.end_update(alone)
    np.testing.assert_allclose(balancing.learned.numpy(), np.log(SCALE), atol=0.1)


def test_gradnorm_makes_weighted_gradients_alike_where_losses_fall_alike():
    balancing = rule_of("gradnorm")
    for _ in range(600):
        show(balancing, SCALE)
        balancing.end_update(alone)
    first, second = balancing.weights.numpy() * SCALE
    assert first / second == pytest.approx(1, rel=0.35)  # Adam steps to and fro at the kink of |x|


def test_min_norm_is_the_least_point_of_a_fine_grid():
    rng = np.random.default_rng(2)
    for _ in range(5):
        gradients = rng.standard_normal((3, 4)) * np.array([[1.0], [3.0], [0.3]])
        gram = gradients @ gradients.T
        grid = [(a, b, 100 - a - b) for a, b in itertools.product(range(101), repeat=2) if a + b <= 100]
        points = np.array(grid) / 100
        alpha = min_norm(gram)
        assert alpha.min() >= 0
        assert alpha.sum() == pytest.approx(1)
        assert alpha @ gram @ alpha <= np.einsum("ni,ij,nj->n", points, gram, points).min() + 1e-9


def test_min_norm_is_that_of_torchjd():
    aggregation = pytest.importorskip("torchjd.aggregation", reason="the other implementation is optional")
    rng = np.random.default_rng(6)
    for count in (2, 3, 7):
        gradients = rng.standard_normal((count, 5)) * 10.0 ** rng.integers(-1, 2, (count, 1))
        theirs = aggregation.MGDA(epsilon=1e-9, max_iters=3000)(torch.tensor(gradients)).numpy()
        ours = min_norm(gradients @ gradients.T) @ gradients
        length = np.linalg.norm(gradients, axis=1).max()
        np.testing.assert_allclose(ours, theirs, atol=3e-3 * length)
        assert np.linalg.norm(ours) <= np.linalg.norm(theirs) + 1e-9 * length


# What the rules that learn numbers s minimise, given losses L, those of the first update, and gradients' norms g.
OBJECTIVES = {
    "uncertainty": lambda s, L, first, g: (torch.exp(-s) * L / 2 + s / 2).sum(),
    "imtl_l": lambda s, L, first, g: (torch.exp(s) * L - s).sum(),
    "gradnorm": lambda s, L, first, g: gradnorm_objective(len(s) * torch.softmax(s, 0), L / first, g),
}


def gradnorm_objective(weights, rate, norms):
    wanted = (weights * norms).mean() * (rate / rate.mean()) ** 1.5
    return (weights * norms - wanted.detach()).abs().sum()


@pytest.mark.parametrize("name", OBJECTIVES)
def test_what_is_learned_is_moved_by_adam_on_the_stated_objective(name):
    """torch's Adam and torch's gradients of the objective as it is written."""
    balancing = rule_of(name, count=3)
    s = torch.zeros(3, requires_grad=True)
    optimizer = torch.optim.Adam([s], lr=SHORT["learning_rate"])
    history = np.random.default_rng(8).uniform(0.5, 2, (25, 3)) * [100, 1, 5]
    for losses in history:
        show(balancing, losses)
        balancing.end_update(alone)
        values = torch.tensor(losses, dtype=torch.float32)
        norms = values * np.sqrt(1.1)  # as `show` makes the gradients
        optimizer.zero_grad()
        OBJECTIVES[name](s, values, torch.tensor(history[0], dtype=torch.float32), norms).backward()
        optimizer.step()
        torch.testing.assert_close(balancing.learned, s.detach(), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ACTIVE)
def test_losses_that_are_not_finite_leave_no_trace(name):
    balancing = rule_of(name)
    for bad in ([1.0, 2.0], [np.inf, 2.0], [1.0, np.nan], [1.5, 2.0]):
        show(balancing, bad)
        balancing.end_update(alone)
        assert all(value.isfinite().all() for value in balancing.state_dict().values())
    np.testing.assert_allclose(balancing.losses.numpy(), [1.5, 2.0])


@pytest.mark.parametrize("name", OF_GRADIENTS)
def test_half_batches_show_the_gradients_of_the_whole(name):
    """Through real heads: frames of the batch are those of its halves, and so are their gradients."""
    torch.manual_seed(1)
    settings = [HeadSettings(), HeadSettings(type="mlp", hidden=8, loss="mse")]
    heads = PtselHeads({"output": 16}, ["a", "b"], [1, 4], settings)
    frames, target = torch.randn(4, 30, 16), torch.randn(4, 30, 5).double()
    valid = torch.rand(4, 30, 2) < 0.8

    def look(balancing, rows):
        seen = frames[rows].requires_grad_()
        output = {
            "pretext": heads({"output": seen}),
            "padding_mask": None,
            "pretext_frames": {"output": seen},
        }
        sample = {"pretext": {"target": target[rows], "valid": valid[rows]}}
        observe(balancing, pretext_errors(output, sample, heads.settings), output["pretext_frames"])

    whole, halves = rule_of(name), rule_of(name)
    look(whole, slice(None))
    look(halves, slice(0, 2))
    look(halves, slice(2, 4))
    whole.end_update(alone)
    halves.end_update(alone)
    torch.testing.assert_close(halves.weights, whole.weights)
    assert (whole.weights - 1).abs().max() > 0.01


@pytest.mark.parametrize("name", ACTIVE)
def test_saved_and_resumed_equals_never_stopped_bit_for_bit(name):
    history = np.random.default_rng(3).uniform(0.5, 2, (12, 2)) * SCALE
    whole, stopped = rule_of(name), rule_of(name)
    for losses in history:
        show(whole, losses)
        whole.end_update(alone)
    for losses in history[:5]:
        show(stopped, losses)
        stopped.end_update(alone)
    file = io.BytesIO()
    torch.save(stopped.state_dict(), file)
    file.seek(0)
    resumed = rule_of(name)
    resumed.load_state_dict(torch.load(file, weights_only=True))
    assert torch.equal(resumed.weights, stopped.weights)
    for losses in history[5:]:
        show(resumed, losses)
        resumed.end_update(alone)
    assert all(torch.equal(value, resumed.state_dict()[key]) for key, value in whole.state_dict().items())


@pytest.mark.parametrize("name", ACTIVE)
def test_micro_batches_and_workers_add_up_to_one_batch(name):
    """Two micro-batches, or two workers with one each, set the weights that the batch of both sets."""
    one, halves, workers = rule_of(name), rule_of(name), [rule_of(name), rule_of(name)]
    rng = np.random.default_rng(4)
    for _ in range(5):
        gradients = rng.standard_normal((2, 2, 6)) * SCALE[:, None]  # [half, label, frames of the half]
        losses = rng.uniform(0.5, 2, (2, 2)) * SCALE
        frames = rng.integers(5, 9, (2, 2))

        def part(which, gradients=gradients, losses=losses, frames=frames):
            g = np.concatenate([gradients[i] for i in which], axis=1)
            gram = torch.tensor(g @ g.T) if name in OF_GRADIENTS else None
            errors = sum(losses[i] * frames[i] for i in which)
            return (
                torch.tensor(errors),
                torch.tensor(sum(frames[i] for i in which), dtype=torch.float64),
                gram,
            )

        one.observe(*part([0, 1]))
        one.end_update(alone)
        halves.observe(*part([0]))
        halves.observe(*part([1]))
        halves.end_update(alone)
        for i, worker in enumerate(workers):
            worker.observe(*part([i]))
        sums = sum(worker._sums[0] for worker in workers)
        for worker in workers:
            worker.end_update(lambda own, sums=sums: sums.clone())
        assert torch.equal(workers[0].weights, workers[1].weights)
        for other in (halves, workers[0]):
            torch.testing.assert_close(other.weights, one.weights)


def test_half_precision_does_not_reach_the_state():
    balancing = rule_of("running_ratio")
    show(balancing, SCALE)
    balancing.end_update(alone)
    before = {key: value.clone() for key, value in balancing.state_dict().items()}
    balancing.half()
    assert all(torch.equal(value, before[key]) for key, value in balancing.state_dict().items())
    assert balancing.weights.dtype is torch.float32


@pytest.mark.parametrize(
    ("rule", "options", "message"),
    [
        ("famos", {}, "expected one of none, equal"),
        ("dwa", {"periods": 3}, "dwa has period, temperature, found periods"),
        ("none", {"period": 3}, "none has none"),
        ("dwa", {"period": 0}, r"options\.period: expected a positive number"),
        ("dwa", {"period": 1.5}, "whole number of updates"),
        ("worker_dropout", {"keep": 1.5}, "at most 1"),
    ],
)
def test_rules_that_cannot_be_used_are_refused(rule, options, message):
    with pytest.raises(PtselError, match=message):
        check_balancing(rule, options)


@pytest.mark.parametrize("lambdas", [[1 / 3] * 3, [0.6, 0.3, 0.1]])
def test_famo_is_its_algorithm_with_the_next_batch(lambdas):
    """Algorithm 1 by autograd and torch's Adam; with equal λ the paper's direction, Σ z / L · gradient."""
    history = torch.tensor([100.0, 1.0, 7.0]) * torch.tensor([0.995, 0.98, 0.9]) ** torch.arange(40)[:, None]
    balancing = build_balancing("famo", check_balancing("famo", {}), lambdas)
    logits = torch.zeros(3, requires_grad=True)
    adam = torch.optim.Adam([logits], lr=0.025, weight_decay=0.01)
    prior = torch.tensor(lambdas).log()
    for t, losses in enumerate(history):
        show(balancing, losses)
        balancing.end_update(alone)
        if t:
            adam.zero_grad()
            fall = history[t - 1].log() - losses.log()
            logits.grad = torch.autograd.grad(torch.softmax(prior + logits, 0), logits, fall)[0]
            adam.step()
        z = torch.softmax(prior + logits.detach(), 0)
        direction = z / losses / (z / losses).sum()
        ours = balancing.weights * torch.tensor(lambdas)
        torch.testing.assert_close(ours / ours.sum(), direction, rtol=1e-4, atol=1e-7)
        assert float(balancing.weights.sum()) == pytest.approx(3, rel=1e-5)
    assert balancing.learned.argmax() == 0  # what improves least gains
