"""`ptsel convert`: a folder of recordings of any format, rate and channels -> 16 kHz mono FLAC and manifests."""

from __future__ import annotations

import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import output_folder, readable_size, write_text
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import available_cores, map_ordered
from ptsel_fairseq.data.audio_folder import AudioFolder, copy_names, look_into
from ptsel_fairseq.data.conversion import SHORT_WORK, Converted, check_longest, convert_file, files_of
from ptsel_fairseq.data.make_manifest import draw_valid, write_splits
from ptsel_fairseq.data.pieces import PIECES, write_pieces
from ptsel_fairseq.data.resampling import RESAMPLERS, default_resampler

AUDIO = "audio"
JOURNAL = "conversion.jsonl"
BAD = "bad.txt"
SHOWN = 3
MAX_BAD = 0.5


def convert_command(
    source: Path | str,
    out: Path | str,
    skip_bad: bool = False,
    split_long: float | None = None,
    valid_percent: float = 5.0,
    seed: int = 0,
    resampler: str | None = None,
    jobs: int | None = None,
) -> None:
    """Convert every audio file below `source`; write ``OUT/audio``, ``train.tsv``, ``valid.tsv`` and what was what.

    Run again it converts what is new or changed. ``OUT/conversion.csv`` says for each file of the manifests from
    which file it comes, and from which second on.

    Args:
        skip_bad: leave files that cannot be used out and list them in ``OUT/bad.txt``, instead of stopping.
        split_long: seconds; longer recordings are cut at silences. All pieces of a recording go to one split.
        valid_percent: share of the recordings for the split valid, drawn with `seed`.
        resampler: ``torchaudio`` or ``soxr``; default, that of a conversion that goes on, else torchaudio if it can
            be imported.
        jobs: processes; default, all cores.

    Raises:
        PtselError: no audio, an `out` inside `source`, settings other than those of the conversion that goes on, or
            files that cannot be used (with `skip_bad`: more than half).
    """
    source, out = Path(source).resolve(), Path(out).resolve()
    check_longest(split_long)
    folder = look(source, out)
    with output_folder(out):
        _convert_folder(source, out, folder, skip_bad, split_long, valid_percent, seed, resampler, jobs)


def _convert_folder(
    source: Path,
    out: Path,
    folder: AudioFolder,
    skip_bad: bool,
    split_long: float | None,
    valid_percent: float,
    seed: int,
    resampler: str | None,
    jobs: int | None,
) -> None:
    names = copy_names(folder.files)
    settings = {
        "resampler": resampler or _used_before(out) or default_resampler(),
        "split_long": split_long,
    }
    if settings["resampler"] not in RESAMPLERS:
        raise PtselError(f"--resampler: expected {' or '.join(RESAMPLERS)}, found {resampler!r}")
    journal = Journal(out / JOURNAL, settings)
    size = sum((source / path).stat().st_size for path in folder.files)
    done = journal.still_good(source, out / AUDIO, names)
    todo = [path for path in folder.files if path not in done]
    print(
        f"{source}: {len(folder.files)} audio files, {readable_size(size)}; {len(todo)} to convert with "
        f"{settings['resampler']}"
    )
    found = dict(done)
    for path, converted in _convert_all(source, out / AUDIO, names, todo, settings, jobs):
        journal.add(path, source / path, names[path], converted)
        found[path] = converted
    results = {path: _usable(found[path]) for path in folder.files}
    print_table(folder, results)
    faults = {path: result.fault for path, result in results.items() if result.fault}
    _write_bad(out, faults)
    _check_faults(source, out, folder, faults, skip_bad)
    good = {path: result for path, result in results.items() if not result.fault}
    write_manifests(out, names, good, valid_percent, seed)


def look(source: Path, out: Path) -> AudioFolder:
    """The audio of `source`; raises PtselError if there is none, or `out` would mix with it."""
    if not source.is_dir():
        raise PtselError(f"{source}: no such folder; expected one that holds recordings")
    if out.is_relative_to(source):
        raise PtselError(
            f"{out}: lies inside {source}, so its copies would be found as recordings; give another OUT"
        )
    folder = look_into(source)
    if not folder.files:
        said = folder.describe()
        raise PtselError(f"{source}: expected audio files, found none{f' ({said})' if said else ''}")
    return folder


