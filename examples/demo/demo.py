"""The whole road on the bundled speech: `ptsel run` with pipeline.yaml, then what came of it as a table and pictures.

    python examples/demo/demo.py --out demo-output

A step that is done is not done again, so the demo can be interrupted; training goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path

import yaml

PIPELINE = Path(__file__).resolve().parent / "pipeline.yaml"
FRONT_ENDS = {
    "log_mel": "log mel",
    "zaiem_speech+loudness+log_mel+mfcc": "the labels themselves",
    "untrained-checkpoint_last": "the same model, untrained",
    "pretrain-checkpoint_last": "the pretrained model",
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="folder of everything it makes")
    parser.add_argument("--pretrain-updates", type=int, help="of the pretraining (default: as the file says)")
    parser.add_argument("--folds", type=int, help="of the probe (default: as the file says)")
    options = parser.parse_args()
    out = options.out.resolve()
    started = time.monotonic()
    pipeline, values = PIPELINE, yaml.safe_load(PIPELINE.read_text())
    if options.pretrain_updates is not None:
        values["train"]["optimization.max_update"] = options.pretrain_updates
    if options.folds is not None:
        values["probe"]["folds"] = options.folds
    if values != yaml.safe_load(PIPELINE.read_text()):
        pipeline = out / "pipeline.yaml"
        out.mkdir(parents=True, exist_ok=True)
        pipeline.write_text(yaml.safe_dump(values, sort_keys=False))
    code = subprocess.run([sys.executable, "-m", "ptsel_fairseq", "run", pipeline, "--out", out]).returncode
    if code:
        sys.exit(code)
    draw(out)
    table = "\n".join(
        [*labels_table(out), "", *training_lines(out), "", *probe_table(out, values["probe"]["folds"])]
    )
    print(f"\n{table}")
    (out / "table.txt").write_text(table + "\n")
    minutes = (time.monotonic() - started) / 60
    print(f"\ndemo: done in {minutes:.1f} minutes; tables, pictures and checkpoints are in {out}")


def draw(out: Path) -> None:
    """The picture that no command of the pipeline draws: an utterance with its labels."""
    from ptsel_fairseq.base.manifest import read_manifest
    from ptsel_fairseq.labels.figures import draw_labels

    manifest = read_manifest(out / "data" / "valid.tsv")
    english = [utterance for utterance in manifest if utterance.path.startswith("en/")]
    longest = max(english, key=lambda utterance: utterance.samples)
    draw_labels(manifest, longest, out / "store", out / "utterance.png")
    pictures = (
        "ci/scores.png",
        "weights.png",
        "losses.png",
        "utterance.png",
        "probe/comparison.png",
        "report.html",
    )
    for file in pictures:
        print(f"to look at: {out / file}")


def labels_table(out: Path) -> list[str]:
    """Score, weight, and loss at the beginning and the end of the pretraining, by label."""
    from ptsel_fairseq.base.weights_file import read_weights
    from ptsel_fairseq.runs import read_run

    found = json.loads((out / "ci" / "scores.json").read_text())
    scores = found["scores"]
    weights, _ = read_weights(out / "weights.yaml")
    run = read_run(out / "pretrain")
    lines = [
        f"{'label':14s} {'score':>9s} {'weight':>7s} {'loss first':>11s} {'last':>7s}",
        f"{'':14s} {'(' + found['estimator'] + ')':>9s} {'λ':>7s} {'(standard deviations)':>19s}",
    ]
    for label in sorted(scores, key=lambda label: (-weights.get(label, 0.0), label)):
        score = scores[label]["score"]
        values = run.series("train_inner", f"pretext_{label}")[1]
        ends = f"{values[0]:11.3f} {values[-1]:7.3f}" if values else f"{'-':>11s} {'-':>7s}"
        shown = f"{score:9.4f}" if score is not None else f"{'-':>9s}"
        lines.append(f"{label:14s} {shown} {weights.get(label, 0.0):7.3f} {ends}")
    return lines


def training_lines(out: Path) -> list[str]:
    """What the contrastive loss did."""
    from ptsel_fairseq.runs import read_run

    run = read_run(out / "pretrain")
    loss, accuracy = (run.series("train_inner", key)[1] for key in ("loss", "accuracy"))
    updates, seconds = run.updates_and_seconds()
    return [
        f"pretraining: contrastive loss {loss[0]:.2f} -> {loss[-1]:.2f} bits, accuracy {accuracy[0]:.3f} -> "
        f"{accuracy[-1]:.3f}; {updates} updates, {seconds / updates:.2f} s each"
    ]


def probe_table(out: Path, folds: int) -> list[str]:
    """Accuracy of a linear classifier of phones on each frozen front end, with its interval."""
    lines = [f"phones told apart by a linear classifier on frozen features, {folds} folds of utterances:"]
    for name, shown in FRONT_ENDS.items():
        metrics = json.loads((out / "probe" / name / "result.json").read_text())["metrics"]
        accuracy = metrics["accuracy"]
        low, high = accuracy["interval"]
        lines.append(
            f"  {shown:28s} accuracy {100 * accuracy['value']:5.1f} %   95 % interval {100 * low:.1f} to "
            f"{100 * high:.1f}"
        )
    return lines


if __name__ == "__main__":
    main()
