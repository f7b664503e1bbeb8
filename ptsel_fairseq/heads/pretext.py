"""Heads and λ as one torch module for any trainer: the encoder's frames and a batch's tracks to the pretext loss."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, distributed, nn

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.heads.balancing import (
    NONE,
    RULES,
    Balancing,
    build_balancing,
    check_balancing,
    gradient_products,
)
from ptsel_fairseq.heads.heads import PtselHeads
from ptsel_fairseq.heads.losses import Errors, label_terms, pretext_errors
from ptsel_fairseq.heads.settings import HeadSettings, read_head_settings


class PretextOutput(NamedTuple):
    """What a batch says: the `loss` scale · Σ_k λ_k · w_k · L_k, to be added to the trainer's own [], and the labels'
    `errors` in this process's batch, label -> `Errors`.
    """

    loss: Tensor
    errors: dict[str, Errors]

    def means(self) -> dict[str, float]:
        """label -> L_k of this process's batch, unweighted; nan where no frame counts. Waits for the device."""
        return {label: (error.loss / error.frames).item() for label, error in self.errors.items()}

    def skills(self) -> dict[str, float]:
        """label -> 1 - loss / loss of the best constant on the same frames; nan where that is 0. Waits too."""
        return {label: 1 - (error.loss / error.of_constant).item() for label, error in self.errors.items()}


