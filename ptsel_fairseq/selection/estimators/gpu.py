"""The products over permutations on a GPU: nearly all the time that scores with many permutations take."""

from __future__ import annotations

import numpy as np

BYTES_AT_ONCE = 2**30  # of reordered kernels
SHARE_OF_FREE_MEMORY = 0.8


def free_bytes(device: str) -> float:
    """How much of a GPU's memory may be used."""
    import torch

    return SHARE_OF_FREE_MEMORY * torch.cuda.mem_get_info(device)[0] - BYTES_AT_ONCE


def device_inner_products(
    C: np.ndarray, kernels: np.ndarray, permutations: np.ndarray, device: str
) -> np.ndarray:
    """`hsic.inner_products` by torch on a device, in float64.

    Args:
        C: centred kernel [n, n].
        kernels: [labels, n, n].
        permutations: orders of the n samples, int [P, n].

    Returns:
        float64 [labels, P].
    """
    import torch

    n = len(C)
    matrix = torch.from_numpy(C).to(device)
    flat = torch.from_numpy(kernels).to(device).reshape(len(kernels), n * n)
    result = np.empty((len(kernels), len(permutations)))
    at_once = max(1, BYTES_AT_ONCE // (8 * n**2))
    for first in range(0, len(permutations), at_once):
        orders = torch.from_numpy(permutations[first : first + at_once]).to(device)
        reordered = matrix[orders[:, :, None], orders[:, None, :]].reshape(len(orders), n * n)
        result[:, first : first + at_once] = (flat @ reordered.T).cpu().numpy()
    return result
