"""Weights of the largest group relevance V_γ(λ): one concave problem, solved with a certificate.

With S the covariance of all labels' columns, B = F F' that of their classes' means (see `estimators.relevance`),
a_j = λ_h / d_h for each of the d_h columns of label h, and A = diag(a),

    V(λ) = tr((S + γ A⁻¹)⁻¹ B) = tr(A N B),   N = (S A + γ I)⁻¹,
    ∂V/∂a_j = γ (N B N')_jj,
    ∂²V/∂a_j ∂a_m = -2 γ (N S)_jm (N B N')_jm,

and the two factors of the last line are positive semidefinite, so their elementwise product is: **V is
concave**. (The parallel sum of S⁻¹ and A / γ is jointly concave, Anderson and Duffin 1969; A is linear in λ.)
On the simplex it has one largest value. Each step maximises the quadratic model there, exactly enough, and then
backtracks; what stops is the Frank-Wolfe gap max_h ∂V/∂λ_h - <λ, ∇V>, which bounds what is left to gain.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ptsel_fairseq.base.errors import PtselError

GAP = 1e-9  # of V, at which the maximum counts as found
MAX_STEPS = 200
ACTIVE_STEPS = 20  # a label, at most, of the quadratic model
QUADRATIC_TOLERANCE = 1e-13  # of the largest slope
SMALLEST_STEP = 1e-10


class GroupRelevance:
    """V_γ as a function of λ.

    Args:
        S: covariance of the columns [D, D], positive definite.
        F: [D, r], F F' is the covariance of the classes' means.
        dims: columns of each label [k], adding up to D.
        gamma: noise floor, above 0.
    """

    def __init__(self, S: np.ndarray, F: np.ndarray, dims: np.ndarray, gamma: float) -> None:
        if not (np.isfinite(gamma) and gamma > 0):
            raise PtselError(f"relevance: expected --gamma above 0, found {gamma}")
        self.S, self.F, self.gamma = S, F, gamma
        self.dims = np.asarray(dims)
        self.label_of = np.repeat(np.arange(len(self.dims)), self.dims)

    def at(self, gamma: float) -> GroupRelevance:
        """The same with another noise floor."""
        return GroupRelevance(self.S, self.F, self.dims, gamma)

    def _columns(self, weights: np.ndarray) -> np.ndarray:
        return (weights / self.dims)[self.label_of]

    def _inverse(self, a: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Columns with weight; root of their a; there, A N = A^½ (A^½ S A^½ + γ I)⁻¹ A^½ (0 elsewhere)."""
        used = np.flatnonzero(a > 0)
        root = np.sqrt(a[used])
        inner = root[:, None] * self.S[np.ix_(used, used)] * root
        inner[np.diag_indices_from(inner)] += self.gamma
        from scipy.linalg import cho_factor, cho_solve

        solved = cho_solve(cho_factor(inner, lower=True), np.diag(root))
        return used, root, root[:, None] * solved

    def value(self, weights: np.ndarray) -> float:
        """V at the weights [k], which need not sum to one."""
        used, _, T = self._inverse(self._columns(weights))
        F = self.F[used]
        return float(np.vdot(F, T @ F))

    def value_and_gradient(self, weights: np.ndarray) -> tuple[float, np.ndarray]:
        """V and ∂V/∂λ [k]; also where weights are 0."""
        value, gradient, _ = self._derivatives(weights, curvature=False)
        return value, gradient

    def __call__(self, weights: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """V, ∂V/∂λ [k] and the matrix of second derivatives [k, k]."""
        value, gradient, curvature = self._derivatives(weights, curvature=True)
        return value, gradient, curvature

    def _derivatives(self, weights: np.ndarray, curvature: bool) -> tuple[float, np.ndarray, np.ndarray]:
        used, _, T = self._inverse(self._columns(weights))
        F = self.F[used]
        value = float(np.vdot(F, T @ F))
        NF = (self.F - self.S[:, used] @ (T @ F)) / self.gamma
        k = len(self.dims)
        gradient = np.bincount(self.label_of, self.gamma * np.square(NF).sum(axis=1), k) / self.dims
        if not curvature:
            return value, gradient, np.empty((0, 0))
        NS = (self.S - self.S[:, used] @ T @ self.S[used]) / self.gamma
        product = -2 * self.gamma * NS * (NF @ NF.T)
        starts = np.cumsum(self.dims) - self.dims
        by_label = np.add.reduceat(np.add.reduceat(product, starts, axis=0), starts, axis=1)
        return value, gradient, by_label / np.outer(self.dims, self.dims)


@dataclass(frozen=True)
class Maximum:
    """Where V is largest.

    Attributes:
        weights: λ [k].
        value: V there.
        gap: Frank-Wolfe gap, the most by which V could still rise on the simplex.
        steps: taken.
    """

    weights: np.ndarray
    value: float
    gap: float
    steps: int


def maximise(objective: GroupRelevance, start: np.ndarray | None = None) -> Maximum:
    """The largest V on the simplex, to a gap of at most `GAP` times V.

    Raises:
        PtselError: no label has any relevance, so that every λ is as good; or rounding keeps the gap from closing.
    """
    k = len(objective.dims)
    weights = np.full(k, 1 / k) if start is None else start
    for steps in range(MAX_STEPS):
        value, gradient, curvature = objective(weights)
        if not value > 0:
            raise PtselError(
                "relevance: no label tells the classes apart, so no weights are better than others"
            )
        gap = float(gradient.max() - weights @ gradient)
        if gap <= GAP * value:
            return Maximum(weights, value, max(gap, 0.0), steps)
        aim = _largest_quadratic(gradient, curvature, weights)
        direction = aim - weights
        slope = float(gradient @ direction)
        step = 1.0
        while step > SMALLEST_STEP and (
            objective.value(weights + step * direction) < value + 1e-4 * step * slope - 1e-14 * value
        ):
            step /= 2
        weights = np.maximum(weights + step * direction, 0.0)
        weights /= weights.sum()
    raise PtselError(
        f"relevance: after {MAX_STEPS} steps the optimality gap is {gap / value:.1g} of the value, above {GAP:.0e}; "
        "the labels' columns are nearly the same, leave some out or take a larger --gamma"
    )


def _largest_quadratic(gradient: np.ndarray, curvature: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The λ of the simplex with the largest <g, λ - w> + (λ - w)' H (λ - w) / 2, by an active set.

    On the labels that have weight the best point is the solution of linear equations. A label whose weight would fall
    below 0 on the way there is left out; once there, the label that promises most is let in.
    """
    k = len(weights)
    found, used = weights.copy(), weights > 0
    scale = max(1e-300, float(np.abs(gradient).max()))
    ridge = 1e-13 * max(1e-300, float(np.abs(curvature).max()))
    for _ in range(ACTIVE_STEPS * k):
        slopes = gradient + curvature @ (found - weights)
        rows = np.flatnonzero(used)
        m = len(rows)
        system = np.zeros((m + 1, m + 1))
        system[:m, :m] = curvature[np.ix_(rows, rows)]
        system[np.arange(m), np.arange(m)] -= ridge
        system[:m, m] = system[m, :m] = 1.0
        move = np.linalg.solve(system, np.append(-slopes[rows], 0.0))[:m]
        falling = move < 0
        limits = np.where(falling, -found[rows] / np.where(falling, move, -1.0), np.inf)
        step = min(1.0, float(limits.min()))
        found[rows] += step * move
        if step < 1:
            out = rows[int(np.argmin(limits))]
            found[out], used[out] = 0.0, False
            continue
        found[rows] = np.maximum(found[rows], 0.0)
        slopes = gradient + curvature @ (found - weights)
        level = float(slopes[rows].mean())
        best = int(np.argmax(np.where(used, -np.inf, slopes)))
        if used.all() or slopes[best] - level <= QUADRATIC_TOLERANCE * scale:
            break
        used[best] = True
    return found


def gamma_of_effective(objective: GroupRelevance, effective: float) -> float:
    """The γ whose best λ are as concentrated as `effective` equal weights, 1 / Σλ² of them.

    Raises:
        PtselError: no γ between 1e-6 and 1e3 has such weights.
    """
    from scipy.optimize import brentq

    def excess(exponent: float) -> float:
        weights = maximise(objective.at(10.0**exponent)).weights
        return 1 / float(weights @ weights) - effective

    grid = np.linspace(-6, 3, 28)
    found = [excess(exponent) for exponent in grid]
    for low, high, below, above in zip(
        grid[::-1][1:], grid[::-1][:-1], found[::-1][1:], found[::-1][:-1], strict=True
    ):
        if above <= 0 <= below:
            return float(10.0 ** brentq(excess, low, high, xtol=1e-6))
    raise PtselError(
        f"--effective {effective:g}: the best weights are as concentrated as {min(found) + effective:.2f} to "
        f"{max(found) + effective:.2f} equal ones, whatever the noise floor; give a number between these"
    )


def gamma_of_support(objective: GroupRelevance, support: int, negligible: float = 1e-3) -> float:
    """The largest γ of a fine grid with exactly `support` labels of more than `negligible` weight.

    Raises:
        PtselError: no γ between 1e-6 and 1e3 keeps exactly as many.
    """
    counts: dict[int, float] = {}
    weights = None
    for exponent in np.linspace(3, -6, 109):
        weights = maximise(objective.at(10.0**exponent), weights).weights
        counts.setdefault(int(np.count_nonzero(weights > negligible)), float(10.0**exponent))
        weights = 0.99 * weights + 0.01 / len(weights)
        if support in counts:
            return counts[support]
    raise PtselError(
        f"--support {support}: no noise floor keeps exactly {support} labels; possible are "
        f"{', '.join(map(str, sorted(counts)))}"
    )


def relevance_path(objective: GroupRelevance, gammas: np.ndarray) -> np.ndarray:
    """The best λ for each γ [gammas, k]."""
    return np.array([maximise(objective.at(float(gamma))).weights for gamma in gammas])
