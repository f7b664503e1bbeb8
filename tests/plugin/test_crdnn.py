"""The filterbank encoder: its input, its frames, its pretraining without contrastive loss, its fine-tuning."""

from __future__ import annotations

import importlib.util

import numpy as np
import pytest
import torch
from conftest import ROOT
from fairseq_tools import ptsel
from omegaconf import OmegaConf
from plugin_tools import batch_of, build, recipe, run
from test_criterion import gradients
from test_multitask import FIXED, LAMBDAS
from training_tools import arguments, english_words, finish, model_of, read, start, train

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.downstream.features.wav2vec import load_ctc
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.plugin.encoders.crdnn_layers import Crdnn
from ptsel_fairseq.plugin.encoders.log_mel import LogMel


def crdnn(data, store, **overrides):
    """The tiny recipe of this encoder for the labels of the tests' store."""
    cfg = recipe(data, store, weights=LAMBDAS)
    own = OmegaConf.load(ROOT / "configs" / "pretraining" / "tiny_crdnn.yaml")
    cfg.criterion, cfg.model = own.criterion, own.model
    cfg.criterion.pretext_weights, cfg.criterion.pretext_fixed_weights = LAMBDAS, FIXED
    cfg.criterion.pretext_heads = {"log_mel": {"loss": "mse"}}
    for key, value in overrides.items():
        OmegaConf.update(cfg, key.replace("__", "."), value, force_add=True, merge=False)
    from fairseq.dataclass.initialize import add_defaults

    add_defaults(cfg)
    return cfg


def small(dropout=0.0):
    torch.manual_seed(1)
    return Crdnn(LogMel(FrameGrid(), [0.0] * 80, [1.0] * 80), [4, 4, 4], 2, 8, [12, 10], dropout)


def test_the_input_is_the_label_log_mel_in_standard_deviations(data_dir, store_dir):
    task, model, _ = build(crdnn(data_dir, store_dir))
    task.load_dataset("train")
    store = LabelStore(store_dir, "train")
    statistics = store.statistics("log_mel")
    dataset = task.dataset("train")
    for index in range(5):
        line = int(dataset.lines[index])
        expected = (store.track("log_mel", line) - statistics.mean) / statistics.std
        seen = model.encoder.features(dataset[index]["source"][None])[0].numpy()
        assert seen.shape == expected.shape
        np.testing.assert_allclose(seen, expected, atol=2e-3)


@pytest.mark.parametrize("samples", [400, 719, 720, 16_000, 16_079, 16_080])
def test_its_frames_are_those_of_wav2vec(samples):
    frames, padding = small()(torch.randn(2, samples))
    assert frames.shape == (2, FrameGrid().num_frames(samples), 10)
    assert padding is None


def test_padding_changes_nothing():
    encoder = small().eval()
    long, short = 0.1 * torch.randn(16_000), 0.1 * torch.randn(9_000)
    batch = torch.zeros(2, 16_000)
    batch[0], batch[1, :9_000] = long, short
    mask = torch.zeros(2, 16_000, dtype=torch.bool)
    mask[1, 9_000:] = True
    with torch.no_grad():
        together, padding = encoder(batch, mask)
        alone, _ = encoder(short[None])
        first, _ = encoder(long[None])
    assert (~padding).sum(1).tolist() == [49, 27]
    torch.testing.assert_close(together[1, :27], alone[0], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together[0], first[0], atol=1e-5, rtol=1e-4)


def test_a_half_precision_model_hears_in_single_precision(data_dir, store_dir):
    task, model, _ = build(crdnn(data_dir, store_dir))
    task.load_dataset("train")
    source = batch_of(task, "train", [0, 1])["net_input"]["source"]
    whole = model.encoder.features(source)
    halved = model.half().encoder.features(source)
    assert torch.equal(whole, halved)
    assert model.encoder.dense[0].weight.dtype is torch.float16


def test_every_parameter_learns(data_dir, store_dir):
    task, model, criterion = build(crdnn(data_dir, store_dir))
    task.load_dataset("train")
    batch = batch_of(task, "train", list(range(4)))
    run(model, criterion, batch)
    assert gradients(model).keys() == dict(model.named_parameters()).keys()


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"criterion__contrastive": True}, "ptsel_crdnn has no contrastive loss"),
        ({"task__normalize": True}, "standardises its input log_mel by the store's statistics"),
        (
            {"criterion__pretext_heads": {"f0": {"attach": "conv"}}},
            "one place for heads, output; found 'conv'",
        ),
    ],
)
def test_what_it_has_not_is_refused(data_dir, store_dir, changed, message):
    with pytest.raises(PtselError, match=message):
        build(crdnn(data_dir, store_dir, **changed))


def test_a_store_without_its_input_is_refused(data_dir, store_dir, monkeypatch):
    monkeypatch.setattr(LabelStore, "labels", ("alpha_ratio", "f0", "zcr"))
    weights = {"alpha_ratio": 0.4, "f0": 0.6}
    changed = {"criterion__pretext_fixed_weights": {}, "criterion__pretext_heads": {}}
    changed["criterion__pretext_weights"] = weights
    with pytest.raises(
        PtselError, match=r"statistics of the label log_mel, which this store lacks; add it with"
    ):
        build(crdnn(data_dir, store_dir, **changed))


