"""The whole road on the bundled speech, with the commands of the README.

    python examples/demo.py --out demo-output

Manifest, check, labels, scores, weights, pretraining, export, fine-tuning; then one table and four pictures.
Each step runs the command it prints. A step that is already done is not done again, so the demo can be
interrupted; training goes on from its last checkpoint.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ASTERISK = ROOT / "examples" / "asterisk"
PHONES = ASTERISK / "classes" / "phone.tsv"
BIN = Path(sys.executable).parent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--out", type=Path, default=Path("demo-output"), help="folder of everything it makes")
    parser.add_argument("--pretrain-updates", type=int, default=None, help="default: as the recipe says")
    parser.add_argument("--finetune-updates", type=int, default=None, help="default: as the recipe says")
    options = parser.parse_args()
    out = options.out.resolve()
    out.mkdir(parents=True, exist_ok=True)
    started = time.monotonic()
    offline(out)
    training(out, options.pretrain_updates, options.finetune_updates)
    draw(out)
    print_table(out)
    minutes = (time.monotonic() - started) / 60
    print(f"\ndemo: done in {minutes:.1f} minutes; tables, pictures and checkpoints are in {out}")


def offline(out: Path) -> None:
    """Manifest to weights: no training, no fairseq."""
    data, english, store, ci = out / "data", out / "english", out / "store", out / "ci"
    step("manifests", out, "ptsel", "manifest", ASTERISK, "--out", data)
    step("manifests of the English clips", out, "ptsel", "manifest", ASTERISK / "english", "--out", english)
    step("check", out, "ptsel", "check", data, "--classes", PHONES)
    step(
        "labels",
        out,
        "ptsel",
        "extract",
        data,
        "--splits",
        "train",
        "valid",
        "--labels",
        "zaiem_speech",
        "loudness",
        "log_mel",
        "mfcc",
        "--store",
        store,
    )
    step("scores", out, "ptsel", "score", data, "--split", "train", "--store", store, "--classes", PHONES,
         "--estimator", "cka", "--out", ci)  # fmt: skip
    recipe = out / "tiny.yaml"
    if not recipe.exists():
        shutil.copyfile(ROOT / "configs" / "pretraining" / "tiny.yaml", recipe)
    step("weights", out, "ptsel", "select", ci, "--method", "direct", "--support", "4",
         "--out", out / "weights.yaml", "--config", recipe)  # fmt: skip


def training(out: Path, pretrain_updates: int | None, finetune_updates: int | None) -> None:
    """Weights to error rate: pretraining with the plugin, fine-tuning without it."""
    pretrain, finetune, stock = out / "pretrain", out / "finetune", out / "wav2vec2_stock.pt"
    step("pretraining", out, "fairseq-hydra-train", "--config-dir", out, "--config-name", "tiny",
         f"task.data={out / 'data'}", f"task.store={out / 'store'}", f"common.user_dir={ROOT / 'ptsel_fairseq'}",
         f"checkpoint.save_dir={pretrain}", f"hydra.run.dir={pretrain}",
         *([f"optimization.max_update={pretrain_updates}"] if pretrain_updates else []))  # fmt: skip
    step("export", out, "ptsel", "export", pretrain / "checkpoint_last.pt", "--out", stock)
    step("fine-tuning", out, "fairseq-hydra-train", "--config-dir", ROOT / "configs" / "finetuning",
         "--config-name", "tiny", f"task.data={out / 'english'}", f"model.w2v_path={stock}",
         f"checkpoint.save_dir={finetune}", f"hydra.run.dir={finetune}",
         *([f"optimization.max_update={finetune_updates}"] if finetune_updates else []))  # fmt: skip


def step(title: str, out: Path, program: str, *arguments: object) -> None:
    """Run one command unless it has run to its end with the same arguments before."""
    words = [str(argument) for argument in arguments]
    done = out / "done" / (title.replace(" ", "-") + ".txt")
    print(f"\n== {title}\n$ {shlex.join([program, *words])}", flush=True)
    if done.exists() and done.read_text() == shlex.join([program, *words]):
        print("(done before)")
        return
    log = out / "logs" / (done.stem + ".log")
    log.parent.mkdir(exist_ok=True)
    # One thread for the model leaves a core to the loader and does not collapse on a machine that others use.
    threads = str(max(1, (os.cpu_count() or 1) // 2))
    environment = {"OMP_NUM_THREADS": threads, **os.environ, "PYTHONWARNINGS": "ignore"}
    command = [str(BIN / program), *words]
    started = time.monotonic()
    if program == "ptsel":
        code = subprocess.run(command, env=environment).returncode
    else:
        code = run_training(command, environment, log)
    if code != 0:
        sys.exit(f"demo: {title} failed with exit code {code}; its output is above and in {log}")
    print(f"({time.monotonic() - started:.0f} s)")
    done.parent.mkdir(exist_ok=True)
    done.write_text(shlex.join([program, *words]))


def run_training(command: list[str], environment: dict[str, str], log: Path) -> int:
    """Run fairseq with its output in a file; show one line for each of its reports."""
    from ptsel_fairseq.runs import parse_line

    with (
        log.open("w") as file,
        subprocess.Popen(
            command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        ) as run,
    ):
        for line in run.stdout:
            file.write(line)
            record = parse_line(line)
            if record is not None and record.kind in ("train_inner", "valid"):
                shown = {
                    k: v
                    for k, v in record.values.items()
                    if k in SHOWN_WHILE_TRAINING or k.startswith("pretext_")
                }
                print(
                    f"  {record.kind:11s} update {record.update:5d}  "
                    + "  ".join(f"{k} {v:g}" for k, v in shown.items())
                )
    if run.returncode != 0:
        print(log.read_text()[-4000:])
    return run.returncode


SHOWN_WHILE_TRAINING = ("loss", "accuracy", "code_perplexity", "uer", "wer")


def draw(out: Path) -> None:
    """The pictures that the commands do not draw themselves."""
    from ptsel_fairseq.base.manifest import read_manifest
    from ptsel_fairseq.base.pictures import save
    from ptsel_fairseq.labels.figures import draw_labels
    from ptsel_fairseq.run_figures import run_figure
    from ptsel_fairseq.runs import read_run

    save(run_figure(read_run(out / "pretrain")), out / "losses.png")
    manifest = read_manifest(out / "data" / "valid.tsv")
    english = [utterance for utterance in manifest if utterance.path.startswith("en/")]
    longest = max(english, key=lambda utterance: utterance.samples)
    draw_labels(manifest, longest, out / "store", out / "utterance.png")
    for file in (out / "ci" / "scores.png", out / "weights.png", out / "losses.png", out / "utterance.png"):
        print(f"picture: {file}")


def print_table(out: Path) -> None:
    """Score, weight and pretext losses by label; contrastive loss, accuracy, error rates and cost below."""
    from ptsel_fairseq.base.weights_file import read_weights
    from ptsel_fairseq.runs import read_run

    scores = json.loads((out / "ci" / "scores.json").read_text())["scores"]
    weights, _ = read_weights(out / "weights.yaml")
    pretraining, finetuning = read_run(out / "pretrain"), read_run(out / "finetune")
    lines = ["", f"{'label':12s} {'CI score':>9s} {'p':>7s} {'weight':>7s} {'l1 first':>9s} {'l1 last':>9s}"]
    lines.append(f"{'':12s} {'(cka)':>9s} {'':>7s} {'λ':>7s} {'(standard deviations)':>19s}")
    for label in sorted(scores, key=lambda label: (-weights.get(label, 0.0), scores[label]["score"] or 0.0)):
        score, p = scores[label]["score"], scores[label]["p"]
        values = pretraining.series("train_inner", f"pretext_{label}")[1]
        ends = f"{values[0]:9.3f} {values[-1]:9.3f}" if values else f"{'-':>9s} {'-':>9s}"
        shown = f"{score:9.4f} {p:7.3f}" if score is not None else f"{'-':>9s} {'-':>7s}"
        lines.append(f"{label:12s} {shown} {weights.get(label, 0.0):7.3f} {ends}")
    loss, accuracy = (pretraining.series("train_inner", key)[1] for key in ("loss", "accuracy"))
    updates, seconds = pretraining.updates_and_seconds()
    cer, wer = (finetuning.series("valid", key)[1] for key in ("uer", "wer"))
    lines += [
        "",
        f"pretraining   contrastive loss {loss[0]:.3f} -> {loss[-1]:.3f} bits, accuracy {accuracy[0]:.3f} -> "
        f"{accuracy[-1]:.3f}, {updates} updates, {seconds / updates:.2f} s each",
        f"fine-tuning   English, validation: CER {min(cer):.1f} %, WER {min(wer):.1f} % "
        f"(best of {len(cer)} validations)",
    ]
    table = "\n".join(lines)
    print(table)
    (out / "table.txt").write_text(table.lstrip() + "\n")


if __name__ == "__main__":
    main()
