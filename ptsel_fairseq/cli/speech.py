"""The commands that recognise speech and verify speakers: argument parsing only."""

from __future__ import annotations

import argparse
from pathlib import Path

from ptsel_fairseq.base.class_file import CLASSES_EXAMPLE
from ptsel_fairseq.cli.arguments import (
    MANIFEST_HELP,
    TRANSCRIPTS_HELP,
    Names,
    add_command,
    add_device,
    add_jobs,
    add_memory,
    add_plugins,
    add_split,
    add_splits,
    command_line,
    use_device,
)
from ptsel_fairseq.downstream.asr.settings import HEADS, SUFFIXES, Settings
from ptsel_fairseq.downstream.metrics.answer_files import TRIAL_EXAMPLE, TRIAL_SCORE_EXAMPLE

DECODED_HELP = """\
OUT/hypothesis.txt, reference.txt  for `ptsel evaluate asr`
    clips/en_0001.flac<TAB>PRESS ZERO FOR HELP
OUT/result.json  error rates with intervals, and every answer, for `ptsel compare`
--lexicon FILE  words that may be recognised, with their spelling or without
    PRESS<TAB>P R E S S |
"""
VERIFY_HELP = f"""\
--trials FILE  1 for the same speaker or 0, then two paths as in the manifest
    {TRIAL_EXAMPLE}
DIR/<features>/scores.txt  for `ptsel evaluate verification`, with result.json for `ptsel compare`
    {TRIAL_SCORE_EXAMPLE}
--speakers, --groups FILE  class files of utterances (header path<TAB>class)
    {CLASSES_EXAMPLE}
"""
TARGETS_HELP = f"""\
--classes FILE  class file of utterances (header path<TAB>class)
    {CLASSES_EXAMPLE}
DATA_DIR/<split>.cls  one class a line; dict.cls.txt: the classes of the first split and their counts
    en_allison
"""


