"""Starting real training runs of a few updates and reading what they did."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
from pathlib import Path

import fairseq_tools
import torch
from conftest import ASTERISK, ROOT, run_command, write_manifest
from fairseq_tools import Running
from omegaconf import DictConfig, OmegaConf

UPDATES = 8
TRAIN = f"""
import sys
sys.path.insert(0, {str(Path(__file__).parent)!r})
import recording_train
recording_train.cli_main()
"""


def tiny_at_half_width() -> DictConfig:
    """The tiny recipe, in a quarter of its time."""
    recipe = OmegaConf.load(ROOT / "configs" / "pretraining" / "tiny.yaml")
    recipe.model.conv_feature_layers = recipe.model.conv_feature_layers.replace("(64,", "(32,")
    recipe.model.update({"final_dim": 32, "encoder_embed_dim": 64, "encoder_ffn_embed_dim": 256})
    return recipe


def arguments(
    recipe_dir: Path, data: Path, store: Path, run: Path, recipe: str = "tiny", **overrides: object
) -> list[str]:
    """The words after ``fairseq-hydra-train``: a few short updates of a recipe, every one of them logged."""
    settings = {
        "task.data": data,
        "task.store": store,
        "common.user_dir": ROOT / "ptsel_fairseq",
        "common.log_interval": 1,
        "checkpoint.save_dir": run,
        "hydra.run.dir": run,
        "checkpoint.save_interval_updates": 3,
        "checkpoint.keep_interval_updates": 10,
        "dataset.max_tokens": 160_000,
        "dataset.validate_interval_updates": 4,
        "dataset.num_workers": 0,
        "optimization.max_update": UPDATES,
        "optimization.update_freq": "[2]",
        "lr_scheduler.warmup_updates": 2,
        **overrides,
    }
    return [
        "--config-dir",
        str(recipe_dir),
        "--config-name",
        recipe,
        *(f"{k}={v}" for k, v in settings.items()),
    ]


def start(words: list[str], record: Path, **environment: str) -> Running:
    return fairseq_tools.start(TRAIN, *words, RECORD=str(record), **environment)


def finish(*trainings: Running, code: int = 0) -> list[str]:
    """Wait for their ends, each with that exit code; what each has said."""
    ended = [training.wait() for training in trainings]
    for training in ended:
        assert training.returncode == code, training.stdout[-3000:] + training.stderr[-3000:]
    return [training.stdout + training.stderr for training in ended]


def train(
    words: list[str],
    record: Path,
    processes: int = 1,
    die_before: int | None = None,
    signal_after: str | None = None,
) -> None:
    """Train to the end, or to the death or signal asked for, in one process or in several with gloo.

    All of them die; only the first gets the signal, for example ``3:SIGTERM`` after update 3.
    """
    death = {} if die_before is None else {"DIE_BEFORE_UPDATE": str(die_before)}
    asked = {} if signal_after is None else {"SIGNAL_AFTER_UPDATE": signal_after}
    code = 0 if die_before is None else -signal.SIGKILL
    if processes == 1:
        finish(start(words, record, **death, **asked), code=code)
        return
    with socket.socket() as probe:
        probe.bind(("localhost", 0))
        port = probe.getsockname()[1]
    running = []
    for rank in range(processes):
        distributed = {
            "distributed_world_size": processes,
            "distributed_rank": rank,
            "distributed_init_method": f"tcp://localhost:{port}",
            "distributed_backend": "gloo",
            "distributed_no_spawn": "true",
        }
        extra = [f"distributed_training.{key}={value}" for key, value in distributed.items()]
        signalled = asked if rank == 0 else {}
        running.append(start([*words, *extra], record.with_suffix(f".{rank}"), **death, **signalled))
    finish(*running, code=code)


def torchrun(words: list[str], record: Path, processes: int) -> None:
    """Train in several processes that torchrun starts, as docs/training.md says for a CPU."""
    distributed = {
        "distributed_world_size": processes,
        "distributed_rank": "${oc.env:RANK}",
        "distributed_init_method": "env://",
        "distributed_backend": "gloo",
        "distributed_no_spawn": "true",
    }
    extra = [f"distributed_training.{key}={value}" for key, value in distributed.items()]
    script = Path(__file__).with_name("recording_train.py")
    done = run_command(
        *("torchrun", "--standalone", "--nproc-per-node", processes, script, *words, *extra),
        RECORD=str(record),
        PYTHONWARNINGS="ignore",
    )
    assert done.returncode == 0, done.stderr[-3000:]


def read(record: Path) -> dict[int, dict]:
    return {line["update"]: line for line in map(json.loads, record.read_text().splitlines())}


def model_of(run: Path) -> dict[str, torch.Tensor]:
    return torch.load(run / "checkpoint_last.pt", weights_only=True)["model"]


WITHOUT_THE_PLUGIN = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split('.')[0] == 'ptsel_fairseq':
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
"""


def without_plugin(code: str, *words: object, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python where importing ptsel_fairseq fails."""
    return fairseq_tools.start(WITHOUT_THE_PLUGIN + code, *words, **environment).wait()


def english_words(folder: Path) -> Path:
    """A fine-tuning folder of a few English clips with their letters."""
    for split, every in (("train", 4), ("valid", 1)):
        write_manifest(ASTERISK / "english" / f"{split}.tsv", folder / f"{split}.tsv", every)
        for kind in ("ltr", "wrd"):
            lines = (ASTERISK / "english" / f"{split}.{kind}").read_text().splitlines()
            (folder / f"{split}.{kind}").write_text("\n".join(lines[::every]) + "\n")
    shutil.copyfile(ASTERISK / "english" / "dict.ltr.txt", folder / "dict.ltr.txt")
    return folder
