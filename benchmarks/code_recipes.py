"""Do HuBERT's and BEST-RQ's objectives learn on little speech? Held-out skill, phones against a random encoder, export.

    OMP_NUM_THREADS=1 python benchmarks/code_recipes.py [--out FOLDER] [--updates 600] [--seeds 1 2 3] [--tiny]

Trains `tiny_hubert` and `tiny_bestrq` on the bundled speech, 20 s of audio an update, of filterbanks and of waveforms;
a seed draws codes, parameters, crops and masks. What counts was fixed before any result:

* the skill of the codes on held-out utterances is higher at the last validation than at the first, and above 0, in
  every run;
* a linear probe of the frozen encoder tells the phones of the bundled English clips apart (five folds of clips) better
  than one of an encoder of the same shape with random parameters, of the same seeds: mean over seeds, and a 95 %
  interval over clips that lies above 0;
* what `ptsel export` writes of the encoders of the waveform (the others have no stock twin) loads in fairseq where
  this package cannot be imported, and gives finite frames.

Writes ``code_recipes.csv`` into FOLDER and prints a table. Run again it goes on where it stopped; runs that have ended
are not repeated.
"""

from __future__ import annotations

import argparse
import csv
import io
import math
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path

import numpy as np
from common import RECIPES, ROOT, Figure, add_every, bundled_manifests, finish, parse, parser_of
from phones import probe, shown, write_phones
from trainings import train_to_the_end

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.downstream.metrics.bootstrap import interval, mean_values, replicates
from ptsel_fairseq.downstream.metrics.results import Result, read_result
from ptsel_fairseq.export import export_command
from ptsel_fairseq.labels import extract, make_codes
from ptsel_fairseq.runs import read_run

LABELS = {"tiny_hubert": "hubert", "tiny_bestrq": "bestrq"}
FRONTENDS = ("filterbank", "waveform")
RANDOM = "random"  # tiny_hubert with a learning rate of 0
RESAMPLES = 1000
COLUMNS = ("recipe", "frontend", "seeds", "updates", "skill_first", "skill_last", "phones", "phones_low", "phones_high",
           "gain", "gain_low", "gain_high", "loads_in_stock")  # fmt: skip
LOADS_IN_STOCK = """
import sys
sys.modules["ptsel_fairseq"] = None  # importing it fails
import torch
from fairseq.checkpoint_utils import load_model_ensemble_and_task
(model,), _, _ = load_model_ensemble_and_task([sys.argv[1]])
frames = model.eval().extract_features(torch.randn(1, 16000), padding_mask=None)["x"]
assert type(model).__module__ == "fairseq.models.wav2vec.wav2vec2" and frames.isfinite().all()
"""


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--out", type=Path, help="folder of data, stores, runs and rows (default: one that is removed)"
    )
    parser.add_argument("--updates", type=int, default=600, help="of each run (default 600)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--frontends", choices=FRONTENDS, nargs="+", default=list(FRONTENDS))
    parser.add_argument("--clips", type=int, help="English clips whose phones are probed (default: all)")
    tiny = {"updates": 2, "seeds": [1], "frontends": ["waveform"], "clips": 20, "every": 4}
    add_every(parser)
    options = parse(parser, arguments, tiny)
    with tempfile.TemporaryDirectory() as folder:
        return finish(options, compare(options, (options.out or Path(folder)).resolve()))


def compare(options: argparse.Namespace, out: Path) -> list[Figure]:
    """Train and probe every encoder; rows in `out`, and for each recipe and front end what the phones gain."""
    bundled_manifests(out / "data", options.every)
    write_phones(out, options.clips)
    pairs = [(recipe, frontend) for frontend in options.frontends for recipe in (RANDOM, *LABELS)]
    for seed in options.seeds:
        make_store(out, seed)
    for frontend in options.frontends:
        for seed in options.seeds:
            for recipe in (RANDOM, *LABELS):
                run = train(out, recipe, frontend, seed, options.updates)
                probe(out, run.name, str(run / "checkpoint_last.pt"))
    rows = [row(out, *pair, [seed], options.updates) for pair in pairs for seed in options.seeds]
    of_seeds = len(rows)
    rows += [together(out, *pair, options.seeds, options.updates, rows) for pair in pairs]
    write_rows(out / "code_recipes.csv", rows if len(options.seeds) > 1 else rows[:of_seeds])
    print_table(rows[-len(pairs) :])
    return [
        Figure(f"phones of {one['recipe']} ({one['frontend']}) above random, points", one["gain"])
        for one in rows[-len(pairs) :]
        if one["recipe"] != RANDOM
    ]


def make_store(out: Path, seed: int) -> None:
    """Labels of the bundled speech and codes of this seed."""
    store = out / f"store-{seed}"
    if (store / "ended").exists():
        return
    for split in ("train", "valid"):
        extract(out / "data" / f"{split}.tsv", ["mfcc", "log_mel"], store)
    make_codes(out / "data", "hubert", store, seed=seed)
    make_codes(out / "data", "bestrq", store, random="log_mel", codes=512, seed=seed)
    (store / "ended").touch()


def run_folder(out: Path, recipe: str, frontend: str, seed: int, updates: int) -> Path:
    return out / "runs" / f"{recipe}-{frontend}-{seed}-{0 if recipe == RANDOM else updates}"