def add_decode(commands) -> None:
    parser = add_command(
        commands,
        "decode",
        "recognise speech by a CTC model that fairseq has fine-tuned, and score it, with intervals",
        MANIFEST_HELP + TRANSCRIPTS_HELP + DECODED_HELP,
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path, help="folder of <split>.tsv manifests")
    add_plugins(parser)
    parser.add_argument(
        "--model",
        type=Path,
        required=True,
        metavar="CHECKPOINT",
        help="of the model wav2vec_ctc or ptsel_ctc",
    )
    parser.add_argument(
        "--out", type=Path, required=True, metavar="OUT", help="folder of answers and results"
    )
    add_split(parser, "that is recognised", "valid")
    add_search(parser)
    parser.add_argument(
        "--groups", type=Path, metavar="FILE", help="class file: intervals resample its classes as a whole"
    )
    parser.add_argument(
        "--name", metavar="NAME", help="of the system in comparisons (default: the checkpoint's folder)"
    )
    add_device(parser)
    add_jobs(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.downstream.asr.decode import decode_command

        use_device(options)
        decode_command(**options, command_line=command_line())

    parser.set_defaults(command=run)


def add_search(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--lexicon",
        type=Path,
        metavar="FILE",
        help="beam search for these words, one a line (default: the best path, any letters)",
    )
    parser.add_argument("--lm", type=Path, metavar="FILE", help="n-gram model, .arpa or KenLM's binary")
    parser.add_argument(
        "--lm-weight", type=float, default=2.0, metavar="W", help="how much --lm counts (default 2)"
    )
    parser.add_argument(
        "--word-score", type=float, default=-1.0, metavar="S", help="added for each word (default -1)"
    )
    parser.add_argument("--beam", type=int, default=100, metavar="N", help="hypotheses (default 100)")


def add_probe_asr(commands) -> None:
    parser = add_command(
        commands,
        "probe-asr",
        "recognise words by a small CTC recogniser trained on frozen features, with intervals",
        MANIFEST_HELP + TRANSCRIPTS_HELP + DECODED_HELP,
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path, help="folder of <split>.tsv manifests")
    add_plugins(parser)
    parser.add_argument(
        "--features",
        nargs="+",
        required=True,
        metavar="FEATURES",
        help="labels and pools of `ptsel labels`, such as mfcc, or checkpoints of wav2vec 2.0 (all layers)",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")
    parser.add_argument(
        "--splits",
        nargs="+",
        default=["train", "valid", "test"],
        metavar="SPLIT",
        help="to train on, to choose on, to test on (default: train valid test)",
    )
    parser.add_argument(
        "--unit",
        choices=tuple(SUFFIXES),
        default="word",
        help="letters of <split>.wrd (default), or phones of .phn",
    )
    parser.add_argument(
        "--head",
        choices=HEADS,
        default="blstm",
        help="two bidirectional LSTM layers, as SUPERB (default), or one linear layer",
    )
    parser.add_argument("--size", type=int, default=1024, metavar="N", help="of the LSTM (default 1024)")
    parser.add_argument("--epochs", type=int, default=60, metavar="N", help="at most (default 60)")
    parser.add_argument("--batch", type=int, default=8, metavar="N", help="utterances of a step (default 8)")
    parser.add_argument(
        "--learning-rate", type=float, default=1e-3, metavar="R", help="of Adam (default 0.001)"
    )
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="trainings (default 1)")
    parser.add_argument(
        "--groups", type=Path, metavar="FILE", help="class file: intervals resample its classes as a whole"
    )
    add_search(parser)
    add_memory(parser)
    parser.add_argument(
        "--device", default="cpu", metavar="DEVICE", help="of the recogniser: cpu (default), or cuda"
    )
    add_jobs(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.downstream.asr.probe import probe_asr_command

        names = ("head", "size", "learning_rate", "batch", "epochs", "device")
        settings = Settings(**{name: options.pop(name) for name in names})
        probe_asr_command(**options, settings=settings, command_line=command_line())

    parser.set_defaults(command=run)


def add_verify(commands) -> None:
    parser = add_command(
        commands,
        "verify",
        "tell whether two utterances are of one speaker, by cosine or PLDA on frozen features, with intervals",
        MANIFEST_HELP + VERIFY_HELP,
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path, help="folder of <split>.tsv manifests")
    add_plugins(parser)
    parser.add_argument(
        "--trials", type=Path, required=True, metavar="FILE", help="1 or 0 and two utterances"
    )
    parser.add_argument(
        "--features",
        nargs="+",
        required=True,
        metavar="FEATURES",
        help="labels and pools of `ptsel labels`, such as mfcc, or checkpoints of wav2vec 2.0",
    )
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder of results")
    parser.add_argument(
        "--scoring",
        dest="backend",
        choices=Names("ptsel_fairseq.downstream.probing.verify", "BACKENDS"),
        default="cosine",
        metavar="SCORING",
        help="how two utterances are compared: %(choices)s (default cosine)",
    )
    add_split(parser, "with the trials' utterances", "test")
    parser.add_argument(
        "--train-split", metavar="SPLIT", help="to train PLDA on; for cosine, to take its mean off"
    )
    parser.add_argument("--speakers", type=Path, metavar="FILE", help="class file of utterances, for PLDA")
    parser.add_argument(
        "--dimensions", type=int, default=150, metavar="N", help="that LDA keeps before PLDA (default 150)"
    )
    parser.add_argument(
        "--layer", type=int, metavar="N", help="of a checkpoint, from 0 (default: the mean of all)"
    )
    parser.add_argument(
        "--groups", type=Path, metavar="FILE", help="class file: intervals resample its classes as a whole"
    )
    add_device(parser)
    add_jobs(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.downstream.probing.verify import verify_command

        use_device(options)
        verify_command(**options, command_line=command_line())

    parser.set_defaults(command=run)


def add_targets(commands) -> None:
    parser = add_command(
        commands,
        "targets",
        "write the classes of utterances as fairseq's classification reads them",
        MANIFEST_HELP + TARGETS_HELP,
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path, help="folder of <split>.tsv manifests")
    parser.add_argument("--classes", type=Path, required=True, metavar="FILE", help="of utterances")
    add_splits(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.downstream.probing.targets import targets_command

        targets_command(**options)

    parser.set_defaults(command=run)


ADDED = (add_decode, add_probe_asr, add_verify, add_targets)
