"""Reading what says which audio there is: fairseq manifests and files of downstream classes.

A manifest ``<split>.tsv`` is fairseq's: the first line is the folder of the audio, each further line
is ``path<TAB>samples``. A relative folder is taken from where the manifest lies. The position of a
line (0 for the first utterance) is the key by which a label store finds the utterance again.

A class file has a header line and gives the downstream class of whole utterances
(``path<TAB>class``) or of segments in seconds (``path<TAB>start<TAB>end<TAB>class``).
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError

MANIFEST_EXAMPLE = "clips/en_0001.flac<TAB>93680"
CLASSES_EXAMPLE = "clips/en_0001.flac<TAB>en_allison"
SEGMENTS_EXAMPLE = "clips/en_0001.flac<TAB>0.310<TAB>0.420<TAB>AH"

UTTERANCE_HEADER = ("path", "class")
LINE_ALIGNED = (".ltr", ".wrd", ".phn")  # files beside a manifest that have a line for each of its utterances
BYTE_ORDER_MARK = "\ufeff"
USUAL_SPLITS = ("train", "valid", "dev", "test")
SEGMENT_HEADER = ("path", "start", "end", "class")


@dataclass(frozen=True)
class Utterance:
    """One line of a manifest: `index` from 0, `path` as written, length in samples."""

    index: int
    path: str
    samples: int


@dataclass(frozen=True)
class Manifest:
    """One split: where its audio lies and how long each utterance is."""

    file: Path
    root: Path
    utterances: tuple[Utterance, ...]

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

    @property
    def split(self) -> str:
        return self.file.stem

    @property
    def checksum(self) -> str:
        """SHA-256 of paths and lengths; the folder of the audio may move."""
        digest = hashlib.sha256()
        for utterance in self.utterances:
            digest.update(f"{utterance.path}\t{utterance.samples}\n".encode())
        return digest.hexdigest()

    def audio_path(self, utterance: Utterance) -> Path:
        return self.root / utterance.path

    def where(self, utterance: Utterance) -> str:
        """How messages name an utterance: manifest, line as an editor counts it, path."""
        return f"{self.file}, line {utterance.index + 2} ({utterance.path})"


@dataclass(frozen=True)
class Segment:
    """A stretch of an utterance with its class, in seconds.

    `end` is infinite where the class is that of the whole utterance.
    """

    utterance: int
    start: float
    end: float
    name: str


@dataclass(frozen=True)
class ClassFile:
    """The classes of one manifest's utterances.

    `other_paths` counts the lines about paths that this manifest does not hold (a class file may
    serve several splits), `unlabelled` the utterances that no line mentions.
    """

    file: Path
    checksum: str
    segments: tuple[Segment, ...]
    other_paths: int
    unlabelled: int

    def names(self) -> list[str]:
        return sorted({segment.name for segment in self.segments})


def manifests_of(folder: Path) -> list[Path]:
    """The manifests among a folder's ``.tsv`` files, sorted; class files and other tables are passed over.

    A manifest has the audio folder on its first line and ``path<TAB>samples`` on the second.
    """
    return [file for file in sorted(folder.glob("*.tsv")) if looks_like_manifest(file)]


def looks_like_manifest(file: Path) -> bool:
    """Whether the first line of a file is a folder, or the second is ``path<TAB>samples``.

    A file of a split's usual name is taken for a manifest whatever it holds (but a class file), so that its faults
    are said.
    """
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            first, second = lines.readline(), lines.readline()
    except OSError:
        return False
    header = tuple(first.strip().removeprefix(BYTE_ORDER_MARK).split("\t"))
    if file.stem in USUAL_SPLITS and header not in (UTTERANCE_HEADER, SEGMENT_HEADER):
        return True
    if len(header) > 1 or not header[0]:
        return False
    path, tab, samples = second.rstrip("\r\n").partition("\t")
    return (file.parent / header[0]).is_dir() or bool(path and tab and samples.strip().isdecimal())


def manifest_file(data_dir: Path | str, split: str) -> Path:
    return Path(data_dir) / f"{split}.tsv"


def read_manifest(file: Path | str) -> Manifest:
    """Read a fairseq manifest; raise PtselError naming the line that is not as expected."""
    file = Path(file)
    expected = f"a manifest such as {MANIFEST_EXAMPLE!r} below a line with the audio folder"
    lines = read_lines(file, expected, for_fairseq=True)
    if not lines or not lines[0].strip() or "\t" in lines[0]:
        raise PtselError(
            f"{file}, line 1: expected the folder of the audio, found {lines[0] if lines else 'nothing'!r}"
        )
    root = Path(lines[0].strip())
    if not root.is_absolute():
        root = (file.parent / root).resolve()
    utterances = [_parse_utterance(file, i, line) for i, line in enumerate(lines[1:])]
    if not utterances:
        raise PtselError(f"{file}: expected lines such as {MANIFEST_EXAMPLE!r} after line 1, found none")
    return Manifest(file, root, tuple(utterances))


def _parse_utterance(file: Path, index: int, line: str) -> Utterance:
    fields = line.split("\t")
    if len(fields) != 2 or not fields[0] or not fields[1].strip().isdecimal() or int(fields[1]) == 0:
        raise PtselError(
            f"{file}, line {index + 2}: expected a path, one tab and the number of samples, such as "
            f"{MANIFEST_EXAMPLE!r}, found {line!r}"
        )
    return Utterance(index, fields[0], int(fields[1]))


def read_classes(file: Path | str, manifest: Manifest, sample_rate: int) -> ClassFile:
    """Read the classes of `manifest`'s utterances.

    Raises PtselError if a line cannot be read, a segment lies outside its utterance, an utterance
    has two classes, or no line is about this manifest.
    """
    file = Path(file)
    expected = (
        f"a header line 'path<TAB>class' or 'path<TAB>start<TAB>end<TAB>class', then lines such as "
        f"{CLASSES_EXAMPLE!r} or {SEGMENTS_EXAMPLE!r}"
    )
    lines = read_lines(file, expected)
    header = tuple(lines[0].split("\t")) if lines else ()
    if header not in (UTTERANCE_HEADER, SEGMENT_HEADER):
        raise PtselError(
            f"{file}, line 1: expected {expected}, found {lines[0] if lines else 'an empty file'!r}"
        )
    if len(lines) == 1:
        raise PtselError(f"{file}: expected {expected}; it has a header and no lines")

    by_path = {utterance.path: utterance for utterance in manifest}
    segments: list[Segment] = []
    other_paths = 0
    for number, line in enumerate(lines[1:], start=2):
        fields = line.split("\t")
        if len(fields) != len(header) or not fields[0] or not fields[-1]:
            raise PtselError(
                f"{file}, line {number}: expected {len(header)} fields ({', '.join(header)}) separated by tabs, "
                f"found {line!r}"
            )
        utterance = by_path.get(fields[0])
        if utterance is None:
            other_paths += 1
            continue
        seconds = utterance.samples / sample_rate
        start, end = (
            (0.0, math.inf) if header == UTTERANCE_HEADER else _parse_times(file, number, fields, seconds)
        )
        segments.append(Segment(utterance.index, start, end, fields[-1]))

    if not segments:
        raise PtselError(
            f"{file}: none of its {other_paths} lines is about an utterance of {manifest.file}; expected paths as "
            f"written there, such as {manifest.utterances[0].path!r}, found such as {lines[1].split(chr(9))[0]!r}"
        )
    labelled = {segment.utterance for segment in segments}
    if header == UTTERANCE_HEADER and len(labelled) < len(segments):
        _raise_for_second_class(file, manifest, segments)
    checksum = hashlib.sha256(file.read_bytes()).hexdigest()
    return ClassFile(file, checksum, tuple(segments), other_paths, len(manifest) - len(labelled))


def _parse_times(file: Path, number: int, fields: list[str], seconds: float) -> tuple[float, float]:
    try:
        start, end = float(fields[1]), float(fields[2])
    except ValueError:
        start, end = math.nan, math.nan
    # Aligners round times, so the last segment may end a little after the audio.
    if not (0 <= start < end <= seconds + 0.02):
        raise PtselError(
            f"{file}, line {number}: expected 0 <= start < end <= {seconds:.3f} (the seconds of {fields[0]!r}), "
            f"found start {fields[1]!r} and end {fields[2]!r}"
        )
    return start, min(end, seconds)


def _raise_for_second_class(file: Path, manifest: Manifest, segments: list[Segment]) -> None:
    seen: dict[int, str] = {}
    for segment in segments:
        if segment.utterance in seen:
            path = manifest.utterances[segment.utterance].path
            raise PtselError(
                f"{file}: expected one class for each utterance, found {seen[segment.utterance]!r} and "
                f"{segment.name!r} for {path!r}; use the header path<TAB>start<TAB>end<TAB>class for segments"
            )
        seen[segment.utterance] = segment.name


def read_lines(file: Path, expected: str, for_fairseq: bool = False) -> list[str]:
    """The lines of a UTF-8 text file without empty ones at its end.

    Args:
        file: text, with a byte order mark before it or without, as Windows writes it or other systems.
        expected: what messages say it should be.
        for_fairseq: whether fairseq reads it too, which would take a byte order mark for a letter.

    Raises:
        PtselError: a file that cannot be read or is not such.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise PtselError(f"{file}: no such file; expected {expected}") from None
    except UnicodeDecodeError as error:
        raise PtselError(f"{file}: not a UTF-8 text file ({error.reason}); expected {expected}") from None
    except OSError as error:
        raise PtselError(f"{file}: cannot be read ({error.strerror}); expected {expected}") from None
    if for_fairseq and text.startswith(BYTE_ORDER_MARK):
        raise PtselError(
            f"{file}: begins with a byte order mark, which fairseq takes for text; save it as UTF-8 without one"
        )
    lines = text.removeprefix(BYTE_ORDER_MARK).split("\n")
    while lines and not lines[-1].strip():
        lines.pop()
    return [line.rstrip("\r") for line in lines]
