"""Small classifiers on frozen features: logistic regression, and networks of torch that mix layers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from ptsel_fairseq.downstream.metrics.classification import ClassScorer

if TYPE_CHECKING:
    import torch

STRENGTHS = tuple(10.0**power for power in range(-4, 3))  # scikit-learn's C, weakest penalty last
MODELS: dict[str, tuple[int, ...]] = {"linear": (), "mlp": (256,)}  # units of the hidden layers
LEARNING_RATE = 1e-3
WEIGHT_DECAY = 1e-2
BATCH = 32
MAX_EPOCHS = 300
PATIENCE = 20  # epochs without a better loss on the validation split


@dataclass(frozen=True)
class Part:
    """Features and classes of one split: float32 [items, layers, dim], str [items]."""

    x: np.ndarray
    y: np.ndarray


@dataclass(frozen=True)
class Fitted:
    """A trained probe's answers on the test split, and what was chosen on the validation split."""

    answers: np.ndarray
    chosen: dict[str, float | list[float]]


def is_deterministic(model: str, layers: int) -> bool:
    """Whether a probe comes out the same for every seed."""
    return not MODELS[model] and layers == 1


def fit_and_answer(model: str, train: Part, valid: Part, test: Part, seed: int) -> Fitted:
    """Train on `train`, choose on `valid`, answer for `test`.

    One layer and ``linear``: multinomial logistic regression with an L2 penalty whose strength gives the best
    UAR on `valid`, fitted again on both. Otherwise a network: layers mixed by softmax weights that are
    learned with it (Peters et al. 2018, as in SUPERB), a linear layer or one hidden layer (``mlp``), Adam with weight
    decay, stopped where the loss on `valid` is least. Features are standardised over `train`, each layer by itself.
    """
    if is_deterministic(model, train.x.shape[1]):
        return _logistic_regression(train, valid, test)
    return _network(model, train, valid, test, seed)


def uar(reference: np.ndarray, hypothesis: np.ndarray) -> float:
    return ClassScorer(list(reference), list(hypothesis))(np.ones(len(reference)))["uar"]


def _logistic_regression(train: Part, valid: Part, test: Part) -> Fitted:
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def fit(strength: float, x: np.ndarray, y: np.ndarray):
        classifier = LogisticRegression(C=strength, max_iter=5000)
        return make_pipeline(StandardScaler(), classifier).fit(x.reshape(len(x), -1), y)

    found = [
        uar(valid.y, fit(strength, train.x, train.y).predict(valid.x.reshape(len(valid.x), -1)))
        for strength in STRENGTHS
    ]
    best = STRENGTHS[int(np.argmax(found))]  # of equal ones the strongest penalty
    final = fit(best, np.concatenate([train.x, valid.x]), np.concatenate([train.y, valid.y]))
    return Fitted(final.predict(test.x.reshape(len(test.x), -1)), {"C": best, "valid_uar": max(found)})


def _network(model: str, train: Part, valid: Part, test: Part, seed: int) -> Fitted:
    import torch
    from torch import nn

    names, targets = np.unique(train.y, return_inverse=True)
    x, valid_x, test_x = standardised(train.x, valid.x, test.x)
    y = torch.from_numpy(targets)
    seen = np.isin(valid.y, names)
    valid_y = torch.from_numpy(np.searchsorted(names, valid.y[seen]))
    network = fit_network(
        *(model, x, valid_x[seen], len(names)),
        lambda logits, rows: nn.functional.cross_entropy(logits, y[rows]),
        lambda logits: nn.functional.cross_entropy(logits, valid_y),
        seed,
    )
    return Fitted(names[network.outputs(test_x).argmax(dim=1).numpy()], network.chosen)


def standardised(x: np.ndarray, *others: np.ndarray) -> list[torch.Tensor]:
    """All arrays [items, layers, dim] less the mean of the first and over its standard deviation, each layer's own."""
    import torch

    mean, deviation = x.mean(axis=0), x.std(axis=0)
    deviation = np.where(deviation > 0, deviation, 1)
    return [torch.from_numpy((part - mean) / deviation) for part in (x, *others)]


@dataclass(frozen=True)
class Network:
    """A trained network: outputs [items, outputs] of features [items, layers, dim], and what was chosen."""

    outputs: Callable[[torch.Tensor], torch.Tensor]
    chosen: dict[str, float | list[float]]


def fit_network(
    model: str,
    x: torch.Tensor,
    valid_x: torch.Tensor,
    outputs: int,
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    valid_loss_of: Callable[[torch.Tensor], torch.Tensor],
    seed: int,
) -> Network:
    """Train a network on standardised features until the loss on the validation part stops to fall.

    Args:
        model: one of `MODELS`.
        x: to train on, [items, layers, dim].
        valid_x: to choose the epoch on, [items, layers, dim].
        outputs: how many.
        loss_of: of the outputs for some rows of `x`, and these rows.
        valid_loss_of: of the outputs for `valid_x`.
        seed: of parameters and order.
    """
    import torch
    from torch import nn

    layers, dim = x.shape[1:]
    draw = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        widths = [dim, *MODELS[model]]
        hidden = [layer for pair in pairwise(widths) for layer in (nn.Linear(*pair), nn.ReLU())]
        head = nn.Sequential(*hidden, nn.Linear(widths[-1], outputs))
    mix = nn.Parameter(torch.zeros(layers))
    optimizer = torch.optim.AdamW(
        [{"params": head.parameters(), "weight_decay": WEIGHT_DECAY}, {"params": [mix], "weight_decay": 0.0}],
        lr=LEARNING_RATE,
    )

    def logits(batch: torch.Tensor) -> torch.Tensor:
        return head(torch.einsum("l,nld->nd", mix.softmax(0), batch))

    best_loss, best_epoch, best_state = float("inf"), 0, None
    for epoch in range(1, MAX_EPOCHS + 1):
        for rows in torch.randperm(len(x), generator=draw).split(BATCH):
            optimizer.zero_grad()
            loss_of(logits(x[rows]), rows).backward()
            optimizer.step()
        with torch.no_grad():
            loss = float(valid_loss_of(logits(valid_x)))
        if loss < best_loss:
            best_loss, best_epoch = loss, epoch
            best_state = [value.detach().clone() for value in (*head.parameters(), mix)]
        elif epoch - best_epoch >= PATIENCE:
            break
    with torch.no_grad():
        for value, best in zip((*head.parameters(), mix), best_state or [], strict=True):
            value.copy_(best)
        weights = mix.softmax(0).tolist()
    chosen: dict[str, float | list[float]] = {
        "epochs": best_epoch,
        "valid_loss": best_loss,
        "layer_weights": weights,
    }
    return Network(torch.no_grad()(logits), chosen)
