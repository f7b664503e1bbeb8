"""Read and write checkpoints of fairseq without running code from them."""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile


def load_checkpoint(checkpoint: Path) -> dict[str, Any]:
    """Read a checkpoint of fairseq with its configuration.

    Raises:
        PtselError: no such file, not a checkpoint, or one without ``cfg``.
    """
    state = load_state(checkpoint)
    if not state.get("cfg"):
        raise PtselError(
            f"{checkpoint}: expected a checkpoint of fairseq with 'cfg' and 'model', found no 'cfg'"
        )
    return state


def load_state(checkpoint: Path, allowed: Sequence[type] = ()) -> dict[str, Any]:
    """As `load_checkpoint`; one from before fairseq 0.11 may hold ``args`` in place of ``cfg``.

    Args:
        allowed: classes whose objects the checkpoint may hold beyond tensors and plain values.
    """
    import torch

    if not checkpoint.is_file():
        raise PtselError(f"{checkpoint}: no such checkpoint")
    try:
        with torch.serialization.safe_globals([argparse.Namespace, *allowed]):
            state = torch.load(checkpoint, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, OSError) as error:
        raise PtselError(
            f"{checkpoint}: expected a {'' if allowed else 'pretraining '}checkpoint of fairseq, which holds tensors "
            f"and plain values; it cannot be read as one ({str(error).splitlines()[0]})"
        ) from None
    if not isinstance(state, Mapping) or "model" not in state:
        raise PtselError(
            f"{checkpoint}: expected a checkpoint of fairseq with 'cfg' and 'model', found none of it"
        )
    return dict(state)


def save_checkpoint(state: Mapping[str, Any], out: Path) -> None:
    """Write a checkpoint whole or not at all; raise PtselError if it cannot be written."""
    import torch

    with WholeFile(out) as file:
        try:
            torch.save(dict(state), file)
        except RuntimeError as error:  # how torch reports a full disk
            raise PtselError(f"{out}: cannot be written; is the disk full? ({error})") from None
