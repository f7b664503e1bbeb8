"""The commands that find where words and phones lie: argument parsing only."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.base.class_file import SEGMENTS_EXAMPLE
from ptsel_fairseq.cli.arguments import (
    MANIFEST_HELP,
    TRANSCRIPTS_HELP,
    add_command,
    add_device,
    add_jobs,
    add_plugins,
    add_splits,
    command_line,
    use_device,
)

ALIGNED_HELP = f"""\
OUT/word.tsv, phone.tsv (letter.tsv)  class files for `ptsel score` and `ptsel probe`
    {SEGMENTS_EXAMPLE}
OUT/confidence.txt  every stretch with its confidence, 0 to 1 (not of TextGrids)
    clips/en_0001.flac<TAB>0.310<TAB>0.420<TAB>phone<TAB>AH<TAB>0.3170
OUT/failed.txt  each utterance that has no alignment, and why
    clips/en_0002.flac<TAB>not in the dictionary: ZAIEM
"""


def add_align(commands) -> None:
    parser = add_command(
        commands,
        "align",
        "find where words and phones lie: from TextGrids, by pocketsphinx (English), or by a CTC model of yours",
        MANIFEST_HELP + TRANSCRIPTS_HELP + ALIGNED_HELP,
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path, help="folder of <split>.tsv manifests")
    add_plugins(parser)
    parser.add_argument("--out", type=Path, required=True, metavar="OUT", help="folder of the class files")
    add_splits(parser)
    parser.add_argument(
        "--textgrids",
        type=Path,
        metavar="DIR",
        help="read these, as the Montreal Forced Aligner writes them: DIR/<path of the audio>.TextGrid",
    )
    parser.add_argument(
        "--model",
        type=Path,
        metavar="CHECKPOINT",
        help="align by this CTC model (wav2vec_ctc or ptsel_ctc)",
    )
    parser.add_argument(
        "--dictionary",
        type=Path,
        metavar="FILE",
        help="more words for pocketsphinx, in its phones: zaiem Z AY EH M",
    )
    parser.add_argument(
        "--min-confidence",
        type=float,
        default=0.0,
        metavar="C",
        help="leave out stretches below it (default 0)",
    )
    parser.add_argument(
        "--without-stress", action="store_true", help="of TextGrids: the phone AH0 becomes AH"
    )
    add_device(parser)
    add_jobs(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.downstream.alignment.align import align_command

        use_device(options)
        align_command(**options, command_line=command_line())

    parser.set_defaults(command=run)


def add_frequent(commands) -> None:
    parser = add_command(
        commands,
        "frequent",
        "choose the frequent long words of a class file, an equal number of each, as the papers do for LibriSpeech",
        f"CLASSES, FILE  class files of segments (header path<TAB>start<TAB>end<TAB>class)\n    {SEGMENTS_EXAMPLE}\n",
    )
    parser.add_argument("classes", metavar="CLASSES", type=Path, help="class file of segments")
    parser.add_argument(
        "--out", type=Path, required=True, metavar="FILE", help="the class file of the chosen ones"
    )
    parser.add_argument("--letters", type=int, default=5, metavar="N", help="fewest of a word (default 5)")
    parser.add_argument(
        "--instances",
        type=int,
        default=300,
        metavar="N",
        help="of each word that has more (default 300)",
    )
    parser.add_argument("--manifest", type=Path, metavar="FILE", help="only of this split, in its order")
    parser.add_argument(
        "--seed", type=int, metavar="N", help="draw them (default: the first ones, as the papers' code)"
    )

    def run(options: dict) -> None:
        from ptsel_fairseq.downstream.alignment.frequent import frequent_command

        frequent_command(**options)

    parser.set_defaults(command=run)


ADDED = (add_align, add_frequent)
