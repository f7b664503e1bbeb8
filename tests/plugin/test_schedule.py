"""The schedule of the pretext part's weight."""

from __future__ import annotations

import pytest
import torch
from plugin_tools import batch_of, build, recipe

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.plugin.schedule import ScaleSchedule


def test_the_scale_rises_holds_falls_and_stops():
    schedule = ScaleSchedule(2.0, warmup=4, decay=5, stop=20)
    assert [schedule.at(t) for t in range(5)] == [0.5, 1.0, 1.5, 2.0, 2.0]
    assert [schedule.at(t) for t in (14, 15, 16, 19, 20, 500)] == pytest.approx([2, 2, 1.6, 0.4, 0, 0])
    assert ScaleSchedule(3.0).at(10**6) == 3.0
    assert ScaleSchedule(3.0, stop=7).at(6) == 3.0


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"scale": -1.0}, "pretext_scale"),
        ({"scale": float("nan")}, "pretext_scale"),
        ({"scale": 1.0, "warmup": -1}, "pretext_warmup_updates"),
        ({"scale": 1.0, "decay": 5}, "pretext_stop_updates"),
        ({"scale": 1.0, "warmup": 5, "decay": 5, "stop": 9}, "= 10, found 9"),
    ],
)
def test_schedules_that_cannot_be_followed_are_refused(settings, message):
    with pytest.raises(PtselError, match=message):
        ScaleSchedule(**settings)


def test_training_follows_it(data_dir, store_dir):
    cfg = recipe(data_dir, store_dir, criterion__pretext_warmup_updates=4, criterion__pretext_stop_updates=9)
    task, model, criterion = build(cfg)
    task.load_dataset("train")
    batch = batch_of(task, "train", [0, 1])

    class Optimizer:
        def backward(self, loss):
            loss.backward()

    def weighted(update):
        torch.manual_seed(0)
        log = task.train_step(batch, model, criterion, Optimizer(), update)[2]
        return float(log["_pretext_weighted"]), log["_scale"]

    first, middle, last = weighted(0), weighted(5), weighted(9)
    assert (first[1], middle[1], last[1]) == (0.25, 1.0, 0.0)
    assert first[0] == pytest.approx(0.25 * middle[0], rel=1e-5)
    assert last[0] == 0
