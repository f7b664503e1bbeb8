"""Points of one utterance, or of one group, are not independent: permutations, files, and what is named."""

from __future__ import annotations

import numpy as np
import pytest
from planted import task_arrays, utterance_noise
from scipy.stats import kstest

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.selection import Points, score_labels
from ptsel_fairseq.selection.estimators import ESTIMATORS, KernelEstimator, grouped_orders
from ptsel_fairseq.selection.estimators.grouped_orders import GroupedOrders, ranks_in_classes
from ptsel_fairseq.selection.estimators.task import Task, stack
from ptsel_fairseq.selection.groups import overlapping, read_groups, structure_lines
from ptsel_fairseq.selection.score_kernels import Compute, KernelSettings, score_by_kernels
from ptsel_fairseq.selection.score_tasks import score_by_task


@pytest.fixture
def manifest(tmp_path):
    (tmp_path / "train.tsv").write_text("audio\n" + "".join(f"{name}.wav\t32000\n" for name in "abc"))
    return read_manifest(tmp_path / "train.tsv")


def write(file, *lines):
    file.write_text("\n".join(lines) + "\n")
    return file


def test_folds_and_blocks_take_whole_groups_and_balance_points():
    x, y, group, _ = task_arrays(points=500, groups=70)
    task = Task(x, y, group)
    for parts, most in ((task.folds, 5), (task.blocks, 40)):
        assert all(len(set(parts[group == u])) == 1 for u in np.unique(group))
        counts = np.bincount(parts)
        assert len(counts) <= most
        assert counts.min() > 0
    assert np.bincount(task.folds).max() < 2 * np.bincount(task.folds).min()


def test_a_transplant_takes_whole_groups_in_their_order():
    x, y, group, _ = task_arrays(points=200, groups=40)
    task = Task(x, y, group)
    donors = task.transplant(np.random.default_rng(0))
    for u in np.unique(group):
        taken = donors[group == u]
        assert len(set(group[taken])) == 1
        assert (np.diff(taken) >= 0).all()
    alone = Task(x, y)
    assert sorted(alone.transplant(np.random.default_rng(0))) == list(range(200))


def test_orders_of_kernels_keep_each_class_s_values_and_what_is_constant_in_an_utterance():
    _, y, group, _ = task_arrays(points=300, classes=3, groups=30)
    class_of = np.unique(y, return_inverse=True)[1]
    z = np.random.default_rng(1).normal(size=30)[group][:, None]
    ranks = ranks_in_classes({"z": z}, class_of)
    moved = {}
    for name in range(3):
        rows = np.flatnonzero(class_of == name)
        orders = GroupedOrders.of(group, rows, ranks, seed=0)
        ((_, (order,)),) = orders.of_labels(["z"], np.arange(len(rows)), 1)
        assert sorted(order) == list(range(len(rows)))
        label_of = np.empty(len(rows), dtype=int)
        label_of[order] = np.arange(len(rows))  # which point's label comes to each point's speech
        assert not np.array_equal(label_of, np.arange(len(rows)))
        inside = [z[rows[label_of]][group[rows] == u, 0].std() for u in np.unique(group[rows])]
        assert np.mean(inside) < 0.5 * z[rows].std()
        for u in np.unique(group[rows]):
            moved.setdefault(u, []).append(z[rows[label_of]][group[rows] == u, 0].mean())
    # An utterance gets about the same new value in every class.
    pairs = np.array([values[:2] for values in moved.values() if len(values) > 1])
    assert np.corrcoef(pairs.T)[0, 1] > 0.8


