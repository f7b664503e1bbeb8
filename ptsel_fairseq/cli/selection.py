"""The commands of scores and weights: argument parsing only, as in `ptsel_fairseq.cli`."""

from __future__ import annotations

import argparse
from dataclasses import fields
from pathlib import Path

from ptsel_fairseq.cli.arguments import (
    CLASSES_HELP,
    MANIFEST_HELP,
    SCORES_HELP,
    STORE_HELP,
    VALUES_HELP,
    WEIGHTS_HELP,
    add_command,
    add_engine,
    add_jobs,
    add_memory,
    add_plugins,
    add_seed,
    add_split,
    add_store,
    command_line,
)
from ptsel_fairseq.selection.choices import ALL_METHODS, DEPENDENCES, PROJECTIONS, SUMMARIES
from ptsel_fairseq.selection.estimators import DEFAULT_ESTIMATOR, ESTIMATORS
from ptsel_fairseq.selection.weighting import DEFAULT_METHOD, WAYS

GROUPS_HELP = """\
--groups FILE  what utterances depend on each other by (header path<TAB>group)
    clips/en_0001.flac<TAB>speaker_7
"""


def add_score(commands) -> None:
    parser = add_command(
        commands,
        "score",
        "score how much each label is worth for a downstream task, before any training",
        MANIFEST_HELP + CLASSES_HELP + VALUES_HELP + GROUPS_HELP + STORE_HELP,
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path, help="folder of <split>.tsv manifests")
    add_split(parser, "whose utterances are scored", "train")
    add_store(parser)
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--classes", type=Path, metavar="FILE", help="class file")
    what.add_argument(
        "--values",
        type=Path,
        metavar="FILE",
        help="value file: a number to predict in place of a class, such as valence, a mean opinion score or an age; "
        "estimators of kernels take bins of it as classes",
    )
    parser.add_argument(
        "--estimator",
        default=DEFAULT_ESTIMATOR,
        metavar="NAME",
        help=f"what is computed (default {DEFAULT_ESTIMATOR}; `higher` or `lower` scores are better): "
        + "; ".join(f"{each.name} ({each.direction}): {each.help}" for each in ESTIMATORS.all()),
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="CI_DIR", help="scores.json, points.npz, scores.png"
    )
    parser.add_argument(
        "--labels", nargs="+", metavar="LABEL", help="labels or pools (default: all of the store)"
    )
    parser.add_argument(
        "--summary",
        choices=SUMMARIES,
        help="of a label over a segment: its mean (default), mean and standard deviation, or its downsampled track",
    )
    parser.add_argument(
        "--groups",
        type=Path,
        metavar="FILE",
        help="what utterances depend on each other by, such as their speaker (default: each utterance is its own)",
    )
    parser.add_argument(
        "--gamma",
        type=float,
        metavar="G",
        help="relevance, pillai: noise floor, the share of a loss below which nothing is learned (default 0.03)",
    )
    parser.add_argument(
        "--permutations",
        type=int,
        metavar="N",
        help="for p (default: the estimator's own, "
        + ", ".join(f"{each.name} {each.permutations}" for each in ESTIMATORS.all())
        + ")",
    )
    parser.add_argument(
        "--bootstrap",
        type=int,
        default=1000,
        metavar="N",
        help="for the intervals of estimators of kernels (default 1000); 0: no intervals",
    )
    parser.add_argument(
        "--no-controls",
        dest="controls",
        action="store_false",
        help="leave out the labels whose worth is known",
    )
    add_plugins(parser)
    add_seed(parser, "permutations, bootstrap and projections")
    parser.add_argument(
        "--cache", type=Path, metavar="DIR", help="for the embedded speech (default STORE/speech)"
    )
    add_engine(parser)
    add_jobs(parser)
    parser.add_argument(
        "--device", default="cpu", metavar="DEVICE", help="of the permutations: cpu (default), or cuda"
    )
    add_memory(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.selection.run import ScoreSettings, score_command
        from ptsel_fairseq.selection.score_kernels import Compute

        settings = {each.name: options.pop(each.name) for each in fields(ScoreSettings)}
        compute = {each.name: options.pop(each.name) for each in fields(Compute)}
        score_command(
            **options,
            settings=ScoreSettings(**settings),
            compute=Compute(**compute),
            command_line=command_line(),
        )

    parser.set_defaults(command=run)


def _having(option: str) -> str:
    """The methods that have an option."""
    return ", ".join(way.name for way in WAYS.all() if option in way.options)


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
        default=DEFAULT_METHOD,
        metavar="NAME",
        help=f"how (default {DEFAULT_METHOD}; * recommends weights, the others are for comparison): "
        + "; ".join(f"{way.name}{'*' if way.recommends else ''}: {way.help}" for way in WAYS.all())
        + f"; {ALL_METHODS}: compare all of them",
    )
    parser.add_argument(
        "--projection",
        choices=PROJECTIONS,
        default="sparsemax",
        help=f"{_having('projection')}: how weights are kept on the simplex (default sparsemax)",
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
        "--tau",
        type=float,
        metavar="T",
        help=f"{_having('tau')}: temperature (default: from the scores' standard errors)",
    )
    parser.add_argument(
        "--gamma",
        type=float,
        metavar="G",
        help="relevance: noise floor (default 0.03 of the sum of the weights); redundancy: how much it counts "
        "(default: half of direct's tau)",
    )
    parser.add_argument(
        "--dependence",
        choices=DEPENDENCES,
        default="cka",
        help=f"{_having('dependence')}: of labels on each other: cka given the class (default), or mutual information "
        "(scalar labels; the papers')",
    )
    parser.add_argument(
        "--support", type=int, metavar="N", help=f"{_having('support')}: how many labels to keep"
    )
    parser.add_argument(
        "--effective",
        type=float,
        metavar="N",
        help=f"{_having('effective')}: as how many equal weights λ shall be concentrated",
    )
    parser.add_argument(
        "--given",
        nargs="+",
        type=label_weight,
        metavar="LABEL=WEIGHT",
        help="manual: the weights",
    )
    parser.add_argument("--reference-optimizer", action="store_true", help="group: the papers' SGD, exactly")
    parser.add_argument(
        "--no-screening",
        dest="screen",
        action="store_false",
        help="weigh every label, also those no better than noise, and even if the scores cannot tell labels apart",
    )
    add_plugins(parser)
    add_seed(parser, "all draws, such as those of random")
    add_memory(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.selection.run_select import select_command

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
    add_plugins(parser)
    add_memory(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.selection.output.report import report_command

        report_command(**options, command_line=command_line())

    parser.set_defaults(command=run)


ADDED = (add_score, add_select, add_report)
