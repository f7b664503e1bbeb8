"""R² and concordance: against scikit-learn and the definition, with weights, intervals, files and bad input."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import pearsonr
from sklearn.metrics import r2_score

from ptsel_fairseq import downstream
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.downstream.metrics.answer_files import read_value_table
from ptsel_fairseq.downstream.metrics.evaluate import evaluate_command
from ptsel_fairseq.downstream.metrics.regression import ValueScorer
from ptsel_fairseq.downstream.metrics.results import read_result


def answers(seed: int = 0, items: int = 60):
    rng = np.random.default_rng(seed)
    y = rng.normal(3, 2, items)
    return y, 0.8 * y + 1 + rng.normal(0, 0.7, items)


def concordance(y, predicted):
    """Lin 1989: Pearson's correlation times the bias correction of scale and location shift."""
    rho = pearsonr(y, predicted)[0]
    v = y.std() / predicted.std()
    u = (y.mean() - predicted.mean()) / np.sqrt(y.std() * predicted.std())
    return rho * 2 / (v + 1 / v + u**2)


@pytest.mark.parametrize("seed", range(3))
def test_the_metrics_are_those_of_scikit_learn_and_of_lin(seed):
    y, predicted = answers(seed)
    found = ValueScorer(y, predicted)(np.ones(len(y)))
    assert found["r2"] == pytest.approx(r2_score(y, predicted), rel=1e-12)
    assert found["ccc"] == pytest.approx(concordance(y, predicted), rel=1e-12)


def test_a_weight_is_a_repeated_item():
    y, predicted = answers()
    times = np.random.default_rng(1).integers(0, 4, len(y))
    found = ValueScorer(y, predicted)(times.astype(float))
    repeated = np.repeat(y, times), np.repeat(predicted, times)
    assert found["r2"] == pytest.approx(r2_score(*repeated), rel=1e-10)
    assert found["ccc"] == pytest.approx(concordance(*repeated), rel=1e-10)


def test_the_ends():
    y, _ = answers()
    assert downstream.evaluate_regression(y, y)["ccc"].value == pytest.approx(1)
    mean = downstream.evaluate_regression(y, np.full(len(y), y.mean()))
    assert mean["r2"].value == pytest.approx(0, abs=1e-12)
    assert mean["ccc"].value == pytest.approx(0, abs=1e-12)
    assert downstream.evaluate_regression(y, 2 * y.mean() - y)["ccc"].value == pytest.approx(-1)


def test_the_interval_holds_the_expected_value():
    inside = 0
    for seed in range(20):
        y, predicted = answers(seed, 80)
        low, high = downstream.evaluate_regression(y, predicted, resamples=200)["ccc"].interval
        inside += low <= 2 * 0.8 * 4 / (4 + 0.64 * 4 + 0.49 + (0.6 - 1) ** 2) <= high
    assert inside >= 16


def test_groups_are_resampled_as_a_whole():
    y, predicted = (np.repeat(each, 4) for each in answers(items=20))
    wide, narrow = (
        downstream.evaluate_regression(y, predicted, groups=groups)["r2"].interval
        for groups in (np.repeat(np.arange(20), 4).astype(str), None)
    )
    assert wide[1] - wide[0] > 1.3 * (narrow[1] - narrow[0])


@pytest.mark.parametrize(
    ("reference", "hypothesis", "message"),
    [
        ([1.0, 1.0], [1.0, 2.0], "r2 cannot be computed: .*numbers that differ"),
        ([1.0, 2.0], [1.0, np.nan], "expected a finite number"),
        ([1.0, "x"], [1.0, 2.0], "expected a finite number"),
        ([1.0, 2.0], [1.0], "expected 2 values"),
    ],
)
def test_what_cannot_be_evaluated(reference, hypothesis, message):
    with pytest.raises(PtselError, match=message):
        downstream.evaluate_regression(reference, hypothesis)


def test_files_in_any_order(tmp_path):
    y, predicted = answers(items=30)
    for name, values, order in (("right", y, 1), ("system", predicted, -1)):
        lines = [f"{i}.wav\t0.5\t1.0\t{value!r}" for i, value in enumerate(values.tolist())][::order]
        (tmp_path / f"{name}.tsv").write_text("\n".join(["path\tstart\tend\tvalue", *lines]) + "\n")
    evaluate_command("regression", tmp_path / "right.tsv", [tmp_path / "system.tsv"], tmp_path / "r.json")
    found = read_result(tmp_path / "r.json")
    assert found["r2"].value == pytest.approx(r2_score(y, predicted))
    assert found["ccc"].interval[0] < found["ccc"].value < found["ccc"].interval[1]
    assert found.answers.reference == tuple(y.tolist())
    other = downstream.evaluate_regression(
        dict(zip(found.answers.ids, y, strict=True)),
        dict(zip(found.answers.ids, y, strict=True)),
        name="other",
    )
    assert other["r2"].value == 1
    (tmp_path / "class.tsv").write_text("path\tclass\na\tx\n")
    with pytest.raises(PtselError, match="the header of a class file"):
        read_value_table(tmp_path / "class.tsv")
