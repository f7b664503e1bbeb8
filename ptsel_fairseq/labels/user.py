"""Labels of users: a decorator, and two ways to load what it decorates.

A Python file is given by ``--user-labels FILE.py``; its text travels to the workers, so that all compute the same and
need not see the file. A package names the module that registers its labels as an entry point of the group
``ptsel_fairseq.labels``, and is then found wherever it is installed.
"""

from __future__ import annotations

import hashlib
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.labels import registry
from ptsel_fairseq.labels.label import Label, TorchForm
from ptsel_fairseq.labels.registry import THIS_PROCESS

if TYPE_CHECKING:
    from ptsel_fairseq.labels.label import Batched, Computed
    from ptsel_fairseq.labels.signal.analysis import Analysis
    from ptsel_fairseq.labels.signal.batch_analysis import BatchAnalysis

    Function = Callable[[Analysis], Computed]
    TorchFunction = Callable[[BatchAnalysis], Batched]

_loaded: dict[str, str] = {}  # path of a user file -> the origin its labels got


@dataclass(frozen=True)
class UserFile:
    """A file of user labels as it was read: path and text."""

    file: str
    text: str

    @property
    def origin(self) -> str:
        return f"{Path(self.file).name}, sha256 {hashlib.sha256(self.text.encode()).hexdigest()}"


def register(
    name: str,
    *,
    unit: str,
    description: str,
    dim: int = 1,
    source: str = "own definition",
    window: float = 0.025,
    undefined: str | None = None,
    version: int = 1,
    parameters: Mapping[str, Any] | None = None,
) -> Callable[[Function], Function]:
    """Make a function of an `Analysis` the label `name`.

    The function returns values [frames, dim] (or [frames] where dim is 1), and, if the label can be undefined, a
    tuple of these and a bool mask [frames]. Values outside the mask are not looked at.

    Args:
        name: lower-case letters, digits and underscores; the name of its array and of its head.
        unit, description, source: what a reader of the store must know.
        window: seconds of audio that one analysis frame sees.
        undefined: when a frame has no value, in words; None if it always has one.
        version: raise it whenever the values change: a store never mixes two versions.
        parameters: for the store's header; what JSON can hold.

    Raises:
        PtselError: a name that is taken or cannot be used.
    """

    def decorate(function: Function) -> Function:
        registry.add(
            Label(
                name,
                dim,
                unit,
                description,
                source,
                window,
                function,
                undefined,
                version=version,
                parameters=dict(parameters or {}),
            )
        )
        return function

    return decorate


def register_torch(
    name: str, *, seconds: float, hops: float = 0.0, samples: int = 0, local: bool = True
) -> Callable[[TorchFunction], TorchFunction]:
    """Make a function of a `BatchAnalysis` the torch form of the label `name`, registered before in the same place.

    The function returns values [batch, frames, dim], and a mask [batch, frames] too if the label can be undefined. With
    it ``ptsel extract --device cuda`` computes the label on the device, and training can compute it from a crop.

    Args:
        seconds: width of an analysis frame.
        hops: from a frame's centre to the centre of the farthest analysis frame that counts, in hops of the grid.
        samples: beyond the analysis frame that count too.
        local: whether a frame depends on nothing else; if not, on the whole recording, and no crop will do.

    Raises:
        PtselError: no such label, one of another file or package, or one that has a torch form.
    """

    def decorate(function: TorchFunction) -> TorchFunction:
        registry.add_torch_form(name, TorchForm(function, seconds, hops, samples, local))
        return function

    return decorate


def read_user_files(files: Sequence[Path | str]) -> tuple[UserFile, ...]:
    """Read files of user labels and register what they define."""
    found = []
    for file in files:
        try:
            text = Path(file).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            reason = getattr(error, "strerror", None) or error
            raise PtselError(f"--user-labels {file}: the file cannot be read ({reason})") from None
        found.append(UserFile(str(Path(file).resolve()), text))
        load_user_file(found[-1])
    return tuple(found)


def load_user_file(user_file: UserFile) -> None:
    """Register the labels of a file, once for each text of it.

    Raises:
        PtselError: code that fails, a label that cannot be registered, or none at all.
    """
    file, origin = user_file.file, user_file.origin
    if _loaded.get(file) == origin:
        return
    registry.remove(_loaded.pop(file, ""))
    module = types.ModuleType(f"ptsel_user_labels_{Path(file).stem}")
    module.__file__ = file
    sys.modules[module.__name__] = module  # where dataclasses and numba look for it
    before = set(registry.known())
    try:
        with registry.registering(origin, f"--user-labels {file}"):
            exec(compile(user_file.text, file, "exec"), module.__dict__)
        if set(registry.known()) == before:
            raise PtselError(
                f"--user-labels {file}: expected a function decorated with "
                "ptsel_fairseq.labels.user.register, found none"
            )
    except BaseException:
        registry.remove(origin)
        raise
    _loaded[file] = origin


def check_workers_can_load(labels: Sequence[Label]) -> None:
    """Raise PtselError for a label that other processes could not find."""
    for label in labels:
        if label.origin == THIS_PROCESS:
            raise PtselError(
                f"label {label.name}: it was registered in this process only, which the workers do not see; put "
                "it into a file and give that as user_labels (--user-labels FILE.py), or take one process (jobs=1)"
            )
