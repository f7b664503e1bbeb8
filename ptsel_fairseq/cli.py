"""`ptsel`: argument parsing only; each command's work is in the room it belongs to.

Nothing heavy is imported before a command runs, so that ``--help`` answers at once.
"""

from __future__ import annotations

import argparse
import errno
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from ptsel_fairseq import __version__
from ptsel_fairseq.errors import PtselError
from ptsel_fairseq.manifest import CLASSES_EXAMPLE, MANIFEST_EXAMPLE, SEGMENTS_EXAMPLE

MANIFEST_HELP = f"""\
DATA_DIR/<split>.tsv  fairseq's manifest: line 1 is the folder of the audio, then path<TAB>samples
    {MANIFEST_EXAMPLE}
"""
CLASSES_HELP = f"""\
--classes FILE  the downstream class of utterances (header path<TAB>class)
    {CLASSES_EXAMPLE}
  or of segments in seconds (header path<TAB>start<TAB>end<TAB>class)
    {SEGMENTS_EXAMPLE}
"""
STORE_HELP = """\
--store STORE  folder of the label store; STORE/<split>/header.json says what it holds
    {"labels": {"f0": {"dim": 1, "unit": "Hz", ...}, ...}, ...}
"""
SCORES_HELP = """\
CI_DIR/scores.json  what `ptsel score` wrote
    {"estimator": "cka", "scores": {"f0": {"score": 0.0931, "p": 0.001, ...}, ...}, ...}
"""
WEIGHTS_HELP = """\
weights.yaml  what `ptsel select` writes: an overlay for fairseq-hydra-train
    criterion: {pretext_weights: {alpha_ratio: 0.42, f0: 0.58, zcr: 0.0}}
"""
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
    except BrokenPipeError:  # the reader of our output, such as `head`, has seen enough
        sys.stdout = None
        sys.exit(0)
    except KeyboardInterrupt:
        print(
            "ptsel: interrupted; what is finished is kept, the same command goes on from there",
            file=sys.stderr,
        )
        sys.exit(130)


def fail(message: str) -> None:
    print(f"ptsel: error: {message}", file=sys.stderr)
    sys.exit(2)


def command_line() -> str:
    """The command as typed, for the provenance of outputs."""
    return shlex.join(["ptsel", *sys.argv[1:]])


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
        add_score,
        add_select,
        add_report,
        add_export,
        add_plot,
        *downstream_commands(),
        add_user_dir,
    ):
        add(commands)
    return parser


def downstream_commands() -> tuple[Callable, ...]:
    # Not above: that module takes from here what all commands share.
    from ptsel_fairseq.downstream import commands

    return commands.ADDED


def add_command(commands, name: str, help: str, epilog: str = "") -> argparse.ArgumentParser:
    return commands.add_parser(
        name,
        help=help,
        description=help[0].upper() + help[1:] + ".",
        epilog=f"files:\n{epilog}" if epilog else None,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )


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


def add_user_labels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--user-labels",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.py",
        help="labels of your own, as in examples/own_label.py; may be given more than once",
    )


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
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: all cores)")
    add_engine(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.labels.extract import extract_command

        extract_command(**options, command_line=command_line())

    parser.set_defaults(command=run)


def memory_size(text: str) -> int:
    """Bytes of a size such as 4GB, 500MB or 2e9."""
    units = {"kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 2**10, "mib": 2**20, "gib": 2**30, "b": 1}
    word = text.strip().lower()
    number, unit = next(
        ((word[: -len(name)], size) for name, size in units.items() if word.endswith(name)), (word, 1)
    )
    try:
        size = float(number) * unit
    except ValueError:
        size = 0.0
    if not 0 < size < float("inf"):
        raise argparse.ArgumentTypeError(f"expected a size above 0 such as 4GB or 500MB, found {text!r}")
    return int(size)


def add_score(commands) -> None:
    parser = add_command(
        commands,
        "score",
        "score how conditionally independent each label is of the speech, given the downstream class",
        MANIFEST_HELP + CLASSES_HELP + STORE_HELP,
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path)
    parser.add_argument("--split", default="train", help="default: train")
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--classes", type=Path, required=True, metavar="FILE")
    parser.add_argument(
        "--estimator",
        choices=("cka", "hsic", "reference"),
        default="cka",
        help="cka: normalised, comparable between labels (default); hsic: unbiased; reference: the papers' "
        "released code, whose ranking follows the labels' units",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="CI_DIR", help="scores.json, points.npz, scores.png"
    )
    parser.add_argument(
        "--labels", nargs="+", metavar="LABEL", help="labels or pools (default: all of the store)"
    )
    parser.add_argument(
        "--summary",
        choices=("mean", "mean_std", "downsample"),
        default="mean",
        help="of a label over a segment: its mean (default), mean and standard deviation, or its downsampled track",
    )
    parser.add_argument("--permutations", type=int, default=1000, metavar="N", help="for p (default 1000)")
    parser.add_argument(
        "--bootstrap", type=int, default=1000, metavar="N", help="for the interval (default 1000)"
    )
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="for the embedded speech (default STORE/speech)"
    )
    add_engine(parser)
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: all cores)")
    parser.add_argument("--device", default="cpu", help="cpu (default), or cuda for the permutations")
    add_memory(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.selection.commands import score_command

        score_command(**options, command_line=command_line())

    parser.set_defaults(command=run)


def add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine",
        default="local",
        help="local (default), or a running cluster: dask://HOST:PORT, ray://HOST:PORT",
    )


