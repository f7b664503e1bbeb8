"""Equal error rate and minimum detection cost of a list of trials."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ptsel_fairseq.downstream.metrics.measures import TARGET_PRIORS


class TrialScorer:
    """Metrics of one system's scores; a higher score says that both sides are the same speaker.

    Both come from the points (P_fa, P_miss) of every threshold that the scores allow: accept all, accept
    scores above each distinct value, accept none.

    - ``eer``: where the curve through these points, straight between neighbours, has P_fa = P_miss. Without
      ties among scores that is the step curve; a tie of targets with non-targets is a slope. No convex hull is taken.
    - ``min_dcf_p``: the least ``P_miss p + P_fa (1 - p)`` of these points over the cost of the better of "accept all"
      and "accept none", ``min(p, 1 - p)``: costs of 1, normalised as NIST does (SRE 2008 evaluation plan).

    Args:
        targets: 1 for a trial of the same speaker, else 0, [trials].
        scores: [trials].
    """

    def __init__(self, targets: Sequence[int], scores: Sequence[float]) -> None:
        score = np.asarray(scores, dtype=np.float64)
        self.order = np.argsort(score, kind="stable")
        self.target = np.asarray(targets, dtype=bool)[self.order]
        ordered = score[self.order]
        self.last_of_value = np.flatnonzero(np.append(np.diff(ordered) > 0, True))

    def __call__(self, weights: np.ndarray) -> dict[str, float]:
        miss, false_alarm = self.curve(weights)
        values = {"eer": equal_error_rate(miss, false_alarm)}
        for prior in TARGET_PRIORS:
            cost = miss * prior + false_alarm * (1 - prior)
            values[f"min_dcf_{prior:g}"] = float(cost.min()) / min(prior, 1 - prior)
        return values

    def curve(self, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """P_miss, rising from 0, and P_fa, falling to 0, by threshold; NaN without targets or non-targets."""
        weight = np.asarray(weights, dtype=np.float64)[self.order]
        rejected = [np.cumsum(weight * kind)[self.last_of_value] for kind in (self.target, ~self.target)]
        with np.errstate(invalid="ignore"):
            miss, true_rejection = (np.append(0.0, count) / count[-1] for count in rejected)
        return miss, 1 - true_rejection


def equal_error_rate(miss: np.ndarray, false_alarm: np.ndarray) -> float:
    """Where the polyline of (`false_alarm`, `miss`) crosses the diagonal; NaN if a rate is undefined."""
    difference = miss - false_alarm
    if not np.isfinite(difference).all():
        return float("nan")
    after = int(np.argmax(difference >= 0))  # the first point is -1, the last +1
    before = after - 1
    share = -difference[before] / (difference[after] - difference[before])
    return float(miss[before] + share * (miss[after] - miss[before]))
