"""What the commands' parsers share: their shape, options of several commands, and what files look like."""

from __future__ import annotations

import argparse
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.class_file import CLASSES_EXAMPLE, SEGMENTS_EXAMPLE
from ptsel_fairseq.base.manifest import MANIFEST_EXAMPLE
from ptsel_fairseq.base.value_file import SEGMENT_VALUES_EXAMPLE, VALUES_EXAMPLE
from ptsel_fairseq.cli.examples import EXAMPLES

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
VALUES_HELP = f"""\
--values FILE  a number to predict for utterances, in place of a class (header path<TAB>value)
    {VALUES_EXAMPLE}
  or for segments in seconds (header path<TAB>start<TAB>end<TAB>value)
    {SEGMENT_VALUES_EXAMPLE}
"""
TRANSCRIPTS_HELP = """\
DATA_DIR/<split>.wrd  what is said, one line for each line of the manifest
    PRESS ZERO FOR HELP
"""
STORE_HELP = """\
--store STORE  folder of the label store; STORE/<split>/header.json says what it holds
    {"labels": {"f0": {"dim": 1, "unit": "Hz", ...}, ...}, ...}
"""
KM_HELP = """\
FOLDER/<split>.km  a code for each frame, one line for each line of the manifest
    17 17 17 92 92 4
"""
SCORES_HELP = """\
CI_DIR/scores.json  what `ptsel score` wrote
    {"estimator": "cka", "scores": {"f0": {"score": 0.0931, "p": 0.001, ...}, ...}, ...}
"""
WEIGHTS_HELP = """\
weights.yaml  what `ptsel select` writes: an overlay for fairseq-hydra-train
    criterion: {pretext_weights: {alpha_ratio: 0.42, f0: 0.58, zcr: 0.0}}
"""


def add_command(commands, name: str, help: str, epilog: str = "") -> argparse.ArgumentParser:
    """Add a command's parser, with an example from `EXAMPLES` and the options that every command has."""
    files = f"\nfiles:\n{epilog}" if epilog else ""
    parser = commands.add_parser(
        name,
        help=help,
        description=f"{help[0].upper()}{help[1:]}.",
        epilog=f"example:\n  {EXAMPLES[name]}\n{files}".replace("%", "%%"),
    )
    add_common(parser, argparse.SUPPRESS)
    return parser


def add_common(parser: argparse.ArgumentParser, default: Any = False) -> None:
    """Options that may stand before the command or after it."""
    common = parser.add_argument_group("of every command")
    common.add_argument(
        "--quiet", action="store_true", default=default, help="show no progress and no report, only errors"
    )
    common.add_argument(
        "--debug", action="store_true", default=default, help="show the traceback of an error"
    )


def add_jobs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--jobs", type=int, metavar="N", help="processes (default: all cores)")


def add_seed(parser: argparse.ArgumentParser, what: str, default: int = 0) -> None:
    parser.add_argument(
        "--seed", type=int, default=default, metavar="N", help=f"of {what} (default {default})"
    )


def add_store(parser: argparse.ArgumentParser, help: str = "folder of the label store") -> None:
    """Add ``--store``, which the command cannot do without."""
    parser.add_argument("--store", type=Path, required=True, metavar="STORE", help=help)


def add_split(parser: argparse.ArgumentParser, what: str, default: str) -> None:
    parser.add_argument("--split", default=default, metavar="SPLIT", help=f"{what} (default {default})")


def add_device(parser: argparse.ArgumentParser) -> None:
    """Add ``--device`` for commands that read models; `use_device` obeys it."""
    parser.add_argument(
        "--device",
        default="cpu",
        metavar="DEVICE",
        help="of pretrained models: cpu (default), cuda or cuda:N, which one process then uses",
    )


def use_device(options: dict[str, Any]) -> None:
    """Take ``device`` out of the options: models compute there, on a GPU in this process alone.

    Raises:
        PtselError: a device that torch cannot use, or several processes for one GPU.
    """
    from ptsel_fairseq.base.device import CPU, put_models_on
    from ptsel_fairseq.base.errors import PtselError

    device = options.pop("device")
    put_models_on(device)
    if device != CPU:
        if options["jobs"] not in (None, 1):
            raise PtselError(f"--jobs: expected 1 with --device {device}, found {options['jobs']}")
        options["jobs"] = 1


def add_json(parser: argparse.ArgumentParser, what: str) -> None:
    parser.add_argument("--json", action="store_true", help=f"print {what} as JSON, for a program to read")


def add_user_labels(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--user-labels",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.py",
        help="labels of your own, as in examples/own_label.py; may be given more than once",
    )


def add_splits(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--splits",
        nargs="+",
        default=["train", "valid"],
        metavar="SPLIT",
        help="manifests of DATA_DIR (default: train valid)",
    )


class Names:
    """Names of a registry, read only when a help text or an error shows them, so that ``ptsel --help`` stays light.

    Args:
        module: that holds the registry.
        attribute: a sequence or mapping of names, or a function that returns one.
    """

    def __init__(self, module: str, attribute: str) -> None:
        self.module, self.attribute = module, attribute

    def __iter__(self) -> Iterator[str]:
        import importlib

        found = getattr(importlib.import_module(self.module), self.attribute)
        return iter(found() if callable(found) else found)

    def __contains__(self, name: object) -> bool:
        return name in list(self)

    def __str__(self) -> str:
        return ", ".join(self)


def add_plugins(parser: argparse.ArgumentParser) -> None:
    """Add ``--plugin``; `ptsel_fairseq.cli.program` loads the files before the command runs."""
    parser.add_argument(
        "--plugin",
        dest="plugins",
        type=Path,
        action="append",
        default=[],
        metavar="FILE.py",
        help="file that registers something of your own, see docs/extending.md; may be given more than once",
    )


def command_line() -> str:
    """The command as typed, for the provenance of outputs."""
    return shlex.join(["ptsel", *sys.argv[1:]])


def add_engine(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--engine",
        default="local",
        metavar="ENGINE",
        help="where the processes are: local (default), or a running cluster: dask://HOST:PORT, ray://HOST:PORT",
    )


def add_memory(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--memory",
        type=memory_size,
        default=4_000_000_000,
        metavar="SIZE",
        help="that the command may take, such as 500MB (default 4GB)",
    )


def picture_file(text: str) -> Path:
    """A picture to be written, whose format is known before the work begins."""
    from ptsel_fairseq.base.errors import PtselError
    from ptsel_fairseq.base.pictures import picture_format

    try:
        picture_format(text)
    except PtselError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
    return Path(text)


def table_or_picture_file(text: str) -> Path:
    """A table ending in .md, or a picture."""
    return Path(text) if text.endswith(".md") else picture_file(text)


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