def add_memory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--memory",
        type=memory_size,
        default=4_000_000_000,
        metavar="SIZE",
        help="limit, e.g. 500MB (default 4GB)",
    )


def label_weight(text: str) -> tuple[str, float]:
    """LABEL=WEIGHT."""
    label, _, number = text.partition("=")
    try:
        return label, float(number)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected LABEL=WEIGHT such as f0=0.5, found {text!r}") from None


def add_select(commands) -> None:
    parser = add_command(
        commands,
        "select",
        "turn scores into weights λ and write them for training",
        SCORES_HELP + WEIGHTS_HELP,
    )
    parser.add_argument("ci_dir", metavar="CI_DIR", type=Path)
    parser.add_argument(
        "--method",
        choices=(
            *("group", "direct", "redundancy", "all", "mrmr", "rfe", "naive", "random", "manual"),
            "all-methods",
        ),
        default="group",
        help="group: minimise the score of the weighted group (the papers; default); direct: sparsemax of the "
        "scores; redundancy: direct, but labels that say the same share their weight; all: weight 1 each; mrmr: the "
        "set of least score and redundancy; rfe: recursive feature elimination; naive: the lowest scores; random: a "
        "seeded draw; manual: as given; all-methods: compare all of them",
    )
    parser.add_argument(
        "--projection",
        choices=("sparsemax", "softmax", "entmax15"),
        default="sparsemax",
        help="group: how weights are kept on the simplex (default sparsemax)",
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="FILE",
        help="weights.yaml, a picture goes beside it; all-methods: default CI_DIR/methods.json",
    )
    parser.add_argument(
        "--config", type=Path, metavar="RECIPE", help="also write the weights into this recipe"
    )
    parser.add_argument(
        "--tau", type=float, help="direct: temperature (default: from the scores' standard errors)"
    )
    parser.add_argument(
        "--gamma", type=float, help="redundancy: how much it counts (default: half of direct's tau)"
    )
    parser.add_argument(
        "--dependence",
        choices=("cka", "mi"),
        default="cka",
        help="redundancy, mrmr: of labels on each other: cka given the class (default), or mutual information "
        "(scalar labels; the papers')",
    )
    parser.add_argument(
        "--support", type=int, metavar="N", help="direct, naive, mrmr, rfe: how many labels to keep"
    )
    parser.add_argument(
        "--weights",
        dest="given",
        nargs="+",
        type=label_weight,
        metavar="LABEL=WEIGHT",
        help="manual: the weights",
    )
    parser.add_argument("--reference-optimizer", action="store_true", help="group: the papers' SGD, exactly")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    add_memory(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.selection.commands import select_command

        if options["given"] is not None:
            options["given"] = dict(options["given"])
        select_command(**options, command_line=command_line())

    parser.set_defaults(command=run)


def add_report(commands) -> None:
    parser = add_command(
        commands,
        "report",
        "write scores, weights and how they were made as one self-contained page",
        SCORES_HELP,
    )
    parser.add_argument("ci_dir", metavar="CI_DIR", type=Path)
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.html")
    add_memory(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.selection.report import report_command

        report_command(**options, command_line=command_line())

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
