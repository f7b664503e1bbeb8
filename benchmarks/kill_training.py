"""Training that is killed at random moments and started again ends as if nothing had happened.

    OMP_NUM_THREADS=1 python benchmarks/kill_training.py [--out FOLDER] [--kills 20] [--processes 2] [--seed 0]

Trains a very small model once without interruption, then again with the same command while it is killed: every other
time by SIGKILL to all its processes, as when a machine dies (half of these while it writes a checkpoint), every other
time by SIGTERM to one rank, upon which all stop after the next update. After each death every checkpoint must be
readable; in the end parameters and the optimizer's state must be those of the first training, bit for bit. Exits with 1
where they are not.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from common import RECIPES, ROOT, Figure, bundled_manifests, finish, parse, parser_of

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.extraction.extract import extract

LABELS = ["f0", "loudness", "mfcc"]  # undefined at times, always defined, a vector
UPDATES_TO_A_KILL = 8
UPDATES_FOR_A_KILL = 11  # a signal takes some more until the training has ended
PATIENCE = 120  # seconds without an update, or to an end that was asked for
SMALL = {
    "model.conv_feature_layers": "'[(16, 10, 5)] + [(16, 3, 2)] * 4 + [(16, 2, 2)] * 2'",
    "model.encoder_layers": 1,
    "model.encoder_embed_dim": 32,
    "model.encoder_ffn_embed_dim": 64,
    "model.encoder_attention_heads": 2,
    "model.final_dim": 16,
    "model.latent_vars": 8,
    "task.max_sample_size": 32_000,
    "dataset.max_tokens": 96_000,
    "dataset.validate_interval_updates": 11,
    "checkpoint.save_interval_updates": 3,
    "checkpoint.keep_interval_updates": 2,
    "common.log_interval": 1,
    "criterion.pretext_balancing": "gradnorm",  # whose state must survive too
}


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--out",
        type=Path,
        help="folder of data, store and both runs; must be new (default: one that is removed)",
    )
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument(
        "--processes", type=int, default=1, help="ranks, connected by gloo on this machine's CPU"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    options = parse(parser, arguments, {"kills": 2})
    with tempfile.TemporaryDirectory() as folder:
        out = (options.out or Path(folder)).resolve()
        if out.exists() and any(out.iterdir()):
            raise PtselError(f"--out: expected a new or empty folder, found {out} with files in it")
        data, store = make_data(out)
        result = Trial(out, data, store, options.processes, options.kills, options.seed).run()
        write_text(out / "kills.json", json.dumps(result, indent=1) + "\n")
    print(json.dumps({key: value for key, value in result.items() if key != "deaths"}))
    return finish(
        options,
        [
            Figure("tensors that differ from a training left alone", result["different"], 0, True),
            Figure("checkpoints that cannot be read after a kill", result["unreadable"], 0, True),
        ],
    )


def make_data(out: Path) -> tuple[Path, Path]:
    """Manifests of every fifth bundled clip, and their store."""
    data = out / "data"
    bundled_manifests(data, 5)
    for split in ("train", "valid"):
        extract(read_manifest(data / f"{split}.tsv"), LABELS, out / "store")
    return data, out / "store"


class Trial:
    """One comparison of a training left alone with one that is killed.

    Args:
        out: folder of both runs.
        data: manifests.
        store: their label store, with `LABELS`.
        processes: ranks.
        kills: how many.
        seed: of their moments.
        settings: overrides of the recipe beyond those of `SMALL`.
    """

    def __init__(
        self,
        out: Path,
        data: Path,
        store: Path,
        processes: int,
        kills: int,
        seed: int,
        settings: Mapping[str, object] | None = None,
    ) -> None:
        self.out, self.data, self.store, self.processes = out, data, store, processes
        self.kills, self.rng = kills, np.random.default_rng(seed)
        self.updates = (kills + 1) * UPDATES_FOR_A_KILL
        self.settings = {**SMALL, **(settings or {})}

    def run(self) -> dict:
        started = time.monotonic()
        alone, killed = self.out / "alone", self.out / "killed"
        self._end(self._start(alone))
        deaths = [self._die(killed, number) for number in range(self.kills)]
        self._end(self._start(killed))
        expected, got = (everything(run / "checkpoint_last.pt") for run in (alone, killed))
        return {
            "processes": self.processes,
            "kills": self.kills,
            "updates": self.updates,
            "updates_done_twice": sum(death["update"] - death["checkpoint"] for death in deaths),
            "killed_while_saving": sum(death["while_saving"] for death in deaths),
            "unreadable": sum(death["unreadable"] for death in deaths),
            "tensors": len(expected),
            "different": len(expected.keys() ^ got.keys())
            + sum(not torch.equal(expected[name], got[name]) for name in expected.keys() & got.keys()),
            "seconds": round(time.monotonic() - started),
            "deaths": deaths,
        }

    def _die(self, run: Path, number: int) -> dict:
        """Start the training, kill it some updates later at any moment of an update or a save."""
        how = signal.SIGTERM if number % 2 else signal.SIGKILL
        before = last_update(run)
        if before >= self.updates - 1:
            raise PtselError(f"{run}: the training was over after {number} kills; try another --seed")
        # One more than a checkpoint's distance at least, or kills could stop it from ever getting on.
        aim = before + int(self.rng.integers(4, 2 * UPDATES_TO_A_KILL - 4))
        ranks = self._start(run)
        clock, seen = time.monotonic(), before
        while (update := last_update(run)) < min(aim, self.updates - 1):
            if update != seen:
                clock, seen = time.monotonic(), update
            if any(rank.poll() is not None for rank in ranks) or time.monotonic() - clock > PATIENCE:
                self._kill_all(ranks)
                raise PtselError(f"{run}: no update after {seen}; see the files output.* there")
            time.sleep(0.005)
        if number % 4:
            time.sleep(self.rng.uniform(0, 0.3))
        else:  # while a checkpoint is written, which chance alone would seldom meet
            end = time.monotonic() + PATIENCE
            while not list(run.glob("checkpoint*.tmp")) and time.monotonic() < end:
                time.sleep(0.001)
        if how is signal.SIGKILL:
            self._kill_all(ranks)
        else:
            ranks[int(self.rng.integers(len(ranks)))].send_signal(how)
            # A training that is over may be on its way out of Python, where nothing handles signals any more.
            self._end(ranks, lambda: update_of(run / "checkpoint_last.pt") == self.updates)
        files = sorted(run.glob("checkpoint*.pt"))
        return {
            "signal": how.name,
            "update": last_update(run),
            "checkpoint": update_of(run / "checkpoint_last.pt"),
            "unreadable": sum(update_of(file) is None for file in files),
            "while_saving": bool(list(run.glob("checkpoint*.tmp"))),
        }

    def _start(self, run: Path) -> list[subprocess.Popen]:
        run.mkdir(exist_ok=True)
        weights = {f"+criterion.pretext_weights.{label}": f"{1 / len(LABELS):.17g}" for label in LABELS}
        settings = {
            "task.data": self.data,
            "task.store": self.store,
            "common.user_dir": ROOT / "ptsel_fairseq",
            "checkpoint.save_dir": run,
            "hydra.run.dir": run,
            "optimization.max_update": self.updates,
            "lr_scheduler.warmup_updates": 5,
            **weights,
            **self.settings,
        }
        with socket.socket() as probe:
            probe.bind(("localhost", 0))
            port = probe.getsockname()[1]
        ranks = []
        for rank in range(self.processes):
            distributed = {
                "distributed_world_size": self.processes,
                "distributed_rank": rank,
                "distributed_init_method": f"tcp://localhost:{port}",
                "distributed_backend": "gloo",
                "distributed_no_spawn": "true",
            }
            extra = {f"distributed_training.{key}": value for key, value in distributed.items()}
            words = {**settings, **(extra if self.processes > 1 else {})}
            with (run / f"output.{rank}").open("w") as output:
                ranks.append(
                    subprocess.Popen(
                        [
                            str(Path(sys.executable).parent / "fairseq-hydra-train"),
                            *("--config-dir", str(RECIPES), "--config-name", "tiny"),
                            *(f"{key}={value}" for key, value in words.items()),
                        ],
                        env={**os.environ, "PYTHONWARNINGS": "ignore"},
                        stdout=output,
                        stderr=subprocess.STDOUT,
                        start_new_session=True,  # so that a kill reaches its data loaders
                    )
                )
        return ranks

    def _end(self, ranks: list[subprocess.Popen], over: Callable[[], bool] = lambda: False) -> None:
        try:
            codes = [rank.wait(timeout=PATIENCE + 2 * self.updates) for rank in ranks]
        except subprocess.TimeoutExpired:
            self._kill_all(ranks)
            raise PtselError(
                f"{self.out}: training did not end; see the files output.* in its folder"
            ) from None
        if any(codes) and not (set(codes) <= {0, -signal.SIGTERM} and over()):
            raise PtselError(f"{self.out}: training ended with {codes}; see the files output.* in its folder")

    @staticmethod
    def _kill_all(ranks: list[subprocess.Popen]) -> None:
        for rank in ranks:
            if rank.poll() is None:
                os.killpg(rank.pid, signal.SIGKILL)
        for rank in ranks:
            rank.wait()


def last_update(run: Path) -> int:
    """The last update that the log tells of, 0 before the first."""
    log = run / "hydra_train.log"
    found = re.findall(r'\[train_inner\].*"num_updates": "(\d+)"', log.read_text()) if log.exists() else []
    return int(found[-1]) if found else 0


def update_of(checkpoint: Path) -> int | None:
    """The update of a checkpoint, 0 if there is none, None if it cannot be read."""
    if not checkpoint.exists():
        return 0
    try:
        return torch.load(checkpoint, weights_only=True)["optimizer_history"][-1]["num_updates"]
    except Exception:  # whatever torch makes of a file that was cut off
        return None


def everything(checkpoint: Path) -> dict[str, torch.Tensor]:
    """Parameters, buffers and optimizer state of a checkpoint, by name."""
    state = torch.load(checkpoint, weights_only=True)
    found = {f"model.{name}": value for name, value in state["model"].items()}
    for number, moments in state["last_optimizer_state"]["state"].items():
        for name, value in moments.items():
            found[f"optimizer.{number}.{name}"] = torch.as_tensor(value)
    return found


if __name__ == "__main__":
    try:
        sys.exit(not all(figure.met for figure in main()))
    except PtselError as error:
        sys.exit(f"kill_training: {error}")
