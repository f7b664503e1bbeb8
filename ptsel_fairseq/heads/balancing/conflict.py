"""Rules that combine conflicting gradients, with λ as the preference among the labels.

Each finds the weight α_k that the gradient of label k gets in a common direction, and sets w_k = α_k / λ_k, so that the
pretext term λ · w · L has that gradient. Gradients are those at the frames that enter the heads, as for `gradnorm` and
`mgda`; a rule sees their inner products only. Where these say nothing (zeros), the weights stay as they were.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import ClassVar

import numpy as np
import torch
from scipy.optimize import minimize, nnls
from torch import Tensor

from ptsel_fairseq.heads.balancing.rule import TINY, Balancing, Option

NEWTON_STEPS = 100
COST = "; as `gradnorm`, and one transfer to the host an update"


class Combination(Balancing):
    """A rule whose weights follow from the inner products of the gradients and λ alone."""

    of_gradients = True
    rescaled: ClassVar[bool] = False  # whether the α are scaled to sum to Σ λ

    @abstractmethod
    def combine(self, gram: np.ndarray, lambdas: np.ndarray) -> np.ndarray:
        """α [labels].

        Args:
            gram: inner products of the gradients [labels, labels], float64, not all zero.
            lambdas: λ [labels], positive.
        """

    def change(self, losses: Tensor, gram: Tensor | None) -> None:
        assert gram is not None
        products, lambdas = gram.cpu().double().numpy(), self.lambdas.cpu().double().numpy()
        if not products.any():
            return
        alpha = self.combine(products, lambdas)
        if self.rescaled:
            alpha = alpha * lambdas.sum() / alpha.sum()
        self.weights.copy_(torch.from_numpy(alpha / lambdas))


class CaGrad(Combination):
    """Conflict-averse: the direction within `c` ‖g_0‖ of the mean one, g_0 = Σ λ g, whose worst label gains most.

    α = λ + (c ‖g_0‖ / ‖g_v‖) v, where v on the simplex minimises ⟨g_v, g_0⟩ + c ‖g_0‖ ‖g_v‖, g_v = Σ v g; not rescaled
    (Liu et al. 2021, "Conflict-averse gradient descent", eq. 3 and 4).
    """

    name = "cagrad"
    options: ClassVar[Mapping[str, Option]] = {"c": Option(0.5, largest=1.0)}
    when = "near λ, but no label is left behind" + COST

    def combine(self, gram: np.ndarray, lambdas: np.ndarray) -> np.ndarray:
        scale = np.trace(gram) / len(gram)
        inner = gram / scale
        length = np.sqrt(max(lambdas @ inner @ lambdas, 0.0))
        if length <= TINY:
            return lambdas

        def worst(v: np.ndarray) -> tuple[float, np.ndarray]:
            norm = np.sqrt(max(v @ inner @ v, TINY))
            slope = inner @ lambdas + self.given["c"] * length * (inner @ v) / norm
            return v @ inner @ lambdas + self.given["c"] * length * norm, slope

        count = len(gram)
        found = minimize(
            worst,
            np.full(count, 1 / count),
            jac=True,
            method="SLSQP",
            bounds=[(0, 1)] * count,
            constraints={"type": "eq", "fun": lambda v: v.sum() - 1, "jac": lambda v: np.ones(count)},
            options={"ftol": 1e-12, "maxiter": 500},
        )
        v = found.x.clip(min=0)
        v /= v.sum()
        return lambdas + self.given["c"] * length / np.sqrt(max(v @ inner @ v, TINY)) * v


class AlignedMtl(Combination):
    """The gradients made orthogonal and equally long, as little changed as can be: α = √σ_min V Σ^(-1/2) Vᵀ λ.

    V and Σ are the eigenvectors and eigenvalues σ of the inner products, σ_min the least of those that are not zero;
    rescaled to Σ α = Σ λ (Senushkin et al. 2023, alg. 1). How many are zero is told by the gradients' cosines, whatever
    their lengths, within the rounding of float32, in which they were computed.
    """

    name = "aligned_mtl"
    when = "gradients of unlike length and direction count alike" + COST
    rescaled = True

    def combine(self, gram: np.ndarray, lambdas: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh(gram)
        turns = np.linalg.eigvalsh(cosines(gram)[0])
        zeros = np.count_nonzero(turns <= turns[-1] * len(gram) * np.finfo(np.float32).eps)
        values, vectors = values[zeros:], vectors[:, zeros:]
        alpha = np.sqrt(values[0]) * (vectors / np.sqrt(values)) @ (vectors.T @ lambdas)
        return alpha if alpha.sum() > TINY else lambdas


class NashMtl(Combination):
    """The bargain in which each label gains in proportion: G α = λ / α, α > 0; rescaled to Σ α = Σ λ.

    G are the inner products. With equal λ it is the solution of Navon et al. (2022, eq. 2), here the minimum of
    αᵀ G α / 2 - Σ λ log α, found by Newton's method; a label's part of the gain is its λ (weighted bargaining).
    """

    name = "nash_mtl"
    when = "unlike scale, and every label gains" + COST
    rescaled = True

    def combine(self, gram: np.ndarray, lambdas: np.ndarray) -> np.ndarray:
        alike, lengths = cosines(gram)
        return bargain(alike, lambdas) / lengths  # α · length solves the same for gradients of length 1


class UpGrad(Combination):
    """The sum of each label's gradient, λ g, projected onto the directions in which no label loses; not rescaled.

    α = Σ_i argmin_{v ≥ λ_i e_i} vᵀ G v, G the inner products (Quinton and Rey 2024, "Jacobian descent", sect. 3).
    """

    name = "upgrad"
    when = "λ, with what harms another label taken out" + COST

    def combine(self, gram: np.ndarray, lambdas: np.ndarray) -> np.ndarray:
        values, vectors = np.linalg.eigh(gram / np.trace(gram))
        root = np.sqrt(values.clip(min=0))[:, None] * vectors.T
        alpha = np.zeros(len(gram))
        for i, weight in enumerate(lambdas):
            beyond, _ = nnls(root, -weight * root[:, i])
            alpha += beyond
            alpha[i] += weight
        return alpha


def cosines(gram: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Inner products of gradients divided by their lengths, and these; those of almost none are a little longer."""
    lengths = np.sqrt(gram.diagonal().clip(min=TINY * np.trace(gram)))
    return gram / np.outer(lengths, lengths), lengths


def bargain(gram: np.ndarray, shares: np.ndarray) -> np.ndarray:
    """The α > 0 with gram α = shares / α, elementwise.

    Newton's method on αᵀ gram α / 2 - Σ shares log α, whose minimum it is, from the solution without inner products
    between different rows, with steps that are halved until they gain.
    """

    def value(alpha: np.ndarray) -> float:
        return alpha @ gram @ alpha / 2 - shares @ np.log(alpha)

    alpha = np.sqrt(shares / gram.diagonal().clip(min=TINY))
    for _ in range(NEWTON_STEPS):
        slope = gram @ alpha - shares / alpha
        step = np.linalg.solve(gram + np.diag(shares / alpha**2), slope)
        decrease, size = slope @ step, 1.0
        if decrease < 1e-20 * shares.sum():
            break
        while (alpha - size * step).min() <= 0:
            size /= 2
        while value(alpha - size * step) > value(alpha) - 1e-4 * size * decrease and size > 1e-12:
            size /= 2
        alpha = alpha - size * step
    return alpha
