"""wav2vec 2.0's loss plus the weighted pretext losses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from fairseq.criterions import register_criterion
from fairseq.criterions.wav2vec_criterion import Wav2vecCriterion, Wav2VecCriterionConfig
from fairseq.logging import metrics
from torch import Tensor

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.heads.balancing import NONE, RULES
from ptsel_fairseq.heads.losses import CodeErrors, label_terms, pretext_errors
from ptsel_fairseq.heads.pretext import observe
from ptsel_fairseq.plugin import preemption
from ptsel_fairseq.plugin.cosines import cosine_logs
from ptsel_fairseq.plugin.schedule import ScaleSchedule

STOCK_KEYS = ("loss", "ntokens", "nsentences", "sample_size", "correct", "count")


@dataclass
class PtselWav2vecCriterionConfig(Wav2VecCriterionConfig):
    contrastive: bool = field(
        default=True,
        metadata={
            "help": "false: the pretext losses alone, without quantiser and negatives, on audio that is masked only "
            "if a head says frames: masked; infonce, loss_weights and log_keys then say nothing"
        },
    )
    pretext_weights: dict[str, float] = field(
        default_factory=dict,
        metadata={
            "help": "weight λ of each label, as `ptsel select` writes it; a label of weight 0 gets no head"
        },
    )
    pretext_fixed_weights: dict[str, float] = field(
        default_factory=dict,
        metadata={
            "help": "weight of labels that are predicted whatever λ says, e.g. {log_mel: 1.0, mfcc: 1.0}; not part of "
            "the sum to one"
        },
    )
    pretext_heads: dict[str, Any] = field(
        default_factory=dict,
        metadata={
            "help": "settings of the heads: under `default` those of all labels, under a label's name what it has "
            "otherwise, e.g. {default: {type: mlp, hidden: 256}, f0: {loss: smooth_l1, attach: 6}}"
        },
    )
    pretext_balancing: str = field(
        default=NONE,
        metadata={
            "help": "rule that rescales the pretext losses during training, on top of λ: "
            + ", ".join([NONE, *RULES.names()])
        },
    )
    pretext_balancing_options: dict[str, Any] = field(
        default_factory=dict,
        metadata={"help": "options of that rule, e.g. {period: 1000}; see docs/training.md"},
    )
    pretext_sum_to_one: bool = field(
        default=True,
        metadata={"help": "refuse weights that do not sum to one; false only for schemes such as `all`"},
    )
    pretext_scale: float = field(
        default=1.0,
        metadata={"help": "factor on the sum of the weighted pretext losses, against the contrastive loss"},
    )
    pretext_warmup_updates: int = field(
        default=0, metadata={"help": "updates over which that factor rises linearly from 0"}
    )
    pretext_decay_updates: int = field(
        default=0,
        metadata={"help": "updates before pretext_stop_updates over which it falls linearly to 0"},
    )
    pretext_stop_updates: int = field(default=0, metadata={"help": "update from which it is 0; 0 for never"})
    pretext_cosines_interval: int = field(
        default=0,
        metadata={
            "help": "updates between two looks at the cosine of each pretext gradient and the contrastive one, logged "
            "as cosine_<label>; 0 for never"
        },
    )


@register_criterion("ptsel_wav2vec", dataclass=PtselWav2vecCriterionConfig)
class PtselWav2vecCriterion(Wav2vecCriterion):
    """``sample_size · (contrastive mean + penalties + pretext_scale · Σ_k λ_k · mean |ẑ_k - z_k|)``.

    The mean runs over the valid frames of the batch and the dimensions of a label, in float32, with z in
    standard deviations of the training store. The contrastive part is the stock criterion's, which
    receives the output already computed. ``loss`` is logged as stock fairseq logs it (contrastive part and
    penalties, in bits), ``pretext_<label>`` unweighted in standard deviations, ``pretext_total`` with
    weights and scale. ``skill_<label>`` is 1 - loss / loss of the best constant on the same frames, and
    ``share_<label>`` the label's part of the whole loss. Of a label of codes the constant is the codes' frequencies in
    the training split; ``accuracy_<label>`` is the share of frames whose likeliest code is right, and
    ``accuracy_skill_<label>`` 1 - wrong frames / wrong frames of the most frequent code.

    Across workers gradients are divided by the number of masked frames of all of them, as fairseq does, so a
    worker's pretext mean counts by its masked frames.

    With ``contrastive: false`` the loss is ``sample_size · pretext_scale · Σ_k λ_k · L_k``, sample_size the number of
    frames that are not padding, and ``loss`` is logged as ``pretext_total`` is, not in bits. With the heads of
    log_mel and mfcc under `pretext_fixed_weights` and their loss `mse`, that is the loss of Zaiem et al. (2021).
    """

    def __init__(
        self,
        task,
        infonce: bool = False,
        loss_weights: Sequence[float] | None = None,
        log_keys: Sequence[str] | None = None,
        contrastive: bool = True,
        pretext_weights: Mapping[str, float] | None = None,
        pretext_fixed_weights: Mapping[str, float] | None = None,
        pretext_heads: Mapping[str, Any] | None = None,
        pretext_balancing: str = NONE,
        pretext_balancing_options: Mapping[str, Any] | None = None,
        pretext_sum_to_one: bool = True,
        pretext_scale: float = 1.0,
        pretext_warmup_updates: int = 0,
        pretext_decay_updates: int = 0,
        pretext_stop_updates: int = 0,
        pretext_cosines_interval: int = 0,
    ) -> None:
        super().__init__(task, infonce, loss_weights, log_keys)
        arrays = sorted({"logits", "target"} & set(self.log_keys))
        if arrays:
            raise PtselError(
                f"criterion.log_keys: {', '.join(arrays)} are arrays and cannot be summed over workers; leave them out"
            )
        self.schedule = ScaleSchedule(
            pretext_scale, pretext_warmup_updates, pretext_decay_updates, pretext_stop_updates
        )
        self.pretext_scale = self.schedule.at(0)
        self.contrastive = contrastive
        self.pretext_weights = task.active_weights(
            pretext_weights or {}, pretext_sum_to_one, pretext_fixed_weights
        )
        self.cosines_interval = pretext_cosines_interval
        self._update = 0
        self._update_begins = True

    def set_num_updates(self, update: int) -> None:
        """The task says how many updates are finished; the scale follows."""
        self._update = update
        if not self.schedule.constant:
            self.pretext_scale = self.schedule.at(update)

    def train(self, mode: bool = True) -> PtselWav2vecCriterion:
        """fairseq's trainer calls this once at the start of each update, not for each micro-batch."""
        self._update_begins = mode
        return super().train(mode)

    def forward(self, model, sample: dict, reduce: bool = True) -> tuple[Tensor, Any, dict]:
        net_output = model(**sample["net_input"])
        if self.contrastive:
            loss, sample_size, log = super().forward(_Answered(model, net_output), sample, reduce)
        else:
            loss, sample_size, log = nothing_yet(net_output)
        log["_batches"] = 1
        log[preemption.LOG_KEY] = preemption.asked_to_stop()
        if not self.pretext_weights:
            return loss, sample_size, log

        frequencies = model.pretext_heads.log_frequencies(sample["pretext"]["target"].device)
        errors = pretext_errors(net_output, sample, model.pretext_heads.settings, frequencies)
        balancing = model.pretext_balancing
        counts = self.training and not sample.get("dummy")
        begins = counts and self._update_begins
        if balancing is not None and counts:
            if begins:
                balancing.begin_update()
            observe(balancing, errors, net_output["pretext_frames"])
        if self.cosines_interval and self.training:
            due = begins and self._update % self.cosines_interval == 0
            log.update(cosine_logs(due, loss, errors, net_output))
        if counts:
            self._update_begins = False
        weights = dict(self.pretext_weights)
        if balancing is not None:
            for k, label in enumerate(errors):
                weights[label] = log[f"_weight_{label}"] = weights[label] * balancing.weights[k]
        terms = label_terms(errors, weights)
        for label, found in errors.items():
            error, frames, of_constant = found
            if isinstance(found, CodeErrors):
                log[f"_hits_{label}"] = found.hits
                log[f"_constant_hits_{label}"] = found.hits_of_constant
            log[f"_term_{label}"] = self.pretext_scale * terms[label].detach() * sample_size
            log[f"_pretext_{label}_of_constant"] = of_constant
            log[f"_pretext_{label}_sum"] = error.detach()
            log[f"_pretext_{label}_frames"] = frames
        total = sum(terms.values(), loss.new_zeros((), dtype=torch.float32))
        weighted = self.pretext_scale * total * sample_size
        log["_pretext_weighted"] = weighted.detach()
        if not self.schedule.constant:
            log["_scale"] = self.pretext_scale
        return loss + weighted, sample_size, log

    @staticmethod
    def reduce_metrics(logging_outputs: Sequence[Mapping[str, Any]]) -> None:
        """Log the sums over workers and micro-batches, each divided by its own count."""
        if not logging_outputs:
            return
        sums = on_host({key: sum(log.get(key, 0) for log in logging_outputs) for key in logging_outputs[0]})
        stock = {key: sums.pop(key) for key in list(sums) if key in STOCK_KEYS or key.startswith("loss_")}
        if "loss" in stock:
            Wav2vecCriterion.reduce_metrics([stock])
        preemption.agree(sums.pop(preemption.LOG_KEY))
        batches = sums.pop("_batches")
        sample_size = stock["sample_size"]
        whole = stock.get("loss", 0)
        if "_pretext_weighted" in sums:
            weighted = sums.pop("_pretext_weighted")
            whole += weighted
            if "loss" not in stock:
                metrics.log_scalar("loss", weighted / (sample_size or 1), sample_size, round=4)
                metrics.log_scalar("ntokens", stock["ntokens"])
                metrics.log_scalar("nsentences", stock["nsentences"])
            metrics.log_scalar("pretext_total", weighted / (sample_size or 1), sample_size, round=4)
        for key in [key for key in sums if key.startswith("_pretext_") and key.endswith("_sum")]:
            label = key[len("_pretext_") : -len("_sum")]
            error, frames = sums.pop(key), sums.pop(f"_pretext_{label}_frames")
            of_constant, term = (sums.pop(key) for key in (f"_pretext_{label}_of_constant", f"_term_{label}"))
            if frames > 0:
                metrics.log_scalar(f"pretext_{label}", error / frames, frames, round=4)
                metrics.log_scalar(f"share_{label}", term / (whole or 1), sample_size, round=4)
            if of_constant > 0:
                metrics.log_scalar(f"skill_{label}", 1 - error / of_constant, frames, round=4)
            if f"_hits_{label}" in sums:
                hits = sums.pop(f"_hits_{label}")
                wrong_of_constant = frames - sums.pop(f"_constant_hits_{label}")
                if frames > 0:
                    metrics.log_scalar(f"accuracy_{label}", hits / frames, frames, round=4)
                if wrong_of_constant > 0:
                    skill = 1 - (frames - hits) / wrong_of_constant
                    metrics.log_scalar(f"accuracy_skill_{label}", skill, frames, round=4)
        for key in [key for key in sums if key.startswith("_cosine_")]:
            label, cosine = key.removeprefix("_cosine_"), sums.pop(key)
            number = sums.pop(f"_cosines_{label}")
            if number > 0:
                metrics.log_scalar(f"cosine_{label}", cosine / number, number, round=4)
        for key in [key for key in sums if key.startswith(("_weight_", "_scale"))]:
            metrics.log_scalar(key[1:], sums.pop(key) / (batches or 1), batches, round=4)
        for key, value in sums.items():
            metrics.log_scalar(key, value / (batches or 1), batches, round=3)

    def logging_outputs_can_be_summed(self) -> bool:
        return True


