"""Backends: other programs that compute some of the labels, for comparison; none is needed, none is the default.

A label of a backend has the name, unit and frames of the label of this package, and another origin. A module here is
one backend: its licence, and its labels as data. The program is imported when a waveform is analysed.
"""

from __future__ import annotations

from collections.abc import Sequence

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.labels.backends import opensmile, praat, world
from ptsel_fairseq.labels.backends.backend import Backend
from ptsel_fairseq.labels.label import Label
from ptsel_fairseq.labels.pools import expand
from ptsel_fairseq.labels.signal import built_in_labels

BACKENDS = {backend.name: backend for backend in (opensmile.BACKEND, praat.BACKEND, world.BACKEND)}


def get_backend(name: str) -> Backend:
    """The backend of a name; raise PtselError naming those there are."""
    if name not in BACKENDS:
        raise PtselError(f"--backend: expected {' or '.join(BACKENDS)}, found {name!r}")
    return BACKENDS[name]


def resolve_for(requested: Sequence[str], name: str) -> list[Label]:
    """The labels of a request that names labels and pools, as a backend computes them, sorted.

    ``all`` stands for all that it computes. Each label carries the installed program as its `Label.software`.

    Raises:
        PtselError: no such backend, one that is not installed, or a label that it does not compute.
    """
    backend = get_backend(name)
    own = backend.labels
    words = expand(requested, sorted(own))
    for word in words:
        if word not in own:
            raise PtselError(
                f"--backend {name}: {backend.title} does not compute {word!r}; it computes "
                f"{', '.join(sorted(own))}; leave --backend out for the labels of this package"
            )
    return [backend.installed(own[word]) for word in words]


def extra_labels() -> dict[str, tuple[Backend, Label]]:
    """The labels that only a backend computes, by name."""
    built_in = built_in_labels()
    return {
        name: (backend, label)
        for backend in BACKENDS.values()
        for name, label in sorted(backend.labels.items())
        if name not in built_in
    }


def print_backends() -> None:
    """Print each backend with its labels, package and licence."""
    print("\nbackends, other programs that compute labels of the same name (ptsel extract --backend NAME):")
    for backend in BACKENDS.values():
        print(f"{backend.name}: {' '.join(sorted(backend.labels))}; {backend.install}; {backend.licence}")
