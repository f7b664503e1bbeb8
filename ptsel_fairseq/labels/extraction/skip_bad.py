"""`ptsel extract --skip-bad`: which files can be used, and a data folder without the others.

Every file is decoded once before the extraction, which then sees good files only. So the store is that of the manifest
that is written, an ordinary one, and nothing else has to know of skipped files. What was skipped is kept in the store's
folder: a run that goes on, or adds labels, leaves out the same files without reading them all again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.audio import AudioFile
from ptsel_fairseq.base.errors import PtselError, RecordingError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import LINE_ALIGNED, Manifest, read_lines
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.workers import LOCAL, jobs_for_audio, map_ordered
from ptsel_fairseq.labels.store.header import HEADER, read_header
from ptsel_fairseq.labels.store.recordings import read_recordings, recognised

SKIPPED = "skipped.tsv"
COLUMNS = "line\tpath\treason"
FILES_AT_ONCE = 32
SHOWN = 10


@dataclass(frozen=True)
class Skipped:
    """An utterance that cannot be used: its index in the manifest, path, and why."""

    index: int
    path: str
    reason: str


@dataclass(frozen=True)
class Screened:
    """A manifest, those of its files that cannot be used, and the manifest without them."""

    manifest: Manifest
    skipped: tuple[Skipped, ...]
    good: Manifest

    def provenance(self) -> dict[str, Any] | None:
        """For the store's header: which lines of which manifest are missing (line 2 is the first utterance)."""
        if not self.skipped:
            return None
        return {
            "manifest_checksum": self.manifest.checksum,
            "utterances": len(self.manifest),
            "lines": [entry.index + 2 for entry in self.skipped],
        }


def check_out(skip_bad: bool, out: Path | str | None, data_dir: Path | str) -> None:
    """Raise PtselError unless `--skip-bad` and `--manifest-out` are given together, for another folder."""
    if skip_bad and out is None:
        raise PtselError(
            "--skip-bad: give --manifest-out DIR as well, where the manifests without bad files go"
        )
    if out is not None and not skip_bad:
        raise PtselError(
            "--manifest-out: it is where --skip-bad writes manifests without bad files; give both"
        )
    if out is not None and Path(out).resolve() == Path(data_dir).resolve():
        raise PtselError(
            f"--manifest-out {out}: expected another folder than that of the manifests as they are"
        )


def screen(
    manifest: Manifest, store: Path, out: Path, grid: FrameGrid, jobs: int | None, engine: str = LOCAL
) -> Screened:
    """Decode every file of a split, unless the store knows which to leave out.

    Args:
        out: folder of the manifest without them, which is not written here.

    Raises:
        PtselError: no file can be used.
    """
    folder = store / manifest.split
    skipped = _known(folder, manifest)
    if skipped is None:
        skipped = _find_bad(manifest, _analysed(folder, manifest, grid), grid, jobs, engine)
    bad = {entry.index for entry in skipped}
    good = [utterance for utterance in manifest if utterance.index not in bad]
    if not good:
        raise PtselError(
            f"{manifest.file}: none of its {len(manifest)} files can be used; the first: "
            f"{manifest.where(manifest.utterances[0])}: {skipped[0].reason}"
        )
    renumbered = tuple(replace(utterance, index=i) for i, utterance in enumerate(good))
    return Screened(
        manifest, skipped, replace(manifest, file=out / manifest.file.name, utterances=renumbered)
    )


def _known(folder: Path, manifest: Manifest) -> tuple[Skipped, ...] | None:
    """What an earlier run on this manifest has skipped; None if there was none."""
    file = folder / SKIPPED
    if file.exists():
        lines = read_lines(file, "the list of skipped files that `ptsel extract --skip-bad` wrote")
        if lines[:2] == [_about(manifest), COLUMNS]:
            try:
                rows = [line.split("\t", 2) for line in lines[2:]]
                return tuple(Skipped(int(line) - 2, path, reason) for line, path, reason in rows)
            except ValueError:
                raise PtselError(
                    f"{file}: expected lines of {COLUMNS!r}; remove it, and {folder} with it if labels are there"
                ) from None
    if (folder / HEADER).exists() and read_header(folder)["manifest_checksum"] == manifest.checksum:
        return ()  # a store of all files
    return None


def _about(manifest: Manifest) -> str:
    return f"# of the manifest {manifest.checksum}"


