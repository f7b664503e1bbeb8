"""Logistic regression on frozen features."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional


def standardised(x: np.ndarray, train: np.ndarray) -> Tensor:
    """Features in standard deviations of the training rows; 0 where undefined."""
    seen = x[train].astype(np.float64)
    mean = np.nanmean(seen, axis=0)
    std = np.nanstd(seen, axis=0)
    scaled = (x - mean) / np.where(std > 1e-8, std, 1.0)
    return torch.from_numpy(np.nan_to_num(np.clip(scaled, -30, 30)).astype(np.float32))


def scores(weights: Tensor, x: Tensor) -> Tensor:
    return x @ weights[:-1] + weights[-1]


def logistic(
    x: Tensor,
    y: Tensor,
    classes: int,
    penalty: float,
    iterations: int,
    start: Tensor | None = None,
    loss_of: Callable[[Tensor, Tensor], Tensor] = functional.cross_entropy,
) -> Tensor:
    """Weights [dim + 1, classes], the last row the bias: least mean cross-entropy + penalty / 2 · |weights|².

    Args:
        x: features [points, dim].
        y: as `loss_of` takes it beside logits [points, classes]; classes as numbers by default.
        classes: how many.
        penalty: on the weights, not on the bias.
        iterations: of L-BFGS, at most.
        start: weights to begin with; default, zeros.
    """
    weights = torch.zeros(x.shape[1] + 1, classes) if start is None else start.clone()
    weights.requires_grad_(True)
    optimizer = torch.optim.LBFGS(
        [weights], max_iter=iterations, history_size=10, tolerance_grad=1e-5, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = loss_of(scores(weights, x), y) + penalty / 2 * weights[:-1].square().sum()
        loss.backward()
        return loss

    optimizer.step(closure)
    return weights.detach()