def test_the_published_sizes_give_a_model_of_the_published_order():
    encoder = Crdnn(LogMel(FrameGrid(), [0.0] * 80, [1.0] * 80), [128, 200, 256], 5, 256, [256, 256], 0.15)
    convolutions = sum(
        9 * i * o + o for i, o in [(1, 128), (128, 128), (128, 200), (200, 200), (200, 256), (256, 256)]
    )
    norms = 2 * 2 * (128 * 80 + 200 * 40 + 256 * 20)
    lstm = sum(2 * 4 * 256 * (width + 256 + 2) for width in (2560, 512, 512, 512, 512))
    dense = (512 + 1 + 2) * 256 + (256 + 1 + 2) * 256
    assert sum(p.numel() for p in encoder.parameters()) == convolutions + norms + lstm + dense


def test_probes_read_the_frames_of_its_checkpoint(data_dir, store_dir, tmp_path):
    from ptsel_fairseq.downstream.features.wav2vec import load_encoder

    cfg = crdnn(data_dir, store_dir)
    task, model, _ = build(cfg)
    task.load_dataset("train")
    saved = OmegaConf.to_container(OmegaConf.create({"model": model.cfg, "task": {"sample_rate": 16_000}}))
    saved["model"]["_name"] = "ptsel_crdnn"
    torch.save({"cfg": saved, "model": model.state_dict()}, tmp_path / "checkpoint.pt")
    encoder = load_encoder(tmp_path / "checkpoint.pt")
    waveform = task.dataset("train")[0]["source"]
    model.eval()
    with torch.no_grad():
        expected = model.encoder(waveform[None])[0].numpy()
    states = encoder.hidden_states(waveform.numpy())
    assert states.shape == (1, encoder.grid.num_frames(len(waveform)), 64)
    np.testing.assert_array_equal(states, expected)


@pytest.fixture(scope="module")
def recipe_dir(tmp_path_factory):
    from ptsel_fairseq.base.weights_file import write_into_recipe

    folder = tmp_path_factory.mktemp("recipe")
    text = (ROOT / "configs" / "pretraining" / "tiny_crdnn.yaml").read_text()
    (folder / "tiny_crdnn.yaml").write_text(text.replace("{log_mel: 1.0, mfcc: 1.0}", "{log_mel: 1.0}"))
    write_into_recipe(folder / "tiny_crdnn.yaml", LAMBDAS, {"method": "manual"})
    return folder


@pytest.mark.slow
def test_pretrained_resumed_and_fine_tuned(recipe_dir, data_dir, store_dir, tmp_path):
    from ptsel_fairseq.runs import read_run

    def words(run, loaders):
        few = {"optimization.max_update": 4, "dataset.validate_interval_updates": 4}
        few["dataset.num_workers"] = loaders
        if importlib.util.find_spec("audiomentations") is not None:
            few["+task.distortion"] = "{noise:{probability:0.5},chop:{probability:0.5}}"
        return arguments(recipe_dir, data_dir, store_dir, tmp_path / run, recipe="tiny_crdnn", **few)

    train(words("whole", 0), tmp_path / "whole.json")
    train(words("killed", 2), tmp_path / "killed.json", die_before=4)
    train(words("killed", 1), tmp_path / "killed.json")
    whole, killed = model_of(tmp_path / "whole"), model_of(tmp_path / "killed")
    assert all(torch.equal(whole[name], killed[name]) for name in whole)
    assert read(tmp_path / "whole.json")[4]["logged"]["skill_log_mel"] < 1

    refused = ptsel("export", tmp_path / "whole" / "checkpoint_last.pt", "--out", tmp_path / "x.pt")
    assert refused.returncode == 2
    assert "with the model ptsel_ctc" in refused.stderr

    tuned = tmp_path / "tuned"
    training = start(
        ["--config-dir", str(ROOT / "configs" / "finetuning"), "--config-name", "tiny_crdnn",
         f"task.data={english_words(tmp_path / 'english')}", f"common.user_dir={ROOT / 'ptsel_fairseq'}",
         f"model.pretrained={tmp_path / 'whole' / 'checkpoint_last.pt'}", f"checkpoint.save_dir={tuned}",
         f"hydra.run.dir={tuned}", "optimization.max_update=3", "dataset.num_workers=0"],
        tmp_path / "tuned.json",
    )  # fmt: skip
    finish(training)
    assert read_run(tuned).series("valid", "uer")[1]
    carried = torch.load(tuned / "checkpoint_last.pt", weights_only=False)["model"]
    moved = (carried["encoder.rnn.weight_ih_l0"] - whole["encoder.rnn.weight_ih_l0"]).abs().max()
    assert 0 < moved < 0.05

    # A fine-tuned checkpoint stands alone.
    from fairseq import checkpoint_utils

    (tmp_path / "whole" / "checkpoint_last.pt").unlink()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
        models, _, _ = checkpoint_utils.load_model_ensemble_and_task([str(tuned / "checkpoint_last.pt")])
    assert all(torch.equal(value, carried[name]) for name, value in models[0].state_dict().items())

    # It is decoded with fairseq's own probabilities.
    last, waveform = tuned / "checkpoint_last.pt", 0.1 * torch.randn(16_000)
    with torch.no_grad():
        theirs = models[0].eval()
        expected = theirs.get_normalized_probs(theirs(waveform[None]), log_probs=True)[:, 0]
    np.testing.assert_allclose(load_ctc(last).log_probs(waveform.numpy()), expected.numpy(), atol=1e-6)
    english, decoded = tmp_path / "english", tmp_path / "decoded"
    done = ptsel("decode", english, "--model", last, "--out", decoded)
    assert done.returncode == 0, done.stderr
    assert "CER" in done.stdout
    paths = [line.split("\t")[0] for line in (english / "valid.tsv").read_text().splitlines()[1:]]
    heard = (decoded / "hypothesis.txt").read_text().splitlines()
    assert [line.split("\t")[0] for line in heard] == paths
