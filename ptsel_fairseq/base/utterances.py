"""The utterances of a manifest, held as a few arrays: a corpus of millions takes bytes an utterance, not objects.

The paths stand behind one another in one buffer, the lengths in an array. Processes that are forked share both, since
reading an utterance writes nothing into them.
"""

from __future__ import annotations

import hashlib
import operator
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, overload

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Utterance:
    """One line of a manifest: `index` from 0, `path` as written, length in samples."""

    index: int
    path: str
    samples: int


class Utterances(Sequence[Utterance]):
    """A sequence of utterances that makes each when it is asked for.

    Args:
        paths: UTF-8, one after another, uint8 [bytes].
        ends: where each path ends in `paths`, integers [utterances].
        samples: the length of each, integers [utterances].
        indices: the line of each in its manifest, int64 [utterances]; None for 0, 1, ...
        checksum: SHA-256 of paths and lengths, if it is known.
    """

    def __init__(
        self,
        paths: np.ndarray,
        ends: np.ndarray,
        samples: np.ndarray,
        indices: np.ndarray | None = None,
        checksum: str | None = None,
    ) -> None:
        self._paths, self._ends = paths, smallest_type(ends)
        self._samples, self._indices = smallest_type(samples), indices
        self._checksum = checksum

    @classmethod
    def of(cls, utterances: Iterable[Utterance]) -> Utterances:
        """The same utterances as arrays."""
        import numpy as np

        if isinstance(utterances, cls):
            return utterances
        found = list(utterances)
        # Names of files in another encoding have surrogates, which a manifest on disk cannot hold.
        paths = [utterance.path.encode(errors="surrogateescape") for utterance in found]
        indices = np.array([utterance.index for utterance in found], dtype=np.int64)
        return cls(
            np.frombuffer(b"".join(paths), np.uint8),
            np.cumsum([len(path) for path in paths], dtype=np.int64),
            np.array([utterance.samples for utterance in found], dtype=np.int64),
            None if np.array_equal(indices, np.arange(len(found))) else indices,
        )

    @property
    def samples(self) -> np.ndarray:
        """The length of each utterance, integers [utterances]."""
        return self._samples

    @property
    def checksum(self) -> str:
        """SHA-256 of the lines ``path<TAB>samples``."""
        if self._checksum is None:
            digest = hashlib.sha256()
            for path, samples in zip(self.raw_paths(), self._samples.tolist(), strict=True):
                digest.update(b"%b\t%d\n" % (path, samples))
            self._checksum = digest.hexdigest()
        return self._checksum

    def path(self, place: int) -> str:
        """The path of the utterance at a place."""
        return self.raw_path(place).decode(errors="surrogateescape")

    def raw_path(self, place: int) -> bytes:
        """The same in UTF-8."""
        start = int(self._ends[place - 1]) if place else 0
        return self._paths[start : int(self._ends[place])].tobytes()

    def __len__(self) -> int:
        return len(self._ends)

    @overload
    def __getitem__(self, place: int) -> Utterance: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[Utterance, ...]: ...

    def __getitem__(self, place: int | slice) -> Utterance | tuple[Utterance, ...]:
        if isinstance(place, slice):
            return tuple(self[i] for i in range(*place.indices(len(self))))
        place = operator.index(place)
        if place < 0:
            place += len(self)
        if not 0 <= place < len(self):
            raise IndexError(f"no utterance {place} of {len(self)}")
        index = place if self._indices is None else int(self._indices[place])
        return Utterance(index, self.path(place), int(self._samples[place]))

    def __iter__(self) -> Iterator[Utterance]:
        indices = range(len(self)) if self._indices is None else map(int, self._indices)
        for index, path, samples in zip(indices, self.raw_paths(), self._samples, strict=True):
            yield Utterance(index, path.decode(errors="surrogateescape"), int(samples))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Utterances | tuple | list):
            return NotImplemented
        return len(self) == len(other) and all(map(operator.eq, self, other))

    def __hash__(self) -> int:
        return hash((len(self), self.checksum))

    def __repr__(self) -> str:
        return f"<{len(self)} utterances>"

    def raw_paths(self) -> Iterator[bytes]:
        """All paths in UTF-8, one after another."""
        start = 0
        for end in map(int, self._ends):
            yield self._paths[start:end].tobytes()
            start = end


def smallest_type(values: np.ndarray) -> np.ndarray:
    """Numbers from 0 in four bytes each where they fit, else in eight; read-only."""
    import numpy as np

    kind = np.int32 if int(values.max(initial=0)) <= np.iinfo(np.int32).max else np.int64
    found: np.ndarray = values.astype(kind, copy=False)
    found.flags.writeable = False
    return found