def train(out: Path, recipe: str, frontend: str, seed: int, updates: int) -> Path:
    """Train to the end, from the last checkpoint if there is one; random parameters are kept as they are."""
    run = run_folder(out, recipe, frontend, seed, updates)
    if (run / "ended").exists():
        return run
    print(f"{recipe}, {frontend}, seed {seed}: {run}", flush=True)
    settings = {
        "task.data": out / "data",
        "task.store": out / f"store-{seed}",
        "common.user_dir": ROOT / "ptsel_fairseq",
        "common.seed": seed,
        "dataset.max_tokens": 320_000,
        "dataset.num_workers": 0,
        "dataset.validate_interval_updates": max(1, updates // 8),
        "model.frontend": frontend,
        "optimization.max_update": 1 if recipe == RANDOM else updates,
    }
    if recipe == RANDOM:
        settings["optimization.lr"] = "[0.0]"
    if frontend == "waveform":
        settings["+model.extractor_mode"] = "layer_norm"  # as tiny.yaml has it
    run.mkdir(parents=True, exist_ok=True)
    name = "tiny_hubert" if recipe == RANDOM else recipe
    train_to_the_end(run, RECIPES / f"{name}.yaml", settings, settings["optimization.max_update"])
    (run / "ended").touch()
    return run


def row(out: Path, recipe: str, frontend: str, seeds: Sequence[int], updates: int) -> dict:
    """What is known of one run, or of those of several seeds: skill as their mean, phones with an interval."""
    runs = [run_folder(out, recipe, frontend, seed, updates) for seed in seeds]
    found: dict = dict.fromkeys(COLUMNS, "")
    found |= {"recipe": recipe, "frontend": frontend, "seeds": " ".join(map(str, seeds)), "updates": updates}
    found |= gains([probed(out, run) for run in runs], None)
    if recipe == RANDOM:
        return found | {"updates": 0}
    series = [read_run(run).series("valid", f"skill_{LABELS[recipe]}")[1] for run in runs]
    found |= {
        "skill_first": float(np.mean([skills[0] for skills in series])),
        "skill_last": float(np.mean([skills[-1] for skills in series])),
    }
    random = [probed(out, run_folder(out, RANDOM, frontend, seed, updates)) for seed in seeds]
    found |= gains([probed(out, run) for run in runs], random)
    if frontend == "waveform":
        found["loads_in_stock"] = not [run for run in runs if not loads_in_stock(run)]
    return found


def together(
    out: Path, recipe: str, frontend: str, seeds: Sequence[int], updates: int, rows: Sequence[dict]
) -> dict:
    """The row of all seeds, and whether the skill of each run rose to above 0."""
    found = row(out, recipe, frontend, seeds, updates)
    own = [one for one in rows if (one["recipe"], one["frontend"]) == (recipe, frontend)]
    if recipe != RANDOM:
        found["rose"] = sum(one["skill_last"] > max(0.0, one["skill_first"]) for one in own)
    return found


def probed(out: Path, run: Path) -> Result:
    (file,) = (out / "probes" / run.name).glob("*/result.json")
    return read_result(file)


def gains(own: Sequence[Result], random: Sequence[Result] | None) -> dict[str, float]:
    """Accuracy on phones, percent, mean over runs; or how much above that of random encoders; with 95 % intervals."""
    systems = [[scorer for result in of for scorer in result.answers.scorers()] for of in (own, random) if of]
    answers = own[0].answers
    for result in (*own, *(random or ())):
        if result.answers.ids != answers.ids:
            raise PtselError("probes: expected the same items in the same order; give an empty --out")
    ones = np.ones(len(answers.ids))
    value, *of_random = (mean_values(runs, ones)["accuracy"] for runs in systems)
    drawn = [of["accuracy"] for of in replicates(systems, answers.groups, RESAMPLES, 0)]
    if of_random:
        value, spread, name = value - of_random[0], drawn[0] - drawn[1], "gain"
    else:
        spread, name = drawn[0], "phones"
    low, high = interval(spread) or (math.nan, math.nan)
    return {name: 100 * value, f"{name}_low": 100 * low, f"{name}_high": 100 * high}


@lru_cache
def loads_in_stock(run: Path) -> bool:
    """Whether fairseq without this package reads the export of a run."""
    exported = run / "stock.pt"
    if not exported.exists():
        export_command(run / "checkpoint_last.pt", exported)
    done = subprocess.run(
        [sys.executable, "-c", LOADS_IN_STOCK, str(exported)],
        capture_output=True,
        text=True,
        cwd=run,
        env={**os.environ, "PYTHONWARNINGS": "ignore"},
    )
    if done.returncode != 0:
        print(f"{exported}: {done.stderr[-1000:]}")
    return done.returncode == 0


def write_rows(file: Path, rows: Sequence[dict]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    for one in rows:
        writer.writerow({key: f"{v:.4g}" if isinstance(v, float) else v for key, v in one.items()})
    write_text(file, text.getvalue())


def print_table(rows: Sequence[dict]) -> None:
    headings = (
        "encoder of",
        "trained by",
        "held-out skill, first, last",
        "rose",
        "phones %",
        "above random, points",
    )
    print(f"| {' | '.join(headings)} | in stock |\n{'| --- ' * (len(headings) + 1)}|")
    for one in rows:
        phones = shown([one["phones"], one["phones_low"], one["phones_high"]])
        cells = [one["frontend"], one["recipe"]]
        if one["recipe"] == RANDOM:
            cells += ["-", "-", phones, "-", "-"]
        else:
            seeds = len(one["seeds"].split())
            cells += [
                f"{one['skill_first']:.3f}, {one['skill_last']:.3f}",
                f"{one['rose']} of {seeds}",
                phones,
            ]
            cells += [shown([one["gain"], one["gain_low"], one["gain_high"]])]
            cells += ["-" if one["loads_in_stock"] == "" else "yes" if one["loads_in_stock"] else "no"]
        print(f"| {' | '.join(cells)} |")


if __name__ == "__main__":
    try:
        main()
    except PtselError as error:
        sys.exit(f"code_recipes: {error}")
