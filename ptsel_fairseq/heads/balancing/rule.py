"""What every balancing rule has in common, and the rules that are known by name.

A rule gives each label a weight w; its pretext term is λ · w · loss. The weights of an update follow from the
losses of the updates before it, averaged over all workers and micro-batches, so every worker holds the same
ones. All state is buffers of the model: it is in the checkpoint, and a resumed run goes on bit for bit.
"""

from __future__ import annotations

import json
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.extensions import Registry
from ptsel_fairseq.heads.balancing.buffers import Float32Buffers

TINY = 1e-12
WITHOUT_FLOAT64 = ("mps",)
NONE = "none"  # what a recipe says that balances nothing
# Buffers that every rule had in version 0.1, whether it used them or not.
OF_VERSION_0_1 = ("reference", "before", "learned", "moments")


@dataclass(frozen=True)
class Option:
    """A number that a recipe may give a rule: its default, its largest value, and whether it is a whole one."""

    default: float
    largest: float = float("inf")
    whole: bool = False

    def check(self, name: str, value: Any) -> None:
        """Raise PtselError unless the value is a positive number of this kind."""
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not number or not 0 < value <= self.largest or value == float("inf"):
            limit = "" if self.largest == float("inf") else f" of at most {self.largest:g}"
            raise PtselError(
                f"criterion.pretext_balancing_options.{name}: expected a positive number{limit}, found {value!r}"
            )
        if self.whole and value != int(value):
            raise PtselError(
                f"criterion.pretext_balancing_options.{name}: expected a whole number of updates, found {value!r}"
            )


def wide(tensor: Tensor) -> torch.dtype:
    """The type for a few numbers of any size where a tensor is: float64, or float32 on a device that has no other."""
    return torch.float32 if tensor.device.type in WITHOUT_FLOAT64 else torch.float64


class Balancing(Float32Buffers):
    """A rule's weights w and what they follow from. A rule is a subclass that changes them in `change`.

    A label keeps its loss of the update before where it has no valid frame or the loss is not finite, as happens when
    mixed precision overflows; then gradients say nothing either.

    Attributes:
        name: in recipes.
        options: the numbers that a recipe may give it.
        when: for the documentation, when to take it.
        of_gradients: whether `change` is given the inner products of the labels' gradients.
        weights: w of each label, float32 [labels].
        done: updates so far.

    Args:
        options: as `check_balancing` returns them.
        lambdas: λ of each label, positive.
        seed: of rules that draw.
    """

    name: ClassVar[str]
    options: ClassVar[Mapping[str, Option]] = {}
    when: ClassVar[str] = ""
    of_gradients: ClassVar[bool] = False
    lambdas: Tensor
    weights: Tensor
    losses: Tensor
    updates: Tensor

    def __init__(self, options: Mapping[str, float], lambdas: Sequence[float], seed: int = 1) -> None:
        super().__init__()
        self.given, self.seed = dict(options), seed
        # The recipe's, also when a checkpoint of other weights is continued.
        self.register_buffer("lambdas", torch.tensor(lambdas, dtype=torch.float32), persistent=False)
        self.register_buffer("weights", torch.ones(len(lambdas)))
        self.register_buffer("losses", torch.zeros(len(lambdas)))  # of the last update
        self.register_buffer("updates", torch.zeros(1, dtype=torch.int64))
        self.done = 0  # the same, on the host
        self._sums: list[Tensor] = []

    def remember(self, name: str, *shape: int) -> None:
        """Give the rule a buffer of zeros, float32, which checkpoints keep and half precision leaves alone."""
        self.register_buffer(name, torch.zeros(*shape))

    @abstractmethod
    def change(self, losses: Tensor, gram: Tensor | None) -> None:
        """Set `weights` after an update; without gradient.

        Args:
            losses: mean loss of each label in it, float32 [labels].
            gram: inner products of the gradients of these losses, of the type `wide` [labels, labels], zeros where they
                are not finite; None unless `of_gradients`.
        """

    def begin_update(self) -> None:
        """Forget what an update that was given up (an overflow) has left."""
        self._sums = []

    def observe(self, errors: Tensor, frames: Tensor, gram: Tensor | None = None) -> None:
        """Add one micro-batch: summed losses and frames [labels], inner products of gradients [labels, labels]."""
        parts = [errors.detach(), frames.detach()] + ([gram.flatten()] if gram is not None else [])
        kind = wide(errors)
        self._sums.append(torch.cat([part.to(kind) for part in parts]))

    @torch.no_grad()
    def end_update(self, sum_over_workers: Callable[[Tensor], Tensor]) -> None:
        """Set the weights of the next update from all micro-batches of all workers of this one."""
        count = len(self.weights)
        size = 2 * count + (count * count if self.of_gradients else 0)
        # A worker that only had a dummy batch still takes part in the sum.
        own = sum(self._sums) if self._sums else self.weights.new_zeros(size, dtype=wide(self.weights))
        self._sums = []
        total = sum_over_workers(own)
        errors, frames = total[:count], total[count : 2 * count]
        known = (frames > 0) & errors.isfinite()
        losses = torch.where(known, errors / frames.clamp(min=1), self.losses).float()
        self.done += 1
        self.updates += 1
        gram = None
        if self.of_gradients:
            scale = frames.clamp(min=1)
            gram = total[2 * count :].view(count, count) / (scale[:, None] * scale[None, :])
            gram = torch.where(gram.isfinite().all(), gram, 0.0)
        self.losses.copy_(losses)
        self.change(losses, gram)

    def set_rescaled(self, weights: Tensor) -> None:
        """Set the weights to these, rescaled to sum to the number of labels."""
        self.weights.copy_(len(weights) * weights / weights.sum())

    def leave_out_older(self, state_dict: dict[str, Any], prefix: str) -> None:
        """Take buffers that version 0.1 kept for every rule, and this one does not use, out of a state dict."""
        for name in OF_VERSION_0_1:
            if name not in self._buffers:
                state_dict.pop(prefix + name, None)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *args: Any) -> None:
        self.leave_out_older(state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *args)
        self.done = int(self.updates)


