"""Read fairseq manifests, and text files line by line.

The first line of a manifest ``<split>.tsv`` is the folder of the audio; each further line is
``path<TAB>samples``. A relative folder starts at the folder of the manifest. The position of a line (0 for
the first utterance) is the key by which a label store finds the utterance again.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.utterances import Utterance, Utterances

if TYPE_CHECKING:
    import numpy as np

__all__ = ["LINE_ALIGNED", "Manifest", "Utterance", "manifest_file", "read_lines", "read_manifest"]

MANIFEST_EXAMPLE = "clips/en_0001.flac<TAB>93680"
LINE_ALIGNED = (".ltr", ".wrd", ".phn")  # files beside a manifest that have a line for each of its utterances
BYTE_ORDER_MARK = "\ufeff"
BLOCK = 1 << 16  # bytes of a manifest that are parsed at once
PLAIN_LINE = re.compile(rb"^([^\t\n]++)\t([1-9][0-9]{0,17})$", re.MULTILINE)


@dataclass(frozen=True)
class Manifest:
    """One split: where its audio lies and how long each utterance is.

    Attributes:
        utterances: any sequence of them; they are kept as `Utterances`.
    """

    file: Path
    root: Path
    utterances: Sequence[Utterance]

    def __post_init__(self) -> None:
        object.__setattr__(self, "utterances", Utterances.of(self.utterances))

    def __len__(self) -> int:
        return len(self.utterances)

    def __iter__(self) -> Iterator[Utterance]:
        return iter(self.utterances)

    @property
    def split(self) -> str:
        return self.file.stem

    @property
    def samples(self) -> np.ndarray:
        """The length of each utterance, integers [utterances]."""
        return self._compact.samples

    @property
    def checksum(self) -> str:
        """SHA-256 of paths and lengths; the folder of the audio may move."""
        return self._compact.checksum

    def path(self, line: int) -> str:
        """The path on a line, without making an utterance of it."""
        return self._compact.path(line)

    def raw_paths(self) -> Iterator[bytes]:
        """All paths in UTF-8, one after another."""
        return self._compact.raw_paths()

    @property
    def _compact(self) -> Utterances:
        assert isinstance(self.utterances, Utterances)
        return self.utterances

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
    blocks = _blocks(file, expected)
    head, _, rest = next(blocks, b"").partition(b"\n")
    first = _decoded(file, head, expected)
    if first.startswith(BYTE_ORDER_MARK):
        raise _marked(file)
    if not first.strip() or "\t" in first:
        found = repr(first) if first else "nothing"
        raise PtselError(f"{file}, line 1: expected the folder of the audio, found {found}")
    root = Path(first.strip())
    if not root.is_absolute():
        root = (file.parent / root).resolve()
    utterances = _parse(file, chain([rest], blocks), expected)
    if not len(utterances):
        raise PtselError(f"{file}: expected lines such as {MANIFEST_EXAMPLE!r} after line 1, found none")
    return Manifest(file, root, utterances)


def _parse(file: Path, blocks: Iterable[bytes], expected: str) -> Utterances:
    """The utterances of the lines after the first, which come in blocks of whole lines."""
    import numpy as np

    digest, lines, filled = hashlib.sha256(), 0, 0
    # What is never written of these takes no memory.
    size = file.stat().st_size
    paths, most = np.empty(size, np.uint8), size // len("a\t1\n") + 1
    small = np.iinfo(np.int32).max
    ends, samples = np.empty(most, np.int32 if size <= small else np.int64), np.empty(most, np.int32)
    for block in filter(None, blocks):
        found = PLAIN_LINE.findall(block)
        number = block.count(b"\n") + (not block.endswith(b"\n"))
        text = _decoded(file, block, expected)
        if len(found) != number:
            unusual = enumerate(text.removesuffix("\n").split("\n"), start=lines)
            parsed = [_parse_utterance(file, index, line) for index, line in unusual]
            found = [(utterance.path.encode(), b"%d" % utterance.samples) for utterance in parsed]
            block = b"".join(b"%b\t%b\n" % fields for fields in found)
        digest.update(block if block.endswith(b"\n") else block + b"\n")
        joined = b"".join([path for path, _ in found])
        if filled + len(joined) > size:
            raise PtselError(f"{file}: grew while it was read; run the command again")
        paths[filled : filled + len(joined)] = np.frombuffer(joined, np.uint8)
        new = slice(lines, lines + number)
        ends[new] = filled + np.cumsum(np.fromiter((len(path) for path, _ in found), np.int64, number))
        lengths = np.fromiter((int(length) for _, length in found), np.int64, number)
        if samples.dtype == np.int32 and lengths.max(initial=0) > small:
            samples = np.concatenate([samples[:lines].astype(np.int64), np.empty(most - lines, np.int64)])
        samples[new] = lengths
        lines, filled = lines + number, filled + len(joined)
    return Utterances(paths[:filled], ends[:lines], samples[:lines], checksum=digest.hexdigest())


def _parse_utterance(file: Path, index: int, line: str) -> Utterance:
    fields = line.split("\t")
    number = fields[1].strip() if len(fields) == 2 else ""
    if not number.isdecimal() or not fields[0] or not 0 < int(number) < 1 << 63:
        raise PtselError(
            f"{file}, line {index + 2}: expected a path, one tab and the number of samples, such as "
            f"{MANIFEST_EXAMPLE!r}, found {line!r}"
        )
    return Utterance(index, fields[0], int(number))


def _blocks(file: Path, expected: str) -> Iterator[bytes]:
    """Whole lines of a text file, with line feeds between them and without empty ones at its end."""
    held_back = b""
    try:
        with file.open("rb") as content:
            while block := content.read(BLOCK):
                block += content.readline()
                if b"\r" in block:
                    block = block.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
                block = held_back + block
                end = _end_of_lines(file, block, expected)
                block, held_back = block[:end], block[end:]
                if block:
                    yield block
    except FileNotFoundError:
        raise PtselError(f"{file}: no such file; expected {expected}") from None
    except OSError as error:
        raise PtselError(f"{file}: cannot be read ({error.strerror}); expected {expected}") from None


def _end_of_lines(file: Path, block: bytes, expected: str) -> int:
    """Where the last line that is not empty ends, its line feed included."""
    end = len(block)
    while end:
        last = block.rfind(b"\n", 0, end - 1) + 1
        if _decoded(file, block[last:end], expected).strip():
            break
        end = last
    return end


def _decoded(file: Path, content: bytes, expected: str) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise PtselError(f"{file}: not a UTF-8 text file ({error.reason}); expected {expected}") from None


def _marked(file: Path) -> PtselError:
    return PtselError(
        f"{file}: begins with a byte order mark, which fairseq takes for text; save it as UTF-8 without one"
    )


def read_lines(file: Path, expected: str, for_fairseq: bool = False) -> list[str]:
    """The lines of a UTF-8 text file without empty ones at its end.

    Args:
        file: text, with a byte order mark before it or without, as Windows writes it or other systems.
        expected: what messages say it should be.
        for_fairseq: whether fairseq reads it too, which would take a byte order mark for a letter.

    Raises:
        PtselError: a file that cannot be read or is not such.
    """
    text = _decoded(file, b"".join(_blocks(file, expected)), expected)
    if for_fairseq and text.startswith(BYTE_ORDER_MARK):
        raise _marked(file)
    text = text.removeprefix(BYTE_ORDER_MARK).removesuffix("\n")
    return text.split("\n") if text else []
