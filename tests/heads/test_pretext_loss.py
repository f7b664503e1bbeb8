"""PretextLoss: the stated formula, over one process and several, and what it refuses."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.heads import PretextLoss, mean_over_processes
from ptsel_fairseq.heads import pretext as pretext_module

WEIGHTS = {"f0": 0.3, "mfcc": 0.7}
DIMS = {"f0": 1, "mfcc": 3}


def batch(rows: int = 4, frames: int = 6, seed: int = 0) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    rng = torch.Generator().manual_seed(seed)
    valid = torch.rand(rows, frames, 2, generator=rng) > 0.4
    target = torch.randn(rows, frames, 4, generator=rng)
    return torch.randn(rows, frames, 8, generator=rng), {"target": target, "valid": valid}


def make(**settings) -> PretextLoss:
    torch.manual_seed(1)
    return PretextLoss(WEIGHTS, DIMS, 8, **settings)


def test_it_is_the_stated_formula():
    pretext = make(scale=0.5)
    frames, tracks = batch()
    found = pretext(frames, tracks)
    expected, means = 0.0, {}
    for k, (label, columns) in enumerate({"f0": [0], "mfcc": [1, 2, 3]}.items()):
        layer = pretext.heads.by_label[label]
        sums, count = 0.0, 0
        for row in range(4):
            for frame in range(6):
                if tracks["valid"][row, frame, k]:
                    said = (
                        layer.weight.detach().numpy() @ frames[row, frame].numpy()
                        + layer.bias.detach().numpy()
                    )
                    sums += np.abs(said - tracks["target"][row, frame, columns].numpy()).mean()
                    count += 1
        means[label] = sums / count
        expected += 0.5 * WEIGHTS[label] * sums / count
    assert found.loss.item() == pytest.approx(expected, rel=1e-5)
    assert found.means() == pytest.approx(means, rel=1e-5)


def test_padding_does_not_count():
    pretext = make()
    frames, tracks = batch()
    padding = torch.zeros(4, 6, dtype=torch.bool)
    padding[1:, 3:] = True
    with_mask = pretext(frames, tracks, padding_mask=padding).loss
    cleared = {**tracks, "valid": tracks["valid"] & ~padding.unsqueeze(-1)}
    assert torch.equal(with_mask, pretext(frames, cleared).loss)
    assert not torch.equal(with_mask, pretext(frames, tracks).loss)


def test_the_skill_is_one_where_the_prediction_is_right_and_zero_for_the_median():
    pretext = make()
    frames, tracks = batch()
    medians = [float(tracks["target"][..., 0][tracks["valid"][..., 0]].median())]
    with torch.no_grad():
        pretext.heads.by_label["f0"].weight.zero_()
        pretext.heads.by_label["f0"].bias.copy_(torch.tensor(medians))
    assert pretext(frames, tracks).skills()["f0"] == pytest.approx(0, abs=1e-6)
    with torch.no_grad():
        pretext.heads.by_label["f0"].weight[0, 0] = 1.0
        pretext.heads.by_label["f0"].bias.zero_()
        frames[..., 1:] = 0
        frames[..., 0] = tracks["target"][..., 0]
    assert pretext(frames, tracks).skills()["f0"] == 1


def test_a_label_without_a_valid_frame_costs_nothing():
    pretext = make()
    frames, tracks = batch()
    tracks["valid"][..., 0] = False
    found = pretext(frames.requires_grad_(), tracks)
    found.loss.backward()
    assert found.loss.item() == pytest.approx(0.7 * found.means()["mfcc"])
    assert frames.grad.isfinite().all()
    assert not pretext.heads.by_label["f0"].weight.grad.any()
    assert math.isnan(found.means()["f0"])


def test_gradients_averaged_over_processes_are_those_of_the_joined_batch(monkeypatch):
    """The halves have unlike numbers of valid frames; DistributedDataParallel averages their gradients."""
    frames, tracks = batch(6)
    tracks["valid"][0:6:2] = False
    tracks["valid"][0, 0] = True

    def gradients(rows: slice) -> list[torch.Tensor]:
        pretext = make().train()
        pretext(frames[rows], {name: value[rows] for name, value in tracks.items()}).loss.backward()
        return [parameter.grad for parameter in pretext.parameters()]

    joined = gradients(slice(None))
    alone = [gradients(slice(p, None, 2)) for p in (0, 1)]
    mean = tracks["valid"].sum((0, 1)).float() / 2
    monkeypatch.setattr(pretext_module, "mean_over_processes", lambda counts: mean)
    shared = [gradients(slice(p, None, 2)) for p in (0, 1)]
    for whole, one, other in zip(joined, *shared, strict=True):
        torch.testing.assert_close((one + other) / 2, whole, rtol=1e-5, atol=1e-6)
    naive = [(one + other) / 2 for one, other in zip(*alone, strict=True)]
    assert not all(torch.allclose(n, w, rtol=1e-2) for n, w in zip(naive, joined, strict=True))


def test_in_one_process_the_mean_is_the_value():
    values = torch.tensor([2.0, 3.0])
    assert mean_over_processes(values) is values


def test_heads_elsewhere_get_the_frames_of_their_place():
    heads = {"f0": {"attach": "conv"}, "mfcc": {"attach": 2}}
    pretext = PretextLoss(WEIGHTS, DIMS, {"output": 8, "conv": 5}, heads, depth=2)
    frames, tracks = batch()
    found = pretext({"conv": torch.randn(4, 6, 5), 2: frames, "output": torch.zeros(4, 6, 8)}, tracks)
    assert found.loss.item() > 0
    with pytest.raises(
        PtselError, match="heads attach at 2; expected frames of these places, found those of conv"
    ):
        pretext({"conv": torch.randn(4, 6, 5)}, tracks)
    with pytest.raises(PtselError, match="heads attach at conv, 2"):
        pretext(frames, tracks)


def test_labels_with_a_loss_of_their_own_values_are_told():
    assert make(heads={"f0": {"loss": "bce"}}).raw_labels == {"f0"}
    assert make().raw_labels == set()


@pytest.mark.parametrize(
    ("weights", "settings", "message"),
    [
        ({}, {}, "found no label"),
        ({"f0": 0.0}, {}, r"expected a positive weight for each label, found f0: 0\.0"),
        ({"f0": math.nan}, {}, "found f0: nan"),
        ({"zcr": 1.0}, {}, "dims: expected one for each label of weights, found none of zcr"),
        ({"f0": 1.0}, {"heads": {"f0": {"source": "online"}}}, "f0 has source: online"),
        ({"f0": 1.0}, {"heads": {"f0": {"attach": 3}}}, "attach"),
        ({"f0": 1.0}, {"balancing": "best"}, "expected one of none"),
        (
            WEIGHTS,
            {"balancing": "gradnorm", "heads": {"f0": {"attach": "conv"}}},
            "gradnorm compares gradients at one place",
        ),
    ],
)
def test_what_cannot_be_used_is_refused(weights, settings, message):
    with pytest.raises(PtselError, match=message):
        PretextLoss(weights, DIMS, 8, **settings)


def test_an_encoder_of_another_grid_is_refused():
    frames, tracks = batch()
    with pytest.raises(PtselError, match="the encoder gave 7 frames for a crop whose tracks have 6"):
        make()(torch.randn(4, 7, 8), tracks)
    found = make()(frames[:, :5], tracks)  # an encoder may cut frames at the end
    assert all(
        error.frames == tracks["valid"][:, :5, k].sum() for k, error in enumerate(found.errors.values())
    )
