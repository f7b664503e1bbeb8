"""How often a dependence of a given strength is found: power of the permutation test at p <= 0.05.

    OMP_NUM_THREADS=1 python benchmarks/power_of_test.py [--repetitions 200]

Classes of 12 to 40 points; inside a class the label is strength * (one of the speech's 6 dimensions) + noise of
variance one, so the correlation inside the class is strength / sqrt(1 + strength²). At strength 0 the label depends on
the speech through the class only.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from common import Figure, finish, parse, parser_of

from ptsel_fairseq.selection import score_labels

SIZES = (12, 20, 28, 40)
ESTIMATORS = ("cka", "hsic", "reference")
STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0, 1.5, 2.0)


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    options = parse(parser, arguments, {"repetitions": 2})
    print("strength " + " ".join(f"{name:>10s}" for name in ESTIMATORS))
    figures = []
    for strength in STRENGTHS:
        found = [power(estimator, strength, options.repetitions) for estimator in ESTIMATORS]
        print(f"{strength:8.2f} " + " ".join(f"{share:10.3f}" for share in found), flush=True)
        figures += [
            Figure(f"power of {estimator} at strength {strength:g}", share)
            for estimator, share in zip(ESTIMATORS, found, strict=True)
        ]
    return finish(options, figures)


def power(estimator: str, strength: float, repetitions: int) -> float:
    found = 0
    for seed in range(repetitions):
        rng = np.random.default_rng(seed)
        classes = np.repeat(np.arange(len(SIZES)), SIZES)
        own = rng.normal(size=(len(classes), 6))
        through = 3 * rng.normal(size=(len(SIZES), 7))[classes]
        z = strength * own[:, 0] + through[:, 6] + rng.normal(size=len(classes))
        record = score_labels(
            own + through[:, :6],
            {"z": z},
            classes,
            estimator=estimator,
            seed=seed,
            permutations=199,
            bootstrap=0,
        )["z"]
        found += record.p <= 0.05
    return found / repetitions


if __name__ == "__main__":
    main()
