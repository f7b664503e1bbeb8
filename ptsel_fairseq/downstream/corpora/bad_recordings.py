"""Recordings that cannot be used: they stop the preparation of a corpus, or `--skip-bad` leaves them out of everything.

Only audio is skipped. Lists, transcripts and annotations that are missing or contradict each other stay errors: a
corpus has them complete, and one that was cut off may have shortened the last text that it still holds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.messages import examples
from ptsel_fairseq.downstream.corpora.copies import Measured, measure
from ptsel_fairseq.downstream.corpora.corpus import Clip, Reading

BAD = "bad.txt"
MISSING = "is missing"
UNPACK = "unpack all its archives here again"

Splits = Mapping[str, Sequence[Clip]]
Faults = Mapping[str, str]  # what is wrong, by path


def measure_usable(
    root: Path,
    paths: Sequence[str],
    copies: Path | None,
    jobs: int | None,
    decode: bool,
    check: Callable[[Faults], None],
) -> tuple[dict[str, Measured], dict[str, str]]:
    """`measure` of the files that can be used, and what is wrong with the others.

    `check` is called with the faults and may raise: first with the missing files alone, since converting takes hours.
    """
    missing = {path: MISSING for path in paths if not (root / path).is_file()}
    check(missing)
    found = measure(root, [path for path in paths if path not in missing], copies, jobs, decode)
    faults = missing | {path: measured.fault for path, measured in found.items() if measured.fault}
    faults = {path: faults[path] for path in paths if path in faults}
    check(faults)
    return {path: measured for path, measured in found.items() if path not in faults}, faults


def check_none_bad(root: Path, total: int, advice: str, faults: Faults) -> None:
    """Raise PtselError with their number and the first three, if any of `total` recordings cannot be used."""
    if faults:
        raise PtselError(
            f"{root}: {len(faults)} of {total} audio files {_state(faults)} {_first(faults)}; {advice}"
        )


def check_few_bad(reading: Reading, splits: Splits, faults: Faults) -> None:
    """Raise PtselError if so many cannot be used that the folder is to blame: more than half, or all of a split."""
    total = _count(splits)
    if 2 * len(faults) > total:
        raise PtselError(
            f"{reading.root}: expected a few bad recordings to skip, found {len(faults)} of {total}, more than half "
            f"{_first(faults)}; this is another folder than the corpus's, or it was not unpacked in full: "
            f"{UNPACK}"
        )
    for split, clips in splits.items():
        if all(clip.path in faults for clip in clips):
            bad = {clip.path: faults[clip.path] for clip in clips}
            raise PtselError(
                f"{reading.root}: expected recordings that can be used in {split}, found none among its "
                f"{len(bad)} {_first(bad)}; {UNPACK}"
            )
    for file, trials in reading.trials.items():
        if trials and not usable_trials(trials, faults):
            raise PtselError(
                f"{reading.root}: each of the {len(trials)} trials of {file} names a recording that cannot be used "
                f"{_first(faults)}; {UNPACK}"
            )


def without(reading: Reading, faults: Faults) -> Reading:
    """A corpus without its bad recordings, their labels, and the trials that name one."""
    return replace(
        reading,
        clips=[clip for clip in reading.clips if clip.path not in faults],
        trials={file: usable_trials(trials, faults) for file, trials in reading.trials.items()},
        labels={
            split: [row for row in rows if row[0] not in faults] for split, rows in reading.labels.items()
        },
    )


def usable_trials(trials: Sequence[tuple[bool, str, str]], faults: Faults) -> list[tuple[bool, str, str]]:
    """The trials whose recordings can both be used."""
    return [trial for trial in trials if not any(path in faults for path in trial[1:])]


def write_bad(out: Path, faults: Faults) -> None:
    """Write OUT/bad.txt, a line ``path<TAB>reason`` for each; remove it if there are none."""
    if faults:
        write_text(out / BAD, "".join(f"{path}\t{fault}\n" for path, fault in faults.items()))
    else:
        (out / BAD).unlink(missing_ok=True)


def remarks_on_bad(reading: Reading, splits: Splits, faults: Faults) -> list[str]:
    """What the report says of skipped recordings: nothing if there are none; else how many of each split, and why."""
    if not faults:
        return []
    lines = [f"Skipped: {len(faults):,} of {_count(splits):,} recordings, which cannot be used ({BAD}).", ""]
    for split, clips in splits.items():
        bad = {clip.path: faults[clip.path] for clip in clips if clip.path in faults}
        if bad:
            lines.append(f"* {split}: {len(bad):,} of {len(clips):,} {_first(bad)}")
    for file, trials in reading.trials.items():
        lost = len(trials) - len(usable_trials(trials, faults))
        if lost:
            lines.append(f"* {file}: {lost:,} of {len(trials):,} trials, which name one of these recordings")
    return ["\n".join(lines)]


def _count(splits: Splits) -> int:
    return len({clip.path for clips in splits.values() for clip in clips})


def _state(faults: Faults) -> str:
    only_missing = set(faults.values()) == {MISSING}
    return "that the corpus's lists name are missing" if only_missing else "cannot be used"


def _first(faults: Faults) -> str:
    return examples(f"{path}: {fault}" for path, fault in faults.items())
