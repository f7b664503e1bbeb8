"""Damaged and hostile files of every kind that is read: each must be read, or refused in one line that names it.

    python benchmarks/fuzz.py [--cases N] [--seed N] [--kinds KIND ...]

A case is a file of one kind, whole at first, that is then cut off, overwritten, doubled, or given values of another
type. What reads it may return or raise PtselError whose message is one line with the file's name. Counted as faults are
other exceptions, messages without the file's name, cases that take longer than `LONGEST` seconds, and ones that take
more than `MOST_MEMORY` bytes. With the same seed the cases are the same. `--keep FOLDER` keeps the files of faults.
"""

from __future__ import annotations

import contextlib
import io
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
import traceback
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from common import Figure, finish, parse, parser_of
from file_kinds import Kind, kinds
from mutations import cut, insert, overwrite

from ptsel_fairseq.base.errors import PtselError

LONGEST = 20  # seconds of processor time of a case, since the machine may be shared
MOST_MEMORY = 1 << 30  # bytes that a case may add to what the process holds at its most


@dataclass
class Counts:
    """Cases of one kind: read, refused, and faults by what they were."""

    read: int = 0
    refused: int = 0
    faults: Counter[str] | None = None


class TooLongError(BaseException):
    pass


def _alarm(number: int, frame: object) -> None:
    raise TooLongError


def one_case(kind: Kind, draw: random.Random, folder: Path) -> str:
    """What became of one case: ``read``, ``refused``, or a fault in words."""
    content = draw.choice(kind.mutations)(draw.choice(kind.whole), draw)
    if draw.random() < 0.3:
        content = draw.choice((cut, overwrite, insert))(content, draw)
    folder.mkdir()
    file = folder / kind.name
    file.write_bytes(content)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    signal.setitimer(signal.ITIMER_PROF, LONGEST)
    try:
        with quiet():
            kind.read(file)
        outcome = "read"
    except PtselError as error:
        said = str(error)
        outcome = "refused" if str(folder.parent) in said else f"message: {said[:200]}"
    except TooLongError:
        outcome = f"longer than {LONGEST} s"
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        ours = [f for f in traceback.extract_tb(error.__traceback__) if "ptsel_fairseq" in f.filename]
        at = ours[-1] if ours else place
        outcome = f"{type(error).__name__} at {Path(at.filename).name}:{at.lineno}: {str(error)[:120]}"
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * 1024
    return f"{grown >> 20} MiB" if grown > MOST_MEMORY else outcome


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """What decoders print of damaged files, in C too, is not shown."""
    sys.stderr.flush()
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        sys.stderr.flush()
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


def fuzz(
    cases: int, seed: int, only: Sequence[str] | None, with_fairseq: bool, keep: Path | None
) -> dict[str, Counts]:
    """Run so many cases, spread over the kinds by their weights; the outcomes by kind."""
    signal.signal(signal.SIGPROF, _alarm)
    counts: dict[str, Counts] = {}
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        every = kinds(folder, with_fairseq)
        chosen = {name: kind for name, kind in every.items() if only is None or any(o in name for o in only)}
        total = sum(kind.weight for kind in chosen.values())
        for name, kind in chosen.items():
            draw = random.Random(f"{seed} {name}")
            found = counts[name] = Counts(faults=Counter())
            for number in range(max(1, round(cases * kind.weight / total))):
                case = folder / "case"
                outcome = one_case(kind, draw, case)
                if outcome in ("read", "refused"):
                    setattr(found, outcome, getattr(found, outcome) + 1)
                else:
                    found.faults[outcome] += 1
                    if keep is not None:
                        shutil.copytree(case, keep / f"{name.replace('/', '_')}-{number}", dirs_exist_ok=True)
                shutil.rmtree(case)
    return counts


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kinds", nargs="+", metavar="KIND", help="only those whose names hold one of these")
    parser.add_argument("--without-fairseq", action="store_true", help="leave out what needs it")
    parser.add_argument("--keep", type=Path, metavar="FOLDER", help="of the files of faults")
    options = parse(parser, arguments, {"cases": 60, "without_fairseq": True})
    counts = fuzz(options.cases, options.seed, options.kinds, not options.without_fairseq, options.keep)
    print(f"{'kind':30s} {'read':>6s} {'refused':>8s} {'faults':>7s}")
    for name, found in counts.items():
        print(f"{name:30s} {found.read:6d} {found.refused:8d} {found.faults.total():7d}")
        for fault, count in found.faults.most_common():
            print(f"    {count} x {fault}")
    total = sum(found.read + found.refused + found.faults.total() for found in counts.values())
    print(f"{total} cases")
    faults = sum(found.faults.total() for found in counts.values())
    return finish(options, [Figure("faults of damaged files", faults, 0, at_most=True)])


if __name__ == "__main__":
    sys.exit(not all(figure.met for figure in main()))
