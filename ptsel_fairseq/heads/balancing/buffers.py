"""A module whose buffers stay in single precision."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn


class Float32Buffers(nn.Module):
    """Buffers follow the model to its device, but not to half precision, in which a running mean stands still."""

    def _apply(self, fn: Callable, recurse: bool = True) -> Float32Buffers:
        kept = {name: buffer for name, buffer in self._buffers.items() if buffer is not None}
        super()._apply(fn, recurse)
        for name, buffer in kept.items():
            self._buffers[name] = buffer.to(self._buffers[name].device)
        return self
