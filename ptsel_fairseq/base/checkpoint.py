"""Write checkpoints of fairseq, and read those of whomever without running anything that they hold.

What comes out is tensors and plain values of the types that fairseq writes. Their sizes and names still are whatever
the file says.
"""

from __future__ import annotations

import argparse
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile

SAFE_TORCH = (2, 6)  # before it, loading with weights_only could run code (CVE-2025-32434)
TIED = 2  # as many times as its file a checkpoint may be in memory, since names can share a tensor
SECTIONS = "model", "task"  # of the configuration, that must be there


def load_checkpoint(checkpoint: Path) -> dict[str, Any]:
    """Read a fairseq checkpoint with its configuration ``cfg``; see `load_state`."""
    state = load_state(checkpoint)
    if not state.get("cfg"):
        raise PtselError(
            f"{checkpoint}: expected a checkpoint of fairseq with 'cfg' and 'model', found no 'cfg'"
        )
    return state


def check_checkpoint(checkpoint: Path) -> None:
    """Raise PtselError if there is no such file, before anything is imported that reads it."""
    if not checkpoint.is_file():
        raise PtselError(f"{checkpoint}: no such checkpoint")


def load_state(checkpoint: Path, allowed: Sequence[type] = ()) -> dict[str, Any]:
    """Read a fairseq checkpoint; one from before fairseq 0.11 may hold ``args`` in place of ``cfg``.

    Args:
        allowed: classes whose objects the checkpoint may hold beyond tensors and plain values.

    Raises:
        PtselError: no such file, or not a checkpoint of fairseq: it holds code, is damaged, has tensors larger than
            the file, or has an invalid configuration.
    """
    check_checkpoint(checkpoint)
    import torch

    _refuse_old_torch(torch.__version__)
    expected = (
        f"expected a {'' if allowed else 'pretraining '}checkpoint of fairseq, which holds tensors and plain "
        "values"
    )
    _check_archive(checkpoint, expected)
    try:
        with torch.serialization.safe_globals([argparse.Namespace, *allowed]):
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except Exception as error:  # whatever torch meets in a file that was made to harm it
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise PtselError(f"{checkpoint}: {expected}; it cannot be read as one ({reason})") from None
    if not isinstance(state, Mapping) or "model" not in state:
        raise PtselError(
            f"{checkpoint}: expected a checkpoint of fairseq with 'cfg' and 'model', found none of it"
        )
    _check_tensors(state["model"], checkpoint)
    cfg = state.get("cfg")
    if cfg:
        check_configuration(cfg, checkpoint)
    return dict(state)


def check_configuration(cfg: Any, where: object) -> None:
    """Raise PtselError unless a checkpoint's configuration has the sections that are read."""
    sections = cfg if isinstance(cfg, Mapping) else {}
    for name in SECTIONS:
        if not isinstance(sections.get(name), Mapping):
            raise PtselError(
                f"{where}: expected a configuration with the sections {' and '.join(SECTIONS)}, found no {name}; the "
                "checkpoint is damaged or not of fairseq"
            )
    for name in ("criterion", "common"):
        if not isinstance(sections.get(name) or {}, Mapping):
            raise PtselError(
                f"{where}: expected settings in the section {name}, found {sections[name]!r:.80}"
            )
    for name, section in sections.items():
        if (
            section is not None
            and isinstance(section, Mapping)
            and not all(isinstance(key, str) for key in section)
        ):
            raise PtselError(f"{where}: the configuration's section {name} has settings without a name")


def refuse_references(settings: Any, where: object) -> None:
    """Raise PtselError if settings hold ``${...}``, which would be filled in from this machine's environment.

    For files of others, whose settings are complete as fairseq saves them.
    """
    seen: set[int] = set()
    left = [settings]
    while left:
        value = left.pop()
        if isinstance(value, str) and "${" in value:
            raise PtselError(
                f"{where}: expected a configuration whose settings are values, found the reference {value[:80]!r}; it "
                "is not resolved, since a file of others may not read this machine's environment"
            )
        if isinstance(value, Mapping | list | tuple) and id(value) not in seen:
            seen.add(id(value))
            left.extend([*value.keys(), *value.values()] if isinstance(value, Mapping) else value)


def _refuse_old_torch(version: str) -> None:
    found = tuple(int(part) for part in version.split("+")[0].split(".")[:2])
    if found < SAFE_TORCH:
        raise PtselError(
            f"expected torch {SAFE_TORCH[0]}.{SAFE_TORCH[1]} or later, found {version}, in which a checkpoint can run "
            "code even where it is only read (CVE-2025-32434); pip install 'torch>=2.6'"
        )


def _check_archive(checkpoint: Path, expected: str) -> None:
    """Raise PtselError for an archive whose parts are larger than the file: torch packs nothing."""
    try:
        if not zipfile.is_zipfile(checkpoint):
            return  # torch's format before 1.6
        with zipfile.ZipFile(checkpoint) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
        size = checkpoint.stat().st_size
    except Exception as error:  # zipfile raises what it comes upon
        raise PtselError(f"{checkpoint}: {expected}; it cannot be read as one ({error})") from None
    if unpacked > size:
        raise PtselError(
            f"{checkpoint}: {expected}; this one would be {unpacked} bytes unpacked, more than the {size} of the file"
        )


def _check_tensors(weights: Any, checkpoint: Path) -> None:
    import torch

    if not isinstance(weights, Mapping) or not all(
        isinstance(name, str) and isinstance(tensor, torch.Tensor) for name, tensor in weights.items()
    ):
        raise PtselError(f"{checkpoint}: expected a tensor for each name of the model, found something else")
    for name, tensor in weights.items():
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.device.type != "cpu":
            raise PtselError(f"{checkpoint}: {name}: expected a dense tensor, found one that is not")
    unpacked = sum(tensor.numel() * tensor.element_size() for tensor in weights.values())
    if unpacked > TIED * checkpoint.stat().st_size:
        raise PtselError(
            f"{checkpoint}: the tensors would take {unpacked} bytes, more than the file holds; it is damaged"
        )


def save_checkpoint(state: Mapping[str, Any], out: Path) -> None:
    """Write a checkpoint whole or not at all; raise PtselError if it cannot be written."""
    import torch

    with WholeFile(out) as file:
        try:
            torch.save(dict(state), file)
        except RuntimeError as error:  # how torch reports a full disk
            raise PtselError(f"{out}: cannot be written; is the disk full? ({error})") from None
