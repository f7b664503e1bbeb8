"""Points of the simplex: projections onto it, and minimisers of a smooth function over it."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.choices import PROJECTIONS

Objective = Callable[[np.ndarray], tuple[float, np.ndarray]]

KKT_TOLERANCE = 1e-8  # of `residual`, for an objective whose value is of order one
MAX_STEPS = 2000
SUFFICIENT_DECREASE = 1e-4
MEMORY = 10  # values
VALUE_ROUNDING = 1e-12
SHORTEST_STEP = 1e-12
REFERENCE_STEPS, REFERENCE_RATE, REFERENCE_MOMENTUM = 1000, 0.01, 0.9


def softmax(w: np.ndarray) -> np.ndarray:
    """exp(w) over its sum, w [k]."""
    e = np.exp(w - w.max())
    return e / e.sum()


def sparsemax(w: np.ndarray) -> np.ndarray:
    """The point of the simplex nearest to w [k]: argmin over λ of |λ - w|² (Martins and Astudillo 2016, alg. 1)."""
    # The projections do not change when a constant is added; without it large values keep their digits.
    w = w - w.max()
    falling = np.sort(w)[::-1]
    thresholds = (np.cumsum(falling) - 1) / np.arange(1, len(w) + 1)  # if the first 1, 2, ... are kept
    weights = np.maximum(w - thresholds[np.flatnonzero(falling > thresholds)[-1]], 0)
    return weights / weights.sum()


def entmax15(w: np.ndarray) -> np.ndarray:
    """Between softmax and sparsemax: argmax over λ of <λ, w> + Tsallis entropy of order 1.5.

    λ is max(w/2 - t, 0)², with t such that it sums to one (Peters et al. 2019, alg. 2).
    """
    w = (w - w.max()) / 2
    falling, kept = np.sort(w)[::-1], np.arange(1, len(w) + 1)
    mean = np.cumsum(falling) / kept
    spread = np.cumsum(np.square(falling)) - kept * np.square(mean)  # of the values kept, around their mean
    thresholds = mean - np.sqrt(np.maximum(1 - spread, 0) / kept)
    weights = np.square(np.maximum(w - thresholds[np.flatnonzero(falling >= thresholds)[-1]], 0))
    return weights / weights.sum()


_FUNCTIONS = (sparsemax, softmax, entmax15)
PROJECTED = dict(zip(PROJECTIONS, _FUNCTIONS, strict=True))
# The Jacobian of each at λ is diag(s) - s s' / sum(s), with these s:
_SENSITIVITY: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "sparsemax": lambda weights: (weights > 0).astype(np.float64),
    "softmax": lambda weights: weights,
    "entmax15": np.sqrt,
}


def project(w: np.ndarray, projection: str) -> np.ndarray:
    """w [k] to the simplex; raises PtselError for an unknown projection or values that are not finite."""
    if projection not in PROJECTIONS:
        raise PtselError(f"expected a projection among {', '.join(PROJECTIONS)}, found {projection!r}")
    if not np.isfinite(w).all() or not len(w):
        raise PtselError(f"projection: expected finite values, at least one, found {w}")
    return PROJECTED[projection](np.asarray(w, dtype=np.float64))


def pull_back(gradient: np.ndarray, weights: np.ndarray, projection: str) -> np.ndarray:
    """Gradient with respect to w from the gradient with respect to λ = projection(w)."""
    s = _SENSITIVITY[projection](weights)
    return s * (gradient - (s @ gradient) / s.sum())


@dataclass(frozen=True)
class Solution:
    """Where an optimiser stopped.

    Attributes:
        weights: λ [k].
        objective: its value.
        gap: the most by which a linear model of the objective could still fall on the simplex
            (Frank-Wolfe gap); for a convex objective a bound of what is left to gain.
        residual: of the KKT conditions, see `residual`.
        steps: taken.
    """

    weights: np.ndarray
    objective: float
    gap: float
    residual: float
    steps: int


def describe(objective: Objective, weights: np.ndarray, steps: int) -> Solution:
    """The optimality of a given λ."""
    value, gradient = objective(weights)
    gap = float(weights @ gradient - gradient.min())
    return Solution(weights, value, gap, residual(weights, gradient), steps)


def projected_gradient(
    objective: Objective, start: np.ndarray, visit: Callable[[np.ndarray, float], object] | None = None
) -> Solution:
    """Minimise over the simplex from one start, to a residual of `KKT_TOLERANCE`.

    Spectral projected gradient (Birgin, Martínez and Raydan 2000): the direction is the projection of a
    gradient step, whose length is that of Barzilai and Borwein, minus where we are; along it the step is
    halved until it is sufficiently below the highest of the last `MEMORY` values. The value never ends above
    that of the start. The objective should be scaled to order one.
    """
    weights = start
    value, gradient = objective(weights)
    recent = deque([value], maxlen=MEMORY)
    length, steps = 1.0, 0
    if visit:
        visit(weights, value)
    while steps < MAX_STEPS and residual(weights, gradient) > KKT_TOLERANCE:
        direction = sparsemax(weights - length * gradient) - weights
        slope = float(gradient @ direction)
        # Close to the minimum a decrease is smaller than the rounding of the values, which must not stop it.
        allowed = max(recent) + VALUE_ROUNDING * abs(value)
        step = 1.0
        trial = weights + direction
        trial_value, trial_gradient = objective(trial)
        while trial_value > allowed + SUFFICIENT_DECREASE * step * slope and step > SHORTEST_STEP:
            step /= 2
            trial = weights + step * direction
            trial_value, trial_gradient = objective(trial)
        if step <= SHORTEST_STEP:
            break
        moved, turned = trial - weights, trial_gradient - gradient
        curvature = float(moved @ turned)
        length = float(np.clip((moved @ moved) / curvature, 1e-6, 1e6)) if curvature > 0 else 1e6
        weights, value, gradient = trial, trial_value, trial_gradient
        recent.append(value)
        steps += 1
        if visit:
            visit(weights, value)
    return describe(objective, weights / weights.sum(), steps)


def scale_of(objective: Objective, k: int) -> float:
    """The largest of |objective| at equal weights and at single labels, to divide it by.

    Not its value at equal weights alone: debiased scores may be next to 0 there.
    """
    candidates = [np.full(k, 1 / k), *np.eye(k)]
    return max(abs(objective(weights)[0]) for weights in candidates) or 1.0


def scaled(objective: Objective, scale: float) -> Objective:
    """The objective over `scale`."""

    def divided(weights: np.ndarray) -> tuple[float, np.ndarray]:
        value, gradient = objective(weights)
        return value / scale, gradient / scale

    return divided


def residual(weights: np.ndarray, gradient: np.ndarray) -> float:
    """Largest entry of λ minus the projection of a unit gradient step from λ: 0 where the KKT conditions hold."""
    return float(np.abs(weights - sparsemax(weights - gradient)).max())


def softmax_descent(objective: Objective, start: np.ndarray) -> Solution:
    """Minimise over λ = softmax(W) by L-BFGS on W from one start [k].

    Softmax reaches no edge of the simplex: if the minimum lies on one, W grows without end and the
    descent stops where the gradient with respect to W is below 1e-8 or after `MAX_STEPS` steps.
    """
    from scipy.optimize import minimize

    def in_w(w: np.ndarray) -> tuple[float, np.ndarray]:
        weights = softmax(w)
        value, gradient = objective(weights)
        return value, pull_back(gradient, weights, "softmax")

    found = minimize(
        in_w,
        start,
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": MAX_STEPS, "gtol": KKT_TOLERANCE, "ftol": 1e-15},
    )
    return describe(objective, softmax(found.x), int(found.nit))


def reference_descent(objective: Objective, start: np.ndarray, projection: str) -> Solution:
    """The papers' optimiser: 1000 steps of gradient descent on W with rate 0.01 and momentum 0.9.

    Returns λ from before the last step, as the released code reports it.
    """
    w, velocity = start.copy(), np.zeros_like(start)
    weights = project(w, projection)
    for _ in range(REFERENCE_STEPS):
        weights = project(w, projection)
        velocity = REFERENCE_MOMENTUM * velocity + pull_back(objective(weights)[1], weights, projection)
        w = w - REFERENCE_RATE * velocity
    return describe(objective, weights, REFERENCE_STEPS)
