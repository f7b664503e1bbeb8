"""Things of one kind known by name: of this package, of installed packages, and of files named on the command line.

A package names a module in an entry point of the registry's group; importing the module registers what it
defines. A file is run once (`load_files`). Both call the same `register` function of the kind.
"""

from __future__ import annotations

import re
import sys
import traceback
import types
from collections.abc import Sequence
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ptsel_fairseq.base.errors import PtselError

NAME = re.compile(r"[a-z][a-z0-9_]*")


class Named(Protocol):
    """What a registry can hold."""

    @property
    def name(self) -> str: ...


T = TypeVar("T", bound=Named)


class Registry(Generic[T]):
    """Objects of one kind by name, in the order in which they were registered.

    Args:
        kind: what they are, for messages, such as ``estimator``.
        group: entry points of installed packages.
    """

    def __init__(self, kind: str, group: str) -> None:
        self.kind, self.group = kind, group
        self._items: dict[str, T] = {}
        self._loaded = False

    def register(self, item: T) -> T:
        """Make an object known; raise PtselError for a name that is taken or cannot be used."""
        if not NAME.fullmatch(item.name):
            raise PtselError(
                f"{self.kind} {item.name!r}: expected a name of lower-case letters, digits and underscores that "
                "begins with a letter"
            )
        if item.name in self._items:
            raise PtselError(f"{self.kind} {item.name}: the name is taken; choose another one")
        self._items[item.name] = item
        return item

    def remove(self, name: str) -> None:
        """Forget an object, if it is known."""
        self._items.pop(name, None)

    def get(self, name: str) -> T:
        """The object of a name; raise PtselError naming those there are."""
        if name not in self._items:
            self._load_installed()
        if name not in self._items:
            raise PtselError(f"expected {_article(self.kind)} among {', '.join(self._items)}, found {name!r}")
        return self._items[name]

    def names(self) -> tuple[str, ...]:
        """All names, those of installed packages among them."""
        self._load_installed()
        return tuple(self._items)

    def all(self) -> tuple[T, ...]:
        """All objects, in the order of `names`."""
        return tuple(self.get(name) for name in self.names())

    def _load_installed(self) -> None:
        from importlib.metadata import entry_points

        if self._loaded:
            return
        self._loaded = True
        for entry in entry_points(group=self.group):
            package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
            where = f"package {package} (entry point {self.group}: {entry.name} = {entry.value})"
            try:
                entry.load()
            except PtselError as error:
                raise PtselError(f"{where}: {error}") from None
            except Exception as error:
                raise PtselError(f"{where}: cannot be loaded ({_in_one_line(error)})") from error


def _article(word: str) -> str:
    return f"{'an' if word[0] in 'aeiou' else 'a'} {word}"


_files: set[str] = set()


def load_files(files: Sequence[Path | str]) -> None:
    """Run Python files, which register what they define; each once in a process.

    Raises:
        PtselError: a file that cannot be read, or code that fails.
    """
    for file in files:
        path = str(Path(file).resolve())
        if path in _files:
            continue
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise PtselError(f"--plugin {file}: the file cannot be read ({reason})") from None
        module = types.ModuleType(f"ptsel_plugin_{Path(file).stem}")
        module.__file__ = path
        sys.modules[module.__name__] = module  # where dataclasses look for it
        try:
            exec(compile(text, path, "exec"), module.__dict__)
        except PtselError as error:
            raise PtselError(f"--plugin {file}: {error}") from None
        except Exception as error:
            raise PtselError(f"--plugin {file}: cannot be loaded ({_in_one_line(error)})") from error
        _files.add(path)


def _in_one_line(error: Exception) -> str:
    """An error of somebody's code, with the place where it arose."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error}, in {Path(place.filename).name}, line {place.lineno}"
