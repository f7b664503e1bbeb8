"""`ptsel`: argument parsing only; each command's work is in the room it belongs to.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from ptsel_fairseq import __version__
from ptsel_fairseq import cli_selection as selection
from ptsel_fairseq.cli_parts import (
    CLASSES_HELP,
    MANIFEST_HELP,
    STORE_HELP,
    WEIGHTS_HELP,
    add_command,
    add_engine,
    add_user_labels,
    command_line,
)
from ptsel_fairseq.downstream import commands as downstream
from ptsel_fairseq.errors import PtselError

RUN_HELP = """\
RUN_DIR/hydra_train.log  fairseq's log with common.log_format=json
    [2026-01-31 12:00:00,123][train_inner][INFO] - {"update": 0.5, "loss": "6.6", "num_updates": "20", ...}
"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; exit with 0, with 2 for input that cannot be used, with 1 for any other failure."""
    parser = build_parser()
    options = vars(parser.parse_args(arguments))
    command, debug = options.pop("command"), options.pop("debug")
    try:
        command(options)
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left is flushed at the end
        sys.exit(0)
    except PtselError as error:
        if debug:
            raise
        fail(str(error))
    except OSError as error:
        if debug or error.errno not in (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EDQUOT):
            raise
        fail(
            f"{error.filename or 'writing'}: {error.strerror}; nothing already finished is lost, run the command again"
        )
    except KeyboardInterrupt:
        print(
            "ptsel: interrupted; what is finished is kept, the same command goes on from there",
            file=sys.stderr,
        )
        sys.exit(130)


def fail(message: str) -> None:
    print(f"ptsel: error: {message}", file=sys.stderr)
    sys.exit(2)


def build_parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ptsel",
        description="Choose pretext labels, and their weights, for pretraining wav2vec 2.0 before any training.",
        epilog="manifest -> check -> extract -> score -> select -> fairseq-hydra-train -> export",
    )
    parser.add_argument("--version", action="version", version=f"ptsel {__version__}")
    parser.add_argument("--debug", action="store_true", help="show the traceback of an error")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND", required=True)
    for add in (
        add_manifest,
        add_check,
        add_labels,
        add_extract,
        *selection.ADDED,
        add_estimate,
        add_export,
        add_plot,
        *downstream.ADDED,
        add_user_dir,
    ):
        add(commands)
    return parser


def add_manifest(commands) -> None:
    parser = add_command(
        commands,
        "manifest",
        "write fairseq's manifests for a folder of audio, or make portable ones absolute",
        MANIFEST_HELP,
    )
    parser.add_argument(
        "source", metavar="SOURCE", type=Path, help="folder of audio, or of <split>.tsv manifests"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DATA_DIR", help="where the manifests go")
    parser.add_argument(
        "--valid-percent", type=float, default=5.0, help="share of the files for valid.tsv (default 5)"
    )
    parser.add_argument("--seed", type=int, default=0, help="of the draw of valid.tsv (default 0)")

    def run(options: dict) -> None:
        from ptsel_fairseq.make_manifest import manifest_command

        manifest_command(**options)

    parser.set_defaults(command=run)


def add_check(commands) -> None:
    parser = add_command(
        commands,
        "check",
        "find what would stop or spoil training; exit code 2 if training would fail",
        MANIFEST_HELP + CLASSES_HELP + STORE_HELP + WEIGHTS_HELP,
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path)
    parser.add_argument(
        "--classes", type=Path, metavar="FILE", help="check a class file against the manifests"
    )
    parser.add_argument(
        "--apart",
        type=Path,
        metavar="FILE",
        help="class file of utterances, such as speakers: a class in two splits is a fault",
    )
    parser.add_argument("--store", type=Path, help="check a label store: manifests and checksums")
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="check weights.yaml or a recipe against the store"
    )
    parser.add_argument(
        "--headers-only",
        action="store_true",
        help="read headers only: seconds, but finds less (nor are checksums checked)",
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: all cores)")

    def run(options: dict) -> None:
        from ptsel_fairseq.check import check_command

        if options["weights"] is not None and options["store"] is None:
            raise PtselError("--weights: give --store as well; the weights are checked against its labels")
        check_command(**options)

    parser.set_defaults(command=run)


