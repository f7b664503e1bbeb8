"""Rules that weigh a label by its own loss: against its first, its running, its earlier, or the others'."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from torch import Tensor

from ptsel_fairseq.heads.balancing.rule import TINY, Balancing, Option

PERIOD = Option(100, whole=True)  # updates


class Equal(Balancing):
    """w_k = mean(λ) / λ_k, which overrules λ; not rescaled."""

    name = "equal"
    when = "the control for the choice of λ: every label counts as much as the others"

    def __init__(self, options: Mapping[str, float], lambdas: Sequence[float], seed: int = 1) -> None:
        super().__init__(options, lambdas, seed)
        self.weights = self.lambdas.mean() / self.lambdas

    def change(self, losses: Tensor, gram: Tensor | None) -> None:
        pass


class InitialRatio(Balancing):
    """1 / mean of L_k over the first `period` updates, in which w = 1; rescaled."""

    name = "initial_ratio"
    options: ClassVar[Mapping[str, Option]] = {"period": PERIOD}
    when = "losses of unlike scale, e.g. mse beside cosine"
    reference: Tensor

    def __init__(self, options: Mapping[str, float], lambdas: Sequence[float], seed: int = 1) -> None:
        super().__init__(options, lambdas, seed)
        self.remember("reference", len(lambdas))  # the mean, or the part of it that is known

    def change(self, losses: Tensor, gram: Tensor | None) -> None:
        period = int(self.given["period"])
        if self.done <= period:
            self.reference += losses / period
        if self.done == period:
            self.set_rescaled(1 / self.reference.clamp(min=TINY))


class RunningRatio(Balancing):
    """1 / running mean of L_k, over about `period` updates; rescaled."""

    name = "running_ratio"
    options: ClassVar[Mapping[str, Option]] = {"period": PERIOD}
    when = InitialRatio.when
    reference: Tensor

    def __init__(self, options: Mapping[str, float], lambdas: Sequence[float], seed: int = 1) -> None:
        super().__init__(options, lambdas, seed)
        self.remember("reference", len(lambdas))

    def change(self, losses: Tensor, gram: Tensor | None) -> None:
        # A plain mean until `period` updates have been seen.
        self.reference += (losses - self.reference) / min(self.done, int(self.given["period"]))
        self.set_rescaled(1 / self.reference.clamp(min=TINY))


class DynamicWeightAverage(Balancing):
    """softmax(r_k / `temperature`), rescaled; 1 in the first two periods (Liu, Johns and Davison 2019, eq. 7).

    r_k is the mean of L_k over the last `period` updates divided by that over the period before.
    """

    name = "dwa"
    options: ClassVar[Mapping[str, Option]] = {"period": PERIOD, "temperature": Option(2.0)}
    when = "more for labels that have stopped improving; leaves scale as it is"
    reference: Tensor
    before: Tensor

    def __init__(self, options: Mapping[str, float], lambdas: Sequence[float], seed: int = 1) -> None:
        super().__init__(options, lambdas, seed)
        self.remember("reference", len(lambdas))  # this period's sum, over its length
        self.remember("before", len(lambdas))  # the mean of the period before

    def change(self, losses: Tensor, gram: Tensor | None) -> None:
        period = int(self.given["period"])
        self.reference += losses / period
        if self.done % period:
            return
        if self.done > period:
            ratio = self.reference / self.before.clamp(min=TINY)
            self.set_rescaled(torch.softmax(ratio / self.given["temperature"], 0))
        self.before.copy_(self.reference)
        self.reference.zero_()


class Geometric(Balancing):
    """G / L_k with G = exp(Σ λ_k log L_k / Σ λ), the gradient of Σ λ · G; not rescaled (Chennupati et al. 2019)."""

    name = "geometric"
    when = "unlike scale; follows each update at once, so it is noisy"

    def change(self, losses: Tensor, gram: Tensor | None) -> None:
        safe = losses.clamp(min=TINY)
        mean = torch.exp((self.lambdas * safe.log()).sum() / self.lambdas.sum())
        self.weights.copy_(mean / safe)