def _of_this_package() -> Iterator[type[Balancing]]:
    from ptsel_fairseq.heads.balancing import conflict, drawn, gradient, learned, ratios

    for module in (ratios, learned, drawn, gradient, conflict):
        for found in vars(module).values():
            if isinstance(found, type) and found.__module__ == module.__name__ and "name" in vars(found):
                yield found


RULES: Registry[type[Balancing]] = Registry(
    "balancing rule", "balancing rules", "ptsel_fairseq.balancing", _of_this_package
)


def register_rule(rule: type[Balancing]) -> type[Balancing]:
    """Decorator: make a rule known under its name; raise PtselError if that cannot be used or is taken."""
    return RULES.register(rule)


def check_balancing(rule: str, options: Mapping[str, Any]) -> dict[str, float]:
    """The options of a rule with their defaults filled in; raises PtselError if they cannot be used."""
    known: Mapping[str, Option] = {}
    if rule != NONE:
        if rule not in RULES.names():
            raise PtselError(
                f"criterion.pretext_balancing: expected one of {', '.join([NONE, *RULES.names()])}, found {rule!r}"
            )
        known = RULES.get(rule).options
    unknown = sorted(set(map(str, options)) - set(known))
    if unknown:
        raise PtselError(
            f"criterion.pretext_balancing_options: {rule} has {', '.join(known) or 'none'}, found {', '.join(unknown)}"
        )
    filled = {name: options.get(name, option.default) for name, option in known.items()}
    for name, option in known.items():
        option.check(name, filled[name])
    return filled


def build_balancing(
    rule: str, options: Mapping[str, float], lambdas: Sequence[float], seed: int = 1
) -> Balancing:
    """The rule of a name (not `none`), with options as `check_balancing` returns them and λ of each label."""
    return RULES.get(rule)(options, lambdas, seed)


def to_json(rule: str, options: Mapping[str, float], lambdas: Sequence[float], seed: int) -> str:
    """A rule as the configuration of a model keeps it; empty for `none`."""
    if rule == NONE:
        return ""
    return json.dumps({"rule": rule, "options": dict(options), "lambdas": list(lambdas), "seed": seed})


def from_json(text: str) -> Balancing:
    """What `to_json` has written."""
    return build_balancing(**json.loads(text))
