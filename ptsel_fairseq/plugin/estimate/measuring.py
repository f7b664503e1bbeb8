"""What one forward pass saves and computes, counted while it runs."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.utils.flop_counter import FlopCounterMode

from ptsel_fairseq.base.grid import FrameGrid


def measure(model: nn.Module, crop: int, half: bool) -> tuple[int, float, float]:
    """Bytes that a forward pass of one utterance saves, its FLOPs, and those of the heads.

    The utterance is noise of `crop` samples. Saved tensors are counted once for each storage and let go at once;
    parameters and buffers, which are there anyway, are not counted. In half precision the pass runs in bfloat16,
    whose bytes are those of float16.
    """
    model.train()
    if half:
        model = model.to(torch.bfloat16)
    generator = torch.Generator().manual_seed(1)
    source = torch.randn(1, crop, generator=generator, dtype=torch.float32)
    counter = FlopCounterMode(display=False)
    with counter, SavedBytes(model) as saved:
        model(source=source.to(next(model.parameters()).dtype))
    flops = counter.get_flop_counts()
    heads = sum(sum(found.values()) for name, found in flops.items() if name.endswith(".pretext_heads"))
    return saved.total, counter.get_total_flops() + _lstm_flops(model, crop), heads


class SavedBytes(torch.autograd.graph.saved_tensors_hooks):
    """While open, counts the bytes that autograd saves, each storage once, and keeps none of them."""

    def __init__(self, model: nn.Module) -> None:
        self.total = 0
        own = (*model.parameters(), *model.buffers())
        # A weak reference keeps a storage's identity from being given to another one.
        self._seen = {ref.cdata: ref for ref in map(_reference, own)}
        super().__init__(self._pack, self._unpack)

    def __enter__(self) -> SavedBytes:
        super().__enter__()
        return self

    def _pack(self, tensor: Tensor) -> None:
        reference = _reference(tensor)
        if reference.cdata not in self._seen:
            self._seen[reference.cdata] = reference
            self.total += tensor.untyped_storage().nbytes()

    def _unpack(self, nothing: None) -> Tensor:
        raise RuntimeError("this forward pass has no backward pass")


def _reference(tensor: Tensor) -> StorageWeakRef:
    return StorageWeakRef(tensor.untyped_storage())


def _lstm_flops(model: nn.Module, crop: int) -> float:
    """Two for each weight and frame, which torch's counter leaves out."""
    weights = sum(
        parameter.numel()
        for part in model.modules()
        if isinstance(part, nn.LSTM)
        for name, parameter in part.named_parameters()
        if name.startswith("weight")
    )
    return 2.0 * weights * FrameGrid().num_frames(crop)
