"""Scores of one class against the explicit form of the papers' code, and a step of the group objective.

    OMP_NUM_THREADS=1 python benchmarks/bench_selection.py [--points 2000] [--labels 20] [--dimensions 800] [--rounds 5]

Scalar labels, one class. `explicit` builds H and multiplies K H L H for each label, as the released code does; it is
timed once on two labels, whose kernels are there, and scaled. `floor` is the one matrix product that the exact features
cannot do without. All but `explicit` take turns.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
from common import Figure, finish, in_turns, medians, parse, parser_of, ratio

from ptsel_fairseq.selection.checks import kernel_estimator
from ptsel_fairseq.selection.estimators.features import feature_count
from ptsel_fairseq.selection.estimators.kernels import cosine_kernel, label_kernel, scalar_median_variance
from ptsel_fairseq.selection.estimators.one_class import score_class
from ptsel_fairseq.selection.weighting.group import GroupObjective

EXPLICIT_LABELS = 2
GOAL_FLOOR, GOAL_EXPLICIT = 1.5, 350


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--labels", type=int, default=20)
    parser.add_argument("--dimensions", type=int, default=800)
    parser.add_argument("--rounds", type=int, default=5)
    options = parse(parser, arguments, {"points": 60, "labels": 3, "dimensions": 8, "rounds": 1})
    n, k = options.points, options.labels
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, options.dimensions)) - 3
    labels = {f"label{i:02d}": (x[:, i] + rng.normal(size=n))[:, None] for i in range(k)}
    order = np.arange(n)[None]
    variance = {name: scalar_median_variance(z[:, 0]) for name, z in labels.items()}
    columns = sum(feature_count(z[:, 0], variance[name]) for name, z in labels.items())
    features = rng.normal(size=(n, columns))
    weights = np.full(k, 1 / k)
    work = {
        "hsic": lambda: score_class(x, labels, kernel_estimator("hsic"), order),
        "cka": lambda: score_class(x, labels, kernel_estimator("cka"), order),
        "floor: one product": lambda: x.T @ features,
    }
    for estimator in ("hsic", "cka"):
        objective = GroupObjective(x, labels, np.zeros(n, dtype=int), estimator)
        work[f"group, {estimator}, value and gradient"] = partial(objective, weights)
    times = in_turns(work, options.rounds)
    kernels = [label_kernel(labels[name], variance[name]) for name in list(labels)[:EXPLICIT_LABELS]]
    slow = in_turns({"": partial(explicit, cosine_kernel(x), kernels)}, 1, warm_up=False)[""][0]
    for name, seconds in medians(times).items():
        print(f"{name:36s} {1000 * seconds:10.1f} ms")
    print(f"{f'explicit, {EXPLICIT_LABELS} labels':36s} {1000 * slow:10.1f} ms")
    return finish(
        options,
        [
            Figure(f"hsic of {k} labels at n = {n}, over one product", ratio(times, "hsic", "floor: one product"),
                   GOAL_FLOOR, True),
            Figure("the explicit form, over hsic", slow * k / EXPLICIT_LABELS / medians(times)["hsic"], GOAL_EXPLICIT),
        ],
    )  # fmt: skip


def explicit(K: np.ndarray, kernels: Sequence[np.ndarray]) -> None:
    """Tr(K H L H) of some labels with n × n matrices."""
    H = np.eye(len(K)) - 1 / len(K)
    for L in kernels:
        np.trace(K @ H @ L @ H)


if __name__ == "__main__":
    main()
