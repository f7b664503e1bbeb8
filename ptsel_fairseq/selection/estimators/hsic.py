"""The Hilbert-Schmidt independence criterion of two kernel matrices, in the three forms that matter here.

Every form is an inner product with one *centred* matrix,

    HSIC(K, L) = sum_ij C(K)_ij L_ij,

because the centring is self-adjoint and need be done on one side only. K is centred once for each class;
each label, permutation and weighting then costs one pass over L.

============  =====================================================================================
reference     tr(K H L H) / n², H = I - 11'/n². What the papers' released code computes: with 1/n²
              in place of 1/n it hardly centres, and lies between about 1/n and the mean of K.
biased        the same with H = I - 11'/n (Gretton et al. 2005), equation 3 of the papers.
unbiased      Song et al. 2012, equation 5; can be negative, is 0 in the mean under independence.
============  =====================================================================================
"""

from __future__ import annotations

import numpy as np

from ptsel_fairseq.base.errors import PtselError

MINIMUM_SAMPLES = {"reference": 2, "biased": 2, "unbiased": 4}
DIVISORS = ("n2", "(n-1)2")
ROUNDING = 1e-11  # of a kernel's values, which are of order one
PERMUTED_VALUES_AT_ONCE = 4_000_000


def hsic(K: np.ndarray, L: np.ndarray, estimator: str = "unbiased", divisor: str = "n2") -> float:
    """HSIC of two kernel matrices over the same n samples.

    Args:
        K: symmetric [n, n].
        L: symmetric [n, n].
        estimator: reference, biased or unbiased (see the module).
        divisor: of `reference` and `biased`: n², or (n - 1)² as in the code of the first paper.

    Raises:
        PtselError: another estimator, other shapes, or fewer samples than the estimator needs.
    """
    K, L = _checked(K, L)
    return float(np.vdot(centred(K, estimator, divisor), L))


def cka(K: np.ndarray, L: np.ndarray) -> float:
    """Centred kernel alignment, debiased: unbiased HSIC over the geometric mean of both self-HSICs.

    With U-centred matrices (see `centred`) it is the cosine of their angle, so it lies in [-1, 1].

    Returns:
        The alignment; NaN if one of the kernels is constant off its diagonal.
    """
    K, L = _checked(K, L)
    K, L = centred(K, "unbiased"), centred(L, "unbiased")
    lengths = centred_norm(K) * centred_norm(L)
    return float(np.vdot(K, L) / lengths) if lengths > 0 else float("nan")


def centred_norm(C: np.ndarray) -> float:
    """Norm of a U-centred matrix ``centred(K, "unbiased")``, 0 if nothing but rounding is left of K.

    Not only a constant kernel vanishes: so does one of the form a_i + a_j, for example of a label that
    has one outlier and else a single value.
    """
    n = len(C)
    norm = float(np.linalg.norm(C))
    return norm if norm * (n * (n - 3)) > ROUNDING * n else 0.0


def centred(K: np.ndarray, estimator: str, divisor: str = "n2") -> np.ndarray:
    """The matrix C(K) [n, n] whose inner product with any kernel L is HSIC(K, L).

    For H = I - c 11', with column sums k and their sum S,

        (H K H)_ij = K_ij - c (k_i + k_j) + c² S,

    divided by n². The unbiased form is the projection of Székely and Rizzo 2014 (U-centring): zero
    diagonal and zero row sums,

        U_ij = K_ij - (k_i + k_j) / (n - 2) + S / ((n - 1)(n - 2))   for i ≠ j, sums without the diagonal,

    divided by n (n - 3). Expanding <U(K), L> gives Song's three terms.
    """
    n = len(K)
    if estimator not in MINIMUM_SAMPLES:
        raise PtselError(f"expected an estimator among {', '.join(MINIMUM_SAMPLES)}, found {estimator!r}")
    if divisor not in DIVISORS:
        raise PtselError(f"expected a divisor among {', '.join(DIVISORS)}, found {divisor!r}")
    if n < MINIMUM_SAMPLES[estimator]:
        raise PtselError(
            f"{estimator} HSIC: expected at least {MINIMUM_SAMPLES[estimator]} samples, found {n}"
        )
    if estimator == "unbiased":
        K = K.copy()
        np.fill_diagonal(K, 0.0)
        sums = K.sum(axis=0)
        K += sums.sum() / ((n - 1) * (n - 2)) - (sums[:, None] + sums) / (n - 2)
        np.fill_diagonal(K, 0.0)
        return K / (n * (n - 3))
    c = 1 / n**2 if estimator == "reference" else 1 / n
    sums = K.sum(axis=0)
    return (K - c * (sums[:, None] + sums) + c**2 * sums.sum()) / (n**2 if divisor == "n2" else (n - 1) ** 2)


def inner_products(C: np.ndarray, kernels: np.ndarray, permutations: np.ndarray) -> np.ndarray:
    """HSIC of one centred kernel with several others, for each reordering of its samples.

    Args:
        C: centred kernel [n, n].
        kernels: [labels, n, n].
        permutations: orders of the n samples, int [P, n].

    Returns:
        float64 [labels, P]. Reordering C instead of each kernel does the work once for all labels.
    """
    n = len(C)
    flat = kernels.reshape(len(kernels), n * n)
    result = np.empty((len(kernels), len(permutations)))
    at_once = max(1, PERMUTED_VALUES_AT_ONCE // n**2)
    for first in range(0, len(permutations), at_once):
        orders = permutations[first : first + at_once]
        reordered = np.empty((len(orders), n, n))
        for order, matrix in zip(orders, reordered, strict=True):
            np.take(C[order], order, axis=1, out=matrix)
        result[:, first : first + at_once] = flat @ reordered.reshape(len(orders), n * n).T
    return result


def _checked(K: np.ndarray, L: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    K, L = np.asarray(K, dtype=np.float64), np.asarray(L, dtype=np.float64)
    if K.ndim != 2 or K.shape[0] != K.shape[1] or K.shape != L.shape:
        raise PtselError(f"HSIC: expected two square matrices of one size, found {K.shape} and {L.shape}")
    if not (np.isfinite(K).all() and np.isfinite(L).all()):
        raise PtselError("HSIC: expected finite kernels, found NaN or infinite values")
    return K, L
