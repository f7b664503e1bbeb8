"""The loss: contrastive part as stock, pretext part as defined, logs that may be summed."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from fairseq.criterions.wav2vec_criterion import Wav2vecCriterion
from fairseq.logging import metrics
from fairseq.models.wav2vec.wav2vec2 import Wav2Vec2Model
from plugin_tools import NO_DROPOUT, WEIGHTS, batch_of, build, recipe, run

from ptsel_fairseq.plugin.criterion import PtselWav2vecCriterion
from ptsel_fairseq.plugin.preemption import LOG_KEY


@pytest.fixture
def parts(data_dir, store_dir):
    cfg = recipe(data_dir, store_dir, **NO_DROPOUT)
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    return cfg, task, model, criterion, batch_of(task, "train", list(range(6)))


def gradients(model):
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("weights", [{}, dict.fromkeys(WEIGHTS, 0.0)])
def test_without_pretext_labels_everything_equals_stock_bit_for_bit(
    data_dir, store_dir, weights, monkeypatch
):
    cfg = recipe(data_dir, store_dir, weights=weights)  # with the recipe's dropout
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    batch = batch_of(task, "train", list(range(6)))
    assert model.pretext_heads is None
    masks = []
    ours = run_recording_masks(model, criterion, batch, masks)
    stock_model, stock_criterion = stock_twins(cfg, task, model)
    stock = run_with_masks(stock_model, stock_criterion, batch, masks, monkeypatch)
    assert torch.equal(ours[0], stock[0])
    assert ours[1] == stock[1]
    assert {key: value for key, value in ours[2].items() if key not in ("_batches", LOG_KEY)} == stock[2]
    got, expected = gradients(model), gradients(stock_model)
    assert got.keys() == expected.keys()
    assert all(torch.equal(got[name], expected[name]) for name in expected)


def test_with_pretext_labels_the_contrastive_numbers_equal_stock(parts, monkeypatch):
    cfg, task, model, criterion, batch = parts
    masks = []
    _, _, log = run_recording_masks(model, criterion, batch, masks)
    stock = run_with_masks(*stock_twins(cfg, task, model), batch, masks, monkeypatch)
    assert {key: log[key] for key in stock[2]} == stock[2]


def run_recording_masks(model, criterion, batch, masks):
    apply_mask = type(model).apply_mask

    def recording(self, *args, **kwargs):
        result = apply_mask(self, *args, **kwargs)
        masks.append(result[1])
        return result

    type(model).apply_mask = recording
    try:
        return run(model, criterion, batch)
    finally:
        type(model).apply_mask = apply_mask


def stock_twins(cfg, task, model):
    stock = Wav2Vec2Model(model.cfg)
    stock.load_state_dict({k: v for k, v in model.state_dict().items() if not k.startswith("pretext_heads")})
    criterion = Wav2vecCriterion(task, infonce=True, loss_weights=list(cfg.criterion.loss_weights),
                                 log_keys=list(cfg.criterion.log_keys))  # fmt: skip
    return stock, criterion


def run_with_masks(stock, criterion, batch, masks, monkeypatch):
    apply_mask = Wav2Vec2Model.apply_mask
    replay = iter(masks)

    def replayed(self, x, padding_mask, **kwargs):
        return apply_mask(self, x, padding_mask, mask_indices=next(replay))

    monkeypatch.setattr(Wav2Vec2Model, "apply_mask", replayed)
    return run(stock, criterion, batch)


def test_loss_is_the_stated_formula(parts):
    _, task, model, criterion, batch = parts
    criterion.pretext_scale = 0.7
    model.eval()
    torch.manual_seed(0)
    np.random.seed(0)
    with torch.no_grad():
        loss, sample_size, log = criterion(model, batch)
        np.random.seed(0)
        predicted = model(**batch["net_input"])["pretext"]
    expected, column = 0.0, 0
    for k, label in enumerate(task.dataset("train").labels):
        target = batch["pretext"]["target"].numpy()
        valid = batch["pretext"]["valid"].numpy()[..., k]
        z = predicted[label].numpy().astype(np.float64)
        dim = z.shape[-1]
        errors = [  # the slow literal mean over valid frames and dimensions
            abs(z[b, t, d] - target[b, t, column + d])
            for b in range(z.shape[0])
            for t in range(z.shape[1])
            for d in range(dim)
            if valid[b, t]
        ]
        mean = sum(errors) / len(errors)
        assert float(log[f"_pretext_{label}_sum"] / log[f"_pretext_{label}_frames"]) == pytest.approx(
            mean, rel=1e-5
        )
        expected += WEIGHTS[label] * mean
        column += dim
    assert float(loss) == pytest.approx(log["loss"] + 0.7 * expected * sample_size, rel=1e-5)


def test_encoder_gradient_is_the_weighted_sum_of_each_terms_own(data_dir, store_dir):
    def gradient_of(weights, scale=1.0):
        cfg = recipe(data_dir, store_dir, weights=weights, criterion__pretext_sum_to_one=False, **NO_DROPOUT)
        cfg.criterion.pretext_scale = scale
        task, model, criterion = build(cfg)
        task.load_dataset("train")
        if model.pretext_heads is not None:  # the same heads in every run
            for label, head in model.pretext_heads.by_label.items():
                generator = torch.Generator().manual_seed(len(label))
                with torch.no_grad():
                    for parameter in head.parameters():
                        parameter.copy_(0.1 * torch.randn(parameter.shape, generator=generator))
        run(model, criterion, batch_of(task, "train", list(range(6))))
        return {name: grad.double() for name, grad in gradients(model).items() if name.startswith("encoder.")}

    contrastive = gradient_of({})
    own = {label: gradient_of({label: 1.0}) for label in WEIGHTS if WEIGHTS[label] > 0}
    whole = gradient_of(WEIGHTS, scale=0.5)
    for name, grad in whole.items():
        expected = contrastive[name] + 0.5 * sum(
            WEIGHTS[label] * (own[label][name] - contrastive[name]) for label in own
        )
        scale = max(expected.abs().max().item(), 1e-3)  # a key bias has no gradient but rounding
        assert (grad - expected).abs().max().item() < 1e-4 * scale, name


def test_doubling_the_batch_leaves_logged_pretext_values_unchanged(parts):
    _, _, model, criterion, batch = parts
    model.eval()

    def doubled(value):
        if isinstance(value, dict):
            return {key: doubled(item) for key, item in value.items()}
        return torch.cat([value, value]) if torch.is_tensor(value) else value

    def logged(sample):
        np.random.seed(0)
        # The same mask for both halves, given as the batch gives it.
        frames = sample["pretext"]["target"].shape[1]
        mask = torch.zeros(sample["id"].numel(), frames, dtype=torch.bool)
        mask[:, 5:25] = True
        sample = {**sample, "net_input": {**sample["net_input"], "mask_indices": mask}}
        with torch.no_grad():
            _, _, log = criterion(model, sample)
        return reduced([log])

    once, twice = logged(batch), logged(doubled(batch))
    names = [name for name in once if name.startswith("pretext_")]
    assert len(names) == 4  # three labels and the total
    for name in names:
        assert twice[name] == pytest.approx(once[name], rel=1e-5)


def reduced(logs):
    with metrics.aggregate(new_root=True) as aggregator:
        PtselWav2vecCriterion.reduce_metrics(logs)
    return {key: float(value) for key, value in aggregator.get_smoothed_values().items()}


def test_summed_logs_give_the_properly_weighted_means(parts):
    _, task, model, criterion, _ = parts
    logs = [
        run(model, criterion, batch_of(task, "train", ids))[2] for ids in ([0, 1], [2, 3, 4], [5, 6, 7, 8])
    ]
    summed = {key: sum(log[key] for log in logs) for key in logs[0]}
    apart, together = reduced(logs), reduced([summed])
    assert apart == pytest.approx(together, rel=1e-6)
    size = sum(log["sample_size"] for log in logs)
    assert together["loss"] == pytest.approx(sum(log["loss"] for log in logs) / size / math.log(2), abs=1e-3)
    assert together["temp"] == pytest.approx(2.0, abs=0.01)  # stock fairseq sums it over workers
    frames = sum(float(log["_pretext_f0_frames"]) for log in logs)
    assert together["pretext_f0"] == pytest.approx(
        sum(float(log["_pretext_f0_sum"]) for log in logs) / frames, abs=1e-4
    )


def test_skill_and_share_say_how_good_and_how_large_a_label_is(parts):
    _, task, model, criterion, batch = parts
    log = run(model, criterion, batch)[2]
    logged = reduced([log])
    target, valid = batch["pretext"]["target"], batch["pretext"]["valid"]
    frames = target.size(1)
    column = task.dataset("train").labels.index("f0")
    known = valid[:, :frames, column]
    values = target[..., column][known]  # f0 comes second, after one column
    of_median = float((values - values.median()).abs().mean())
    assert logged["skill_f0"] == pytest.approx(1 - logged["pretext_f0"] / of_median, abs=2e-3)
    labels = ("alpha_ratio", "f0", "log_mel")
    whole = log["loss"] / log["sample_size"] + logged["pretext_total"]
    for label in labels:
        expected = WEIGHTS[label] * criterion.pretext_scale * logged[f"pretext_{label}"] / float(whole)
        assert logged[f"share_{label}"] == pytest.approx(expected, abs=1e-3)
    shares = sum(logged[f"share_{label}"] for label in labels)
    assert shares == pytest.approx(logged["pretext_total"] / float(whole), abs=1e-3)


def test_a_head_that_knows_the_answer_has_all_the_skill(parts):
    _, _, model, _, batch = parts
    output = model(**batch["net_input"])
    column = 0
    for label, predicted in output["pretext"].items():
        dim = predicted.size(-1)
        target = batch["pretext"]["target"][:, : predicted.size(1), column : column + dim]
        output["pretext"][label] = target.float()
        column += dim
    from ptsel_fairseq.heads.losses import pretext_errors

    for error in pretext_errors(output, batch).values():
        assert float(error.loss) == pytest.approx(0, abs=1e-6)
        assert error.of_constant > 0


def test_labels_of_weight_zero_have_no_head(parts):
    _, task, model, _, _ = parts
    assert sorted(model.pretext_heads.by_label) == ["alpha_ratio", "f0", "log_mel"]
    assert "zcr" not in task.dataset("train").labels
    run(model, *parts[3:])
    assert all(p.grad is not None for p in model.pretext_heads.parameters())


def test_a_batch_without_a_valid_frame_gives_zero_and_a_gradient(parts):
    _, _, model, criterion, batch = parts
    batch["pretext"]["valid"][:] = False
    loss, _, log = run(model, criterion, batch)
    assert torch.isfinite(loss)
    assert all(torch.count_nonzero(p.grad) == 0 for p in model.pretext_heads.parameters())
    assert not any(name.startswith("pretext_") and name != "pretext_total" for name in reduced([log]))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_keeps_targets_and_error_in_float32(parts, dtype):
    from fairseq import utils

    _, _, _, _, batch = parts
    halved = utils.apply_to_sample(lambda t: t.to(dtype) if t.dtype is torch.float32 else t, batch)
    assert halved["net_input"]["source"].dtype is dtype
    assert torch.equal(halved["pretext"]["target"], batch["pretext"]["target"])
    from ptsel_fairseq.heads.losses import pretext_errors

    target = batch["pretext"]["target"]
    # Errors far beyond what a sum in half precision could hold.
    output = {
        "pretext": {"alpha_ratio": torch.full((*target.shape[:2], 1), 30_000.0, dtype=dtype)},
        "padding_mask": None,
    }
    error, frames, _ = pretext_errors(output, halved)["alpha_ratio"]
    assert error.dtype is torch.float32
    assert float(error / frames) == pytest.approx(30_000, rel=0.01)