def _convert_all(
    source: Path,
    copies: Path,
    names: Mapping[str, str],
    paths: Sequence[str],
    settings: Mapping[str, Any],
    jobs: int | None,
) -> Iterator[tuple[str, Converted]]:
    work = [(source / path, copies / names[path]) for path in paths]
    large = sum(file.stat().st_size for file, _ in work) > 10**8
    if len(work) < SHORT_WORK and not large:
        jobs = 1
    one = partial(_convert_one, resampler=settings["resampler"], longest=settings["split_long"])
    converted = map_ordered(one, work, jobs=min(jobs or available_cores(), max(1, len(work))))
    bar = progress_bar(converted, total=len(work), desc="converting to 16 kHz", unit="file")
    yield from zip(paths, bar, strict=True)


def _convert_one(files: tuple[Path, Path], resampler: str, longest: float | None) -> Converted:
    return convert_file(*files, resampler, longest)


def _usable(converted: Converted) -> Converted:
    """As it is, or with a fault if it has no frame to train on."""
    if converted.fault or sum(converted.pieces) >= FrameGrid().window:
        return converted
    ms = FrameGrid().window * 1000 // SAMPLE_RATE
    return Converted(
        f"is shorter than one frame ({sum(converted.pieces)} samples at 16 kHz; {ms} ms are needed)"
    )


class Journal:
    """What has been converted from which file, a line of JSON each; added to, never rewritten while work goes on.

    Raises:
        PtselError: a journal of other settings, or none that can be read.
    """

    def __init__(self, file: Path, settings: Mapping[str, Any]) -> None:
        self.file = file
        self.entries: dict[str, dict[str, Any]] = {}
        lines = file.read_text(encoding="utf-8", errors="replace").splitlines() if file.is_file() else []
        whole = [entry for entry in map(_parse, lines) if entry is not None]
        if whole and whole[0] != {"settings": dict(settings)}:
            raise PtselError(
                f"{file.parent}: was converted with {_said(whole[0].get('settings', {}))}, now asked for "
                f"{_said(settings)}; convert with the same settings, or into another folder"
            )
        for entry in whole[1:]:
            if _is_whole(entry):
                self.entries[entry["path"]] = entry
        told = [json.dumps(entry) for entry in ({"settings": dict(settings)}, *self.entries.values())]
        if lines != told:  # there is none yet, a kill or a full disk has cut it off, or some are there twice
            write_text(file, "\n".join(told) + "\n")

    def add(self, path: str, source: Path, name: str, converted: Converted) -> None:
        self._append({"path": path, "copy": name, **_stamp(source), **asdict(converted)})

    def still_good(self, source: Path, copies: Path, names: Mapping[str, str]) -> dict[str, Converted]:
        """What need not be done again: same size and time of change, same name, and all its copies are there."""
        good = {}
        for path, name in names.items():
            entry = self.entries.get(path)
            if entry is None or entry["copy"] != name or entry["fault"]:
                continue
            if {key: entry[key] for key in ("size", "changed")} != _stamp(source / path):
                continue
            files = files_of(copies / name, len(entry["pieces"]))
            if all(file.is_file() and file.stat().st_size for file in files):
                fields = {key: entry[key] for key in Converted.__dataclass_fields__}
                good[path] = Converted(**{**fields, "pieces": tuple(entry["pieces"])})
        return good

    def _append(self, entry: Mapping[str, Any]) -> None:
        with open(self.file, "a", encoding="utf-8", opener=_never_a_link) as out:
            out.write(json.dumps(entry) + "\n")


def _never_a_link(file: str, flags: int) -> int:
    return os.open(file, flags | os.O_NOFOLLOW, 0o666)


def _is_whole(entry: Mapping[str, Any]) -> bool:
    """Whether a line of the journal has all that it is to say."""
    kinds = {"path": str, "copy": str, "size": int, "changed": int, "fault": str, "pieces": list}
    return all(isinstance(entry.get(key), kind) for key, kind in kinds.items()) and all(
        key in entry for key in Converted.__dataclass_fields__
    )


def _parse(line: str) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, dict) else None


