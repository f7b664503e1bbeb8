"""The losses of a head: one class each, known by name."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional

from ptsel_fairseq.base.extensions import Registry


class Loss(ABC):
    """How a prediction is judged. A loss is a subclass; it has no state.

    Attributes:
        name: in recipes.
        when: for the documentation, what it is for.
        least_dims: the fewest dimensions of a label that it can judge.
        of_raw_values: whether it is of the label's own values, which must lie between 0 and 1, and not of standard
            deviations of the training split.
        of_codes: whether it judges labels of codes, whose targets [..., 1] are whole numbers and whose predictions
            [..., codes] are logits. Other labels cannot have it, and labels of codes no other.
    """

    name: ClassVar[str]
    when: ClassVar[str] = ""
    least_dims: ClassVar[int] = 1
    of_raw_values: ClassVar[bool] = False
    of_codes: ClassVar[bool] = False

    @abstractmethod
    def of_frames(self, predicted: Tensor, target: Tensor) -> Tensor:
        """The loss of each frame, [..., dim] -> [...]; of codes [..., codes] and [..., 1] -> [...]."""

    @abstractmethod
    def best_constant(self, target: Tensor, counts: Tensor) -> Tensor | None:
        """The prediction that loses least where it must be the same for every frame [1, dim].

        Args:
            target: [frames, dim]; counts: bool [frames], which frames count, perhaps none.

        Returns:
            None where no constant says anything, and a frame then loses 1. Not asked of a loss of codes, whose
            constants are the logarithms of the codes' frequencies.
        """


def _of_this_module() -> Iterator[Loss]:
    for found in list(globals().values()):
        if isinstance(found, type) and issubclass(found, Loss) and "name" in vars(found):
            yield found()


LOSSES: Registry[Loss] = Registry("loss", "losses", "ptsel_fairseq.losses", _of_this_module)


def register_loss(loss: type[Loss]) -> type[Loss]:
    """Decorator: make a loss known under its name; raise PtselError if that cannot be used or is taken."""
    LOSSES.register(loss())
    return loss


def median(target: Tensor, counts: Tensor) -> Tensor:
    """Of each dimension over the frames that count, the lower of two [1, dim]."""
    ordered = target.masked_fill(~counts.unsqueeze(-1), torch.inf).sort(0).values
    middle = (counts.sum() - 1).clamp(min=0) // 2
    return ordered.index_select(0, middle.reshape(1))


def mean(target: Tensor, counts: Tensor) -> Tensor:
    """Of each dimension over the frames that count [1, dim]."""
    return (target * counts.unsqueeze(-1)).sum(0, keepdim=True) / counts.sum().clamp(min=1)


class L1(Loss):
    """Mean of |ẑ - z|; its best constant is the median, of skewed labels a much better one than the mean."""

    name = "l1"
    when = "the papers' loss"

    def of_frames(self, predicted: Tensor, target: Tensor) -> Tensor:
        return (predicted - target).abs().mean(-1)

    def best_constant(self, target: Tensor, counts: Tensor) -> Tensor:
        return median(target, counts)


class Mse(Loss):
    """Mean of (ẑ - z)²."""

    name = "mse"
    when = "PASE's loss"

    def of_frames(self, predicted: Tensor, target: Tensor) -> Tensor:
        return (predicted - target).square().mean(-1)

    def best_constant(self, target: Tensor, counts: Tensor) -> Tensor:
        return mean(target, counts)


class SmoothL1(Loss):
    """Square below one standard deviation, a line above (Huber's loss)."""

    name = "smooth_l1"
    when = "square below one standard deviation"

    def of_frames(self, predicted: Tensor, target: Tensor) -> Tensor:
        return functional.smooth_l1_loss(predicted, target, reduction="none").mean(-1)

    def best_constant(self, target: Tensor, counts: Tensor) -> Tensor:
        return median(target, counts)


class Cosine(Loss):
    """1 - cos(ẑ, z)."""

    name = "cosine"
    when = "2 dimensions or more"
    least_dims = 2

    def of_frames(self, predicted: Tensor, target: Tensor) -> Tensor:
        return 1 - functional.cosine_similarity(predicted, target, dim=-1)

    def best_constant(self, target: Tensor, counts: Tensor) -> None:
        return None


class Bce(Loss):
    """Cross-entropy of logits and the label's own values."""

    name = "bce"
    when = "of the label's own values, which must lie between 0 and 1, e.g. voicing"
    of_raw_values = True

    def of_frames(self, predicted: Tensor, target: Tensor) -> Tensor:
        return functional.binary_cross_entropy_with_logits(predicted, target, reduction="none").mean(-1)

    def best_constant(self, target: Tensor, counts: Tensor) -> Tensor:
        return torch.logit(mean(target, counts), eps=1e-6)


class CrossEntropy(Loss):
    """-log softmax(ẑ) of the code that is right, in nats; the loss of HuBERT and BEST-RQ."""

    name = "cross_entropy"
    when = "of labels of codes, which have no other"
    of_codes = True

    def of_frames(self, predicted: Tensor, target: Tensor) -> Tensor:
        losses = functional.cross_entropy(predicted.flatten(0, -2), target.flatten().long(), reduction="none")
        return losses.view(predicted.shape[:-1])

    def best_constant(self, target: Tensor, counts: Tensor) -> None:
        return None