@pytest.mark.parametrize("values_at_once", [grouped_orders.VALUES_AT_ONCE, 500, 1])
def test_orders_of_all_labels_at_once_are_those_of_one_point_after_the_other(values_at_once, monkeypatch):
    """Labels with ties, vectors, and points where a label is undefined; all permutations at a time, or a few."""
    monkeypatch.setattr(grouped_orders, "VALUES_AT_ONCE", values_at_once)
    _, y, group, _ = task_arrays(3, points=300, classes=3, groups=30)
    class_of = np.unique(y, return_inverse=True)[1]
    rng = np.random.default_rng(4)
    values = {"ties": rng.integers(0, 3, (300, 1)).astype(float), "vector": rng.normal(size=(300, 4)),
              "gaps": np.where(rng.random((300, 1)) < 0.2, np.nan, rng.normal(size=(300, 1)))}  # fmt: skip
    ranks, rows = ranks_in_classes(values, class_of), np.flatnonzero(class_of == 1)
    orders = GroupedOrders.of(group, rows, ranks, seed=5)
    defined = np.flatnonzero(~np.isnan(values["gaps"][rows, 0]))
    for names, members in ((["ties", "vector"], np.arange(len(rows))), (["gaps"], defined)):
        for name, found in orders.of_labels(names, members, 20):
            expected = [one_after_the_other(group, rows[members], ranks[name], [5, 3, i]) for i in range(20)]
            np.testing.assert_array_equal(found, expected)


