"""What a backend is: a program, its licence, and the labels that it computes."""

from __future__ import annotations

import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.labels.label import Label, Software
from ptsel_fairseq.labels.signal import built_in_labels

if TYPE_CHECKING:
    from ptsel_fairseq.labels.label import Computed
    from ptsel_fairseq.labels.signal.analysis import Analysis

# To either side of a recording, so that frames at its ends are analysed: zeros, as for the labels of this package.
MARGIN = 1600


@dataclass(frozen=True)
class Backend:
    """A program that computes labels.

    Attributes:
        name: as in ``--backend``, in the store's header, and of its module here.
        title: its own name.
        package: of Python, as it is installed; module: as it is imported.
        install: the command that installs it.
        licence: in one line, what a user of its values must know.
        labels: what it computes, by name.
    """

    name: str
    title: str
    package: str
    module: str
    install: str
    licence: str
    labels: dict[str, Label]

    def installed(self, label: Label) -> Label:
        """The label with the installed program as its origin; raise PtselError if there is none."""
        from importlib.metadata import version

        load(self.module, self.name, self.install)
        software = Software(self.name, version(self.package), self.licence)
        return replace(label, origin=f"{self.title} {software.version}", software=software)


def load(module: str, name: str, install: str) -> Any:
    """Import the program of a backend; raise PtselError that says how to install it."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # pyworld's about the package that tells its version
            return importlib.import_module(module)
    except ImportError as error:
        raise PtselError(
            f"--backend {name}: the package cannot be imported ({error}); {install}, or leave --backend out"
        ) from None


def same_label(
    name: str,
    description: str,
    source: str,
    window: float,
    compute: Callable[[Analysis], Computed],
    undefined: str | None = None,
    **parameters: Any,
) -> Label:
    """A label of this package as another program computes it: name, dimension and unit stay.

    Args:
        undefined: when the program gives no value, for a label that can be undefined.
        parameters: of the program, for the store's header.
    """
    own = built_in_labels()[name]
    return Label(
        name,
        own.dim,
        own.unit,
        description,
        source,
        window,
        compute,
        undefined,
        own.unvoiced_value,
        parameters=parameters,
    )
