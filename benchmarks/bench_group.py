"""The group's optimum against the papers' loop, on classes of thousands of points.

    OMP_NUM_THREADS=1 python benchmarks/bench_group.py [--points 2000] [--classes 50] [--labels 30] [--starts 3]

Speech of 400 dimensions, scalar labels; the papers' estimator, whose minimum has many labels. `papers` is one step of
the released optimiser on one class, by torch in float64: H is built and multiplied, K H L H is traced, and autograd
gives the gradient. Its 1,000 steps over all classes are scaled from that; its ten restarts are not counted. `ours`
is the whole of `group`: preparing the classes, and from each of some starts to the minimum. Prints medians, the ratio,
and how far the minima from the starts are apart.
"""

from __future__ import annotations

import time
from collections.abc import Sequence

import numpy as np
import torch
from common import Figure, finish, in_turns, medians, parse, parser_of

from ptsel_fairseq.selection.estimators.kernels import cosine_kernel, label_kernel
from ptsel_fairseq.selection.weighting import simplex as solve
from ptsel_fairseq.selection.weighting.group import GroupObjective

DIMENSIONS, FACTORS = 400, 10
UNIT = 0.2  # the labels' standard deviation, about the width of the papers' kernel
PAPERS_STEPS = 1000
GOAL = 2000


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--points", type=int, default=2000)
    parser.add_argument("--classes", type=int, default=50)
    parser.add_argument("--labels", type=int, default=30)
    parser.add_argument("--starts", type=int, default=3)
    parser.add_argument("--estimator", choices=("reference", "hsic", "cka"), default="reference")
    options = parse(parser, arguments, {"points": 40, "classes": 2, "labels": 3, "starts": 2})
    n, k = options.points, options.labels
    rng = np.random.default_rng(0)
    factors = rng.normal(size=(n * options.classes, FACTORS))
    x = factors.astype(np.float32) @ rng.normal(size=(FACTORS, DIMENSIONS)).astype(np.float32) - 3
    values = factors @ rng.normal(size=(FACTORS, k)) + rng.normal(size=(len(x), k))
    values *= UNIT / values.std(axis=0)
    labels = {f"label{i:02d}": values[:, i] for i in range(k)}
    classes = np.repeat(np.arange(options.classes), n)

    step = medians(in_turns({"papers": papers_step(x[:n], values[:n])}, 3, warm_up=False))["papers"]
    papers = step * options.classes * PAPERS_STEPS
    print(f"papers: {1000 * step:.0f} ms a class and step, so {papers / 3600:.1f} h")

    started = time.process_time()
    objective = GroupObjective(x, labels, classes, options.estimator)
    built = time.process_time()
    print(f"ours: prepared in {built - started:.1f} s")
    scaled = solve.scaled(objective, abs(objective(np.full(k, 1 / k))[0]))
    starts = [np.full(k, 1 / k), *rng.dirichlet(np.ones(k), options.starts - 1)]
    found, seconds = [], []
    for start in starts:
        begun = time.process_time()
        found.append(solve.projected_gradient(scaled, start))
        seconds.append(time.process_time() - begun)
        print(
            f"ours: {seconds[-1]:.1f} s, {found[-1].steps} steps, objective {found[-1].objective:.9f}, "
            f"{np.count_nonzero(found[-1].weights)} labels, KKT residual {found[-1].residual:.1e}",
            flush=True,
        )
    apart = max(float(np.abs(one.weights - found[0].weights).max()) for one in found)
    supports = {tuple(np.flatnonzero(one.weights > 1e-6)) for one in found}
    print(
        f"minima from {len(starts)} starts: {len(supports)} support, weights within {apart:.1e} of each other"
    )
    whole = time.process_time() - started
    one_start = built - started + seconds[0]
    print(f"the papers' {PAPERS_STEPS} steps, over all of ours, {len(starts)} starts: {papers / whole:.0f}")
    what = f"the papers' {PAPERS_STEPS} steps of a group, over ours from one start ({options.estimator})"
    return finish(options, [Figure(what, papers / one_start, GOAL)])


def papers_step(x: np.ndarray, values: np.ndarray):
    """One step on one class, as the released code takes it."""
    n = len(x)
    K = torch.from_numpy(cosine_kernel(x))
    logs = torch.stack([torch.from_numpy(np.log(label_kernel(z))) for z in values.T]).clamp(-10, 0)
    weights = torch.nn.Parameter(torch.full((values.shape[1],), 1 / values.shape[1], dtype=torch.float64))

    def step() -> None:
        weights.grad = None
        H = torch.eye(n, dtype=torch.float64) - torch.ones((n, n), dtype=torch.float64) / n**2
        L = torch.exp((weights[:, None, None] * logs).sum(0))
        (torch.trace(K @ H @ L @ H) / n**2).backward()

    return step


if __name__ == "__main__":
    main()
