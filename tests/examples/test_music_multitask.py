"""The parts of examples/music_multitask: the design, the linear model, encoders, training, probes, the conclusions."""

from __future__ import annotations

import csv
from collections import Counter
from itertools import product

import numpy as np
import pytest
import torch
from example_tools import modules_of


@pytest.fixture(scope="module")
def grid():
    with modules_of("music_multitask") as modules:
        yield modules


def test_the_cells_of_a_seed_are_all_combinations_once(grid):
    settings, cells = grid.settings, list(grid.design.cells(1))
    expected = set(product(settings.ENCODERS, settings.WEIGHTINGS, settings.WORKERS))
    assert len(cells) == len(expected) == 126
    assert {(cell.encoder, cell.weighting, cell.workers) for cell in cells} == expected
    assert cells == list(grid.design.cells(1)) != list(grid.design.cells(2))


@pytest.mark.parametrize("seed", [1, 2])
def test_every_block_is_balanced(grid, seed):
    cells, size = list(grid.design.cells(seed)), grid.design.BLOCK
    for first in range(0, len(cells), size):
        block = cells[first : first + size]
        assert set(Counter((cell.encoder, cell.weighting) for cell in block).values()) == {1}
        assert len(Counter((cell.encoder, cell.workers) for cell in block)) == size  # none twice
        assert set(Counter(cell.workers for cell in block).values()) <= {2, 3}


def test_lambda_for_a_task_has_an_encoder_for_each_task(grid, tmp_path):
    settings = grid.settings.Settings(tmp_path, tmp_path, (), tmp_path)
    planned = list(grid.design.plan(settings))
    assert len(planned) == 2 * (3 + 105 + 21 * 6)
    assert {len(t.tasks) for t in planned if t.cell.weighting == "relevance"} == {1}
    keys = Counter((t.cell, task) for t in planned for task in t.tasks)
    assert set(keys.values()) == {1}
    assert len(keys) == 2 * 6 * (3 + 126)


def test_the_families_divide_the_pool_of_music(grid):
    from ptsel_fairseq.labels.pools import MUSIC

    families = [label for own in grid.settings.FAMILIES.values() for label in own]
    assert sorted(families) == sorted(MUSIC)
    picks = [grid.design.labels_of("random", seed) for seed in (1, 2)]
    assert picks[0] != picks[1]
    assert all(set(pick) <= set(grid.settings.CATALOGUE) and len(set(pick)) == 5 for pick in picks)


def table_of(model, rng, reps, noise):
    """Rows of a full design of three factors and blocks, with planted effects that sum to zero."""
    sizes = {"encoder": 3, "weighting": 4, "workers": 5, "task": 6}
    levels = np.array(list(product(*(range(n) for n in sizes.values())))).repeat(reps, axis=0)
    factors = {
        name: np.array([f"{name}{k}" for k in column]) for name, column in zip(sizes, levels.T, strict=True)
    }
    main = {name: centred(rng.normal(size=n)) for name, n in sizes.items()}
    pair = centred(rng.normal(size=(4, 5)))
    y = 2.5 + sum(main[name][levels[:, k]] for k, name in enumerate(sizes)) + pair[levels[:, 1], levels[:, 2]]
    return model.Rows(y + noise * rng.standard_normal(len(y)), factors), main, pair


def centred(values):
    for axis in range(values.ndim):
        values = values - values.mean(axis=axis, keepdims=True)
    return values


FACTORS = ("encoder", "weighting", "workers")


def test_planted_effects_are_recovered_exactly_without_noise(grid):
    model = grid.linear_model
    rows, main, pair = table_of(model, np.random.default_rng(0), 1, 0.0)
    found = model.fit(rows, model.terms_of(FACTORS), blocks="task")
    assert found.rank == found.parameters == 1 + 5 + 2 + 3 + 4 + 6 + 8 + 12
    assert found.mean == pytest.approx(2.5)
    for name in FACTORS:
        np.testing.assert_allclose(found.effects[name,], main[name], atol=1e-10)
    np.testing.assert_allclose(found.effects["weighting", "workers"], pair, atol=1e-10)
    np.testing.assert_allclose(found.effects["encoder", "workers"], 0, atol=1e-10)