def one_after_the_other(group, rows, ranks, seed):
    """An order by `GroupedOrders`: every group takes over the ranks of another one, which then move the labels."""
    rng = np.random.default_rng(seed)
    donor_of = dict(zip(np.unique(group), np.unique(group)[rng.permutation(len(set(group)))], strict=True))
    spare, tie = rng.uniform(size=len(rows)), rng.uniform(size=len(rows))
    new = []
    for point, row in enumerate(rows):
        own, donor = np.flatnonzero(group == group[row]), np.flatnonzero(group == donor_of[group[row]])
        rank = ranks[donor[list(own).index(row) * len(donor) // len(own)]]
        new.append((spare[point] if np.isnan(rank) else rank, tie[point]))
    speech = sorted(range(len(rows)), key=new.__getitem__)
    label = sorted(range(len(rows)), key=lambda point: ranks[rows[point]])
    order = [0] * len(rows)
    for whose, where in zip(label, speech, strict=True):
        order[whose] = where
    return order


@pytest.mark.slow
@pytest.mark.parametrize("estimator", ["cka", "hsic", "relevance", "pillai", "logme", "probe"])
def test_p_is_uniform_for_chance_that_is_constant_in_an_utterance(estimator):
    """500 labels of one random number an utterance; the speech varies by utterance too.

    Scores that many orders of a label give alike (an accuracy, LogME of labels that say nothing) make p larger than
    it need be; with ties broken at random it is uniform.
    """
    ps, jittered = [], []
    for seed in range(500):
        rng = np.random.default_rng([1, seed])
        x, y, group, _ = task_arrays(seed % 20, points=120, classes=3, groups=24, speech=6)
        x = x + 2 * rng.normal(size=(24, 6))[group]
        label = utterance_noise(rng, group, inside=0.0)
        chosen = ESTIMATORS.get(estimator)
        if isinstance(chosen, KernelEstimator):
            settings = KernelSettings(chosen, seed, 99, 0, chosen.average)
            found = score_by_kernels(x, {"z": label}, y, group, settings, Compute(jobs=1))["z"]
        else:
            found = score_by_task(x, {"z": label}, y, chosen, group, seed, 99, False)["z"]
        if getattr(chosen, "function", None):
            z = stack({"z": label}, len(y))[0].values
            task = Task(x, y, group, seed)
            drawn = np.array(
                [
                    chosen.function(task, z[task.transplant(np.random.default_rng([seed, 3, number]))])
                    for number in range(99)
                ]
            )
            near = np.isclose(drawn, found.score, rtol=1e-6, atol=0)
            tied = np.count_nonzero(near)
            above = np.count_nonzero((drawn > found.score) & ~near)
            assert above < round(100 * found.p) <= 1 + above + tied
            ps.append((1 + above + tied) / 100)
            jittered.append(ps[-1] - rng.uniform(0, 0.01 * (1 + tied)))
            continue
        ps.append(found.p)
        jittered.append(found.p - rng.uniform(0, 0.01))
    assert kstest(jittered, "uniform").pvalue > 0.01
    assert np.mean(np.array(ps) <= 0.05) < 0.09


def test_without_groups_the_same_label_would_be_called_significant():
    """What permuting points rather than utterances does: why groups are asked for."""
    wrong, right = [], []
    for seed in range(30):
        rng = np.random.default_rng([2, seed])
        x, y, group, _ = task_arrays(seed, points=120, classes=3, groups=24, speech=6)
        x = x + 2 * rng.normal(size=(24, 6))[group]
        label = {"z": utterance_noise(rng, group, inside=0.0)}
        settings = {"estimator": "cka", "permutations": 49, "bootstrap": 0}
        wrong.append(score_labels(x, label, y, **settings)["z"].p <= 0.05)
        right.append(score_labels(x, label, y, groups=group, **settings)["z"].p <= 0.05)
    assert np.mean(wrong) > 0.7
    assert np.mean(right) < 0.3


def test_equal_lines_of_a_class_file_are_refused(tmp_path, manifest):
    lines = ["path\tstart\tend\tclass", "a.wav\t0.1\t0.5\tAH", "b.wav\t0.1\t0.5\tAH", "a.wav\t0.10\t0.5\tAH"]
    with pytest.raises(PtselError, match="line 4: the same as line 2"):
        read_classes(write(tmp_path / "c.tsv", *lines), manifest, 16_000)
    other = [*lines[:3], "a.wav\t0.1\t0.5\tEH"]  # the same time with another class is no equal line
    assert len(read_classes(write(tmp_path / "c.tsv", *other), manifest, 16_000).segments) == 3


def test_groups_are_read_and_what_is_wrong_with_them_is_said(tmp_path, manifest):
    classes = write(tmp_path / "c.tsv", "path\tclass", "a.wav\tx", "b.wav\ty")
    class_file = read_classes(classes, manifest, 16_000)
    file = tmp_path / "g.tsv"
    write(file, "path\tgroup", "a.wav\tanna", "b.wav\tben", "z.wav\tzoe")
    assert read_groups(file, manifest, class_file) == {0: "anna", 1: "ben"}
    for lines, message in (
        (("path\tclass", "a.wav\tanna"), "line 1: expected a header line"),
        (("path\tgroup", "a.wav"), "line 2: expected a path, one tab and a group"),
        (("path\tgroup", "a.wav\tanna", "a.wav\tben"), "line 3: a.wav is in two groups"),
        (("path\tgroup", "a.wav\tanna"), "no group for 1 utterances .* b.wav"),
    ):
        with pytest.raises(PtselError, match=message):
            read_groups(write(file, *lines), manifest, class_file)


def test_what_makes_points_depend_is_named(tmp_path):
    points = Points(
        x=np.ones((5, 2)),
        labels={"same": np.array([[1.0], [1.0], [2.0], [2.0], [2.0]]), "free": np.arange(5.0)[:, None]},
        classes=np.array(list("abcab")),
        utterance=np.array([0, 0, 1, 1, 1]),
        start=np.array([0.0, 0.5, 0.0, 0.4, 0.8]),
        end=np.array([0.5, 1.0, 0.5, 0.6, 1.0]),
    )
    assert overlapping(points) == 1
    said = "\n".join(structure_lines(points))
    assert "2 utterances of 5 points" in said
    assert "overlap: 1 segments" in said
    assert "the same throughout each of the utterances: same" in said
    assert "free" not in said
    points.save(tmp_path / "points.npz")
    again = Points.load(tmp_path / "points.npz")
    np.testing.assert_array_equal(again.groups, points.utterance)
    by_speaker = Points(
        points.x, points.labels, points.classes, points.utterance, group=np.array(list("sssss"))
    )
    by_speaker.save(tmp_path / "points.npz")
    assert list(Points.load(tmp_path / "points.npz").groups) == list("sssss")
    assert structure_lines(Points(points.x, points.labels, points.classes)) == []
