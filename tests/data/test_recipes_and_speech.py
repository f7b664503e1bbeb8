"""`ptsel recipe` and `ptsel example-data`: what comes with the package, from a clone and from a wheel."""

from __future__ import annotations

import filecmp

import pytest
from conftest import ASTERISK, ROOT, run_command

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.data.example_data import example_data_command
from ptsel_fairseq.data.recipes import find, first_sentence, recipe_command, recipes


def test_every_recipe_of_the_clone_is_listed_with_what_it_is():
    done = run_command("ptsel", "recipe")
    assert done.returncode == 0, done.stderr
    listed = dict(line.split("  ", 1) for line in done.stdout.split("\n\n")[0].splitlines())
    files = {
        file.relative_to(ROOT / "configs").with_suffix("").as_posix()
        for file in ROOT.glob("configs/*/*.yaml")
    }
    assert set(listed) == files
    assert all(len(text.strip()) > 20 for text in listed.values())


def test_a_recipe_is_printed_or_written_as_it_is(tmp_path, capsys):
    text = (ROOT / "configs/pretraining/tiny.yaml").read_text()
    recipe_command("pretraining/tiny")
    assert capsys.readouterr().out == text
    recipe_command("pretraining/tiny", tmp_path / "new" / "mine.yaml")
    assert (tmp_path / "new" / "mine.yaml").read_text() == text
    recipe_command("pretraining/tiny", tmp_path / "new" / "mine.yaml")  # the same again is no fault
    (tmp_path / "new" / "mine.yaml").write_text("criterion: {pretext_weights: {f0: 1.0}}\n")
    with pytest.raises(PtselError, match="is there already and differs, perhaps by its λ"):
        recipe_command("pretraining/tiny", tmp_path / "new" / "mine.yaml")


def test_short_names_if_they_are_clear():
    assert find("wav2vec2_base_librispeech") == recipes()["pretraining/wav2vec2_base_librispeech"]
    assert find("configs/pretraining/tiny.yaml") == recipes()["pretraining/tiny"]
    with pytest.raises(PtselError, match="found finetuning/tiny and pretraining/tiny"):
        find("tiny")
    with pytest.raises(PtselError, match="did you mean 'pretraining/tiny'"):
        find("pretrainin/tiny")


def test_the_first_sentence_of_a_comment():
    assert first_sentence("# A model. More.\n\n# other\nx: 1\n") == "A model"
    assert first_sentence("# A model\n# of two lines:\n#\n# more\n") == "A model of two lines"


def test_the_speech_is_a_folder_that_every_command_takes(tmp_path):
    example_data_command(tmp_path / "speech")
    same = filecmp.dircmp(ASTERISK, tmp_path / "speech", ignore=["make_asterisk.py", "__pycache__"])
    assert not same.left_only
    assert not same.right_only
    assert not same.diff_files
    manifest = read_manifest(tmp_path / "speech" / "train.tsv")
    assert all(manifest.audio_path(utterance).is_file() for utterance in manifest)
    (tmp_path / "speech" / "train.tsv").write_text("mine\n")
    with pytest.raises(PtselError, match=r"train.tsv: is there already and differs"):
        example_data_command(tmp_path / "speech")