def test_an_unbalanced_fit_is_that_of_explicit_dummies(grid):
    """Another coding, a dummy of every level and pair with the pseudo-inverse, gives the same residual."""
    model, rng = grid.linear_model, np.random.default_rng(1)
    rows, _, _ = table_of(model, rng, 1, 1.0)
    kept = rng.random(len(rows)) < 0.4
    rows = model.Rows(rows.y[kept], {name: values[kept] for name, values in rows.factors.items()})
    weights = rng.integers(0, 3, len(rows)).astype(float)
    terms = model.terms_of(FACTORS)
    found = model.fit(rows, terms, blocks="task", weights=weights)
    keys = [("task",), *terms]
    dummies = [np.ones(len(rows))]
    for term in keys:
        names = np.array(["|".join(v) for v in zip(*(rows.factors[name] for name in term), strict=True)])
        dummies += [names == name for name in np.unique(names)]
    x, root = np.column_stack(dummies).astype(float), np.sqrt(weights)
    fitted = x @ (np.linalg.pinv(x * root[:, None]) @ (rows.y * root))
    assert found.residual == pytest.approx(float(weights @ (rows.y - fitted) ** 2))
    assert found.rank == np.linalg.matrix_rank(x * root[:, None])


def test_shares_of_a_balanced_design_are_those_of_the_textbook(grid):
    """Sum of squares: rows of a level times the squared deviation of its mean; F by scipy for one factor."""
    from scipy.stats import f_oneway

    model = grid.linear_model
    rows, _, _ = table_of(model, np.random.default_rng(2), 2, 0.5)
    found = {share.term: share for share in model.shares(rows, model.terms_of(FACTORS), blocks="task")}
    for name in FACTORS:
        means = [rows.y[rows.factors[name] == level].mean() for level in rows.levels[name]]
        expected = len(rows) / len(means) * np.sum((np.array(means) - rows.y.mean()) ** 2)
        assert found[name,].squares == pytest.approx(expected)
        assert found[name,].freedom == len(means) - 1
    pair = found["weighting", "workers"]
    assert pair.p < 1e-6 < found["encoder", "workers"].p
    assert pair.partial > 5 * pair.chance
    only = model.shares(rows, [("workers",)])[0]
    groups = [rows.y[rows.factors["workers"] == level] for level in rows.levels["workers"]]
    assert only.p == pytest.approx(f_oneway(*groups).pvalue)


def test_resampling_draws_tasks_as_a_whole_and_seeds_in_a_cell(grid):
    tasks = np.array(["a", "a", "a", "b", "b", "b"])
    cells = np.array(["x", "x", "y", "x", "x", "y"])  # x has two seeds
    found = grid.linear_model.resampled_weights(tasks, cells, 500)
    of_tasks = found[:, [2, 5]]
    assert (of_tasks.sum(axis=1) == 2).all()
    np.testing.assert_array_equal(found[:, [0, 3]] + found[:, [1, 4]], 2 * of_tasks)
    assert set(np.unique(of_tasks)) == {0, 1, 2}


@pytest.mark.parametrize("name", ["transformer", "crdnn", "cnn"])
def test_encoders_are_the_plugins_own_and_alike_for_a_seed(grid, name):
    encoders = grid.encoders
    frames = torch.randn(2, 40, 80)
    first, again, other = (encoders.new_encoder(name, seed).eval() for seed in (1, 1, 2))
    with torch.no_grad():
        found = first(frames)[0]
        assert found.shape == (2, 40, grid.settings.WIDTH)
        assert torch.equal(found, again(frames)[0])
        assert not torch.allclose(found, other(frames)[0])
    inner = getattr(first, "model", first)
    assert type(inner).__module__.startswith("ptsel_fairseq.plugin.encoders")
    assert 30_000 < encoders.num_parameters(first) < 200_000


