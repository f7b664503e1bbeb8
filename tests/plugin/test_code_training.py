"""Pretraining with labels of codes: loss and logs, alone with a mask, and beside contrastive loss and values."""

from __future__ import annotations

import math
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from omegaconf import OmegaConf
from plugin_tools import NO_DROPOUT, batch_of, build, recipe, run
from scipy.special import log_softmax
from test_criterion import gradients, reduced

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels import LabelStore, make_codes

WEIGHTS = {"cluster": 0.5, "drawn": 0.3, "f0": 0.2}
ALONE = {"criterion__contrastive": False, "criterion__pretext_heads": {"default": {"frames": "masked"}}}
CODES = {"cluster": 12, "drawn": 40}


@pytest.fixture(scope="module")
def code_store(data_dir, store_dir, tmp_path_factory) -> Path:
    store = Path(shutil.copytree(store_dir, tmp_path_factory.mktemp("codes") / "store"))
    make_codes(data_dir, "cluster", store, kmeans="log_mel", codes=CODES["cluster"])
    make_codes(data_dir, "drawn", store, random="log_mel", codes=CODES["drawn"])
    return store


def parts_of(data_dir, store, **overrides):
    task, model, criterion = build(recipe(data_dir, store, weights=WEIGHTS, **{**NO_DROPOUT, **overrides}))
    task.load_dataset("train")
    return task, model, criterion, batch_of(task, "train", list(range(6)))


@pytest.mark.parametrize("contrastive", [True, False])
def test_the_loss_is_lambda_times_cross_entropy_of_the_stores_codes(data_dir, code_store, contrastive):
    _, model, criterion, batch = parts_of(data_dir, code_store, **({} if contrastive else ALONE))
    loss, sample_size, log = run(model, criterion, batch)
    masks, apply_mask = [], model.apply_mask

    def kept(*arguments, **settings):
        x, mask = apply_mask(*arguments, **settings)
        masks.append(mask)
        return x, mask

    model.apply_mask = kept
    np.random.seed(3)
    torch.manual_seed(3)
    output = model(**batch["net_input"])
    frames = output["pretext"]["cluster"].size(1)
    used = np.ones((6, frames), bool) if contrastive else masks[0].numpy()[:, :frames]
    logged, expected = reduced([log]), 0.0
    counts = LabelStore(code_store, "train")
    for column, label in enumerate(WEIGHTS):  # sorted, and each of one column
        answers = batch["pretext"]["target"][:, :frames, column].numpy()[used]
        if label == "f0":
            known = batch["pretext"]["valid"][:, :frames, column].numpy() & used
            wanted = batch["pretext"]["target"][:, :frames, column].numpy()[known]
            predicted = output["pretext"][label][..., 0].detach().numpy()[known]
            expected += WEIGHTS[label] * np.abs(predicted - wanted).mean()
            continue
        right = answers.astype(int)
        guessed = log_softmax(output["pretext"][label].detach().double().numpy()[used], axis=-1)
        assert guessed.shape[-1] == CODES[label]
        loss_of_label = -guessed[np.arange(len(right)), right].mean()
        expected += WEIGHTS[label] * loss_of_label
        prior = counts.statistics(label).counts + 1
        of_constant = -np.log(prior / prior.sum())[right].mean()
        assert logged[f"pretext_{label}"] == pytest.approx(loss_of_label, abs=2e-4)
        assert logged[f"skill_{label}"] == pytest.approx(1 - loss_of_label / of_constant, abs=2e-4)
        accuracy, most = (guessed.argmax(-1) == right).mean(), (right == prior.argmax()).mean()
        assert logged[f"accuracy_{label}"] == pytest.approx(accuracy, abs=1e-4)
        assert logged[f"accuracy_skill_{label}"] == pytest.approx(1 - (1 - accuracy) / (1 - most), abs=2e-4)
    assert logged["pretext_total"] == pytest.approx(criterion.pretext_scale * expected, rel=1e-4)
    if not contrastive:
        assert float(loss) == pytest.approx(criterion.pretext_scale * expected * sample_size, rel=1e-4)
    assert not any(name.startswith("_") for name in logged)


def test_without_contrastive_loss_a_masked_head_masks_and_trains_the_masks_vector(data_dir, code_store):
    _, model, criterion, batch = parts_of(data_dir, code_store, **ALONE)
    assert model.masks_alone
    run(model, criterion, batch)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert gradients(model).keys() == trained
    assert "mask_emb" in trained
    assert not any(name.startswith(("quantizer", "project_q", "final_proj")) for name in trained)
    # Nothing of a masked frame reaches the heads but by its neighbours.
    _, unmasked, _, _ = parts_of(data_dir, code_store, criterion__contrastive=False)
    assert not unmasked.masks_alone
    assert not unmasked.mask_emb.requires_grad


