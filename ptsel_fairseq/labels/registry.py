"""The labels that are known by name: those of this package, and those that users register."""

from __future__ import annotations

import contextlib
import json
import re
import traceback
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.suggestion import did_you_mean
from ptsel_fairseq.labels.label import Label, TorchForm
from ptsel_fairseq.labels.pools import ALL, POOLS

if TYPE_CHECKING:
    from ptsel_fairseq.labels.backends.backend import Backend

GROUP = "ptsel_fairseq.labels"  # of entry points
THIS_PROCESS = "this process"

NAME = re.compile(r"[a-z][a-z0-9_]*")
# Names that mean something else where labels are named: a file of the store, all heads, all losses together in a log.
TAKEN = {
    "lengths": "a file of the label store",
    "default": "the settings of all heads",
    "total": "pretext_total",
}

_registered: dict[str, Label] = {}  # by users

_origin = THIS_PROCESS  # of what is being registered


def known() -> dict[str, Label]:
    """The labels of this package and those that are registered, by name; a copy."""
    from ptsel_fairseq.labels.signal import built_in_labels

    return built_in_labels() | _registered


def check_name(name: str) -> None:
    """Raise PtselError unless a new label, of values or of codes, can have this name."""
    if not NAME.fullmatch(name):
        raise PtselError(
            f"label {name!r}: expected a name of lower-case letters, digits and underscores that begins with a "
            "letter; files and heads are named after it"
        )
    if name in TAKEN:
        raise PtselError(f"label {name}: this is the name of {TAKEN[name]}; choose another one")


def add(label: Label) -> None:
    """Make a label known, as of the origin that is loading; raise PtselError if it cannot be used."""
    check_name(label.name)
    if label.name == ALL or label.name in POOLS:
        raise PtselError(f"label {label.name}: this is the name of a pool of labels; choose another one")
    if label.name in known():
        raise PtselError(
            f"label {label.name}: the name is taken by {known()[label.name].origin}; choose another one"
        )
    backend = _backend_of(label.name)
    if backend is not None:
        raise PtselError(
            f"label {label.name}: the name is taken by --backend {backend.name}; choose another one"
        )
    for what, value in (("dim", label.dim), ("version", label.version)):
        if not isinstance(value, int) or value < 1:
            raise PtselError(
                f"label {label.name}: expected {what} to be a whole number from 1, found {value!r}"
            )
    try:
        json.dumps(label.parameters)
    except (TypeError, ValueError) as error:
        raise PtselError(
            f"label {label.name}: its parameters go into the store's header, which is JSON ({error})"
        ) from None
    _registered[label.name] = replace(label, origin=_origin)


def add_torch_form(name: str, form: TorchForm) -> None:
    """Give a registered label its torch form; raise PtselError if there is none of this origin, or it has one."""
    label = _registered.get(name)
    if label is None or label.origin != _origin:
        raise PtselError(
            f"label {name}: expected the name of a label that the same file, package or process has registered "
            "before its torch form"
        )
    if label.torch is not None:
        raise PtselError(f"label {name}: it has a torch form already; give it one")
    _registered[name] = replace(label, torch=form)


def remove(origin: str) -> None:
    """Forget the labels of one origin."""
    for name in [name for name, label in _registered.items() if label.origin == origin]:
        del _registered[name]


def names() -> list[str]:
    """All labels, those of installed packages among them, sorted."""
    load_installed()
    return sorted(known())


def get(name: str) -> Label:
    """The label of a name; raise PtselError with what may have been meant, and those there are."""
    from ptsel_fairseq.labels.signal import built_in_labels

    found = built_in_labels().get(name) or _registered.get(name)
    if found is not None:
        return found
    load_installed()
    if name in _registered:
        return _registered[name]
    backend = _backend_of(name)
    if backend is not None:
        raise PtselError(
            f"label {name!r} is computed by {backend.title} only: give --backend {backend.name} ({backend.install})"
        )
    labels, pools = names(), [*POOLS, ALL]
    raise PtselError(
        f"no label {name!r}{did_you_mean(name, labels + pools)}; the labels are {', '.join(labels)}, and the pools "
        f"{', '.join(pools)}"
    )


def _backend_of(name: str) -> Backend | None:
    """The backend that alone computes a label of this name."""
    from ptsel_fairseq.labels.backends import extra_labels

    return extra_labels()[name][0] if name in extra_labels() else None


@cache
def load_installed() -> None:
    """Register the labels of installed packages; raise PtselError naming the package that cannot be used."""
    from importlib.metadata import entry_points

    for entry in entry_points(group=GROUP):
        package = f"{entry.dist.name} {entry.dist.version}" if entry.dist else entry.value
        with registering(package, f"package {package} (entry point {GROUP}: {entry.name} = {entry.value})"):
            entry.load()


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
        raise PtselError(f"{where}: the labels cannot be loaded ({describe(error)})") from error
    finally:
        _origin = before


def describe(error: Exception) -> str:
    """An error of somebody's code in one line, with the place where it arose."""
    if isinstance(error, SyntaxError):
        return f"line {error.lineno}: {error.msg}"
    place = traceback.extract_tb(error.__traceback__)[-1]
    return f"{type(error).__name__}: {error}, in {Path(place.filename).name}, line {place.lineno}"