def add_labels(commands) -> None:
    parser = add_command(commands, "labels", "list the pretext labels that can be extracted, or draw some")
    parser.add_argument("names", metavar="LABEL", nargs="*", help="only these (default: all)")
    parser.add_argument(
        "--plot", type=Path, metavar="AUDIO", help="draw the labels below the spectrogram of a 16 kHz file"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.png", help="where --plot puts the picture")
    add_user_labels(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.labels.listing import labels_command

        labels_command(**options)

    parser.set_defaults(command=run)


def add_extract(commands) -> None:
    parser = add_command(
        commands,
        "extract",
        "compute pretext labels on the encoder's frame grid; goes on where it was interrupted",
        MANIFEST_HELP + STORE_HELP,
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path)
    parser.add_argument(
        "--splits", nargs="+", default=["train", "valid"], metavar="SPLIT", help="default: train valid"
    )
    parser.add_argument(
        "--labels", nargs="+", required=True, metavar="LABEL", help="labels and pools, as in `ptsel labels`"
    )
    parser.add_argument("--store", type=Path, required=True, help="folder of the label store; made if absent")
    add_user_labels(parser)
    parser.add_argument(
        "--dtype",
        choices=("float32", "float16"),
        default="float32",
        help="of the values on disk: float16 takes half the room, rounded to one part in 2048 (default float32)",
    )
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave out files that cannot be read or are not as the manifest says, instead of stopping at the first",
    )
    parser.add_argument(
        "--manifest-out",
        type=Path,
        metavar="DIR",
        help="with --skip-bad: new data folder, the manifests (and .ltr, .wrd, .phn) without skipped files",
    )
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: all cores)")
    parser.add_argument(
        "--device",
        default="cpu",
        help="cpu (default), or a GPU: cuda, cuda:N. It computes the labels of short-time spectra, equal but for "
        "rounding, while processes compute the others",
    )
    parser.add_argument(
        "--backend",
        metavar="NAME",
        help="compute the labels with another program, for comparison: opensmile, praat or world, if installed; its "
        "licence is printed and stored (default: this package)",
    )
    add_engine(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.labels.extract import extract_command

        extract_command(**options, command_line=command_line())

    parser.set_defaults(command=run)


def add_estimate(commands) -> None:
    parser = add_command(
        commands,
        "estimate",
        "say what a recipe needs before it is trained: parameters, memory, data; needs fairseq, takes seconds",
        STORE_HELP + WEIGHTS_HELP,
    )
    parser.add_argument("recipe", metavar="RECIPE.yaml", type=Path)
    parser.add_argument(
        "overrides",
        nargs="*",
        metavar="SECTION.KEY=VALUE",
        help="as for fairseq-hydra-train, e.g. distributed_training.distributed_world_size=8",
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="weights.yaml, in place of the recipe's own"
    )
    parser.add_argument(
        "--store", type=Path, help="label store; without it the labels are those of `ptsel labels`"
    )

    def run(options: dict) -> None:
        from ptsel_fairseq.plugin.cost import estimate_command

        estimate_command(**options)

    parser.set_defaults(command=run)


def add_export(commands) -> None:
    parser = add_command(
        commands, "export", "write a pretraining checkpoint as a stock wav2vec 2.0 checkpoint"
    )
    parser.add_argument("checkpoint", metavar="CHECKPOINT", type=Path)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="STOCK", help="file; with --format hf a folder"
    )
    parser.add_argument(
        "--format",
        choices=("fairseq", "hf"),
        default="fairseq",
        help="fairseq: a checkpoint that stock fairseq and s3prl read (default); hf: a folder for Hugging Face's "
        "Wav2Vec2Model",
    )

    def run(options: dict) -> None:
        from ptsel_fairseq.export import export_command

        export_command(**options)

    parser.set_defaults(command=run)


def add_plot(commands) -> None:
    parser = add_command(commands, "plot", "draw the losses of a training run, or compare several", RUN_HELP)
    parser.add_argument(
        "folders", metavar="RUN_DIR", nargs="+", type=Path, help="hydra.run.dir of a training"
    )
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.png")

    def run(options: dict) -> None:
        from ptsel_fairseq.runs import plot_command

        plot_command(**options)

    parser.set_defaults(command=run)


def add_user_dir(commands) -> None:
    parser = add_command(commands, "user-dir", "print the absolute path for common.user_dir")
    parser.set_defaults(command=lambda options: print(Path(__file__).resolve().parent))


if __name__ == "__main__":
    main()
