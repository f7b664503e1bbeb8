"""Weights from the scores of single labels alone (`direct`, `all`, `random`), and what cannot be selected."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection import (
    LabelScore,
    select_weights,
)
from ptsel_fairseq.selection.weighting.direct import direct_weights, tau_of_support


def records(**scores: float | None) -> dict[str, LabelScore]:
    return {
        name: LabelScore(score, standard_error=0.02, reason=None if score is not None else "constant")
        for name, score in scores.items()
    }


SCORES = records(a=0.30, b=0.10, c=0.15, d=None, e=0.12)


@settings(deadline=None)
@given(scores=st.lists(st.floats(-1, 1), min_size=2, max_size=6).map(np.array), tau=st.floats(0.01, 5))
def test_direct_minimises_its_objective(scores, tau):
    weights = direct_weights(scores, tau)
    value = weights @ scores + tau / 2 * weights @ weights
    for other in [*np.random.default_rng(0).dirichlet(np.ones(len(scores)), 200), *np.eye(len(scores))]:
        assert value <= other @ scores + tau / 2 * other @ other + 1e-9


def test_direct_sets_tau_from_the_standard_errors():
    found = select_weights(SCORES, method="direct", estimator="cka", screen=False)
    assert found.details["tau"] == pytest.approx(2 * np.sqrt(2) * 0.02)
    assert found.weights["a"] == found.weights["d"] == 0
    assert found.weights["b"] > found.weights["e"] > found.weights["c"] >= 0
    assert found.sum_to_one
    # Labels further apart than tau never share weight.
    assert select_weights(records(a=0.1, b=0.16), method="direct", estimator="cka", screen=False).weights == {
        "a": 1,
        "b": 0,
    }


@pytest.mark.parametrize("support", [1, 2, 3, 4])
def test_a_wished_number_of_labels(support):
    for method in ("direct", "naive"):
        weights = select_weights(
            SCORES, method=method, support=support, estimator="cka", screen=False
        ).weights
        assert [name for name in "becad" if weights[name] > 0] == list("beca"[:support])
        assert sum(weights.values()) == pytest.approx(1)
    with pytest.raises(PtselError, match="tie"):
        tau_of_support(np.array([0.1, 0.2, 0.2]), 2)
    with pytest.raises(PtselError, match="between 1 and 4"):
        select_weights(SCORES, method="naive", support=5, estimator="cka", screen=False)


def test_all_and_random():
    everything = select_weights(SCORES, method="all", estimator="cka", screen=False)
    assert everything.weights == {"a": 1, "b": 1, "c": 1, "d": 0, "e": 1}
    assert not everything.sum_to_one
    assert "constant" in everything.details["left_out"]["d"]
    drawn = select_weights(SCORES, method="random", seed=3, estimator="cka", screen=False)
    assert drawn == select_weights(SCORES, method="random", seed=3, estimator="cka", screen=False)
    assert (
        drawn.weights
        != select_weights(SCORES, method="random", seed=4, estimator="cka", screen=False).weights
    )
    assert sum(drawn.weights.values()) == pytest.approx(1)
    assert drawn.weights["d"] == 0


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (SCORES, {"method": "group"}, "expected points"),
        (SCORES, {"method": "best"}, "no method .best.; the methods are relevance, group, direct"),
        (SCORES, {"method": "direct", "projection": "hardmax"}, "a projection among"),
        (SCORES, {"method": "all", "tau": 0.1}, "--tau belongs to direct"),
        (SCORES, {"method": "direct", "tau": 0.1, "support": 2}, "give one of them"),
        (SCORES, {"method": "direct", "tau": 0.0}, "tau above 0, found 0"),
        (SCORES, {"method": "direct", "tau": float("nan")}, "tau above 0, found nan"),
        (SCORES, {"method": "naive", "reference_optimizer": True}, "--reference-optimizer belongs to group"),
        (records(a=None), {"method": "direct"}, "no label has a score: a constant"),
        ({"a": LabelScore(0.1)}, {"method": "direct"}, "no standard errors"),
    ],
)
def test_what_cannot_be_selected_is_refused(source, options, message):
    with pytest.raises(PtselError, match=message):
        select_weights(source, **{"estimator": "cka", "screen": False, **options})
