"""wav2vec 2.0 from the waveform against from log-mel bands: how soon does either learn, in core-minutes?

    OMP_NUM_THREADS=1 python benchmarks/bench_frontend.py [--out FOLDER] [--core-minutes 10] [--seeds 1]
        [--frontends waveform filterbank] [--tiny]

Trains the tiny recipe on the bundled speech with either front end, with and without the seven labels of the pool
`zaiem_speech` at equal weights, each for the same processor time of its own process (system time and loading of data
included, validation and start-up not), and says

* when the contrastive loss leaves its plateau: the first of three reports in a row (10 updates each) in which it is
  below 0.95 of log2(1 + negatives), what guessing costs;
* how well a linear probe tells the phones of the bundled English clips apart in the frozen encoder (five folds of
  clips), beside one of either front end before its first update, and beside log_mel itself.

Writes ``frontend.json`` into FOLDER and prints tables. Run again it goes on where it stopped. ``--tiny`` is a few
updates of one front end, to see that it runs.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from common import ROOT, Figure, add_every, bundled_manifests, finish, parse, parser_of
from omegaconf import OmegaConf
from phones import probe, shown, write_phones

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.base.weights_file import write_into_recipe
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.labels.pools import POOLS
from ptsel_fairseq.runs import read_run

LABELS = sorted(POOLS["zaiem_speech"])
RECIPES = {"waveform": "tiny", "filterbank": "tiny_filterbank"}
CONDITIONS = {"none": "no labels", "labels": "seven labels"}
PLATEAU = 0.95  # of what guessing costs
REPORT = 10  # updates


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--out", type=Path, help="folder of data, stores, runs and numbers (default: one that is removed)"
    )
    parser.add_argument("--core-minutes", type=float, default=10.0, help="of each run (default 10)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    parser.add_argument("--frontends", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--clips", type=int, help="English clips whose phones are probed (default: all)")
    tiny = {
        "core_minutes": 1 / 30,
        "conditions": ["labels"],
        "frontends": ["filterbank"],
        "clips": 20,
        "every": 4,
    }
    add_every(parser)
    options = parse(parser, arguments, tiny)
    with tempfile.TemporaryDirectory() as folder:
        return finish(options, compare(options, (options.out or Path(folder)).resolve()))


def compare(options: argparse.Namespace, out: Path) -> list[Figure]:
    """Train and probe every front end; numbers in `out`, and for each run how many phones are told apart."""
    minutes = options.core_minutes
    make_data(out, options.clips, options.every)
    runs = [
        (frontend, condition, seed)
        for seed in options.seeds
        for condition in options.conditions
        for frontend in options.frontends
    ]
    for frontend, condition, seed in runs:
        train(out, frontend, condition, seed, minutes)
    rows = [row(out, frontend, condition, seed, minutes, probed=True) for frontend, condition, seed in runs]
    rows += [row(out, frontend, "none", options.seeds[0], 0.0, probed=True) for frontend in options.frontends]
    log_mel = probe(out, "log_mel", "log_mel")
    numbers = {"core_minutes": minutes, "rows": rows, "log_mel_percent": log_mel}
    write_text(out / "frontend.json", json.dumps(numbers, indent=1) + "\n")
    print_table(numbers)
    return [Figure("phones told apart from log_mel itself, percent", log_mel[0])]


def make_data(out: Path, clips_to_probe: int | None, every: int) -> None:
    """Manifests and store of the bundled speech; the phones of its English clips, or some of them, in five folds."""
    bundled_manifests(out / "data", every)
    for split in ("train", "valid"):
        extract(read_manifest(out / "data" / f"{split}.tsv"), [*LABELS, "log_mel"], out / "labels")
    write_phones(out, clips_to_probe)


def run_folder(out: Path, frontend: str, condition: str, seed: int, minutes: float) -> Path:
    return out / "runs" / f"{frontend}-{condition}-{seed}-{minutes:g}"


def train(out: Path, frontend: str, condition: str, seed: int, minutes: float) -> Path:
    """Train in a process of its own until it has used its time; with 0 minutes, with a learning rate of 0."""
    run = run_folder(out, frontend, condition, seed, minutes)
    if (run / "ended").exists():
        return run
    print(f"{frontend}, {CONDITIONS[condition]}, seed {seed}: {run}", flush=True)
    run.mkdir(parents=True, exist_ok=True)
    for old in run.iterdir():  # half a run has used processor time that nobody has counted
        if old.is_file():
            old.unlink()
    name = RECIPES[frontend]
    write_text(run / f"{name}.yaml", (ROOT / "configs" / "pretraining" / f"{name}.yaml").read_text())
    if condition == "labels":
        weights = dict.fromkeys(LABELS, 1 / len(LABELS))
        write_into_recipe(run / f"{name}.yaml", weights, {"method": "equal weights of the pool zaiem_speech"})
    settings = {
        "task.data": out / "data",
        "task.store": out / "labels",
        "common.user_dir": ROOT / "ptsel_fairseq",
        "common.seed": seed,
        "common.log_interval": REPORT,
        "checkpoint.save_dir": run,
        "checkpoint.save_interval_updates": 0,
        "hydra.run.dir": run,
        "dataset.max_tokens": 320_000,
        "dataset.num_workers": 0,
        "dataset.disable_validation": "true",
        "optimization.max_update": 1_000_000,  # time ends it; the learning rate stays what it is after the warm-up
    }
    if not minutes:
        settings["optimization.lr"] = "[0.0]"
    words = ["--config-dir", run, "--config-name", name, *(f"{k}={v}" for k, v in settings.items())]
    environment = {**os.environ, "PYTHONWARNINGS": "ignore", "PTSEL_BENCH_SECONDS": str(60 * minutes)}
    with (run / "output.txt").open("w") as output:
        done = subprocess.run(
            [sys.executable, str(Path(__file__).resolve()), "--worker", *map(str, words)],
            env={**environment, "PTSEL_BENCH_RECORD": str(run / "seconds.json")},
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    if done.returncode != 0:
        raise PtselError(f"{run}: training ended with {done.returncode}; see output.txt there")
    (run / "ended").touch()
    return run


def worker() -> None:
    """fairseq-hydra-train that asks itself to stop after some processor time and writes what each update had used."""
    from fairseq.trainer import Trainer
    from fairseq_cli.hydra_train import cli_main

    import ptsel_fairseq.plugin  # noqa: F401  (this module has imported the package before fairseq could)

    budget, record = float(os.environ["PTSEL_BENCH_SECONDS"]), Path(os.environ["PTSEL_BENCH_RECORD"])
    original, used = Trainer.train_step, {}
    start: list[float] = []

    def train_step(self: Trainer, samples: list, raise_oom: bool = False) -> object:
        if not start:
            start.append(time.process_time())
        logged = original(self, samples, raise_oom)
        used[self.get_num_updates()] = time.process_time() - start[0]
        if used[self.get_num_updates()] >= budget and not record.exists():
            write_text(record, json.dumps(used))
            # The plugin writes a checkpoint and ends; a second signal would kill the process before.
            os.kill(os.getpid(), signal.SIGTERM)
        return logged

    Trainer.train_step = train_step
    sys.argv.remove("--worker")
    cli_main()


def row(out: Path, frontend: str, condition: str, seed: int, minutes: float, probed: bool) -> dict:
    """What is known of a run; of 0 minutes, of the encoder before its first update."""
    run = train(out, frontend, condition, seed, minutes)
    found: dict = {"frontend": frontend, "condition": condition, "seed": seed, "minutes": minutes}
    if minutes:
        seconds = {
            int(update): used for update, used in json.loads((run / "seconds.json").read_text()).items()
        }
        negatives = OmegaConf.load(run / f"{RECIPES[frontend]}.yaml").model.num_negatives
        found |= {"updates": max(seconds), "seconds_an_update": max(seconds.values()) / max(seconds)}
        history = read_run(run)
        losses = dict(zip(*history.series("train_inner", "loss_0"), strict=True))
        codes = dict(zip(*history.series("train_inner", "code_perplexity"), strict=True))
        left = leaves(losses, PLATEAU * math.log2(1 + negatives))
        found |= {
            "loss_0": {update: losses[update] for update in sorted(losses)},
            "code_perplexity": {update: codes[update] for update in sorted(codes)},
            "left_after_updates": left,
            "left_after_core_minutes": None if left is None else seconds[min(left, max(seconds))] / 60,
        }
    if probed:
        found["phones_percent"] = probe(out, run.name, str(run / "checkpoint_last.pt"))
    return found


def leaves(losses: dict[int, float], threshold: float) -> int | None:
    """The first of three reports in a row below the threshold, or None."""
    updates = sorted(losses)
    for first, second, third in zip(updates, updates[1:], updates[2:], strict=False):
        if max(losses[first], losses[second], losses[third]) < threshold:
            return first
    return None


def print_table(numbers: dict) -> None:
    print("| front end | labels | s an update | leaves the plateau | phones % |")
    print("| --- | --- | --- | --- | --- |")
    for one in numbers["rows"]:
        if not one["minutes"]:
            cells = ["before training", "-", "-"]
        else:
            left = one["left_after_updates"]
            when = (
                "no" if left is None else f"{left} updates, {one['left_after_core_minutes']:.2f} core-minutes"
            )
            cells = [CONDITIONS[one["condition"]], f"{one['seconds_an_update']:.2f}", when]
            cells[0] += f", {one['updates']} updates"
        print(f"| {one['frontend']} | {' | '.join(cells)} | {shown(one['phones_percent'])} |")
    print(f"| log_mel itself | - | - | - | {shown(numbers['log_mel_percent'])} |")


if __name__ == "__main__":
    if "--worker" in sys.argv:
        worker()
    else:
        try:
            main()
        except PtselError as error:
            sys.exit(f"bench_frontend: {error}")
