"""The commands of scores and weights: argument parsing only, as in `ptsel_fairseq.cli`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptsel_fairseq.cli.arguments import (
    CLASSES_HELP,
    MANIFEST_HELP,
    SCORES_HELP,
    STORE_HELP,
    WEIGHTS_HELP,
    add_command,
    add_engine,
    add_jobs,
    add_memory,
    command_line,
)


def add_score(commands) -> None:
    parser = add_command(
        commands,
        "score",
        "score how conditionally independent each label is of the speech, given the downstream class",
        MANIFEST_HELP + CLASSES_HELP + STORE_HELP,
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path, help="folder of <split>.tsv manifests")
    parser.add_argument("--split", default="train", help="default: train")
    parser.add_argument("--store", type=Path, required=True, help="folder of the label store")
    parser.add_argument("--classes", type=Path, required=True, metavar="FILE", help="class file")
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
    add_jobs(parser)
    parser.add_argument("--device", default="cpu", help="cpu (default), or cuda for the permutations")
    add_memory(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.selection.run import score_command

        score_command(**options, command_line=command_line())

    parser.set_defaults(command=run)


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
    parser.add_argument("ci_dir", metavar="CI_DIR", type=Path, help="folder that `ptsel score` wrote")
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
        "--given",
        nargs="+",
        type=label_weight,
        metavar="LABEL=WEIGHT",
        help="manual: the weights",
    )
    parser.add_argument("--reference-optimizer", action="store_true", help="group: the papers' SGD, exactly")
    parser.add_argument("--seed", type=int, default=0, help="default 0")
    add_memory(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.selection.run import select_command

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
    parser.add_argument("ci_dir", metavar="CI_DIR", type=Path, help="folder that `ptsel score` wrote")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE.html", help="the page")
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FILE",
        help="weights.yaml or a recipe: show its λ and the options that made it",
    )
    parser.add_argument(
        "--runs",
        type=Path,
        nargs="+",
        default=[],
        metavar="RUN_DIR",
        help="show the losses of these trainings",
    )
    add_memory(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.selection.output.report import report_command

        report_command(**options, command_line=command_line())

    parser.set_defaults(command=run)


ADDED = (add_score, add_select, add_report)
