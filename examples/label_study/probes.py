"""The two heads by which frozen features are judged: logistic regression, and one hidden layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from settings import MLP_EPOCHS, MLP_HIDDEN, PENALTIES, PROBE_ITERATIONS
from study_tools.probes import logistic, scores, standardised
from torch import Tensor, nn
from torch.nn import functional

MLP_RATE, MLP_DECAY, MLP_BATCH, PATIENCE = 2e-3, 1e-2, 128, 6
CURVE_PENALTY = 1e-2


@dataclass(frozen=True)
class Outcome:
    """What a head says of the test part: shares between 0 and 1, and nats a point."""

    accuracy: float
    uar: float
    nll: float


def linear(
    x: np.ndarray,
    y: np.ndarray,
    train: np.ndarray,
    valid: np.ndarray,
    test: np.ndarray,
    iterations: int = PROBE_ITERATIONS,
) -> Outcome:
    """Multinomial logistic regression with an L2 penalty.

    Args:
        x: features [points, dim], NaN where undefined.
        y: classes, int [points].
        train: bool [points], the whole training part.
        valid: bool [points], a part of `train`: the penalty with the least loss on it is taken; if it is empty, the
            penalty is `CURVE_PENALTY`.
        test: bool [points].
        iterations: of each fit, at most.
    """
    features, target = standardised(x, train), torch.from_numpy(y)
    classes = int(y.max()) + 1
    fitting = torch.from_numpy(train & ~valid)
    start, best, penalty = None, np.inf, CURVE_PENALTY
    if valid.any():
        tuned = torch.from_numpy(valid)
        for strength in sorted(PENALTIES, reverse=True):
            start = logistic(features[fitting], target[fitting], classes, strength, iterations, start)
            loss = float(functional.cross_entropy(scores(start, features[tuned]), target[tuned]))
            if loss < best:
                best, penalty = loss, strength
    everything = torch.from_numpy(train)
    weights = logistic(features[everything], target[everything], classes, penalty, iterations, start)
    return outcome(scores(weights, features[torch.from_numpy(test)]), target[torch.from_numpy(test)])


def mlp(
    x: np.ndarray, y: np.ndarray, train: np.ndarray, valid: np.ndarray, test: np.ndarray, seed: int
) -> Outcome:
    """One hidden layer of rectified units, AdamW, stopped where the loss on `valid` is least."""
    features, target = standardised(x, train), torch.from_numpy(y)
    fitting, tuned, tested = (torch.from_numpy(part) for part in (train & ~valid, valid, test))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = nn.Sequential(
            nn.Linear(features.shape[1], MLP_HIDDEN), nn.ReLU(), nn.Linear(MLP_HIDDEN, int(y.max()) + 1)
        )
    optimizer = torch.optim.AdamW(network.parameters(), lr=MLP_RATE, weight_decay=MLP_DECAY)
    order = torch.Generator().manual_seed(seed)
    own_x, own_y = features[fitting], target[fitting]
    best, waited, kept = np.inf, 0, None
    for _ in range(MLP_EPOCHS):
        for rows in torch.randperm(len(own_x), generator=order).split(MLP_BATCH):
            optimizer.zero_grad()
            functional.cross_entropy(network(own_x[rows]), own_y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            loss = float(functional.cross_entropy(network(features[tuned]), target[tuned]))
        waited += 1
        if loss < best:
            best, waited, kept = loss, 0, [p.detach().clone() for p in network.parameters()]
        elif waited >= PATIENCE:
            break
    with torch.no_grad():
        for parameter, value in zip(network.parameters(), kept or [], strict=False):
            parameter.copy_(value)
        return outcome(network(features[tested]), target[tested])


def outcome(logits: Tensor, y: Tensor) -> Outcome:
    right = logits.argmax(1) == y
    recalls = [right[y == name].float().mean() for name in y.unique()]
    return Outcome(
        float(right.float().mean()),
        float(torch.stack(recalls).mean()),
        float(functional.cross_entropy(logits, y)),
    )


def few_examples(y: np.ndarray, train: np.ndarray, number: int, seed: int) -> np.ndarray:
    """bool [points]: `number` training points of each class, or all where there are fewer, drawn by the seed."""
    rng = np.random.default_rng([seed, number])
    chosen = np.zeros(len(y), bool)
    for name in np.unique(y[train]):
        rows = np.flatnonzero(train & (y == name))
        chosen[rng.permutation(rows)[:number]] = True
    return chosen