def nothing_yet(net_output: Mapping[str, Any]) -> tuple[Tensor, int, dict[str, int]]:
    """Loss, sample size and log of a batch before its pretext part: zero, and how many frames are not padding."""
    predicted, padding = next(iter(net_output["pretext"].values())), net_output["padding_mask"]
    sentences, frames = predicted.shape[:2]
    size = sentences * frames if padding is None else int((~padding).sum())
    log = {"ntokens": size, "nsentences": sentences, "sample_size": size}
    return predicted.new_zeros((), dtype=torch.float32), size, log


def on_host(values: Mapping[str, Any]) -> dict[str, Any]:
    """The same numbers, those on a device fetched in one transfer: each one alone would wait for the device."""
    tensors = {key: value for key, value in values.items() if torch.is_tensor(value)}
    if not tensors:
        return dict(values)
    device = next(iter(tensors.values())).device
    fetched = torch.stack(
        [value.detach().to(device, torch.float64).reshape(()) for value in tensors.values()]
    )
    return {**values, **dict(zip(tensors, fetched.tolist(), strict=True))}


class _Answered:
    """Stands in for the model in the stock criterion: called, it gives the output already computed."""

    def __init__(self, model, net_output: dict) -> None:
        self._model = model
        self._net_output = net_output

    def __call__(self, **net_input: Any) -> dict:
        return self._net_output

    def __getattr__(self, name: str) -> Any:
        return getattr(self._model, name)