def test_summed_logs_weigh_batches_by_their_frames(data_dir, code_store):
    task, model, criterion, _ = parts_of(data_dir, code_store, **ALONE)
    logs = [run(model, criterion, batch_of(task, "train", ids))[2] for ids in ([0, 1], [2, 3, 4])]
    summed = {key: sum(log[key] for log in logs) for key in logs[0]}
    assert reduced(logs) == pytest.approx(reduced([summed]), rel=1e-6)
    hits = sum(float(log["_hits_cluster"]) for log in logs)
    frames = sum(float(log["_pretext_cluster_frames"]) for log in logs)
    assert reduced(logs)["accuracy_cluster"] == pytest.approx(hits / frames, abs=1e-4)


@pytest.mark.parametrize("rule", ["uncertainty", "gradnorm", "running_ratio"])
def test_balancing_takes_them_as_other_labels(data_dir, code_store, rule):
    _, model, criterion, batch = parts_of(data_dir, code_store, criterion__pretext_balancing=rule)
    for _ in range(2):
        criterion.train()
        run(model, criterion, batch)
        model.pretext_balancing.end_update(lambda values: values)
    assert model.pretext_balancing.weights.isfinite().all()
    assert model.pretext_balancing.losses[0] == pytest.approx(math.log(CODES["cluster"]), rel=0.5)


@pytest.mark.slow
def test_it_learns_codes_of_masked_frames(data_dir, code_store):
    _, model, criterion, batch = parts_of(data_dir, code_store, **ALONE)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], 2e-3)
    skills = []
    for _ in range(25):
        _, _, log = run(model, criterion, batch)
        optimizer.step()
        skills.append(reduced([log])["skill_cluster"])
    assert skills[0] < 0.05 < skills[-1] - 0.1


def test_the_checkpoint_rebuilds_its_heads_without_a_store(data_dir, code_store):
    from fairseq import tasks

    cfg = recipe(data_dir, code_store, weights=WEIGHTS, **NO_DROPOUT, **ALONE)
    _, model, _ = build(cfg)
    saved = OmegaConf.create({"task": cfg.task, "model": cfg.model})
    saved.task.data = saved.task.store = "/nowhere"
    again = tasks.setup_task(saved.task).build_model(saved.model, from_checkpoint=True)
    again.load_state_dict(model.state_dict(), strict=True)
    assert again.pretext_heads.by_label["drawn"].weight.shape[0] == CODES["drawn"]
    assert again.masks_alone


def window_code(samples: np.ndarray, frame: int) -> int:
    """A code that only the samples of one frame decide."""
    window = np.round(samples[320 * frame : 320 * frame + 400].astype(np.float64) * 32768).astype(np.int64)
    return int(np.abs(window * np.arange(1, 401)).sum() % 5003)


@pytest.mark.parametrize("hop", [320, 160])
def test_codes_of_a_file_stay_aligned_in_two_hundred_crops(data_dir, store_dir, tmp_path, hop):
    """Each code of the file is computed from its frame's samples: the model's crop must give the same again."""
    store, folder = Path(shutil.copytree(store_dir, tmp_path / "store")), tmp_path / "km"
    folder.mkdir()
    manifest = read_manifest(data_dir / "train.tsv")
    lines = []
    for utterance in manifest:
        samples = read_audio(manifest.audio_path(utterance), 16_000)
        codes = [str(window_code(samples, i)) for i in range(1 + (len(samples) - 400) // 320)]
        if hop == 160:  # frames of 10 ms lie between, which are none of the grid's
            pairs = [code for pair in zip(codes, ["7"] * len(codes), strict=True) for code in pair]
            codes = pairs[: 1 + (len(samples) - 400) // 160]
        lines.append(" ".join(codes))
    (folder / "train.km").write_text("\n".join(lines) + "\n")
    make_codes(data_dir, "own", store, file=folder, codes=5003, splits=["train"], rate=16_000 // hop)
    cfg = recipe(
        data_dir, store, weights={"own": 1.0}, task__max_sample_size=24_000, task__min_sample_size=16_000
    )
    task, _, _ = build(cfg)
    task.load_dataset("train")
    dataset = task.dataset("train")
    crops, starts_differ = 0, set()
    for epoch in range(1, 40):
        dataset.set_epoch(epoch)
        batch = batch_of(task, "train", list(range(len(dataset)))[:12])
        for source, target in zip(batch["net_input"]["source"], batch["pretext"]["target"], strict=True):
            samples = source.numpy()
            expected = [window_code(samples, i) for i in range(len(target))]
            assert target[:, 0].tolist() == expected
            crops += 1
            starts_differ.add(expected[0])
        if crops >= 200:
            break
    assert crops >= 200
    assert len(starts_differ) > 50


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"criterion__pretext_heads": {"cluster": {"loss": "mse"}}},
            "cluster is a label of codes; expected",
        ),
        ({"criterion__pretext_heads": {"f0": {"loss": "cross_entropy"}}}, "f0 is no label of codes"),
        (
            {"criterion__pretext_heads": {"cluster": {"source": "online"}}},
            "cluster cannot be computed online",
        ),
        ({**ALONE, "model__mask_prob": 0.0}, "masked needs the mask of wav2vec 2.0"),
    ],
)
def test_what_cannot_be_is_refused(data_dir, code_store, changed, message):
    with pytest.raises(PtselError, match=message):
        build(recipe(data_dir, code_store, weights=WEIGHTS, **changed))
