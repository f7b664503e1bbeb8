"""The parts of examples/label_study that make its rows: streams, points, planted labels, encoders, heads, tables."""

from __future__ import annotations

import importlib

import numpy as np
import pytest
import torch
from example_tools import modules_of


@pytest.fixture(scope="module")
def label_study():
    with modules_of("label_study") as modules:
        yield modules


@pytest.fixture(scope="module")
def pool(label_study):
    """Twelve recordings of noise in a stream, the last four of the test part, with two labels."""
    made = object.__new__(label_study.pool.Pool)
    rng = np.random.default_rng(0)
    gap = label_study.encoder.GAP
    made.name, made.paths = "speech", [f"a/{i}.flac" for i in range(12)]
    made.test = np.arange(12) >= 8
    made.frames = rng.integers(120, 200, 12)
    made.samples = made.frames * 320 + 80
    made.lines = np.arange(12)
    made.first = gap + np.concatenate([[0], np.cumsum(made.frames + gap)[:-1]])
    inside = made.owner >= 0
    loudness = np.where(inside, rng.gamma(2, 1, made.total), 0)[:, None].astype(np.float32)
    voiced = inside & (rng.random(made.total) < 0.6)
    f0 = np.where(voiced, 120 + 20 * rng.standard_normal(made.total), 0)[:, None].astype(np.float32)
    mel = np.where(inside[:, None], 8 * rng.standard_normal((made.total, 80)) - 40, 0).astype(np.float32)
    made._tracks = {
        "loudness": made.standardised(loudness, inside),
        "f0": made.standardised(f0, voiced, 0.0),
        "log_mel": made.standardised(mel, inside),
        "mfcc": made.standardised(mel[:, :39], inside),
    }
    return made


def points_of(label_study, pool, summary, classes=3, width=40):
    """Every second stretch of `width` frames of each recording is a point; classes in turn."""
    spans = [
        (int(first) + k, int(first) + k + width, number)
        for number, (first, frames) in enumerate(zip(pool.first, pool.frames, strict=True))
        for k in range(0, frames - width, 2 * width)
    ]
    start, end, utterance = (np.array(column) for column in zip(*spans, strict=True))
    test = pool.test[utterance]
    return label_study.points.Points(
        task=label_study.settings.Task("t", "speech", summary), start=start, end=end,
        y=np.arange(len(spans)) % classes, names=tuple("abc"[:classes]), test=test,
        valid=~test & (utterance % 4 == 0), utterance=utterance, seconds=np.zeros((len(spans), 2)),
    )  # fmt: skip


def test_labels_are_standardised_by_the_training_part_alone(pool):
    track = pool.track("f0")
    seen = track.values[: pool.training_end][track.valid[: pool.training_end]].astype(float)
    assert abs(seen.mean()) < 1e-3
    assert seen.std() == pytest.approx(1, abs=1e-3)
    assert not track.values[~track.valid].any()
    assert pool.owner[pool.training_end - 1] == 7
    assert (pool.owner[pool.training_end :] != 7).all()


@pytest.mark.parametrize("summary", ["mean", "mean_std", "downsample"])
def test_summaries_against_a_loop(label_study, pool, summary):
    points = points_of(label_study, pool, summary)
    frames = np.random.default_rng(1).standard_normal((pool.total, 5)).astype(np.float32)
    found = points.summarise(frames)
    for i, (a, b) in enumerate(zip(points.start, points.end, strict=True)):
        part = frames[a:b].astype(float)
        if summary == "mean":
            expected = part.mean(axis=0)
        elif summary == "mean_std":
            expected = np.concatenate([part.mean(axis=0), part.std(axis=0)])
        else:
            from ptsel_fairseq.selection import gaussian_downsample

            expected = gaussian_downsample(part, 4).ravel()
        np.testing.assert_allclose(found[i], expected, atol=1e-4)


