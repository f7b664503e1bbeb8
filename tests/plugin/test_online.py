"""Labels computed in training from the crop are those of the store, wherever the crop says all about them."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
import torch
from plugin_tools import WEIGHTS, batch_of, build, recipe

from ptsel_fairseq.base.errors import PtselError

ONLINE = ["alpha_ratio", "log_mel", "zcr"]
COLUMNS = {"alpha_ratio": slice(0, 1), "f0": slice(1, 2), "log_mel": slice(2, 82), "zcr": slice(82, 83)}
EVEN = dict.fromkeys(COLUMNS, 0.25)
WITHIN = {"alpha_ratio": 1e-4, "log_mel": 1e-4, "zcr": 1e-5}  # of a standard deviation


def heads(labels=ONLINE, **others) -> dict:
    return {label: {"source": "online"} for label in labels} | others


def loaded(data, store, split="train", block=None, weights=None, **overrides):
    cfg = recipe(
        data,
        store,
        weights or EVEN,
        criterion__pretext_heads=heads() if block is None else block,
        **overrides,
    )
    task, model, criterion = build(cfg)
    task.load_dataset(split)
    return task, model, criterion


def both(data, store, ids, epoch=1, **overrides):
    """The same batch with labels from the store and with labels computed, and the task of the latter."""
    from_store, _, _ = loaded(data, store, block={}, **overrides)
    task, _, _ = loaded(data, store, **overrides)
    batches = []
    for each in (from_store, task):
        each.dataset("train").set_epoch(epoch)
        batches.append(batch_of(each, "train", ids))
    assert torch.equal(batches[0]["net_input"]["source"], batches[1]["net_input"]["source"])
    assert batches[0]["mask_seed"] == batches[1]["mask_seed"]
    return *batches, task


def assert_alike(stored: dict, online: dict) -> None:
    expected, got = stored["pretext"], online["pretext"]
    for k, (label, columns) in enumerate(COLUMNS.items()):
        mine, theirs = got["valid"][..., k], expected["valid"][..., k]
        if label not in ONLINE:
            assert torch.equal(mine, theirs)
            assert torch.equal(got["target"][..., columns], expected["target"][..., columns])
            continue
        assert not (mine & ~theirs).any()
        assert mine.sum() >= theirs.sum() - 4 * len(mine)
        difference = (got["target"][..., columns] - expected["target"][..., columns])[mine].abs().max()
        assert difference < WITHIN[label]


@pytest.mark.parametrize("padded", [False, True])
@pytest.mark.parametrize("normalized", [False, True])
def test_targets_are_those_of_the_store(data_dir, store_dir, padded, normalized):
    settings = {"enable_padding": padded, "normalize": normalized, "max_sample_size": 30_000}
    overrides = {f"task__{name}": value for name, value in settings.items()}
    cropped = 0
    for epoch in (1, 2, 3):
        stored, online, task = both(data_dir, store_dir, [1, 4, 12, 22], epoch, **overrides)
        assert not online["pretext"]["target"][..., COLUMNS["log_mel"]].any()
        task.fill_online(online)
        assert_alike(stored, online)
        before = {name: tensor.clone() for name, tensor in online["pretext"].items()}
        task.fill_online(online)  # a step that is tried again
        assert all(torch.equal(before[name], tensor) for name, tensor in online["pretext"].items())
        cropped += int((~online["pretext"]["valid"][:, 0, 0]).sum())
    assert cropped > 0  # crops that do not begin where the recording does, whose first frame is not whole


def test_the_ends_of_a_recording_count_and_those_of_a_crop_do_not(data_dir, store_dir):
    _, online, task = both(data_dir, store_dir, [3])  # shorter than the largest crop
    task.fill_online(online)
    for k, label in enumerate(COLUMNS):
        if label in ONLINE:
            assert online["pretext"]["valid"][..., k].all()
    _, crop, task = both(data_dir, store_dir, [3], task__max_sample_size=48 * 320 + 400)  # no sample over
    task.fill_online(crop)
    assert crop["pretext"]["valid"][..., 2].all()  # a frame of `log_mel` sees what the encoder's frame sees
    assert not crop["pretext"]["valid"][:, -1, 0].any()


@pytest.mark.parametrize("half", [torch.float16, torch.bfloat16])
def test_training_in_half_precision_does_not_touch_the_targets(data_dir, store_dir, half):
    from fairseq import utils

    _, whole, task = both(data_dir, store_dir, [1, 4, 12])
    _, halved, _ = both(data_dir, store_dir, [1, 4, 12])
    # What fairseq's trainer does to a batch.
    halved = utils.apply_to_sample(lambda t: t.to(half) if t.dtype is torch.float32 else t, halved)
    assert halved["net_input"]["source"].dtype == half
    task.fill_online(whole)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        task.fill_online(halved)
    assert torch.equal(whole["pretext"]["target"], halved["pretext"]["target"])
    with pytest.raises(PtselError, match="clean_source: expected float32 or float64, found torch"):
        task.fill_online({**halved, "clean_source": halved["net_input"]["source"]})


def test_the_clean_waveform_is_what_counts(data_dir, store_dir):
    """Whatever is done to what the model sees."""
    stored, online, task = both(data_dir, store_dir, [1, 4, 12])
    online["net_input"]["source"] = torch.randn_like(online["net_input"]["source"])
    task.fill_online(online)
    assert_alike(stored, online)


@pytest.mark.parametrize("normalized", [False, True])
def test_distorted_audio_is_heard_and_clean_labels_are_computed(data_dir, store_dir, normalized):
    pytest.importorskip("audiomentations", reason="distortions need the extra [distortion]")
    distortion = {"overlap": {"probability": 1.0}, "clipping": {"probability": 1.0}}
    # `both` asks that the audio is the same with stored labels and with online ones.
    stored, online, task = both(
        data_dir, store_dir, [1, 4, 12], task__distortion=distortion, task__normalize=normalized
    )
    _, plain, _ = both(data_dir, store_dir, [1, 4, 12], task__normalize=normalized)
    assert not torch.equal(online["net_input"]["source"], plain["net_input"]["source"])
    assert torch.equal(online["clean_source"], plain["clean_source"])
    task.fill_online(online)
    assert_alike(stored, online)


def test_a_validation_step_gives_the_losses_of_stored_labels(data_dir, store_dir):
    task, model, criterion = loaded(data_dir, store_dir, "valid")
    task.load_dataset("train")
    sample = batch_of(task, "valid", [0, 2])
    criterion.eval()
    _, _, log = task.valid_step(sample, model.eval(), criterion)
    reference, model, criterion = loaded(data_dir, store_dir, "valid", block={})
    criterion.eval()
    _, _, expected = reference.valid_step(batch_of(reference, "valid", [0, 2]), model.eval(), criterion)
    for label in ONLINE:
        (error, frames), (all_error, all_frames) = (
            (float(each[f"_pretext_{label}_sum"]), float(each[f"_pretext_{label}_frames"]))
            for each in (log, expected)
        )
        assert 0 < frames <= all_frames
        assert error / frames == pytest.approx(all_error / all_frames, rel=0.02)
    assert float(log["_pretext_f0_sum"]) == pytest.approx(float(expected["_pretext_f0_sum"]))


def test_only_statistics_are_needed_of_the_store(data_dir, store_dir, tmp_path):
    """Those of any split, without its arrays; the splits of the run need no store."""
    store = tmp_path / "store"
    shutil.copytree(
        store_dir / "train", store / "sample", ignore=shutil.ignore_patterns("[!l]*.npy", "log_mel.npy")
    )
    assert sorted(file.name for file in (store / "sample").iterdir()) == [
        "header.json",
        "lengths.npy",
        "recordings.tsv",
    ]
    weights = dict.fromkeys(ONLINE, 1 / 3)
    task, _, _ = loaded(data_dir, store, "valid", heads(), weights, task__statistics_split="sample")
    task.load_dataset("train")
    sample = batch_of(task, "train", [0, 1])
    task.fill_online(sample)
    stored, _, _ = loaded(data_dir, store_dir, "train", {}, weights)
    expected = batch_of(stored, "train", [0, 1])["pretext"]
    valid = sample["pretext"]["valid"][..., 1]
    assert valid.any()
    difference = (sample["pretext"]["target"] - expected["target"])[..., 1:81][valid].abs().max()
    assert difference < WITHIN["log_mel"]
    with pytest.raises(PtselError, match=r"store/train: expected a label store"):  # f0 is read
        loaded(data_dir, store, task__statistics_split="sample")


def test_what_cannot_be_online_is_refused_in_one_line(data_dir, store_dir, tmp_path):
    with pytest.raises(PtselError) as caught:
        build(
            recipe(data_dir, store_dir, WEIGHTS, criterion__pretext_heads={"default": {"source": "online"}})
        )
    message = str(caught.value)
    assert message.startswith(
        "criterion.pretext_heads.f0.source: f0 cannot be computed online, only alpha_ratio, "
    )
    assert "spectral_flux" in message
    assert "onset_strength" not in message
    assert "\n" not in message
    with pytest.raises(PtselError, match="source: expected store or online, found 'live'"):
        build(recipe(data_dir, store_dir, WEIGHTS, criterion__pretext_heads={"zcr": {"source": "live"}}))
    with pytest.raises(PtselError, match=r"alpha_ratio.loss: bce needs values between 0 and 1, .* is in dB"):
        build(
            recipe(
                data_dir,
                store_dir,
                WEIGHTS,
                criterion__pretext_heads={"alpha_ratio": {"source": "online", "loss": "bce"}},
            )
        )
    shutil.copytree(store_dir, tmp_path / "old")
    file = tmp_path / "old" / "train" / "header.json"
    header = json.loads(file.read_text())
    header["labels"]["alpha_ratio"]["info"]["version"] = 1
    file.write_text(json.dumps(header))
    with pytest.raises(PtselError, match="are of definition 1 of alpha_ratio, online it is definition 2"):
        loaded(data_dir, tmp_path / "old")


def test_the_choice_is_kept_in_the_checkpoint(data_dir, store_dir):
    _, model, _ = loaded(data_dir, store_dir)
    sources = {label: head.source for label, head in model.pretext_heads.settings.items()}
    assert sources == {"alpha_ratio": "online", "f0": "store", "log_mel": "online", "zcr": "online"}
    assert all(json.loads(text)["source"] for text in model.cfg.pretext_head_settings)


def test_normalisation_is_fairseqs(data_dir, store_dir):
    """Bit for bit, though it is done later."""
    stored, online, _ = both(data_dir, store_dir, [1, 4], task__normalize=True)
    np.testing.assert_array_equal(stored["net_input"]["source"], online["net_input"]["source"])
    assert online["clean_source"].std() < 0.5 < online["net_input"]["source"].std()


@pytest.mark.slow
def test_a_run_with_online_labels_learns_and_resumes_exactly(data_dir, store_dir, tmp_path):
    from conftest import ROOT
    from omegaconf import OmegaConf
    from training_tools import UPDATES, arguments, model_of, read, train

    cfg = OmegaConf.load(ROOT / "configs" / "pretraining" / "tiny.yaml")
    cfg.criterion.pretext_weights = {"alpha_ratio": 0.4, "f0": 0.3, "log_mel": 0.3}
    cfg.criterion.pretext_heads = heads(["alpha_ratio", "log_mel"])
    OmegaConf.save(cfg, tmp_path / "tiny.yaml")

    def run(name, **stop):
        words = arguments(tmp_path, data_dir, store_dir, tmp_path / name)
        train(words, tmp_path / f"{name}.json", **stop)

    run("whole")
    run("killed", die_before=6)
    run("killed")
    whole, resumed = model_of(tmp_path / "whole"), model_of(tmp_path / "killed")
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    updates = read(tmp_path / "whole.json")
    assert sorted(updates) == list(range(1, UPDATES + 1))
    for label in ("alpha_ratio", "f0", "log_mel"):
        losses = [updates[update]["logged"][f"pretext_{label}"] for update in sorted(updates)]
        assert all(0 < loss < 3 for loss in losses)
    assert losses[-1] < losses[0]
