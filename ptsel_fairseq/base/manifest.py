"""Read fairseq manifests, and text files line by line.

The first line of a manifest ``<split>.tsv`` is the folder of the audio; each further line is
``path<TAB>samples``. A relative folder starts at the folder of the manifest. The position of a line (0 for
the first utterance) is the key by which a label store finds the utterance again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError

MANIFEST_EXAMPLE = "clips/en_0001.flac<TAB>93680"
LINE_ALIGNED = (".ltr", ".wrd", ".phn")  # files beside a manifest that have a line for each of its utterances
BYTE_ORDER_MARK = "\ufeff"


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
