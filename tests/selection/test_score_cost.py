"""The cost that `ptsel score` tells beforehand grows with what the scores do."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ASTERISK

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.selection.estimators import ESTIMATORS
from ptsel_fairseq.selection.estimators.one_class import scoring_seconds
from ptsel_fairseq.selection.output.cost import cost_line, task_cost

SIZES, D = np.array([70, 200, 20]), 400


def test_orders_by_group_are_work_for_each_label_by_itself():
    one, ten = (scoring_seconds(SIZES, D, [1] * labels, 1001, in_groups=True) for labels in (1, 10))
    assert 5 * one < ten < 10 * one  # the groups' moves are drawn once
    together = scoring_seconds(SIZES, D, [1] * 10, 1001, in_groups=False)
    assert ten > 5 * together
    fewer = scoring_seconds(SIZES, D, [1] * 10, 101, in_groups=True)
    assert 5 * fewer < ten < 10 * fewer


@pytest.mark.parametrize(
    ("estimator", "grows"), [("probe", "classes"), ("logme", "classes"), ("lee", "speech")]
)
def test_permutations_of_a_function_of_the_task_are_counted(estimator, grows):
    """Of large tasks too, where only `relevance` takes moments in their place."""

    def seconds(points=1e5, d=D, classes=40, permutations=200):
        return task_cost(int(points), d, 60, classes, permutations, ESTIMATORS.get(estimator))[0]

    without = seconds(permutations=0)
    assert seconds(permutations=400) - without == pytest.approx(2 * (seconds() - without))
    more = {
        "classes": seconds(classes=80),
        "speech": seconds(d=2 * D) - seconds(d=2 * D, permutations=0) + without,
    }
    unchanged = more.pop("speech" if grows == "classes" else "classes")
    assert unchanged == pytest.approx(seconds())
    assert more[grows] - without == pytest.approx(2 * (seconds() - without))
    assert seconds(points=1e7) > 50 * seconds()


def test_moments_take_the_place_of_permutations_of_relevance_where_they_are_dear():
    relevance = ESTIMATORS.get("relevance")
    few, many = (task_cost(10**7, D, 60, 40, permutations, relevance)[0] for permutations in (0, 1000))
    assert few == many
    assert task_cost(10**4, D, 60, 40, 1000, relevance)[0] > task_cost(10**4, D, 60, 40, 0, relevance)[0]


def test_cores_share_the_classes_of_kernels_and_not_a_function_of_the_task(data_dir, store_dir):
    manifest = read_manifest(data_dir / "train.tsv")
    phones = read_classes(ASTERISK / "classes" / "phone.tsv", manifest, 16_000)
    store = LabelStore(store_dir, "train")

    def said(estimator, cores, permutations):
        return cost_line(
            manifest, store, phones, store.labels, "mean", permutations, cores, True, ESTIMATORS.get(estimator), False
        ).split("scores about ")[1].split(";")[0]  # fmt: skip

    assert said("cka", 1, 10**5) != said("cka", 8, 10**5)
    assert said("probe", 1, 10**5) == said("probe", 8, 10**5)