class PretextLoss(nn.Module):
    """``scale · Σ_k λ_k · w_k · L_k``, the pretext part of the plugin's criterion, with heads for each label.

    L_k is the mean of label k's loss over the valid frames and the label's dimensions, in float32, of tracks in
    standard deviations; w_k is 1 without balancing. It equals what the criterion `ptsel_wav2vec` adds for the same
    frames, divided by its sample size.

    In training with torch.distributed, L_k is divided by the frames of all processes, such that gradients averaged over
    them (as DistributedDataParallel does) are those of one process on the joined batch; every process must then take
    part in each training step.

    Args:
        weights: label -> λ_k > 0, in the order in which batches hold the tracks.
        dims: label -> dimension of its track (`labels.CropDataset.dims`).
        width: of the encoder's output frames, or place -> width for heads elsewhere (`conv` where it differs).
        heads: as ``criterion.pretext_heads`` of a recipe: settings of all under `default`, of one under its label.
        depth: number of the encoder's layers that heads may attach to by number; 0 for none.
        scale: on the whole.
        balancing, options: rule that rescales the losses and its options, as in recipes; call `begin_update` before and
            `end_update` after each update then.
        seed: of rules that draw.
        code_counts: labels of codes among them -> how often each code occurs in training
            (`LabelStore.statistics(label).counts`); their heads have an output for each code.

    Raises:
        PtselError: no label, a weight that is not positive, or settings that cannot be used.
    """

    def __init__(
        self,
        weights: Mapping[str, float],
        dims: Mapping[str, int],
        width: int | Mapping[str | int, int],
        heads: Mapping[str, Any] | None = None,
        *,
        depth: int = 0,
        scale: float = 1.0,
        balancing: str = NONE,
        options: Mapping[str, Any] | None = None,
        seed: int = 1,
        code_counts: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        counts = {label: numbers for label, numbers in (code_counts or {}).items() if label in weights}
        check_positive(weights)
        missing = [label for label in weights if label not in dims]
        if missing:
            raise PtselError(
                f"dims: expected one for each label of weights, found none of {', '.join(missing)}"
            )
        labels = list(weights)
        sizes = [len(counts[label]) if label in counts else dims[label] for label in labels]
        settings = read_head_settings(heads or {}, labels, sizes, layer=-1, depth=depth, codes=counts)
        for label, head in zip(labels, settings, strict=True):
            if head.source == "online":
                raise PtselError(
                    f"heads: {label} has source: online, which the plugin's task fills in; expected source: store"
                )
        widths = {"output": width} if isinstance(width, int) else width
        self.heads = PtselHeads(widths, labels, sizes, settings)
        self.heads.set_code_counts(counts)
        self.weights = dict(weights)
        self.scale = scale
        self.balancing = plan_balancing(balancing, options or {}, weights, settings, seed)

    @property
    def raw_labels(self) -> set[str]:
        """Labels whose loss is of their own values or codes; the dataset takes them as `raw`."""
        return self.heads.raw_labels

    def forward(
        self,
        frames: Tensor | Mapping[str | int, Tensor],
        pretext: Mapping[str, Tensor],
        padding_mask: Tensor | None = None,
        mask: Tensor | None = None,
    ) -> PretextOutput:
        """The loss of a batch.

        Args:
            frames: the encoder's output [batch, frames, width], or place -> its frames for heads elsewhere.
            pretext: ``target`` [batch, frames, sum of dims] and ``valid`` bool [batch, frames, labels], as
                `labels.CropDataset` makes them; the encoder may give fewer frames, never more.
            padding_mask: bool [batch, frames], True on padding, where `valid` does not say so already.
            mask: bool [batch, frames], the frames that the encoder saw masked, for heads with ``frames: masked`` or
                ``unmasked``.

        Raises:
            PtselError: a place of a head whose frames are missing, or more frames than the tracks have.
        """
        places = {"output": frames} if isinstance(frames, Tensor) else frames
        missing = [str(place) for place in self.heads.places if place not in places]
        if missing:
            raise PtselError(
                f"heads attach at {', '.join(missing)}; expected frames of these places, found those of "
                f"{', '.join(map(str, places))}"
            )
        output = {"pretext": self.heads(places), "padding_mask": padding_mask, "pretext_mask": mask}
        frequencies = self.heads.log_frequencies(pretext["target"].device)
        errors = pretext_errors(output, {"pretext": pretext}, self.heads.settings, frequencies)
        counts = torch.stack([error.frames for error in errors.values()])
        weights: dict[str, float | Tensor] = dict(self.weights)
        if self.training:
            counts = mean_over_processes(counts)
        if self.balancing is not None:
            if self.training:
                observe(self.balancing, errors, {place: places[place] for place in self.heads.places})
            weights = {
                label: weight * self.balancing.weights[k] for k, (label, weight) in enumerate(weights.items())
            }
        terms = label_terms(errors, weights, dict(zip(errors, counts.unbind(), strict=True)))
        return PretextOutput(self.scale * torch.stack(list(terms.values())).sum(), errors)

    def begin_update(self) -> None:
        """Before the first batch of an update: forget what an update that was given up has left to the balancing."""
        if self.balancing is not None:
            self.balancing.begin_update()

    def end_update(self) -> None:
        """After an update: set the balancing's weights of the next one from all batches of all processes."""
        if self.balancing is not None:
            self.balancing.end_update(sum_over_processes)


def check_positive(weights: Mapping[str, float]) -> None:
    """Raise PtselError unless there are weights and all are positive numbers."""
    wrong = [f"{label}: {weight}" for label, weight in weights.items() if not 0 < weight < float("inf")]
    if wrong or not weights:
        raise PtselError(
            f"weights: expected a positive weight for each label, found {', '.join(wrong) or 'no label'}; leave labels "
            "of weight 0 out, and the whole pretext loss where none is left"
        )


def plan_balancing(
    rule: str,
    options: Mapping[str, Any],
    weights: Mapping[str, float],
    settings: Sequence[HeadSettings],
    seed: int,
) -> Balancing | None:
    """The balancing rule of a name, None for `none`; raises PtselError if it cannot be used with these heads."""
    options = check_balancing(rule, options)
    check_places(rule, settings)
    return None if rule == NONE else build_balancing(rule, options, list(weights.values()), seed)


def check_places(rule: str, settings: Sequence[HeadSettings]) -> None:
    """Raise PtselError for a rule that compares gradients of heads at several places."""
    places = {head.attach for head in settings}
    if rule != NONE and RULES.get(rule).of_gradients and len(places) > 1:
        raise PtselError(
            f"criterion.pretext_balancing: {rule} compares gradients at one place, but heads attach at "
            f"{', '.join(sorted(map(str, places)))}; attach them all at one, or take another rule"
        )


def observe(balancing: Balancing, errors: Mapping[str, Errors], frames: Mapping[str | int, Tensor]) -> None:
    """Show a micro-batch to the balancing rule; rules of gradients get those at the heads' common `frames`."""
    losses = [error.loss for error in errors.values()]
    gram = None
    if balancing.of_gradients:
        gram = gradient_products(losses, next(iter(frames.values())))
    balancing.observe(torch.stack(losses), torch.stack([error.frames for error in errors.values()]), gram)


def sum_over_processes(values: Tensor) -> Tensor:
    """The sum over the processes of torch.distributed; the values themselves where it is not initialised."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    total = values.detach().clone()
    distributed.all_reduce(total)
    return total


def mean_over_processes(values: Tensor) -> Tensor:
    """The mean over the processes of torch.distributed; the values themselves where it is not initialised."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return values
    return sum_over_processes(values) / distributed.get_world_size()