class Sound:
    """A stream of frames of two slopes: the label `rms_energy` says which, and `zcr` is noise."""

    def __init__(self, stream):
        rng = np.random.default_rng(0)
        told = rng.choice([-1.0, 1.0], (4000, 1))
        self.input = (told * np.linspace(-1, 1, 80) + 0.3 * rng.standard_normal((4000, 80))).astype(
            np.float32
        )
        self.training_end = 3000
        noise = rng.standard_normal((4000, 1))
        self.tracks = {
            name: stream.Track(values.astype(np.float16), np.ones(4000, bool), np.zeros(1), np.ones(1))
            for name, values in {"rms_energy": told, "zcr": noise}.items()
        }

    def track(self, label):
        return self.tracks[label]


@pytest.fixture
def sound(grid):
    from study_tools import stream

    return Sound(stream)


def test_training_learns_what_can_be_learned(grid, sound):
    weights = {"rms_energy": 0.5, "zcr": 0.5}
    _, told = grid.training.pretrain(sound, "cnn", "equal", weights, 1, 60)
    assert told["rms_energy"]["skill"] > 0.3 > 0.1 > told["zcr"]["skill"]
    assert told["zcr"]["weight"] == pytest.approx(0.5)


def test_rules_change_weights_and_relevance_keeps_lambda(grid, sound):
    weights = {"rms_energy": 0.8, "zcr": 0.2}
    ends = {
        weighting: grid.training.pretrain(sound, "crdnn", weighting, weights, 1, 30)[1]
        for weighting in ("running_ratio", "gradnorm", "uncertainty", "relevance")
    }
    last = {name: tuple(told[label]["weight"] for label in weights) for name, told in ends.items()}
    assert last.pop("relevance") == pytest.approx((0.8, 0.2))
    assert all(pair != pytest.approx((0.8, 0.2), abs=1e-3) for pair in last.values())
    told = ends["running_ratio"]
    factors = {label: told[label]["weight"] / weights[label] for label in weights}
    assert sum(factors.values()) == pytest.approx(2)  # rescaled
    less = min(told, key=lambda label: told[label]["loss"])
    assert factors[less] == max(factors.values())  # the label of the smaller loss counts more


def test_pooling_reads_every_stretch_alone(grid):
    encoder = grid.encoders.new_encoder("crdnn", 1)
    frames = np.random.default_rng(0).standard_normal((300, 80)).astype(np.float32)
    start, end = np.array([0, 40, 100, 7]), np.array([40, 80, 200, 47])
    found = grid.training.pooled(encoder, frames, start, end)
    with torch.no_grad():
        alone = encoder(torch.from_numpy(frames[None, 100:200]))[0][0].numpy()
    np.testing.assert_allclose(found[2], np.hstack([alone.mean(0), alone.std(0)]), atol=1e-5)


def points_of(grid, y, names, several):
    from study_tools.points import Points

    number = len(y)
    test = np.arange(number) % 3 == 0
    task = grid.settings.Task("t", "c", "k", several)
    return Points(
        task=task, start=np.arange(number), end=np.arange(number) + 1, y=y, names=names, test=test,
        valid=~test & (np.arange(number) % 5 == 0), utterance=np.arange(number), seconds=np.zeros((number, 2)),
    )  # fmt: skip


