"""wav2vec 2.0 that hears filterbanks: its grid, input, masks, padding, training, fine-tuning, probing."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import ROOT
from fairseq_tools import ptsel
from omegaconf import OmegaConf
from plugin_tools import WEIGHTS, batch_of, build, recipe, run
from test_criterion import gradients
from training_tools import arguments, english_words, finish, model_of, read, start, train

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.downstream.features.wav2vec import load_ctc, load_encoder
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.plugin.encoders.filterbank import FilterbankFrontEnd
from ptsel_fairseq.plugin.encoders.log_mel import LogMel


def filterbank(data, store, **overrides):
    return recipe(data, store, model__frontend="filterbank", **overrides)


def front_end(layers=2, kernel=3, grid=None):
    torch.manual_seed(1)
    return FilterbankFrontEnd(LogMel(grid or FrameGrid(), [-50.0] * 80, [20.0] * 80), 12, layers, kernel)


@pytest.mark.parametrize("samples", [400, 719, 720, 16_000, 16_079, 16_080, 23_456])
def test_its_frames_are_those_of_the_convolutions(data_dir, store_dir, samples):
    _, stock, _ = build(recipe(data_dir, store_dir))
    theirs = stock.feature_extractor(torch.randn(2, samples)).shape[2]
    found = front_end()(torch.randn(2, samples))
    assert found.shape == (2, 12, theirs)
    assert theirs == FrameGrid().num_frames(samples)


@pytest.mark.parametrize("window", [400, 560])
def test_a_click_is_heard_at_its_frame_alone(window):
    """With one frame a convolution, only frames whose 25 ms hold the click differ from silence."""
    grid = FrameGrid(window=window)
    hears = front_end(kernel=1, grid=grid)
    for frame in (0, 3, 7):
        click = torch.zeros(1, grid.num_samples(8))
        silence = hears(click)
        assert silence.shape[2] == 8
        click[0, grid.centre(frame)] = 1.0
        differs = (hears(click) - silence).abs().amax(dim=1)[0] > 1e-6
        assert differs.nonzero().flatten().tolist() == [frame]


def test_the_input_is_the_label_log_mel_in_standard_deviations(data_dir, store_dir):
    task, model, _ = build(filterbank(data_dir, store_dir))
    task.load_dataset("train")
    store = LabelStore(store_dir, "train")
    statistics = store.statistics("log_mel")
    dataset = task.dataset("train")
    for index in range(3):
        expected = (store.track("log_mel", int(dataset.lines[index])) - statistics.mean) / statistics.std
        seen = model.feature_extractor.features(dataset[index]["source"][None])[0].numpy()
        np.testing.assert_allclose(seen, expected, atol=2e-3)


def test_crops_masks_and_targets_are_those_of_the_waveform_front_end(data_dir, store_dir):
    seen = []
    for frontend in ("waveform", "filterbank"):
        task, model, _ = build(recipe(data_dir, store_dir, model__frontend=frontend))
        task.load_dataset("train")
        batch = batch_of(task, "train", list(range(4)))
        np.random.seed(3)
        output = model.train()(**batch["net_input"])
        seen.append((batch, output))
    (batch, output), (own_batch, own_output) = seen
    assert torch.equal(batch["net_input"]["source"].double(), own_batch["net_input"]["source"])
    assert own_batch["net_input"]["source"].dtype is torch.float64  # which fairseq does not halve
    for key in ("target", "valid", "samples"):
        assert torch.equal(batch["pretext"][key], own_batch["pretext"][key])
    assert torch.equal(output["pretext_mask"], own_output["pretext_mask"])
    assert output["x"].shape == own_output["x"].shape
    assert {k: v.shape for k, v in output["pretext"].items()} == {
        k: v.shape for k, v in own_output["pretext"].items()
    }


def test_padding_changes_nothing(data_dir, store_dir):
    _, model, _ = build(filterbank(data_dir, store_dir))
    model.eval()
    long, short = 0.1 * torch.randn(16_000), 0.1 * torch.randn(9_000)
    batch = torch.zeros(2, 16_000)
    batch[0], batch[1, :9_000] = long, short
    mask = torch.zeros(2, 16_000, dtype=torch.bool)
    mask[1, 9_000:] = True
    with torch.no_grad():
        together = model(batch, mask, mask=False, features_only=True)
        alone = model(short[None], None, mask=False, features_only=True)["x"]
        first = model(long[None], None, mask=False, features_only=True)["x"]
    assert (~together["padding_mask"]).sum(1).tolist() == [49, 27]
    torch.testing.assert_close(together["x"][1, :27], alone[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together["x"][0], first[0], atol=1e-5, rtol=1e-4)


def test_every_parameter_learns(data_dir, store_dir):
    task, model, criterion = build(filterbank(data_dir, store_dir))
    task.load_dataset("train")
    run(model, criterion, batch_of(task, "train", list(range(4))))
    assert gradients(model).keys() == dict(model.named_parameters()).keys()


def test_a_half_precision_model_hears_in_single_precision(data_dir, store_dir):
    task, model, _ = build(filterbank(data_dir, store_dir))
    task.load_dataset("train")
    source = batch_of(task, "train", [0, 1])["net_input"]["source"]
    whole = model.feature_extractor.features(source)
    assert torch.equal(whole, model.half().feature_extractor.features(source))
    assert model.feature_extractor.convolutions[0].weight.dtype is torch.float16


def test_heads_attach_inside_too(data_dir, store_dir):
    heads = {"default": {"attach": "conv"}, "f0": {"attach": 1}, "log_mel": {"attach": "input"}}
    task, model, criterion = build(filterbank(data_dir, store_dir, criterion__pretext_heads=heads))
    task.load_dataset("train")
    loss, _, _ = run(model, criterion, batch_of(task, "train", list(range(4))))
    assert torch.isfinite(loss)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"model__frontend": "mel"}, "model.frontend: expected waveform or filterbank, found 'mel'"),
        ({"model__filterbank_kernel": 4}, "filterbank_kernel: expected an odd number of frames, found 4"),
        ({"model__filterbank_layers": 0}, "filterbank_layers: expected at least 1, found 0"),
        ({"task__normalize": True}, "model.frontend: filterbank standardises its input log_mel"),
    ],
)
def test_what_cannot_be_built_is_refused(data_dir, store_dir, changed, message):
    with pytest.raises(PtselError, match=message):
        build(recipe(data_dir, store_dir, **{"model__frontend": "filterbank", **changed}))


def test_without_labels_it_still_needs_the_statistics_of_its_input(data_dir, store_dir, monkeypatch):
    with pytest.raises(PtselError, match="expected a label store that holds log_mel"):
        build(filterbank(data_dir, "", weights={}))
    _, model, _ = build(filterbank(data_dir, store_dir, weights={}))
    assert model.pretext_heads is None
    np.testing.assert_allclose(
        model.feature_extractor.features.mean, LabelStore(store_dir, "train").statistics("log_mel").mean, 1e-6
    )
    monkeypatch.setattr(LabelStore, "labels", ("alpha_ratio", "f0", "zcr"))
    with pytest.raises(PtselError, match=r"label log_mel, which this store lacks; add it with"):
        build(filterbank(data_dir, store_dir, weights={}))


def saved(model, folder):
    """A checkpoint of a model as far as loaders look at it."""
    cfg = OmegaConf.create({"model": model.cfg, "task": {"normalize": False, "sample_rate": 16_000}})
    cfg = OmegaConf.to_container(cfg, enum_to_str=True)
    cfg["model"]["_name"] = "ptsel_wav2vec2"
    torch.save({"cfg": cfg, "model": model.state_dict()}, folder / "checkpoint.pt")
    return folder / "checkpoint.pt"


def test_probes_read_the_frames_of_its_checkpoint(data_dir, store_dir, tmp_path):
    task, model, _ = build(filterbank(data_dir, store_dir))
    task.load_dataset("train")
    encoder = load_encoder(saved(model, tmp_path))
    waveform = task.dataset("train")[0]["source"]
    with torch.no_grad():
        expected = model.eval().extract_features(waveform[None], None)["x"][0].numpy()
    states = encoder.hidden_states(waveform.numpy())
    assert states.shape == (4, encoder.grid.num_frames(len(waveform)), 128)
    np.testing.assert_array_equal(states[-1], expected)


def test_it_is_not_exported(data_dir, store_dir, tmp_path):
    _, model, _ = build(filterbank(data_dir, store_dir))
    for form in ("fairseq", "hf"):
        done = ptsel("export", saved(model, tmp_path), "--out", tmp_path / form, "--format", form)
        assert done.returncode == 2
        assert "with model.frontend: filterbank; stock fairseq has no front end" in done.stderr
        assert not (tmp_path / form).exists()


def words(recipe_dir, data_dir, store_dir, run, loaders=0, **more):
    few = {"optimization.max_update": 4, "dataset.validate_interval_updates": 4, **more}
    few["dataset.num_workers"] = loaders
    return arguments(recipe_dir, data_dir, store_dir, run, recipe="tiny_filterbank", **few)


@pytest.fixture(scope="module")
def recipe_dir(tmp_path_factory):
    from ptsel_fairseq.base.weights_file import write_into_recipe

    folder = tmp_path_factory.mktemp("recipe")
    name = "tiny_filterbank.yaml"
    (folder / name).write_text((ROOT / "configs" / "pretraining" / name).read_text())
    write_into_recipe(folder / name, WEIGHTS, {"method": "manual"})
    return folder


@pytest.mark.slow
def test_two_processes_hold_the_same_parameters(recipe_dir, data_dir, store_dir, tmp_path):
    train(words(recipe_dir, data_dir, store_dir, tmp_path / "run"), tmp_path / "run.json", processes=2)
    first, second = (read(tmp_path / f"run.{rank}") for rank in range(2))
    assert sorted(first) == sorted(second) == [1, 2, 3, 4]
    assert [first[u]["parameters"] for u in first] == [second[u]["parameters"] for u in second]
    assert first[1]["parameters"] != first[4]["parameters"]
    assert first[1]["seen"] != second[1]["seen"]  # of other utterances


@pytest.mark.slow
def test_pretrained_resumed_and_fine_tuned(recipe_dir, data_dir, store_dir, tmp_path):
    from ptsel_fairseq.runs import read_run

    own = (recipe_dir, data_dir, store_dir)
    train(words(*own, tmp_path / "whole"), tmp_path / "whole.json")
    train(words(*own, tmp_path / "killed", 2), tmp_path / "killed.json", die_before=4)
    train(words(*own, tmp_path / "killed", 1), tmp_path / "killed.json")
    whole, killed = model_of(tmp_path / "whole"), model_of(tmp_path / "killed")
    assert all(torch.equal(whole[name], killed[name]) for name in whole)

    last, tuned = tmp_path / "whole" / "checkpoint_last.pt", tmp_path / "tuned"
    english = english_words(tmp_path / "english")
    training = start(
        ["--config-dir", str(ROOT / "configs" / "finetuning"), "--config-name", "tiny_filterbank",
         f"task.data={english}", f"common.user_dir={ROOT / 'ptsel_fairseq'}",
         f"model.w2v_path={last}", f"checkpoint.save_dir={tuned}",
         f"hydra.run.dir={tuned}", "optimization.max_update=3", "dataset.num_workers=0"],
        tmp_path / "tuned.json",
    )  # fmt: skip
    finish(training)
    assert read_run(tuned).series("valid", "uer")[1]
    carried = torch.load(tuned / "checkpoint_last.pt", weights_only=False)["model"]
    name = "feature_extractor.convolutions.0.weight"
    moved = (carried[f"w2v_encoder.w2v_model.{name}"] - whole[name]).abs().max()
    assert 0 < moved < 0.05

    # A fine-tuned checkpoint stands alone, and is decoded with fairseq's own probabilities.
    from fairseq import checkpoint_utils

    last.unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
        models, _, _ = checkpoint_utils.load_model_ensemble_and_task([str(tuned / "checkpoint_last.pt")])
    waveform = 0.1 * torch.randn(16_000)
    with torch.no_grad():
        theirs = models[0].eval()
        expected = theirs.get_normalized_probs(theirs(source=waveform[None], padding_mask=None), True)[:, 0]
    found = load_ctc(tuned / "checkpoint_last.pt").log_probs(waveform.numpy())
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-5)
    decoded = tmp_path / "decoded"
    done = ptsel("decode", english, "--model", tuned / "checkpoint_last.pt", "--out", decoded)
    assert done.returncode == 0, done.stderr
    assert "CER" in done.stdout
