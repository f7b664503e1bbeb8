"""Does training learn its labels, and what becomes of the contrastive task? Curves on held-out real speech.

    OMP_NUM_THREADS=1 python benchmarks/learning_curves.py [--out FOLDER] [--updates 400] [--seeds 1 2 3]

Trains the tiny recipe on the bundled speech with the seven labels of the pool `zaiem_speech` at equal weights, and

* ``stock``: without labels, which is stock wav2vec 2.0 on the same crops and masks;
* ``permuted``: with the same values given to other frames, permuted over all frames of the split: nothing of a track
  can be told from the audio any more;
* ``within``: permuted over the frames of each utterance: only what whole utterances have in common is left.

Draws ``learning_curves.png`` and writes ``learning_curves.json`` into FOLDER. Run again after an interruption it goes
on where it stopped; runs that have ended are not repeated.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from common import RECIPES, ROOT, Figure, add_every, bundled_manifests, finish, parse, parser_of
from trainings import train_to_the_end

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.manifest import Manifest, read_manifest
from ptsel_fairseq.base.pictures import BLUE, GREY, ORANGE, PINK, save
from ptsel_fairseq.base.weights_file import write_into_recipe
from ptsel_fairseq.labels import registry
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.labels.label import Track
from ptsel_fairseq.labels.pools import POOLS
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.labels.store.writer import StoreWriter
from ptsel_fairseq.runs import Run, read_run

LABELS = sorted(POOLS["zaiem_speech"])
SPLITS = ("train", "valid")
CONDITIONS = {
    "labels": ("seven labels", BLUE),
    "stock": ("no labels", ORANGE),
    "permuted": ("permuted over the split", GREY),
    "within": ("permuted within utterances", PINK),
}


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument(
        "--out",
        type=Path,
        help="folder of data, stores, runs, numbers and picture (default: one that is removed)",
    )
    parser.add_argument("--updates", type=int, default=400, help="of each run (default 400)")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--conditions", nargs="+", choices=CONDITIONS, default=list(CONDITIONS))
    add_every(parser)
    options = parse(
        parser, arguments, {"updates": 2, "seeds": [1], "conditions": ["labels", "permuted"], "every": 4}
    )
    with tempfile.TemporaryDirectory() as folder:
        return finish(options, compare(options, (options.out or Path(folder)).resolve()))


def compare(options: argparse.Namespace, out: Path) -> list[Figure]:
    """Train under every condition; picture and numbers in `out`."""
    make_data(out, options.every)
    for seed in options.seeds:  # the first comparison is complete after the first seed
        for condition in options.conditions:
            train(out, condition, seed, options.updates)
    runs = {
        condition: [read_run(run_folder(out, condition, seed, options.updates)) for seed in options.seeds]
        for condition in options.conditions
    }
    numbers = summary(runs, options.updates, options.seeds)
    write_text(out / "learning_curves.json", json.dumps(numbers, indent=1) + "\n")
    draw(numbers, out / "learning_curves.png")
    print_table(numbers)
    return [
        Figure(f"held-out contrastive accuracy, {condition}", float(np.mean(last["accuracy"])))
        for condition, last in numbers["last"].items()
    ]


def make_data(out: Path, every: int) -> None:
    """Manifests of the bundled speech, its store, and the stores of the two controls."""
    bundled_manifests(out / "data", every)
    for split in SPLITS:
        manifest = read_manifest(out / "data" / f"{split}.tsv")
        extract(manifest, LABELS, out / "labels")
        for control in ("permuted", "within"):
            permute(out / "labels", out / control, manifest, within=control == "within")


def permute(source: Path, target: Path, manifest: Manifest, within: bool, seed: int = 0) -> None:
    """Write a store whose frames hold the values, and the validity, of other frames of the source's.

    All labels of a frame move together, so that they stay as alike as they are.
    """
    store = LabelStore(source, manifest.split)
    counts = [store.num_frames(utterance.index) for utterance in manifest]
    ends = np.cumsum(counts)
    rng = np.random.default_rng([seed, SPLITS.index(manifest.split)])
    if within:
        order = np.concatenate([end - n + rng.permutation(n) for end, n in zip(ends, counts, strict=True)])
    else:
        order = rng.permutation(sum(counts))
    everything = {
        label: [
            np.concatenate([part(label, utterance.index) for utterance in manifest])[order]
            for part in (store.track, store.valid)
        ]
        for label in LABELS
    }
    labels = [registry.get(label) for label in LABELS]
    writer = StoreWriter(target, manifest, labels, store.grid, command_line=" ".join(sys.argv))
    try:
        for utterance in writer.open():
            end = ends[utterance.index]
            place = slice(end - counts[utterance.index], end)
            writer.write(
                utterance.index,
                {
                    label.name: Track(values[place], valid[place])
                    for label in labels
                    for values, valid in [everything[label.name]]
                },
            )
        writer.finish()
    finally:
        writer.close()


def run_folder(out: Path, condition: str, seed: int, updates: int) -> Path:
    return out / "runs" / f"{condition}-{seed}-{updates}"


def train(out: Path, condition: str, seed: int, updates: int) -> None:
    """Train to the end, from the last checkpoint if there is one."""
    run = run_folder(out, condition, seed, updates)
    if (run / "ended").exists():
        return
    print(f"{condition}, seed {seed}: {run}", flush=True)
    run.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(RECIPES / "tiny.yaml", run / "tiny.yaml")
    if condition != "stock":
        weights = dict.fromkeys(LABELS, 1 / len(LABELS))
        write_into_recipe(run / "tiny.yaml", weights, {"method": "equal weights of the pool zaiem_speech"})
    settings = {
        "task.data": out / "data",
        "task.store": out / ("labels" if condition == "stock" else condition),
        "common.user_dir": ROOT / "ptsel_fairseq",
        "common.seed": seed,
        "common.log_interval": 10,
        "dataset.max_tokens": 320_000,
        "dataset.validate_interval_updates": 50,
        "optimization.max_update": updates,
    }
    train_to_the_end(run, run / "tiny.yaml", settings, updates)
    (run / "ended").touch()


def summary(runs: dict[str, list[Run]], updates: int, seeds: Sequence[int]) -> dict:
    """The numbers of the picture: validation series of each run, and the last values by condition."""
    keys = ["loss_0", "accuracy", "code_perplexity", *(f"skill_{label}" for label in LABELS)]
    series = {
        condition: {
            key: [dict(zip(*run.series("valid", key), strict=True)) for run in of_seeds]
            for key in keys
            if of_seeds[0].series("valid", key)[0]
        }
        for condition, of_seeds in runs.items()
    }
    last = {
        condition: {key: [run[max(run)] for run in of_seeds] for key, of_seeds in by_key.items()}
        for condition, by_key in series.items()
    }
    return {
        "updates": updates,
        "seeds": list(seeds),
        "last": last,
        "validation": series,
    }


def print_table(numbers: dict) -> None:
    """Mean and range over seeds of the last validation."""
    last = numbers["last"]
    print("| held-out, last validation | " + " | ".join(CONDITIONS[c][0] for c in last) + " |")
    print("| --- " * (len(last) + 1) + "|")
    keys = ["accuracy", "loss_0", "code_perplexity", *(f"skill_{label}" for label in LABELS)]
    for key in keys:
        cells = []
        for by_key in last.values():
            values = by_key.get(key)
            cells.append(f"{np.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" if values else "-")
        print(f"| `{key}` | " + " | ".join(cells) + " |")


def draw(numbers: dict, file: Path) -> None:
    """Held-out accuracy and skills against updates: a thin line for each seed, a thick one for their mean."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt
    from PIL import Image

    titles = {"accuracy": "contrastive accuracy", "loss_0": "contrastive loss (bits)"}
    titles |= {f"skill_{label}": f"skill: {label}" for label in LABELS}
    figure, panels = plt.subplots(3, 3, figsize=(9, 6.5), layout="constrained", sharex=True)
    for axes, (key, title) in zip(panels.flat, titles.items(), strict=True):
        for condition, of_seeds in numbers["validation"].items():
            name, colour = CONDITIONS[condition]
            if key not in of_seeds:
                continue
            seeds = [{int(update): value for update, value in one.items()} for one in of_seeds[key]]
            for one in seeds:
                axes.plot(list(one), list(one.values()), color=colour, linewidth=0.6, alpha=0.6)
            shared = sorted(set.intersection(*map(set, seeds)))
            mean = [np.mean([one[update] for one in seeds]) for update in shared]
            axes.plot(shared, mean, color=colour, linewidth=2, label=name)
        axes.set_title(title, fontsize="medium")
        if key.startswith("skill_"):
            axes.axhline(0, color="black", linewidth=0.8)
        axes.grid(alpha=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    handles, names = panels.flat[0].get_legend_handles_labels()
    figure.legend(handles, names, loc="outside upper center", ncols=len(names), frameon=False)
    figure.supxlabel("update", fontsize="medium")
    save(figure, file)
    plt.close(figure)
    Image.open(file).quantize(64).save(file, optimize=True)  # a third of the size, for the documentation


if __name__ == "__main__":
    try:
        main()
    except PtselError as error:
        sys.exit(f"learning_curves: {error}")