@pytest.mark.parametrize("summary", ["mean", "mean_std", "downsample"])
def test_summaries_of_a_label_skip_undefined_frames(label_study, pool, summary):
    points, track = points_of(label_study, pool, summary), pool.track("f0")
    found, raw = points.summarise_track(track), points.summarise_track(track, raw=True)
    for i, (a, b) in enumerate(zip(points.start, points.end, strict=True)):
        valid, values = track.valid[a:b], track.values[a:b, 0].astype(float)
        own = np.where(valid, values * track.std + track.mean, 0.0)  # 0 Hz where there is no voice
        assert raw[i, 0] == pytest.approx(own.mean(), rel=1e-4)
        if summary == "mean":
            assert found[i, 0] == pytest.approx(values[valid].mean(), abs=1e-4)
        elif summary == "mean_std":
            assert found[i] == pytest.approx([values[valid].mean(), values[valid].std()], abs=1e-3)
    assert found.shape == (len(points), {"mean": 1, "mean_std": 2, "downsample": 4}[summary])


def test_a_point_without_a_defined_frame_has_no_summary(label_study, pool):
    points = points_of(label_study, pool, "mean")
    valid = pool.track("f0").valid.copy()
    valid[points.start[3] : points.end[3]] = False
    track = pool.standardised(pool.track("f0").values.astype(np.float32), valid)
    assert np.flatnonzero(np.isnan(points.summarise_track(track)[:, 0])).tolist() == [3]


def test_planted_labels_are_what_they_are_called(label_study, pool):
    points = {"phones": points_of(label_study, pool, "mean")}
    controls = label_study.controls
    made = {name: controls.planted(pool, name, points) for name in label_study.settings.CONTROLS}
    inside = pool.owner >= 0
    for name, track in made.items():
        again = controls.planted(pool, name, points)
        np.testing.assert_array_equal(track.values, again.values)
        assert not track.valid[~inside].any(), name
    first, frames = pool.first[5], pool.frames[5]
    own = slice(first, first + frames)
    time = made["ctl_time"].values[own, 0].astype(float)
    assert np.corrcoef(time, np.arange(frames))[0, 1] > 0.999
    shifted, f0 = made["ctl_f0_shifted"].values[own, 0], pool.track("f0").values[own, 0]
    assert np.corrcoef(np.sort(shifted.astype(float)), np.sort(f0.astype(float)))[0, 1] > 0.99
    assert not np.allclose(shifted, f0)
    noise = made["ctl_utterance_noise"].values[:, 0].astype(float)
    within = np.mean([noise[a : a + n].var() for a, n in zip(pool.first, pool.frames, strict=True)])
    assert within < 0.3 * noise[inside].var()
    white = made["ctl_white_noise"].values[:, 0].astype(float)
    assert np.mean([white[a : a + n].var() for a, n in zip(pool.first, pool.frames, strict=True)]) > 0.9


def test_the_mfcc_of_another_recording_is_never_its_own(label_study, pool):
    track = label_study.controls.planted(pool, "ctl_mfcc_other", {})
    own = pool.track("mfcc").values
    for first, frames in zip(pool.first, pool.frames, strict=True):
        part = slice(first, first + frames)
        assert abs(np.corrcoef(track.values[part].ravel(), own[part].ravel())[0, 1]) < 0.2


@pytest.mark.parametrize("noise", [0.25, 4.0])
def test_an_oracle_knows_the_classes_of_the_training_part_only(label_study, pool, noise):
    points = points_of(label_study, pool, "mean")
    track = label_study.controls.planted(pool, f"orc_phones_{noise:g}", {"phones": points})
    z = points.summarise_track(track)
    assert np.isnan(z[points.test]).all()
    seen, y = z[~points.test], points.y[~points.test]
    means = np.array([seen[y == c].mean(axis=0) for c in range(3)])
    inside = np.mean([(seen[y == c] - means[c]).var() for c in range(3)])
    between = means.var(axis=0).mean()
    assert (between > inside) == (noise < 1)
    assert not track.valid[pool.training_end :].any()


def test_training_learns_a_label_that_can_be_heard_and_not_noise(label_study, pool):
    """From features of recordings that it did not see, a label that can be heard is predicted, and noise is not."""
    encoder = label_study.encoder
    heard = pool.standardised(pool.input[:, 10:12].copy(), pool.owner >= 0)
    noise = label_study.controls.planted(pool, "ctl_white_noise", {})
    tracks = {"heard": heard, "noise": noise}
    trained, losses = encoder.pretrain(pool, tracks, {"heard": 0.5, "noise": 0.5}, seed=1, updates=30)
    assert set(losses) == {"heard", "noise"}
    features = encoder.features(trained, pool)
    seen, held = np.flatnonzero((pool.owner >= 0) & (pool.owner < 8)), np.flatnonzero(pool.owner >= 8)
    explained = {}
    for name, track in tracks.items():
        z = track.values[:, 0].astype(float)
        weights, *_ = np.linalg.lstsq(features[seen], z[seen], rcond=1e-4)
        explained[name] = 1 - np.var(z[held] - features[held] @ weights) / np.var(z[held])
    assert explained["heard"] > 0.3
    assert explained["noise"] < 0.05


