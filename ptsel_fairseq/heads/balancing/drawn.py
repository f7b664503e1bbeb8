"""Rules that draw the weights of each update, the same on every worker and after a restart."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor

from ptsel_fairseq.heads.balancing.rule import Balancing, Option


class Drawn(Balancing):
    """A rule whose weights follow from seed and update alone."""

    def __init__(self, options: Mapping[str, float], lambdas: Sequence[float], seed: int = 1) -> None:
        super().__init__(options, lambdas, seed)
        self.weights = self._at(0)

    @abstractmethod
    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """The weights of one update [count]."""

    def change(self, losses: Tensor, gram: Tensor | None) -> None:
        self.weights.copy_(self._at(self.done))

    def _at(self, update: int) -> Tensor:
        rng = np.random.default_rng([self.seed, update])
        return torch.from_numpy(self.draw(rng, len(self.lambdas))).to(self.weights)


class Random(Drawn):
    """softmax(z), z standard normal, drawn each update; rescaled (Lin et al. 2022)."""

    name = "random"
    when = "the control for any rule whose weights change"

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        drawn = np.exp(rng.standard_normal(count))
        drawn *= count / drawn.sum()
        return drawn


class WorkerDropout(Drawn):
    """1 / `keep` with probability `keep`, else 0, drawn each update; not rescaled."""

    name = "worker_dropout"
    options: ClassVar[Mapping[str, Option]] = {"keep": Option(0.5, largest=1.0)}
    when = "PASE's; the kept labels count 1 / `keep`"

    def draw(self, rng: np.random.Generator, count: int) -> np.ndarray:
        return (rng.random(count) < self.given["keep"]) / self.given["keep"]
