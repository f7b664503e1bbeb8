"""A device that computes nothing, to find on any machine what would go wrong on a GPU.

torch's device `meta` knows shapes, types and places alone. Under `OnDevice` an operation fails that mixes it with the
CPU, waits for a number or for a shape that depends on values, or brings a tensor back; on a GPU it would fail or wait.
"""

from __future__ import annotations

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

DEVICE = torch.device("meta")
WAITING = ("_local_scalar_dense", "nonzero", "masked_select", "equal", "is_nonzero", "_unique2", "unique_dim")
INDEXING = ("index", "index_put", "index_put_", "_index_put_impl_")
COPYING = ("_to_copy", "copy_")


class OnDevice(TorchDispatchMode):
    """Raises AssertionError for what a GPU would refuse or wait for.

    Args:
        doubles: how many numbers of a float64 result are let pass, views of what was there aside; GPUs compute it at
            a fraction of their speed.
    """

    def __init__(self, doubles: float = float("inf")) -> None:
        super().__init__()
        self.doubles = doubles
        self.operations = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name, kwargs = func.overloadpacket.__name__, kwargs or {}
        tensors = [leaf for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)]
        if any(tensor.device == DEVICE for tensor in tensors):
            self.operations += 1
            # A number that lies on the CPU, of no dimensions, may meet tensors on any device.
            mixed = [tensor for tensor in tensors if tensor.device != DEVICE and tensor.dim()]
            assert not mixed or name in COPYING, f"{name}: tensors of the device and of the CPU"
            assert name not in WAITING, f"{name}: waits for the device"
            back = torch.device(kwargs.get("device") or DEVICE) != DEVICE
            assert not (name == "_to_copy" and back), f"{name}: brings a tensor back"
            if name in INDEXING:
                masks = [index for index in args[1] if index is not None and index.dtype is torch.bool]
                assert not masks, f"{name}: a boolean index waits for the device"
        result = func(*args, **kwargs)
        given = {tensor.untyped_storage()._cdata for tensor in tensors}
        for made in tree_leaves(result):
            if not isinstance(made, torch.Tensor) or made.untyped_storage()._cdata in given:
                continue
            if made.device == DEVICE and made.dtype is torch.float64:
                assert made.numel() <= self.doubles, f"{name}: {made.numel()} numbers in float64"
        return result
