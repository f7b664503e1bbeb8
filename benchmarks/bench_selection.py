"""Scores of one class against the explicit form of the papers' code, and a step of the group objective.

    OMP_NUM_THREADS=1 python benchmarks/bench_selection.py [--points 2000] [--labels 20] [--dimensions 800] [--rounds 3]

Scalar labels, one class. `explicit` builds H and multiplies
K H L H for each label, as the released code does; it is timed on two labels and scaled. `floor` is the one matrix
product that the exact features cannot do without. All in one run; prints medians and ratios.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np

from ptsel_fairseq.selection.estimators.features import feature_count
from ptsel_fairseq.selection.estimators.kernels import cosine_kernel, label_kernel, scalar_median_variance
from ptsel_fairseq.selection.estimators.one_class import score_class
from ptsel_fairseq.selection.weighting.group import GroupObjective

EXPLICIT_LABELS = 2


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--dimensions", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    n, k = options.points, options.labels
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, options.dimensions)) - 3
    labels = {f"label{i:02d}": (x[:, i] + rng.normal(size=n))[:, None] for i in range(k)}
    order = np.arange(n)[None]
    variance = {name: scalar_median_variance(z[:, 0]) for name, z in labels.items()}
    columns = sum(feature_count(z[:, 0], variance[name]) for name, z in labels.items())
    features = rng.normal(size=(n, columns))
    kernels = {name: label_kernel(labels[name], variance[name]) for name in list(labels)[:EXPLICIT_LABELS]}
    K = cosine_kernel(x)

    def explicit() -> None:
        H = np.eye(n) - 1 / n
        for kernel in kernels.values():
            np.trace(K @ H @ kernel @ H)

    median = {
        f"hsic of {k} labels": timed(lambda: score_class(x, labels, "hsic", "n2", order), options.rounds),
        f"cka of {k} labels": timed(lambda: score_class(x, labels, "cka", "n2", order), options.rounds),
        "floor: one product": timed(lambda: x.T @ features, options.rounds),
        f"explicit, {EXPLICIT_LABELS} labels": timed(explicit, 1),
    }
    for name, seconds in median.items():
        print(f"{name:24s} {1000 * seconds:10.1f} ms")
    ours, floor, slow = (
        median[key] for key in (f"hsic of {k} labels", "floor: one product", list(median)[-1])
    )
    print(f"ratio, hsic to its floor: {ours / floor:.2f}")
    print(f"ratio, explicit (scaled to {k} labels) to hsic: {slow * k / EXPLICIT_LABELS / ours:.0f}")

    weights = np.full(k, 1 / k)
    for estimator in ("hsic", "cka"):
        objective = GroupObjective(x, labels, np.zeros(n, dtype=int), estimator)
        step = timed(lambda objective=objective: objective(weights), options.rounds)
        print(f"{'group, ' + estimator + ', value and gradient':34s} {1000 * step:8.1f} ms")


def timed(work: Callable[[], object], rounds: int) -> float:
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        work()
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


if __name__ == "__main__":
    main()