def test_probes_tell_what_is_there_from_what_is_not(grid):
    rng = np.random.default_rng(0)
    y = rng.integers(0, 3, 240)
    clear, noise = np.eye(3)[y] + 0.2 * rng.standard_normal((240, 3)), rng.standard_normal((240, 3))
    points = points_of(grid, y, ("a", "b", "c"), False)
    good, bad = grid.tasks.judge(clear, points), grid.tasks.judge(noise, points)
    assert good.low <= good.test <= good.high
    assert good.test > 0.95 > 0.55 > bad.test
    assert good.valid > 0.9
    several = (rng.random((240, 3)) < 0.4).astype(np.float32)
    points = points_of(grid, several, ("a", "b", "c"), True)
    assert grid.tasks.judge(several + 0.2 * rng.standard_normal((240, 3)), points).test > 0.95
    assert grid.tasks.judge(noise, points).test < 0.65


def test_conclusions_of_planted_rows(grid, tmp_path):
    """Random pick and equal weights are planted as worse; the tables must say so, and count what is there."""
    settings, rng = grid.settings, np.random.default_rng(0)
    file = tmp_path / "grid.csv"
    cells = list(grid.design.cells(1)) + list(grid.design.cells(2))[:18]
    with file.open("w", newline="") as out:
        writer = csv.writer(out)
        writer.writerow(["encoder", "weighting", "workers", "seed", "task", "valid", "score", "low", "high"])
        for encoder, seed, task in product(settings.ENCODERS, settings.SEEDS, settings.TASKS):
            writer.writerow([encoder, "none", "none", seed, task, 0.3, 0.3, 0.2, 0.4])
        for cell, task in product(cells, settings.TASKS):
            gain = 4 - 3 * (cell.workers == "random") - 2 * (cell.weighting == "equal") + rng.normal(0, 0.5)
            score = 0.3 + gain / 100
            writer.writerow(
                [cell.encoder, cell.weighting, cell.workers, cell.seed, task, score, score, 0.2, 0.5]
            )
    rows, random = grid.analysis.read_grid(file)
    model = grid.analysis.model_of(rows, 100)
    assert len(model.terms) == 6
    asked = {row["difference"]: row for row in grid.analysis.questions(model)}
    for rule in ("dwa", "relevance"):
        row = asked[f"{rule} over equal"]
        assert row["points"] == pytest.approx(2, abs=0.3)
        assert 0 < row["points_low"] <= row["points"] <= row["points_high"]
    assert asked["all music workers over a random pick"]["points"] == pytest.approx(3, abs=0.3)
    assert abs(asked["crdnn over cnn"]["points"]) < 0.3
    explained = {row["term"]: row for row in grid.analysis.explained(model, 50)}
    assert explained["workers"]["p"] < 1e-9
    assert explained["weighting × workers"]["p"] > 1e-4
    counts = grid.analysis.counted(rows, settings.SEEDS)
    assert [row["complete"] for row in counts] == [126, 18]
    best = grid.analysis.best_of_tasks(rows, random, {})
    assert all(row["score"] > row["random"] == 30 for row in best)


def test_a_beginning_tells_main_effects_apart_before_interactions(grid, tmp_path):
    file, rng = tmp_path / "grid.csv", np.random.default_rng(0)
    settings = grid.settings
    lines = ["encoder,weighting,workers,seed,task,valid,score,low,high"]
    for encoder, task in product(settings.ENCODERS, settings.TASKS):
        lines.append(f"{encoder},none,none,1,{task},0.3,0.3,0.2,0.4")
    begun = list(grid.design.cells(1))[: grid.design.BLOCK]
    lines += [
        f"{c.encoder},{c.weighting},{c.workers},1,{task},0.4,{rng.random()},0.2,0.5"
        for c, task in product(begun, settings.TASKS)
    ]
    file.write_text("\n".join(lines) + "\n")
    model = grid.analysis.model_of(grid.analysis.read_grid(file)[0], 20)
    assert model is not None
    assert ("weighting", "workers") in model.left_out
    file.write_text("\n".join(lines[:40]) + "\n")
    assert grid.analysis.model_of(grid.analysis.read_grid(file)[0], 20) is None