def _stamp(file: Path) -> dict[str, int]:
    status = file.stat()
    return {"size": status.st_size, "changed": status.st_mtime_ns}


def _said(settings: Mapping[str, Any]) -> str:
    return ", ".join(
        f"{key.replace('_', '-')} {value}" for key, value in settings.items() if value is not None
    )


def _used_before(out: Path) -> str | None:
    """The resampler of a conversion that is there already."""
    file = out / JOURNAL
    if not file.is_file():
        return None
    with file.open(encoding="utf-8") as lines:
        entry = _parse(lines.readline())
    return (entry or {}).get("settings", {}).get("resampler")


def print_table(folder: AudioFolder, results: Mapping[str, Converted]) -> None:
    """What was what: files and hours by suffix, format, rate and channels; what was passed over."""
    groups: dict[tuple[str, str, str, str], list[int]] = defaultdict(list)
    for path, result in results.items():
        known = (
            (result.kind, f"{result.rate} Hz", str(result.channels)) if result.rate else ("unknown", "-", "-")
        )
        groups[(Path(path).suffix, *known)].append(0 if result.fault else sum(result.pieces))
    rows = [["suffix", "format", "rate", "channels", "files", "usable", "hours"]]
    for key, samples in sorted(groups.items()):
        usable = sum(count > 0 for count in samples)
        rows.append([*key, str(len(samples)), str(usable), f"{sum(samples) / SAMPLE_RATE / 3600:.3f}"])
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  " + "  ".join(f"{cell:{width}s}" for cell, width in zip(row, widths, strict=True)).rstrip())
    if folder.describe():
        print(f"  {folder.describe()}")
    clipped = [path for path, result in results.items() if result.clipped]
    if clipped:
        print(
            f"  {len(clipped)} files go beyond full scale and were clipped (first: {', '.join(clipped[:SHOWN])})"
        )


def _write_bad(out: Path, faults: Mapping[str, str]) -> None:
    """Write OUT/bad.txt, a line ``path<TAB>reason`` for each; remove it if there are none."""
    if faults:
        lines = "".join(f"{path}\t{fault}\n" for path, fault in faults.items())
        write_text(out / BAD, lines.encode("utf-8", "replace").decode())
    else:
        (out / BAD).unlink(missing_ok=True)


def _check_faults(
    source: Path, out: Path, folder: AudioFolder, faults: Mapping[str, str], skip_bad: bool
) -> None:
    total = len(folder.files)
    first = "; ".join(f"{path}: {fault}" for path, fault in list(faults.items())[:SHOWN])
    if not faults:
        return
    if not skip_bad:
        raise PtselError(
            f"{source}: {len(faults)} of {total} audio files cannot be used (first: {first}); {out / BAD} lists them. "
            "Mend or remove them, or leave them out with --skip-bad; the others are converted already"
        )
    if len(faults) > MAX_BAD * total:
        raise PtselError(
            f"{source}: expected a few bad files to skip, found {len(faults)} of {total}, more than half (first: "
            f"{first}); {out / BAD} lists them"
        )
    print(f"  {len(faults)} files that cannot be used are left out (first: {first}); {out / BAD} lists them")


def write_manifests(
    out: Path, names: Mapping[str, str], good: Mapping[str, Converted], valid_percent: float, seed: int
) -> None:
    """The manifests and the table of pieces; all pieces of one recording are in one split."""
    recordings = list(good)
    chosen = draw_valid(len(recordings), valid_percent, seed)
    splits: dict[str, list[tuple[str, int]]] = {"train": [], "valid": []}
    rows = []
    short: Counter[str] = Counter()
    for index, path in enumerate(recordings):
        start = 0
        pieces = good[path].pieces
        for file, samples in zip(files_of(Path(names[path]), len(pieces)), pieces, strict=True):
            if samples < FrameGrid().window:
                short[path] += 1
            else:
                splits["valid" if index in chosen else "train"].append((file.as_posix(), samples))
                rows.append((file.as_posix(), path, start / SAMPLE_RATE, samples / SAMPLE_RATE))
            start += samples
    if short:
        print(f"  {sum(short.values())} ends of cut recordings are shorter than a frame and left out")
    write_pieces(out / PIECES, rows)
    write_splits(out, out / AUDIO, splits)