def test_training_again_gives_the_same_encoder(label_study, pool):
    heard = {"x": pool.standardised(pool.input[:, 10:12].copy(), pool.owner >= 0)}
    one, two, other = (
        label_study.encoder.pretrain(pool, heard, {"x": 1.0}, seed, 5)[0] for seed in (1, 1, 2)
    )
    for a, b, c in zip(one.parameters(), two.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_training_sees_nothing_of_the_test_part(label_study, pool):
    heard = pool.standardised(pool.input[:, 10:12].copy(), pool.owner >= 0)
    changed = heard.values.copy()
    changed[pool.training_end :] = 99
    other = label_study.pool.Track(changed, heard.valid, heard.mean, heard.std)
    one, _ = label_study.encoder.pretrain(pool, {"x": heard}, {"x": 1.0}, seed=2, updates=10)
    two, _ = label_study.encoder.pretrain(pool, {"x": other}, {"x": 1.0}, seed=2, updates=10)
    for a, b in zip(one.parameters(), two.parameters(), strict=True):
        assert torch.equal(a, b)


def test_features_in_blocks_are_those_of_the_whole_stream(label_study, pool, monkeypatch):
    encoder = label_study.encoder.new_encoder(3)
    monkeypatch.setattr(label_study.encoder, "BLOCK", 300)
    found = label_study.encoder.features(encoder, pool)
    with torch.no_grad():
        whole = encoder(torch.from_numpy(pool.input[None]))[0].numpy()
    edge = label_study.encoder.GAP
    np.testing.assert_allclose(found[edge:-edge], whole[edge:-edge], atol=1e-5)
    points = points_of(label_study, pool, "mean")
    needed = np.zeros(pool.total, bool)
    for first, last in zip(points.start, points.end, strict=True):
        needed[first:last] = True
    some = label_study.encoder.features(encoder, pool, needed)
    np.testing.assert_allclose(some[needed], whole[needed], atol=1e-5)
    assert not some[np.abs(np.arange(pool.total)[:, None] - np.flatnonzero(needed)).min(axis=1) > edge].any()


def test_ridge_is_that_of_scikit_learn(label_study, pool, monkeypatch):
    from sklearn.linear_model import Ridge

    monkeypatch.setattr(label_study.ridge, "RIDGE_CHANNELS", 16)
    shared = label_study.ridge.RandomFeatures(pool, 1)
    track = pool.track("f0")
    rows = np.flatnonzero(track.valid[: pool.training_end])
    x, z = shared.frames[rows, :-1].astype(float), track.values[rows].astype(float)
    expected = Ridge(label_study.settings.RIDGE * len(rows)).fit(x, z)
    found = shared.fit(track)
    np.testing.assert_allclose(found[:-1].T, np.atleast_2d(expected.coef_), atol=1e-6)
    np.testing.assert_allclose(found[-1], expected.intercept_, atol=1e-6)


def gaussians(rng, n=400, dim=6, classes=3, apart=1.5):
    y = rng.integers(0, classes, n)
    return (apart * rng.standard_normal((classes, dim))[y] + rng.standard_normal((n, dim))).astype(
        np.float32
    ), y


def test_logistic_regression_is_that_of_scikit_learn(label_study):
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(5)
    x, y = gaussians(rng)
    penalty = 0.05
    found = label_study.probes.logistic(torch.from_numpy(x), torch.from_numpy(y), 3, penalty, iterations=60)
    expected = LogisticRegression(C=1 / (penalty * len(x)), tol=1e-8, max_iter=1000).fit(x, y)
    np.testing.assert_allclose(found[:-1].numpy().T, expected.coef_, atol=5e-3)


def test_heads_tell_classes_apart_and_chance_stays_chance(label_study):
    rng = np.random.default_rng(6)
    x, y = gaussians(rng, 600)
    test, valid = np.arange(600) >= 400, np.arange(600) < 80
    for run in (label_study.probes.linear, lambda *parts: label_study.probes.mlp(*parts, 1)):
        known = run(x, y, ~test, valid, test)
        chance = run(x, rng.permutation(y), ~test, valid, test)
        assert known.accuracy > 0.75
        assert abs(chance.accuracy - 1 / 3) < 0.12
        assert known.nll < chance.nll


def test_a_head_never_sees_the_classes_of_the_test_part(label_study):
    rng = np.random.default_rng(7)
    x, y = gaussians(rng, 300)
    test, valid = np.arange(300) >= 200, np.arange(300) < 40
    other = y.copy()
    other[test] = rng.permutation(y[test])
    for run in (label_study.probes.linear, lambda *parts: label_study.probes.mlp(*parts, 1)):
        own, changed = run(x, y, ~test, valid, test), run(x, other, ~test, valid, test)
        assert own.accuracy > changed.accuracy + 0.2  # the answers are the same, the truth is not


def test_few_examples_are_so_many_of_each_class(label_study):
    y = np.repeat([0, 1, 2], [50, 3, 20])
    train = np.arange(73) % 5 > 0
    chosen = label_study.probes.few_examples(y, train, 5, 1)
    assert not chosen[~train].any()
    assert [int((chosen & (y == c)).sum()) for c in range(3)] == [5, min(5, int((train & (y == 1)).sum())), 5]


def test_a_table_goes_on_where_it_was_cut_off(label_study, tmp_path):
    tables = importlib.import_module("study_tools.tables")
    file = tmp_path / "rows.csv"
    table = tables.Table(file, ("name", "seed", "value"), ("name", "seed"))
    table.add({"name": "a", "seed": 1, "value": 0.5})
    table.add({"name": "a", "seed": 1, "value": 0.7})  # there already
    with file.open("a") as out:
        out.write("b,1,0.3")  # interrupted
    table = tables.Table(file, ("name", "seed", "value"), ("name", "seed"))
    assert {"name": "a", "seed": 1} in table
    assert {"name": "b", "seed": 1} not in table
    table.add({"name": "b", "seed": 1, "value": 0.4})
    assert tables.read(file) == [
        {"name": "a", "seed": "1", "value": "0.5"},
        {"name": "b", "seed": "1", "value": "0.4"},
    ]


def test_every_model_of_the_plan_has_weights_that_sum_to_one(label_study, tmp_path):
    models, settings = label_study.models, label_study.settings
    labels = [f"label{i}" for i in range(34)]
    run = settings.Settings(tmp_path, tmp_path, ())
    planned = list(models.plan(run, labels))
    assert len({(m.pool, m.name, m.seed) for m in planned}) == len(planned)
    assert all(abs(sum(m.weights.values()) - 1) < 1e-12 for m in planned if m.kind != "random")
    groups = [m for m in planned if m.kind == "group"]
    assert len(groups) == 2 * settings.NUM_GROUPS
    assert {len(m.weights) for m in groups} == set(range(1, 11))
    for seed in settings.SEEDS:
        of_seed = {(m.pool, m.name) for m in planned if m.seed == seed and m.kind in ("single", "control")}
        assert len(of_seed) == 2 * (34 + len(settings.CONTROLS))
    assert planned == list(models.plan(run, labels))


def test_an_oracle_belongs_to_one_task_even_if_names_begin_alike(label_study):
    controls, tasks = label_study.controls, label_study.settings.TASKS
    assert controls.oracles_of("question") == ["orc_question_0.25", "orc_question_1", "orc_question_4"]
    every = [name for task in tasks for name in controls.oracles_of(task)]
    assert sorted(every) == sorted(
        name for pool in ("speech", "music") for name in controls.oracle_names(pool)
    )
    assert all(controls.task_of_oracle(name) in tasks for name in every)


def test_a_chosen_group_is_judged_on_the_task_it_was_chosen_for(label_study):
    model = label_study.models.Model("way_question_cs_v_0.1", "chosen", "speech", 1, {"f0": 1.0})
    assert label_study.tiers.tasks_of(model) == ("question_cs",)
    model = label_study.models.Model("way_instruments_papers_sparsemax", "chosen", "music", 1, {"f0": 1.0})
    assert label_study.tiers.tasks_of(model) == ("instruments",)
