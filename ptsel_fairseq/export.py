"""`ptsel export`: a checkpoint of the plugin -> one that stock fairseq, s3prl and Hugging Face's converter read.

What makes a checkpoint stock are three names in its configuration and the absence of the heads
(everything else is ignored on loading). The result holds tensors and plain Python values only, so
``torch.load(..., weights_only=True)`` accepts it.
"""

from __future__ import annotations

import argparse
import pickle
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ptsel_fairseq import __version__
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile

STOCK_NAMES = {"model": "wav2vec2", "task": "audio_pretraining", "criterion": "wav2vec"}
HEADS_PREFIX = "pretext_heads."
OURS = (HEADS_PREFIX, "pretext_balancing.")


def export_command(checkpoint: Path | str, out: Path | str, format: str = "fairseq") -> None:
    """Write the stock twin of a pretraining checkpoint and say what it holds.

    Args:
        format: ``fairseq``, a checkpoint file; ``hf``, a folder that Hugging Face's ``Wav2Vec2Model`` loads.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    if checkpoint.resolve() == out.resolve():
        raise PtselError(f"{out}: the output would overwrite the checkpoint; give another --out")
    state = load_checkpoint(checkpoint)
    heads = sum(key.startswith(HEADS_PREFIX) for key in state["model"])
    if format == "hf":
        from ptsel_fairseq.export_hf import write_hf

        if out.is_file():
            raise PtselError(f"{out}: expected a folder for --format hf, found a file")
        stock = (
            state
            if state["cfg"]["model"].get("_name") == STOCK_NAMES["model"]
            else to_stock(state, checkpoint)
        )
        tensors = write_hf(stock, out)
        print(f"{out}: Wav2Vec2Model.from_pretrained reads it, {tensors} tensors of the encoder")
        return
    stock = to_stock(state, checkpoint)
    save_atomically(stock, out)
    normalize = stock["cfg"]["task"].get("normalize", False)
    print(
        f"{out}: stock wav2vec 2.0, {len(stock['model'])} tensors, {heads} tensors of pretext heads left out; "
        f"fine-tune it with task.normalize={str(normalize).lower()}"
    )


def load_checkpoint(checkpoint: Path) -> dict[str, Any]:
    """Read a fairseq checkpoint with its configuration, without running code from it."""
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


def to_stock(state: Mapping[str, Any], where: Path | str = "checkpoint") -> dict[str, Any]:
    """The stock twin of a loaded checkpoint of the plugin.

    Raises PtselError if the checkpoint is of another model.
    """
    settings = state["cfg"]["model"]
    if settings.get("_name") != "ptsel_wav2vec2" or settings.get("frontend", "waveform") != "waveform":
        found = " with model.frontend: ".join(
            str(settings[key]) for key in ("_name", "frontend") if settings.get(key)
        )
        raise PtselError(
            f"{where}: expected a checkpoint of the model ptsel_wav2vec2 with its own front end, found {found}; "
            f"{_why_not(settings)}"
        )
    cfg = {
        section: dict(value) if isinstance(value, Mapping) else value
        for section, value in state["cfg"].items()
    }
    for section, stock_name in STOCK_NAMES.items():
        cfg[section] = {
            key: value
            for key, value in cfg[section].items()
            if not key.startswith("pretext_") and key not in ("store", "statistics_split")
        }
        cfg[section]["_name"] = stock_name
    cfg["common"]["user_dir"] = None
    updates = state["optimizer_history"][-1]["num_updates"] if state.get("optimizer_history") else 0
    return {
        "args": None,
        "cfg": cfg,
        "model": {key: value for key, value in state["model"].items() if not key.startswith(OURS)},
        "criterion": None,
        "optimizer_history": [
            {
                "criterion_name": "Wav2vecCriterion",
                "optimizer_name": "",
                "lr_scheduler_state": {},
                "num_updates": updates,
            }
        ],
        "task_state": {},
        "extra_state": {"ptsel_fairseq": {"version": __version__, "pretext_weights": pretext_weights(state)}},
        "last_optimizer_state": None,
    }


def _why_not(settings: Mapping[str, Any]) -> str:
    """What to do with a checkpoint that has no stock twin, as its encoder knows where fairseq is at hand."""
    try:
        from ptsel_fairseq.plugin.encoders import encoder as known
    except ImportError:
        kind = None
    else:
        kind = known.find(settings.get("_name"))
    return (kind and kind.no_export(settings)) or "only that one can be exported"


def pretext_weights(state: Mapping[str, Any]) -> dict[str, float]:
    """The λ that a checkpoint was trained with."""
    return dict(state["cfg"]["criterion"].get("pretext_weights") or {})


def save_atomically(state: Mapping[str, Any], out: Path) -> None:
    import torch

    with WholeFile(out) as file:
        try:
            torch.save(dict(state), file)
        except RuntimeError as error:  # how torch reports a full disk
            raise PtselError(f"{out}: cannot be written; is the disk full? ({error})") from None
