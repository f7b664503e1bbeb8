"""The frame grid is that of the encoder's convolutions, and segments of time fall on the right frames."""

from __future__ import annotations

import itertools
import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid

WAV2VEC2 = [(512, 10, 5), *[(512, 3, 2)] * 4, *[(512, 2, 2)] * 2]
STACKS = [WAV2VEC2, [(8, 10, 5), (8, 8, 4), (8, 4, 2)], [(4, 7, 3), (4, 3, 1)], [(1, 1, 1)]]


def one_channel(layers: list[tuple[int, int, int]]) -> torch.nn.Sequential:
    convolutions = [torch.nn.Conv1d(1, 1, kernel, stride, bias=False) for _, kernel, stride in layers]
    stack = torch.nn.Sequential(*convolutions).requires_grad_(False)
    for convolution in convolutions:
        convolution.weight.fill_(1.0)
    return stack


def test_wav2vec2_grid():
    assert (
        FrameGrid.of_conv_layers(WAV2VEC2)
        == FrameGrid()
        == FrameGrid(hop=320, window=400, sample_rate=16_000)
    )
    assert FrameGrid().frame_rate == 50
    assert [FrameGrid().centre(i) for i in range(3)] == [200, 520, 840]


def test_as_many_frames_as_the_encoder_for_a_thousand_lengths():
    stack, grid = (
        one_channel(WAV2VEC2).to("meta"),
        FrameGrid.of_conv_layers(WAV2VEC2),
    )  # shapes without the sums
    draw = random.Random(0)
    lengths = [400, 401, 719, 720, 721, *(draw.randint(400, 600_000) for _ in range(1000))]
    for length in lengths:
        assert stack(torch.empty(1, 1, length, device="meta")).shape[-1] == grid.num_frames(length), length


@pytest.mark.parametrize("layers", STACKS)
def test_each_frame_sees_the_samples_that_the_grid_says(layers):
    """A one at sample s reaches exactly the frames whose window holds s."""
    stack, grid = one_channel(layers), FrameGrid.of_conv_layers(layers)
    length = grid.num_samples(12) + 3
    for sample in random.Random(1).sample(range(length), min(40, length)):
        impulse = torch.zeros(1, 1, length)
        impulse[0, 0, sample] = 1.0
        reached = stack(impulse)[0, 0].nonzero().flatten().tolist()
        holds = [
            frame
            for frame in range(grid.num_frames(length))
            if grid.hop * frame <= sample < grid.hop * frame + grid.window
        ]
        assert set(reached) <= set(holds)
        if all(kernel >= stride for _, kernel, stride in layers):
            assert reached == holds


@given(st.integers(1, 500), st.integers(1, 900), st.integers(0, 5000))
def test_num_samples_is_the_fewest(hop, window, frames):
    grid = FrameGrid(hop=hop, window=window)
    samples = grid.num_samples(frames)
    assert grid.num_frames(samples) == frames
    assert grid.num_frames(max(0, samples - 1)) == max(0, frames - 1)


times = st.floats(-1.0, 12.0, allow_nan=False)


@given(st.integers(0, 160_000), times, times)
def test_frames_between_are_those_whose_centre_is_inside(samples, one, other):
    grid = FrameGrid()
    start, end = sorted((one, other))
    first, last = grid.frames_between(start, end, samples)
    total = grid.num_frames(samples)
    assert 0 <= first <= last <= total
    inside = [i for i in range(total) if start * 16_000 <= grid.centre(i) < min(end * 16_000, samples)]
    if inside:
        assert (first, last) == (inside[0], inside[-1] + 1)
    elif total:
        middle = (start + min(end, samples / 16_000)) / 2 * 16_000
        distance = [abs(grid.centre(i) - middle) for i in range(total)]
        assert last == first + 1
        assert distance[first] <= min(distance) + 1e-3
    else:
        assert first == last == 0


@given(st.integers(400, 160_000), st.lists(st.floats(0.0, 10.0, allow_nan=False), min_size=1, max_size=20))
def test_neighbouring_segments_share_no_frame_and_leave_none_out(samples, cuts):
    """Where each piece holds a centre, a partition of time is a partition of frames."""
    grid = FrameGrid()
    edges = [0.0, *sorted(set(cuts) - {0.0}), math.inf]
    pieces = [grid.frames_between(a, b, samples) for a, b in itertools.pairwise(edges)]
    holding = [
        (first, last)
        for (first, last), a, b in zip(pieces, edges[:-1], edges[1:], strict=True)
        if any(a * 16_000 <= grid.centre(i) < b * 16_000 for i in range(first, last))
    ]
    assert [frame for first, last in holding for frame in range(first, last)] == list(
        range(grid.num_frames(samples))
    )


def test_the_whole_utterance():
    assert FrameGrid().frames_between(0.0, math.inf, 16_000) == (0, 49)


@pytest.mark.parametrize(("field", "value"), [("hop", 0), ("window", -1), ("sample_rate", 0)])
def test_a_grid_that_cannot_be(field, value):
    with pytest.raises(PtselError, match=f"{field}={value}"):
        FrameGrid(**{"hop": 320, "window": 400, "sample_rate": 16_000, field: value})


def test_counts_are_python_integers():
    assert type(FrameGrid().num_frames(np.int64(16_000).item())) is int
