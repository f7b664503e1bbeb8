"""Alignment by a CTC model against every path of small problems."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.downstream.alignment.ctc import best_path, letters_of, stretches_of_path, words_of


def collapsed(path):
    return [symbol for symbol, _ in itertools.groupby(path) if symbol != 0]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 6), st.lists(st.integers(1, 3), min_size=1, max_size=4), st.integers(0, 2**32 - 1)
)  # fmt: skip
def test_the_best_path_is_the_best_of_all_paths(frames, targets, seed):
    scores = np.random.default_rng(seed).normal(size=(frames, 4))
    log_probs = scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))
    fitting = [p for p in itertools.product(range(4), repeat=frames) if collapsed(p) == targets]
    found = best_path(log_probs, np.array(targets))
    if not fitting:
        assert found is None
        return
    best = max(sum(log_probs[t, s] for t, s in enumerate(p)) for p in fitting)
    symbols = [0 if place < 0 else targets[place] for place in found]
    assert collapsed(symbols) == targets
    assert sum(log_probs[t, s] for t, s in enumerate(symbols)) == pytest.approx(best)


def torchaudio_path(log_probs, targets):
    """The symbol of each frame as torchaudio aligns; skips where its compiled part is not there."""
    try:
        import torch
        from torchaudio.functional import forced_align

        path, _ = forced_align(torch.from_numpy(log_probs)[None], torch.tensor([targets], dtype=torch.int32))
    except (ImportError, OSError, RuntimeError, AttributeError) as error:
        pytest.skip(f"no torchaudio with its compiled part: {str(error).splitlines()[0]}")
    return path[0].tolist()


@pytest.mark.parametrize("seed", range(5))
def test_the_path_is_that_of_torchaudio(seed):
    rng = np.random.default_rng(seed)
    scores = rng.normal(size=(400, 30))
    log_probs = (scores - np.log(np.exp(scores).sum(axis=1, keepdims=True))).astype(np.float32)
    targets = [3, 3, *rng.integers(1, 30, 90).tolist(), 7, 7]
    found = best_path(log_probs.astype(np.float64), np.array(targets))
    assert [0 if place < 0 else targets[place] for place in found] == torchaudio_path(log_probs, targets)


def test_stretches_of_a_path_made_by_hand():
    names = ["T", "O", "|", "I", "|"]
    path = np.array([-1, 0, -1, -1, 1, 1, 2, -1, 3, 4, -1])
    log_probs = np.log(np.full((11, 6), 0.5))
    log_probs[1, 1], log_probs[4, 2] = np.log(0.8), np.log(0.2)
    pieces = stretches_of_path(path, log_probs, np.array([1, 2, 3, 4, 5]), FrameGrid())
    times = [(round((p.start - 0.0025) / 0.02, 6), round((p.end - 0.0025) / 0.02, 6)) for p in pieces]
    assert times == [(1, 3), (3, 6), (6, 7.5), (7.5, 9), (9, 10)]
    words = words_of(pieces, names)
    assert [(w.name, w.start, w.end) for w in words] == [
        ("TO", pieces[0].start, pieces[1].end),
        ("I", pieces[3].start, pieces[3].end),
    ]
    assert pieces[0].confidence == pytest.approx(0.8)
    assert pieces[1].confidence == pytest.approx(0.1**0.5)
    assert words[0].confidence == pytest.approx((0.8 * 0.1**0.5) ** 0.5)
    assert [p.name for p in letters_of(pieces, names)] == ["T", "O", "I"]