def _analysed(folder: Path, manifest: Manifest, grid: FrameGrid) -> set[int]:
    """The utterances whose recordings the store has analysed, and which can be used therefore."""
    if not (folder / HEADER).exists():
        return set()
    recordings = read_recordings(folder, read_header(folder).get("recordings"))
    known = enumerate(recognised(manifest, recordings or []))
    return {index for index, found in known if found is not None and found.samples >= grid.window}


def _find_bad(
    manifest: Manifest, fine: set[int], grid: FrameGrid, jobs: int | None, engine: str
) -> tuple[Skipped, ...]:
    """Decode all files but those of the utterances that are `fine`."""
    if engine == LOCAL:
        samples = sum(u.samples for u in manifest if u.index not in fine)
        jobs = jobs_for_audio(samples / grid.sample_rate, jobs)
    utterances = [utterance for utterance in manifest if utterance.index not in fine]
    pieces = [utterances[i : i + FILES_AT_ONCE] for i in range(0, len(utterances), FILES_AT_ONCE)]
    work = (
        (tuple((manifest.audio_path(utterance), utterance.samples) for utterance in piece), grid)
        for piece in pieces
    )
    found: list[Skipped] = []
    with progress_bar(total=len(utterances), desc=f"reading {manifest.split}", unit="file") as progress:
        for piece, faults in zip(pieces, map_ordered(_faults, work, engine, jobs), strict=True):
            found += [
                Skipped(utterance.index, utterance.path, fault)
                for utterance, fault in zip(piece, faults, strict=True)
                if fault
            ]
            progress.update(len(piece))
    return tuple(found)


def _faults(work: tuple[Sequence[tuple[Path, int]], FrameGrid]) -> list[str]:
    files, grid = work
    return [find_fault(file, samples, grid) for file, samples in files]


def find_fault(file: Path, samples: int, grid: FrameGrid) -> str:
    """Why a file cannot be used, in one line; empty if it can."""
    try:
        with AudioFile(file, grid.sample_rate) as audio:
            audio.check_length(samples)
    except RecordingError as error:
        return " ".join(error.fault.split())
    except (
        OSError,
        RuntimeError,
        ValueError,
        MemoryError,
    ) as error:  # whatever a decoder makes of a bad file
        return " ".join(f"the audio cannot be decoded ({error!r})".split())
    if samples < grid.window:
        return f"{samples} samples are too short for a frame of {grid.window}"
    return ""


def keep_list(screened: Screened, store: Path) -> None:
    """Write STORE/<split>/skipped.tsv, for people and for the next run."""
    lines = [f"{entry.index + 2}\t{entry.path}\t{entry.reason}" for entry in screened.skipped]
    content = "\n".join([_about(screened.manifest), COLUMNS, *lines]) + "\n"
    write_text(store / screened.manifest.split / SKIPPED, content)


def write_good(screened: Screened) -> None:
    """Write the manifest without skipped files, the files with a line for each utterance, and dictionaries.

    Class files name paths and need no change.

    Raises:
        PtselError: a file beside the manifest that has another number of lines.
    """
    manifest, good = screened.manifest, screened.good
    skipped = {entry.index for entry in screened.skipped}
    for suffix in LINE_ALIGNED:
        file = manifest.file.with_suffix(suffix)
        if not file.exists():
            continue
        lines = file.read_text(encoding="utf-8").removesuffix("\n").split("\n")
        if len(lines) != len(manifest):
            raise PtselError(
                f"{file}: expected {len(manifest)} lines, one for each utterance of {manifest.file}, "
                f"found {len(lines)}"
            )
        kept = [line for index, line in enumerate(lines) if index not in skipped]
        write_text(good.file.with_suffix(suffix), "\n".join(kept) + "\n")
    for file in sorted(manifest.file.parent.glob("dict.*.txt")):
        write_text(good.file.parent / file.name, file.read_text(encoding="utf-8"))
    lines = [str(manifest.root), *(f"{utterance.path}\t{utterance.samples}" for utterance in good)]
    write_text(good.file, "\n".join(lines) + "\n")


def report(screened: Screened, store: Path) -> None:
    """Say which files are not in the store."""
    manifest, skipped = screened.manifest, screened.skipped
    print(
        f"{manifest.split}: {len(skipped)} of {len(manifest)} files skipped; {screened.good.file} has the others"
    )
    for entry in skipped[:SHOWN]:
        print(f"    {manifest.where(manifest.utterances[entry.index])}: {entry.reason}")
    if len(skipped) > SHOWN:
        print(f"    ... and {len(skipped) - SHOWN} more")
    if skipped:
        print(f"    all of them: {store / manifest.split / SKIPPED}")
