"""Rules whose weights are learned, by an Adam of their own, out of reach of the recipe's rate and weight decay."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ptsel_fairseq.heads.balancing.rule import TINY, Balancing, Option

LEARNING_RATE = Option(0.025)


class Learned(Balancing):
    """A rule that minimises something over one number s for each label, which starts at 0."""

    learned: Tensor
    moments: Tensor

    def __init__(self, options: Mapping[str, float], lambdas: Sequence[float], seed: int = 1) -> None:
        super().__init__(options, lambdas, seed)
        self.remember("learned", len(lambdas))  # s
        self.remember("moments", 2, len(lambdas))  # Adam's

    def step(self, gradient: Tensor, count: int | None = None) -> None:
        """One step of Adam (Kingma and Ba 2015) on s, with its usual constants: the `count`-th, or the update's."""
        count = self.done if count is None else count
        first, second = self.moments
        first.lerp_(gradient, 0.1)
        second.lerp_(gradient.square(), 0.001)
        step = (first / (1 - 0.9**count)) / ((second / (1 - 0.999**count)).sqrt() + 1e-8)
        self.learned -= self.given["learning_rate"] * step


class Uncertainty(Learned):
    """exp(-s_k) / 2, s_k minimising exp(-s_k) L_k / 2 + s_k / 2; not rescaled (Kendall, Gal and Cipolla 2018)."""

    name = "uncertainty"
    options: ClassVar[Mapping[str, Option]] = {"learning_rate": LEARNING_RATE}
    when = "unlike scale, learned"

    def __init__(self, options: Mapping[str, float], lambdas: Sequence[float], seed: int = 1) -> None:
        super().__init__(options, lambdas, seed)
        self.weights = torch.full((len(lambdas),), 0.5)

    def change(self, losses: Tensor, gram: Tensor | None) -> None:
        self.step(0.5 - 0.5 * torch.exp(-self.learned) * losses)
        self.weights.copy_(0.5 * torch.exp(-self.learned))


class ImtlL(Learned):
    """exp(s_k), s_k minimising exp(s_k) L_k - s_k; not rescaled (Liu et al. 2021, loss balance)."""

    name = "imtl_l"
    options: ClassVar[Mapping[str, Option]] = {"learning_rate": LEARNING_RATE}
    when = Uncertainty.when

    def change(self, losses: Tensor, gram: Tensor | None) -> None:
        self.step(torch.exp(self.learned) * losses - 1)
        self.weights.copy_(torch.exp(self.learned))


class Famo(Learned):
    """z_k / (λ_k L_k) with z_k = λ_k exp(s_k) / Σ, rescaled; s lowers the share of labels that improve faster.

    Liu, Feng, Stone and Liu 2023, "FAMO: fast adaptive multitask optimization", algorithm 1: with δ_k the fall of log
    L_k, s follows Adam on z_k (δ_k - Σ_j z_j δ_j) + `decay` s_k. λ is the preference: equal λ are the paper. δ is of
    this update's batch against the last one's, where the paper computes the same batch again after the step.
    """

    name = "famo"
    options: ClassVar[Mapping[str, Option]] = {"learning_rate": LEARNING_RATE, "decay": Option(0.01)}
    when = "every label shall improve at the same rate; needs no gradients"
    before: Tensor

    def __init__(self, options: Mapping[str, float], lambdas: Sequence[float], seed: int = 1) -> None:
        super().__init__(options, lambdas, seed)
        self.remember("before", len(lambdas))  # losses of the last update

    def change(self, losses: Tensor, gram: Tensor | None) -> None:
        safe = losses.clamp(min=TINY)
        if self.done > 1:
            fall = self.before.log() - safe.log()
            z = self.shares()
            self.step(z * (fall - (z * fall).sum()) + self.given["decay"] * self.learned, self.done - 1)
        self.before.copy_(safe)
        self.set_rescaled(self.shares() / (self.lambdas * safe))

    def shares(self) -> Tensor:
        """z [labels], positive, sum 1."""
        return torch.softmax(self.lambdas.log() + self.learned, 0)
