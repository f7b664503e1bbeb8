"""Rules of the labels' gradients at the frames that enter the heads; they need all heads at one place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from ptsel_fairseq.heads.balancing.learned import LEARNING_RATE, Learned
from ptsel_fairseq.heads.balancing.rule import TINY, Balancing, Option, wide


class GradNorm(Learned):
    """softmax(s), rescaled, s minimising Σ_k |w_k g_k - mean(w g) r_k^`alpha`| (Chen et al. 2018).

    g_k is the norm of the gradient of L_k at the frames that enter the heads, r_k = (L_k / L_k of the first update) /
    their mean.
    """

    name = "gradnorm"
    options: ClassVar[Mapping[str, Option]] = {"alpha": Option(1.5), "learning_rate": LEARNING_RATE}
    when = "by gradient at the heads' frames; one more backward pass through each head"
    of_gradients = True
    reference: Tensor

    def __init__(self, options: Mapping[str, float], lambdas: Sequence[float], seed: int = 1) -> None:
        super().__init__(options, lambdas, seed)
        self.remember("reference", len(lambdas))  # L_k of the first update

    def change(self, losses: Tensor, gram: Tensor | None) -> None:
        assert gram is not None
        count, safe = len(losses), losses.clamp(min=TINY)
        if self.done == 1:
            self.reference.copy_(safe)
        weights = count * torch.softmax(self.learned, 0)
        norms = gram.diagonal().clamp(min=0).sqrt().float()
        rate = safe / self.reference
        wanted = (weights * norms).mean() * (rate / rate.mean()) ** self.given["alpha"]
        slope = torch.sign(weights * norms - wanted) * norms  # with respect to w
        share = weights / count
        self.step(weights * (slope - (share * slope).sum()))
        self.weights.copy_(count * torch.softmax(self.learned, 0))


class Mgda(Balancing):
    """The convex combination of those gradients of least norm, rescaled (Désidéri 2012)."""

    name = "mgda"
    when = (
        "the least common gradient; favours labels of small gradient; as `gradnorm`, and one transfer to the host an "
        "update"
    )
    of_gradients = True

    def change(self, losses: Tensor, gram: Tensor | None) -> None:
        assert gram is not None
        products = gram.cpu().double().numpy()
        if products.any():
            self.set_rescaled(torch.from_numpy(min_norm(products)).to(self.weights))


def min_norm(gram: np.ndarray) -> np.ndarray:
    """The point of the simplex that minimises αᵀ gram α [labels].

    The minimiser of αᵀ gram α + (Σ α - 1)² over α ≥ 0 is a multiple of it, and is found by non-negative
    least squares.
    """
    gram = gram / max(np.trace(gram), TINY)
    values, vectors = np.linalg.eigh(gram)
    root = np.sqrt(values.clip(min=0))[:, None] * vectors.T
    alpha, _ = nnls(np.vstack([root, np.ones(len(gram))]), np.append(np.zeros(len(gram)), 1.0))
    return alpha / alpha.sum()


def gradient_products(losses: Sequence[Tensor], frames: Tensor) -> Tensor:
    """Inner products [labels, labels] of the gradients of summed losses at the frames that enter the heads.

    Numbers of a whole gradient stay in float32, in which GPUs are fast: each gradient is divided by its largest one, so
    that no square leaves float32's range, and multiplied out in the labels² products. These are within 1e-6 of the
    product of the gradients' lengths, as are gradients in float32 themselves. No matrix product, which autocast or a
    precision of TF32 would make of less.

    Returns:
        [labels, labels] of the type `wide`.
    """
    gradients = torch.stack(
        [torch.autograd.grad(loss, frames, retain_graph=True)[0].float().flatten() for loss in losses]
    )
    largest = gradients.abs().amax(1, keepdim=True)
    gradients /= largest.clamp(min=torch.finfo(torch.float32).tiny)
    products = gradients.new_zeros(len(losses), len(losses))
    for k, gradient in enumerate(gradients):
        products[k, k:] = products[k:, k] = (gradients[k:] * gradient).sum(1)
    scale = largest.to(wide(largest))
    return products.to(scale.dtype) * scale * scale.T
