"""The warning about a collapsed quantiser: when it comes, and when it does not."""

from __future__ import annotations

import pytest

pytest.importorskip("fairseq", reason="the plugin needs the extra [fairseq]")

from plugin_tools import batch_of, build, recipe

from ptsel_fairseq.plugin import health
from ptsel_fairseq.plugin.health import PATIENCE, CollapseWatch


def logs(perplexity, workers=2):
    # Sums over the two micro-batches of each worker, as the trainer hands them over.
    one = {"_batches": 2, "code_perplexity": 2 * perplexity, "loss": 300.0, "_pretext_weighted": 100.0}
    return [one] * workers


def test_it_warns_once_after_a_while_and_says_what_to_look_at(caplog):
    watch = CollapseWatch(codebooks=2, codes=320)
    for _ in range(PATIENCE - 1):
        watch.look(logs(2.1))
    assert not caplog.records
    for _ in range(500):
        watch.look(logs(2.1))
    (record,) = caplog.records
    assert "below 3 for 100 updates (now 2.10; 2 codebooks of 320 codes)" in record.message
    assert "now 25 % of the loss" in record.message
    assert "criterion.pretext_scale" in record.message


def test_a_single_good_update_ends_the_count(caplog):
    watch = CollapseWatch(codebooks=2, codes=320)
    for update in range(5 * PATIENCE):
        watch.look(logs(80.0 if update % (PATIENCE - 1) == 0 else 2.0))
    watch.look([{"_batches": 1, "loss": 1.0}])  # a recipe that does not log it
    assert not caplog.records


def test_it_comes_again_after_long(caplog, monkeypatch):
    monkeypatch.setattr(health, "REPEAT", 50)
    watch = CollapseWatch(codebooks=1, codes=320)
    for _ in range(PATIENCE + 120):
        watch.look(logs(1.0))
    assert len(caplog.records) == 3


def test_the_task_looks_at_training_and_not_at_validation(data_dir, store_dir, monkeypatch):
    from fairseq.logging import metrics

    task, model, criterion = build(recipe(data_dir, store_dir))
    task.load_dataset("train")
    log = criterion(model, batch_of(task, "train", [0, 1, 2]))[2]
    seen = []
    monkeypatch.setattr(task.collapse_watch, "look", seen.append)
    with metrics.aggregate():
        criterion.train()
        task.reduce_metrics([log], criterion)
        criterion.eval()
        task.reduce_metrics([log], criterion)
    assert seen == [[log]]
    assert (task.collapse_watch.codebooks, task.collapse_watch.codes) == (2, 40)
