"""Rules that rescale the pretext losses during training, on top of λ.

A rule gives each label a weight w; its pretext term is λ · w · loss. The weights of an update follow from the
losses of the updates before it, averaged over all workers and micro-batches, so every worker holds the same
ones. All state is buffers of the model: it is in the checkpoint, and a resumed run goes on bit for bit. The
numbers that some rules learn (s below) are moved by an Adam of their own, out of reach of the recipe's
learning rate and weight decay.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy.optimize import nnls
from torch import Tensor

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.heads.balancing.buffers import Float32Buffers

TINY = 1e-12
# rule -> its options with their defaults
RULES: dict[str, dict[str, float]] = {
    "none": {},
    "equal": {},
    "initial_ratio": {"period": 100},
    "running_ratio": {"period": 100},
    "dwa": {"period": 100, "temperature": 2.0},
    "uncertainty": {"learning_rate": 0.025},
    "imtl_l": {"learning_rate": 0.025},
    "geometric": {},
    "random": {},
    "worker_dropout": {"keep": 0.5},
    "gradnorm": {"alpha": 1.5, "learning_rate": 0.025},
    "mgda": {},
}
OF_GRADIENTS = ("gradnorm", "mgda")


def check_balancing(rule: str, options: Mapping[str, Any]) -> dict[str, float]:
    """The options of a rule with their defaults filled in; raises PtselError if they cannot be used."""
    if rule not in RULES:
        raise PtselError(f"criterion.pretext_balancing: expected one of {', '.join(RULES)}, found {rule!r}")
    unknown = sorted(set(map(str, options)) - set(RULES[rule]))
    if unknown:
        raise PtselError(
            f"criterion.pretext_balancing_options: {rule} has {', '.join(RULES[rule]) or 'none'}, found "
            f"{', '.join(unknown)}"
        )
    filled = {**RULES[rule], **options}
    for name, value in filled.items():
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        highest = 1.0 if name == "keep" else float("inf")
        if not number or not 0 < value <= highest or value == float("inf"):
            raise PtselError(
                f"criterion.pretext_balancing_options.{name}: expected a positive number"
                f"{' of at most 1' if name == 'keep' else ''}, found {value!r}"
            )
        if name == "period" and value != int(value):
            raise PtselError(
                f"criterion.pretext_balancing_options.period: expected a whole number of updates, found {value!r}"
            )
    return filled


class PtselBalancing(Float32Buffers):
    """The weights w of one rule and what they follow from.

    With L_k the loss of label k in the last update, K labels, w rescaled to sum K unless said otherwise:

    * ``equal``: w_k = mean(λ) / λ_k, which overrules λ (not rescaled);
    * ``initial_ratio``: 1 / mean of L_k over the first `period` updates, in which w = 1;
    * ``running_ratio``: 1 / running mean of L_k, over about `period` updates;
    * ``dwa``: softmax(r_k / `temperature`), r_k the mean of L_k over the last `period` updates divided by that over
      the period before; 1 in the first two (Liu et al. 2019);
    * ``uncertainty``: exp(-s_k) / 2, s_k minimising exp(-s_k) L_k / 2 + s_k / 2 (Kendall et al. 2018; not rescaled);
    * ``imtl_l``: exp(s_k), s_k minimising exp(s_k) L_k - s_k (Liu et al. 2021; not rescaled);
    * ``geometric``: G / L_k with G = exp(Σ λ_k log L_k / Σ λ), the gradient of Σ λ · G (not rescaled);
    * ``random``: softmax(z), z standard normal, drawn each update (Lin et al. 2022);
    * ``worker_dropout``: 1 / `keep` with probability `keep`, else 0, drawn each update (not rescaled);
    * ``gradnorm``: softmax(s), s minimising Σ_k |w_k g_k - mean(w g) r_k^`alpha`|, g_k the norm of the gradient of L_k
      at the frames that enter the heads, r_k = (L_k / L_k of the first update) / their mean (Chen et al. 2018);
    * ``mgda``: the convex combination of those gradients of least norm (Désidéri 2012).

    A label keeps its loss of the update before where it has no valid frame or the loss is not finite, as happens when
    mixed precision overflows; then gradients say nothing either.

    Args:
        rule: its name, not `none`.
        options: as `check_balancing` returns them.
        lambdas: λ of each label, positive.
        seed: of the rules that draw.
    """

    def __init__(
        self, rule: str, options: Mapping[str, float], lambdas: Sequence[float], seed: int = 1
    ) -> None:
        super().__init__()
        self.rule, self.options, self.seed = rule, dict(options), seed
        count = len(lambdas)
        # The recipe's, also when a checkpoint of other weights is continued.
        self.register_buffer("lambdas", torch.tensor(lambdas, dtype=torch.float32), persistent=False)
        self.register_buffer("weights", torch.ones(count))
        self.register_buffer("losses", torch.zeros(count))  # of the last update
        self.register_buffer("reference", torch.zeros(count))  # first, running or this period's sum of losses
        self.register_buffer("before", torch.zeros(count))  # the mean of the period before
        self.register_buffer("learned", torch.zeros(count))  # s
        self.register_buffer("moments", torch.zeros(2, count))  # Adam's
        self.register_buffer("updates", torch.zeros(1, dtype=torch.int64))
        self._sums: list[Tensor] = []
        self._done = 0  # updates, on the host
        if rule == "equal":
            self.weights = self.lambdas.mean() / self.lambdas
        elif rule == "uncertainty":
            self.weights = torch.full((count,), 0.5)
        elif rule in ("random", "worker_dropout"):
            self.weights = self._drawn(0)

    @classmethod
    def from_json(cls, text: str) -> PtselBalancing:
        return cls(**json.loads(text))

    def begin_update(self) -> None:
        """Forget what an update that was given up (an overflow) has left."""
        self._sums = []

    def observe(self, errors: Tensor, frames: Tensor, gram: Tensor | None = None) -> None:
        """Add one micro-batch: summed losses and frames [labels], inner products of gradients [labels, labels]."""
        parts = [errors.detach(), frames.detach()] + ([gram.flatten()] if gram is not None else [])
        self._sums.append(torch.cat(parts).double())

    @torch.no_grad()
    def end_update(self, sum_over_workers: Callable[[Tensor], Tensor]) -> None:
        """Set the weights of the next update from all micro-batches of all workers of this one."""
        count = len(self.weights)
        size = 2 * count + (count * count if self.rule in OF_GRADIENTS else 0)
        # A worker that only had a dummy batch still takes part in the sum.
        own = sum(self._sums) if self._sums else self.weights.new_zeros(size, dtype=torch.float64)
        self._sums = []
        total = sum_over_workers(own)
        errors, frames = total[:count], total[count : 2 * count]
        known = (frames > 0) & errors.isfinite()
        losses = torch.where(known, errors / frames.clamp(min=1), self.losses.double()).float()
        self._done += 1
        self.updates += 1
        gram = None
        if self.rule in OF_GRADIENTS:
            scale = frames.clamp(min=1)
            gram = total[2 * count :].view(count, count) / (scale[:, None] * scale[None, :])
            gram = torch.where(gram.isfinite().all(), gram, 0.0)
        self.losses.copy_(losses)
        self._change(losses, gram)

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        super()._load_from_state_dict(*args, **kwargs)
        self._done = int(self.updates)

    def _change(self, losses: Tensor, gram: Tensor | None) -> None:
        count, done, period = len(losses), self._done, int(self.options.get("period", 1))
        safe = losses.clamp(min=TINY)
        if self.rule == "initial_ratio":
            if done <= period:
                self.reference += losses / period
            if done == period:
                self._set(1 / self.reference.clamp(min=TINY))
        elif self.rule == "running_ratio":
            # A plain mean until `period` updates have been seen.
            self.reference += (losses - self.reference) / min(done, period)
            self._set(1 / self.reference.clamp(min=TINY))
        elif self.rule == "dwa":
            self.reference += losses / period
            if done % period == 0:
                if done > period:
                    ratio = self.reference / self.before.clamp(min=TINY)
                    self._set(torch.softmax(ratio / self.options["temperature"], 0))
                self.before.copy_(self.reference)
                self.reference.zero_()
        elif self.rule == "uncertainty":
            self._adam(0.5 - 0.5 * torch.exp(-self.learned) * losses)
            self.weights.copy_(0.5 * torch.exp(-self.learned))
        elif self.rule == "imtl_l":
            self._adam(torch.exp(self.learned) * losses - 1)
            self.weights.copy_(torch.exp(self.learned))
        elif self.rule == "geometric":
            mean = torch.exp((self.lambdas * safe.log()).sum() / self.lambdas.sum())
            self.weights.copy_(mean / safe)
        elif self.rule in ("random", "worker_dropout"):
            self.weights.copy_(self._drawn(done))
        elif self.rule == "gradnorm":
            if done == 1:
                self.reference.copy_(safe)
            weights = count * torch.softmax(self.learned, 0)
            norms = gram.diagonal().clamp(min=0).sqrt().float()
            rate = safe / self.reference
            wanted = (weights * norms).mean() * (rate / rate.mean()) ** self.options["alpha"]
            slope = torch.sign(weights * norms - wanted) * norms  # with respect to w
            share = weights / count
            self._adam(weights * (slope - (share * slope).sum()))
            self.weights.copy_(count * torch.softmax(self.learned, 0))
        elif self.rule == "mgda":
            products = gram.cpu().numpy()
            if products.any():
                self._set(torch.from_numpy(min_norm(products)).to(self.weights))

    def _set(self, weights: Tensor) -> None:
        self.weights.copy_(len(weights) * weights / weights.sum())

    def _adam(self, gradient: Tensor) -> None:
        """One step of Adam (Kingma and Ba 2015) on s, with its usual constants."""
        first, second = self.moments
        first.lerp_(gradient, 0.1)
        second.lerp_(gradient.square(), 0.001)
        step = (first / (1 - 0.9**self._done)) / ((second / (1 - 0.999**self._done)).sqrt() + 1e-8)
        self.learned -= self.options["learning_rate"] * step

    def _drawn(self, update: int) -> Tensor:
        rng = np.random.default_rng([self.seed, update])
        count = len(self.lambdas)
        if self.rule == "random":
            drawn = np.exp(rng.standard_normal(count))
            drawn *= count / drawn.sum()
        else:
            drawn = (rng.random(count) < self.options["keep"]) / self.options["keep"]
        return torch.from_numpy(drawn).to(self.weights)


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
    """Inner products [labels, labels] of the gradients of summed losses at the frames that enter the heads."""
    gradients = [
        torch.autograd.grad(loss, frames, retain_graph=True)[0].float().flatten().double() for loss in losses
    ]
    stacked = torch.stack(gradients)
    return stacked @ stacked.T
