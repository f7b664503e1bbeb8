"""An encoder in one file outside the package, as docs/extending.md has it: estimated, trained, tuned, probed."""

from __future__ import annotations

import re

import numpy as np
import pytest
from conftest import ASTERISK, ROOT, run_command
from fairseq_tools import ptsel
from training_tools import arguments, english_words, finish, read, start, train

CHAPTER = (ROOT / "docs" / "extending.md").read_text()


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    """The folder of the chapter's file, and a recipe with its model."""
    folder = tmp_path_factory.mktemp("own")
    (code,) = re.findall(r"<!-- file: my_encoder/__init__.py -->\n```python\n(.*?)```", CHAPTER, re.S)
    (model,) = re.findall(r"```yaml\n(model:\n  _name: my_gru\n.*?)```", CHAPTER, re.S)
    (folder / "my_encoder").mkdir()
    (folder / "my_encoder" / "__init__.py").write_text(code)
    recipe = (ROOT / "configs" / "pretraining" / "tiny_crdnn.yaml").read_text()
    recipe = recipe.replace("{log_mel: 1.0, mfcc: 1.0}", "{log_mel: 1.0}")
    (folder / "own.yaml").write_text(recipe[: recipe.index("model:\n")] + model)
    return folder


def test_it_is_estimated(own):
    words = ("estimate", own / "own.yaml", "criterion.pretext_weights.f0=1.0")
    done = ptsel(*words, "--plugin", own / "my_encoder" / "__init__.py")
    assert done.returncode == 0, done.stderr
    gru = sum(3 * 128 * (width + 128 + 2) for width in (80, 128))  # gates, two biases
    assert f"encoder {gru / 1e6:.2f} M, heads {128 * 81 + 81}" in done.stdout
    unknown = ptsel(*words)
    assert unknown.returncode == 2
    assert "found 'my_gru'; for an encoder of your own give the file" in unknown.stderr


@pytest.mark.parametrize(
    ("code", "message"),
    [
        (None, "the file cannot be read"),
        ("import nothing_of_the_sort", "cannot be loaded (ModuleNotFoundError: No module named"),
        ("from ptsel_fairseq.plugin.encoders.frames import *\n"
         "register_encoder('ptsel_cnn', LogMelConfig, None, title='')", "name is taken by ptsel_fairseq"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_ends_with_one_line(own, tmp_path, code, message):
    folder = tmp_path / "broken_encoder"
    folder.mkdir()
    if code is not None:
        (folder / "__init__.py").write_text(code)
    done = ptsel("estimate", own / "own.yaml", "--plugin", folder / "__init__.py")
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_an_installed_package_needs_no_folder(own, tmp_path, monkeypatch):
    """The entry point of a package on the path is found by commands and by training alike."""
    site = tmp_path / "site"
    (site / "own_package-1.0.dist-info").mkdir(parents=True)
    (site / "own_package-1.0.dist-info" / "METADATA").write_text("Name: own_package\nVersion: 1.0\n")
    entry = "[ptsel_fairseq.encoders]\nmy_gru = own_package_encoder\n"
    (site / "own_package-1.0.dist-info" / "entry_points.txt").write_text(entry)
    (site / "own_package_encoder.py").write_text((own / "my_encoder" / "__init__.py").read_text())
    done = run_command("ptsel", "estimate", own / "own.yaml", PYTHONPATH=str(site))
    assert done.returncode == 0, done.stderr
    (site / "own_package_encoder.py").write_text("raise RuntimeError('so it goes')")
    done = run_command("ptsel", "estimate", own / "own.yaml", PYTHONPATH=str(site))
    assert done.returncode == 2
    assert "package own_package 1.0 (entry point ptsel_fairseq.encoders: my_gru" in done.stderr
    assert "so it goes" in done.stderr


@pytest.mark.slow
def test_it_is_trained_tuned_probed_and_decoded(own, data_dir, store_dir, tmp_path):
    folder, run, tuned = own / "my_encoder", tmp_path / "run", tmp_path / "tuned"
    few = {"common.user_dir": folder, "optimization.max_update": 3, "dataset.validate_interval_updates": 3}
    train(arguments(own, data_dir, store_dir, run, recipe="own", **few), tmp_path / "run.json")
    assert np.isfinite(read(tmp_path / "run.json")[3]["logged"]["loss"])
    last = run / "checkpoint_last.pt"

    refused = ptsel("export", last, "--out", tmp_path / "x.pt", "--plugin", folder / "__init__.py")
    assert refused.returncode == 2
    assert "with the model ptsel_ctc" in refused.stderr

    classes = ASTERISK / "classes" / "voice.tsv"
    words = ("probe", data_dir, "--classes", classes, "--splits", "train", "valid", "valid")
    words += ("--seeds", 1, "--features", last, "--out", tmp_path / "probe")
    unknown = ptsel(*words)
    assert unknown.returncode == 2
    assert "found 'my_gru'; for an encoder of your own" in unknown.stderr
    done = ptsel(*words, "--plugin", folder / "__init__.py")
    assert done.returncode == 0, done.stderr

    english = english_words(tmp_path / "english")
    training = start(
        ["--config-dir", str(ROOT / "configs" / "finetuning"), "--config-name", "tiny_crdnn",
         f"task.data={english}", f"common.user_dir={folder}", f"model.pretrained={last}",
         f"checkpoint.save_dir={tuned}", f"hydra.run.dir={tuned}", "optimization.max_update=2",
         "dataset.num_workers=0"],
        tmp_path / "tuned.json",
    )  # fmt: skip
    finish(training)
    last.unlink()
    done = ptsel(
        *("decode", english, "--model", tuned / "checkpoint_last.pt", "--out", tmp_path / "decoded"),
        *("--plugin", folder / "__init__.py"),
    )
    assert done.returncode == 0, done.stderr
    assert "CER" in done.stdout


def test_the_registry_names_each_encoder_once():
    from ptsel_fairseq.plugin.encoders import encoder as known

    assert sorted(known.ENCODERS.names()) == ["ptsel_cnn", "ptsel_crdnn", "ptsel_wav2vec2"]
    assert {known.ENCODERS.origin(name) for name in known.ENCODERS.names()} == {"ptsel_fairseq"}
    assert known.find("wav2vec2") is known.find("ptsel_wav2vec2")
    assert known.find("hubert") is None
    assert all(kind.title for kind in known.ENCODERS.all())
