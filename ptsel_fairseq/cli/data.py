"""The commands that prepare and check data: argument parsing only."""

from __future__ import annotations

from pathlib import Path

from ptsel_fairseq.base.class_file import CLASSES_EXAMPLE, SEGMENTS_EXAMPLE
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import MANIFEST_EXAMPLE
from ptsel_fairseq.cli.arguments import (
    CLASSES_HELP,
    MANIFEST_HELP,
    STORE_HELP,
    VALUES_HELP,
    WEIGHTS_HELP,
    add_command,
    add_jobs,
    add_json,
    add_seed,
)

VALID_HELP = "share of the recordings for valid.tsv (default 5)"
CONVERT_HELP = f"""\
OUT/audio/**.flac     one for each recording, or one for each piece with --split-long
OUT/<split>.tsv       fairseq's manifest
    {MANIFEST_EXAMPLE}
OUT/conversion.csv    which recording each file comes from, and from which second of it on
    path,source,start,seconds
OUT/bad.txt           path<TAB>reason of each file that cannot be used
"""


CLASS_FILE_HELP = f"""\
--from-table FILE  a line for each recording, or for each segment with --start-column and --end-column
    path,speaker,start,end
--out FILE  class file, header path<TAB>class or path<TAB>start<TAB>end<TAB>class
    {CLASSES_EXAMPLE}
    {SEGMENTS_EXAMPLE}
"""


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
    parser.add_argument("--valid-percent", type=float, default=5.0, metavar="PERCENT", help=VALID_HELP)
    add_seed(parser, "the draw of valid.tsv")

    def run(options: dict) -> None:
        from ptsel_fairseq.data.make_manifest import manifest_command

        manifest_command(**options)

    parser.set_defaults(command=run)


def add_check(commands) -> None:
    parser = add_command(
        commands,
        "check",
        "find what would stop or spoil training; exit code 2 if training would fail",
        MANIFEST_HELP + CLASSES_HELP + VALUES_HELP + STORE_HELP + WEIGHTS_HELP,
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path, help="folder of <split>.tsv manifests")
    parser.add_argument(
        "--classes", type=Path, metavar="FILE", help="check a class file against the manifests"
    )
    parser.add_argument(
        "--values", type=Path, metavar="FILE", help="check a value file against the manifests"
    )
    parser.add_argument(
        "--apart",
        type=Path,
        metavar="FILE",
        help="class file of utterances, such as speakers: a class in two splits is a fault",
    )
    parser.add_argument(
        "--store", type=Path, metavar="STORE", help="check a label store: manifests and checksums"
    )
    parser.add_argument(
        "--weights", type=Path, metavar="FILE", help="check weights.yaml or a recipe against the store"
    )
    parser.add_argument(
        "--headers-only",
        action="store_true",
        help="read headers only: seconds, but finds less (nor are checksums checked)",
    )
    add_jobs(parser)

    add_json(parser, "what was found")

    def run(options: dict) -> None:
        from ptsel_fairseq.data.check import check_command

        if options["weights"] is not None and options["store"] is None:
            raise PtselError("--weights: give --store as well; the weights are checked against its labels")
        check_command(**options)

    parser.set_defaults(command=run)


def add_convert(commands) -> None:
    parser = add_command(
        commands,
        "convert",
        "make 16 kHz mono FLAC and manifests of recordings of any format, rate and channels",
        CONVERT_HELP,
    )
    parser.add_argument("source", metavar="SOURCE", type=Path, help="folder of recordings")
    parser.add_argument("out", metavar="OUT", type=Path, help="where everything goes, outside SOURCE")
    parser.add_argument(
        "--skip-bad",
        action="store_true",
        help="leave files that cannot be used out and list them in OUT/bad.txt, instead of stopping",
    )
    parser.add_argument(
        "--split-long",
        type=float,
        metavar="SECONDS",
        help="cut longer recordings at silences into pieces of at most this length",
    )
    parser.add_argument("--valid-percent", type=float, default=5.0, metavar="PERCENT", help=VALID_HELP)
    add_seed(parser, "the draw of valid.tsv")
    parser.add_argument(
        "--resampler",
        choices=("torchaudio", "soxr"),
        help="what changes the rate (default: torchaudio if it can be imported here, else soxr); OUT/conversion.jsonl "
        "says which it was",
    )
    add_jobs(parser)

    def run(options: dict) -> None:
        from ptsel_fairseq.data.convert import convert_command

        convert_command(**options)

    parser.set_defaults(command=run)


def add_classes(commands) -> None:
    parser = add_command(
        commands,
        "classes",
        "write a class file from folders, from a table, or from the names of the files",
        MANIFEST_HELP + CLASS_FILE_HELP,
    )
    parser.add_argument("data_dir", metavar="DATA_DIR", type=Path, help="folder of <split>.tsv manifests")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="the class file")
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument(
        "--from-folders",
        type=int,
        metavar="LEVEL",
        help="the class is a folder's name: 1 the first below the audio folder, 2 the next, -1 the innermost",
    )
    source.add_argument(
        "--from-table",
        type=Path,
        metavar="FILE",
        help="CSV or TSV with a header; quotes as spreadsheets write them",
    )
    source.add_argument(
        "--from-names",
        metavar="PATTERN",
        help="'{class}_*' of the name without its suffix, or a regular expression with (?P<class>...)",
    )
    source.add_argument(
        "--random",
        type=int,
        metavar="N",
        help="N classes of equal size, drawn by --seed: folds for `ptsel probe --leave-out`",
    )
    add_seed(parser, "--random")
    parser.add_argument(
        "--path-column", metavar="NAME", help="of the table (default: path, file, filename, ...)"
    )
    parser.add_argument(
        "--class-column", metavar="NAME", help="of the table (default: class, label, or the one other column)"
    )
    parser.add_argument("--start-column", metavar="NAME", help="of segments: their start in seconds")
    parser.add_argument("--end-column", metavar="NAME", help="of segments: their end in seconds")
    parser.add_argument(
        "--min-size",
        type=int,
        default=1,
        metavar="N",
        help="leave out classes with fewer members (default 1)",
    )

    def run(options: dict) -> None:
        from ptsel_fairseq.data.classes import classes_command

        classes_command(**options)

    parser.set_defaults(command=run)


def add_example_data(commands) -> None:
    parser = add_command(
        commands,
        "example-data",
        "copy the bundled speech, 11 minutes with classes and texts, to try every step on",
    )
    parser.add_argument("out", metavar="OUT", type=Path, help="a new folder")

    def run(options: dict) -> None:
        from ptsel_fairseq.data.example_data import example_data_command

        example_data_command(**options)

    parser.set_defaults(command=run)


def add_recipe(commands) -> None:
    parser = add_command(commands, "recipe", "list the training recipes, print one, or write it to a file")
    parser.add_argument(
        "name", metavar="NAME", nargs="?", help="such as pretraining/tiny (default: list all)"
    )
    parser.add_argument("--out", type=Path, metavar="FILE.yaml", help="write it there (default: print it)")
    parser.add_argument("--force", action="store_true", help="write it even in place of another file")
    add_json(parser, "names and files of all recipes")

    def run(options: dict) -> None:
        from ptsel_fairseq.data.recipes import recipe_command

        recipe_command(**options)

    parser.set_defaults(command=run, prints=True)


ADDED = (add_example_data, add_convert, add_manifest, add_classes, add_check, add_recipe)
