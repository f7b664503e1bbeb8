"""From an empty folder with a wheel: a mixed folder of recordings -> λ, a recipe, and a training that starts."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest
import soundfile
import yaml
from mixed_audio import speech, write_mixed

pytestmark = pytest.mark.slow

PIPELINE = {
    "audio": "recordings",
    "out": "work",
    "convert": {"skip-bad": True, "valid-percent": 20},
    "classes": {"from-folders": 1},
    "extract": {"labels": ["f0", "loudness", "zcr"]},
    "score": {"permutations": 100},
    "select": {"method": "direct", "support": 2, "no-screening": True},
    "recipe": "pretraining/tiny",
}
TRAIN = {
    "optimization.max_update": 2,
    "dataset.disable_validation": True,
    "checkpoint.no_epoch_checkpoints": True,
    "dataset.num_workers": 0,
    "common.log_interval": 1,
}
MORE_OF_A_SPEAKER = 4  # recordings, so that train.tsv holds enough of each class to score


@pytest.fixture(scope="module")
def installed(wheel, tmp_path_factory) -> Path:
    """The programs of an environment that has the wheel, the packages of this one, and nothing of this clone."""
    environment = tmp_path_factory.mktemp("installed") / "venv"
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    # Packages of this environment, but not its editable installs, which are said in .pth files that are not read here.
    (packages,) = environment.glob("lib/python*/site-packages")
    (packages / "requirements.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    install = [environment / "bin" / "python", "-m", "pip", "install", "--quiet", "--no-deps"]
    subprocess.run([*install, "--ignore-installed", wheel], check=True)
    program = environment / "bin" / "fairseq-hydra-train"
    program.write_text(
        f"#!{environment}/bin/python\nfrom fairseq_cli.hydra_train import cli_main\ncli_main()\n"
    )
    program.chmod(0o755)
    return environment / "bin"


def run(folder: Path, *command: object) -> str:
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env={**environment, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout


def write_recordings(folder: Path) -> None:
    """Recordings in every format that people have, three folders of speakers, and one empty file."""
    write_mixed(folder)
    for index, speaker in enumerate(("Zoë", "Łukasz Ż", "李")):
        for number in range(MORE_OF_A_SPEAKER):
            # The bundled clips are 8 of one speaker, then others: neighbours are alike.
            waveform = speech(40 * index + number, 16000, 2.0)
            soundfile.write(folder / speaker / f"more{number}.wav", waveform, 16000)
    (folder / "Zoë" / "empty.wav").write_bytes(b"")


def test_from_an_empty_folder_to_lambda_a_recipe_and_a_training(installed, tmp_path):
    assert str(installed.parent) in run(tmp_path, installed / "ptsel", "user-dir")
    write_recordings(tmp_path / "recordings")
    trains = (
        subprocess.run([installed / "python", "-c", "import fairseq"], capture_output=True).returncode == 0
    )
    pipeline = {**PIPELINE, **({"train": TRAIN} if trains else {})}
    (tmp_path / "pipeline.yaml").write_text(yaml.safe_dump(pipeline, allow_unicode=True))
    shown = run(tmp_path, installed / "ptsel", "run", "pipeline.yaml")

    work = tmp_path / "work"
    assert (work / "data" / "bad.txt").read_text() == "Zoë/empty.wav\tis empty\n"
    recipe = yaml.safe_load((work / "recipe.yaml").read_text())
    weights = recipe["criterion"]["pretext_weights"]
    assert set(weights) == {"f0", "loudness", "zcr"}
    assert sum(weights.values()) == pytest.approx(1, abs=1e-3)
    assert sum(weight > 0 for weight in weights.values()) == 2
    steps = re.findall(r"^(\S+)  +done  +\d", shown, re.M)
    assert steps[:6] == ["convert", "classes", "check", "extract", "score", "select"]
    if trains:
        assert steps[6:] == ["train", "plot"]
        assert (work / "pretrain" / "checkpoint_last.pt").is_file()
        assert re.search(r"^  train_inner +update +\d+  loss \d", shown, re.M)
    assert "everything is there" in shown
