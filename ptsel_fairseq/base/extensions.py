"""Registries of things of one kind, to which installed packages and files of users add their own.

A registry holds what this package brings, what installed packages register (each names a module as an entry point of
the registry's group), and what a Python file registers that is given as ``--plugin FILE.py``. The environment names the
files that were loaded, so that worker processes find them.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import pkgutil
import re
import sys
import traceback
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.messages import shortened
from ptsel_fairseq.base.suggestion import did_you_mean

NAME = re.compile(r"[a-z][a-z0-9]*([-_][a-z0-9]+)*")
VARIABLE = "PTSEL_PLUGINS"  # files, with os.pathsep between them
THIS_PACKAGE, THIS_PROCESS = "ptsel_fairseq", "this process"

_origin = THIS_PROCESS  # of what is being registered
_loaded: dict[Path, str] = {}  # files of users that were loaded, and the origin of what they registered
_loading: set[Path] = set()
_registries: list[Registry[Any]] = []


class Named(Protocol):
    """What a registry can hold."""

    @property
    def name(self) -> str: ...


Thing = TypeVar("Thing", bound=Named)


class Registry(Generic[Thing]):
    """The things of one kind by name.

    Args:
        kind: what messages call one of them, such as ``corpus``.
        plural: what messages call several, such as ``corpora``.
        group: of entry points, such as ``ptsel_fairseq.corpora``.
        built_in: gives those of this package; called when the registry is read first, so that an import stays light.
    """

    def __init__(
        self, kind: str, plural: str, group: str, built_in: Callable[[], Iterable[Thing]] = lambda: ()
    ) -> None:
        self.kind, self.plural, self.group = kind, plural, group
        self._built_in = built_in
        self._things: dict[str, tuple[Thing, str]] = {}  # with their origins
        self._complete = False
        _registries.append(self)

    def register(self, thing: Thing) -> Thing:
        """Make a thing known, and return it; raises PtselError if its name cannot be used or is taken."""
        self._load()
        return self._add(thing, _origin)

    def get(self, name: str) -> Thing:
        """The thing of a name; raise PtselError naming those that are known."""
        self._load()
        if name not in self._things:
            raise PtselError(
                f"no {self.kind} {name!r}; the {self.plural} are {shortened(self.names(), 60)}"
                f"{did_you_mean(name, self._things)}"
            )
        return self._things[name][0]

    def names(self) -> list[str]:
        """All names in the order in which they were registered: those of this package come first."""
        self._load()
        return list(self._things)

    def all(self) -> list[Thing]:
        """All things, in the order of `names`."""
        return [self._things[name][0] for name in self.names()]

    def origin(self, name: str) -> str:
        """Where a thing comes from: this package, a package with its version, or a file with its checksum."""
        self.get(name)
        return self._things[name][1]

    def remove(self, name: str) -> None:
        """Forget a thing, if it is known."""
        self._things.pop(name, None)

    def forget(self, origin: str) -> None:
        """Forget the things of one origin."""
        self._things = {name: found for name, found in self._things.items() if found[1] != origin}

    def _add(self, thing: Thing, origin: str) -> Thing:
        if not NAME.fullmatch(thing.name):
            raise PtselError(
                f"{self.kind} {thing.name!r}: expected a name of lower-case letters, digits, and single hyphens or "
                "underscores between them, that begins with a letter"
            )
        if thing.name in self._things:
            raise PtselError(
                f"{self.kind} {thing.name}: the name is taken by {self._things[thing.name][1]}; choose another one"
            )
        self._things[thing.name] = (thing, origin)
        return thing

    def _load(self) -> None:
        if self._complete:
            return
        self._complete = True  # before loading: what is loaded may register things itself
        try:
            for thing in self._built_in():
                self._add(thing, THIS_PACKAGE)
            self._load_installed()
        except BaseException:
            self._things.clear()
            self._complete = False
            raise

    def _load_installed(self) -> None:
        from importlib.metadata import entry_points

        for entry in entry_points(group=self.group):
            package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
            with registering(
                package, f"package {package} (entry point {self.group}: {entry.name} = {entry.value})"
            ):
                entry.load()
        load_files([file for file in os.environ.get(VARIABLE, "").split(os.pathsep) if file])


@contextlib.contextmanager
def registering(origin: str, where: str) -> Iterator[None]:
    """What is registered inside is of this origin; errors there are told in one line that begins with `where`."""
    global _origin
    before, _origin = _origin, origin
    try:
        yield
    except PtselError as error:
        raise PtselError(f"{where}: {error}") from None
    except Exception as error:
        raise PtselError(f"{where}: cannot be loaded ({describe(error)})") from error
    finally:
        _origin = before


def load_files(files: Sequence[Path | str]) -> None:
    """Run Python files that register things, each once for each text of it.

    Raises:
        PtselError: a file that cannot be read, code that fails, or a thing that cannot be registered.
    """
    for file in files:
        load_file(Path(file))


def load_file(file: Path) -> None:
    """See `load_files`."""
    where = f"--plugin {file}"
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise PtselError(f"{where}: the file cannot be read ({reason})") from None
    file = file.resolve()
    origin = f"{file.name}, sha256 {hashlib.sha256(text.encode()).hexdigest()}"
    if _loaded.get(file) == origin or file in _loading:
        return
    forget(_loaded.pop(file, ""))
    module = types.ModuleType(f"ptsel_plugin_{file.stem}")
    module.__file__ = str(file)
    sys.modules[module.__name__] = module  # where dataclasses look for it
    _loading.add(file)
    try:
        with registering(origin, where):
            exec(compile(text, str(file), "exec"), module.__dict__)
    except BaseException:
        forget(origin)
        raise
    finally:
        _loading.discard(file)
    _loaded[file] = origin
    known = [name for name in os.environ.get(VARIABLE, "").split(os.pathsep) if name]
    os.environ[VARIABLE] = os.pathsep.join(dict.fromkeys([*known, str(file)]))


def forget(origin: str) -> None:
    """Remove the things of one origin from every registry."""
    for registry in _registries:
        registry.forget(origin)


def attributes_of_modules(package: str, attribute: str) -> Iterator[object]:
    """The value of one name in each module of a package; each file of the package adds one thing of a kind."""
    folder = importlib.import_module(package).__path__
    for name in sorted(module.name for module in pkgutil.iter_modules(folder)):
        yield getattr(importlib.import_module(f"{package}.{name}"), attribute)


def describe(error: Exception) -> str:
    """An error of somebody's code in one line, with the place where it arose."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error}, in {Path(place.filename).name}, line {place.lineno}"
