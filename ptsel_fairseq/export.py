"""`ptsel export`: a checkpoint of the plugin -> one that stock fairseq, s3prl and Hugging Face's converter read.

The result has stock names, settings and tensors alone, so that every stock command takes it; it holds tensors and
plain Python values only, so that ``torch.load(..., weights_only=True)`` accepts it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ptsel_fairseq.base.checkpoint import load_checkpoint, save_checkpoint
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.stock import HEADS_PREFIX, STOCK_NAMES, to_stock

FORMATS = ("fairseq", "hf")


def export_command(checkpoint: Path | str, out: Path | str, format: str = "fairseq") -> None:
    """Write the stock twin of a pretraining checkpoint and say what it holds.

    Args:
        format: ``fairseq``, a checkpoint file; ``hf``, a folder that Hugging Face's ``Wav2Vec2Model`` loads.

    Raises:
        PtselError: a file that is no pretraining checkpoint, a model that has no stock twin, or an `out` that cannot
            be written.
    """
    checkpoint, out = Path(checkpoint), Path(out)
    if format not in FORMATS:
        raise PtselError(f"--format: expected {' or '.join(FORMATS)}, found {format!r}")
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
            else to_stock(state, checkpoint, _why_not)
        )
        tensors = write_hf(stock, out)
        print(f"{out}: Wav2Vec2Model.from_pretrained reads it, {tensors} tensors of the encoder")
        return
    stock = to_stock(state, checkpoint, _why_not)
    save_checkpoint(stock, out)
    normalize = stock["cfg"]["task"].get("normalize", False)
    print(
        f"{out}: stock wav2vec 2.0, {len(stock['model'])} tensors, {heads} tensors of pretext heads left out; "
        f"fine-tune it with task.normalize={str(normalize).lower()}"
    )


def _why_not(settings: Mapping[str, Any]) -> str:
    """What to do with a checkpoint that has no stock twin, as its encoder knows where fairseq is at hand."""
    try:
        from ptsel_fairseq.plugin.encoders import encoder as known
    except ImportError:
        kind = None
    else:
        kind = known.find(settings.get("_name"))
    return (kind and kind.no_export(settings)) or "only that one can be exported"
