"""`ptsel check` says "fit" only if training starts."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import Manifest, Utterance
from ptsel_fairseq.data.check import check_command, find_short, find_stripped
from ptsel_fairseq.data.check_targets import look_alike


def write(folder, lengths):
    for number, samples in enumerate(lengths):
        file = folder / "audio" / f"{number}.flac"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, np.random.default_rng(number).uniform(-0.1, 0.1, samples), 16_000)
    lines = [f"{number}.flac\t{samples}" for number, samples in enumerate(lengths)]
    for split in ("train", "valid"):
        half = lines[: len(lines) // 2] if split == "train" else lines[len(lines) // 2 :]
        (folder / f"{split}.tsv").write_text("\n".join([str(folder / "audio"), *half]) + "\n")
    return folder


def test_only_short_utterances_stop_training_and_some_are_named(tmp_path, capsys):
    with pytest.raises(PtselError, match="training would fail"):
        check_command(write(tmp_path / "short", [14_400, 15_999, 14_400, 15_999]), jobs=1)
    assert "fault: shorter than min_sample_size: 2" in capsys.readouterr().out
    check_command(write(tmp_path / "some", [14_400, 16_000, 14_400, 40_000]), jobs=1)
    assert "warning: shorter than min_sample_size: 2" in capsys.readouterr().out
    check_command(write(tmp_path / "none", [16_000, 16_001, 20_000, 40_000]), jobs=1)
    assert "min_sample_size" not in capsys.readouterr().out


def test_a_folder_without_a_split_to_validate_on_is_named(tmp_path, capsys):
    folder = write(tmp_path, [16_000, 16_000])
    (folder / "valid.tsv").unlink()
    check_command(folder, jobs=1)
    assert "no split to validate on" in capsys.readouterr().out


@pytest.mark.parametrize("path", [" a.flac", "a.flac ", "\u3000a.flac"])
def test_names_that_fairseq_strips(path, tmp_path):
    manifest = Manifest(
        tmp_path / "train.tsv", tmp_path, (Utterance(0, path, 20_000), Utterance(1, "b.flac", 20_000))
    )
    (finding,) = find_stripped(manifest)
    assert finding.fatal
    assert "line 2" in finding.place
    assert not find_short(manifest)


def test_classes_that_look_alike():
    names = ["ada", "Ada", "a-d-a", "bea", "\uff42\uff45\uff41", "c", "?", "!"]
    assert look_alike(names) == [["Ada", "a-d-a", "ada"], ["bea", "\uff42\uff45\uff41"]]
