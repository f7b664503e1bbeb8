"""Heads of labels of codes: cross-entropy, accuracy and what one guess for every frame gets, against scikit-learn."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.special import log_softmax
from sklearn.metrics import accuracy_score, log_loss

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.heads.heads import PtselHeads
from ptsel_fairseq.heads.losses import CodeErrors, pretext_errors
from ptsel_fairseq.heads.pretext import PretextLoss
from ptsel_fairseq.heads.settings import HeadSettings, read_head_settings

CODES, BATCH, LENGTH = 7, 2, 40


def drawn(count: int = 1):
    """Logits, codes, and which frames are defined, masked and padding; a label of values stands before the codes."""
    rng = np.random.default_rng(3)
    logits = rng.normal(0, 2, (BATCH, LENGTH, count * CODES))
    codes = rng.integers(0, CODES, (BATCH, LENGTH)) ** 2 // CODES  # not equally frequent
    valid, mask = rng.random((BATCH, LENGTH, 2)) < 0.8, rng.random((BATCH, LENGTH)) < 0.5
    padding = np.zeros((BATCH, LENGTH), dtype=bool)
    padding[1, -5:] = True
    values = rng.normal(0, 1, (BATCH, LENGTH, 2))
    output = {
        "pretext": {"values": torch.zeros(BATCH, LENGTH, 2), "codes": torch.tensor(logits)},
        "padding_mask": torch.tensor(padding),
        "pretext_mask": torch.tensor(mask),
    }
    target = np.concatenate([values, codes[..., None]], axis=-1)
    sample = {"pretext": {"target": torch.tensor(target), "valid": torch.tensor(valid)}}
    return output, sample, logits, codes, valid[..., 1] & ~padding, mask


@pytest.mark.parametrize("frames", ["all", "masked", "unmasked"])
@pytest.mark.parametrize("known", [True, False])
def test_the_loss_and_its_constant_are_those_of_scikit_learn(frames, known):
    output, sample, logits, codes, valid, mask = drawn()
    heads = {"values": HeadSettings(), "codes": HeadSettings(loss="cross_entropy", frames=frames)}
    counts = np.array([1, 50, 20, 0, 9, 30, 4])
    built = PtselHeads({"output": 4}, ["codes"], [CODES], [heads["codes"]])
    built.set_code_counts({"codes": counts})
    frequencies = built.log_frequencies(torch.device("cpu")) if known else None
    found = pretext_errors(output, sample, heads, frequencies)["codes"]
    assert isinstance(found, CodeErrors)
    used = valid & {"all": np.ones_like(mask), "masked": mask, "unmasked": ~mask}[frames]
    right, guessed = codes[used], log_softmax(logits[used], axis=-1)
    assert float(found.frames) == len(right) > 10
    every = list(range(CODES))
    assert float(found.loss) == pytest.approx(
        log_loss(right, np.exp(guessed), labels=every) * len(right), rel=1e-5
    )
    prior = (counts + 1) / (counts + 1).sum() if known else np.bincount(right, minlength=CODES) / len(right)
    alike = np.tile(prior, (len(right), 1))
    expected = log_loss(right, alike, labels=every) * len(right)
    assert float(found.of_constant) == pytest.approx(expected, rel=1e-5)
    assert float(found.hits) == accuracy_score(right, guessed.argmax(-1), normalize=False)
    assert float(found.hits_of_constant) == np.count_nonzero(right == prior.argmax())


def test_neighbouring_codes_count_each_on_its_own():
    output, sample, logits, codes, valid, _ = drawn(count=3)
    heads = {"values": HeadSettings(), "codes": HeadSettings(loss="cross_entropy", output_frames=3)}
    found = pretext_errors(output, sample, heads)["codes"]
    losses = []
    for b in range(BATCH):
        for t in range(LENGTH):
            for j, other in enumerate((t - 1, t, t + 1)):
                if 0 <= other < LENGTH and valid[b, other]:
                    part = log_softmax(logits[b, t, j * CODES : (j + 1) * CODES])
                    losses.append(-part[codes[b, other]])
    assert float(found.frames) == len(losses)
    assert float(found.loss) == pytest.approx(sum(losses), rel=1e-5)


def test_the_gradient_is_softmax_less_the_answer():
    output, sample, logits, codes, valid, _ = drawn()
    leaf = torch.tensor(logits, requires_grad=True)
    output["pretext"]["codes"] = leaf
    heads = {"values": HeadSettings(), "codes": HeadSettings(loss="cross_entropy")}
    pretext_errors(output, sample, heads)["codes"].loss.backward()
    expected = np.exp(log_softmax(logits, axis=-1)) - np.eye(CODES)[codes]
    np.testing.assert_allclose(leaf.grad.numpy(), expected * valid[..., None], atol=1e-5)


def test_a_batch_without_a_frame_gives_zero():
    output, sample, *_ = drawn()
    sample["pretext"]["valid"][:] = False
    heads = {"values": HeadSettings(), "codes": HeadSettings(loss="cross_entropy")}
    found = pretext_errors(output, sample, heads)["codes"]
    numbers = [*found, found.hits, found.hits_of_constant]
    assert [float(number) for number in numbers] == [0.0] * 5


def test_codes_have_their_loss_whatever_the_default_says():
    block = {"default": {"type": "mlp", "loss": "mse", "frames": "masked"}}
    codes, values = read_head_settings(block, ["codes", "f0"], [100, 1], -1, 3, codes=["codes"])
    assert (codes.loss, codes.type, codes.frames) == ("cross_entropy", "mlp", "masked")
    assert values.loss == "mse"


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        (
            {"codes": {"loss": "l1"}},
            r"codes\.loss: codes is a label of codes; expected cross_entropy, found 'l1'",
        ),
        (
            {"f0": {"loss": "cross_entropy"}},
            r"f0\.loss: f0 is no label of codes; expected .*l1.*found 'cross_entropy'",
        ),
        ({"default": {"loss": "cross_entropy"}}, r"f0\.loss: f0 is no label of codes"),
    ],
)
def test_a_loss_of_another_kind_of_label_is_refused(heads, message):
    with pytest.raises(PtselError, match=message):
        read_head_settings(heads, ["codes", "f0"], [100, 1], -1, 3, codes=["codes"])


def test_the_module_for_any_trainer_takes_codes():
    counts = np.array([1, 50, 20, 0, 9, 30, 4])
    torch.manual_seed(0)
    loss = PretextLoss(
        {"pitch": 0.5, "codes": 0.5}, {"pitch": 2, "codes": 1}, 4, code_counts={"codes": counts}
    )
    assert loss.raw_labels == {"codes"}
    _, sample, _, codes, _, _ = drawn()
    sample["pretext"]["valid"][:] = True
    found = loss(torch.randn(BATCH, LENGTH, 4), sample["pretext"])
    error = found.errors["codes"]
    prior = (counts + 1) / (counts + 1).sum()
    assert float(error.of_constant) == pytest.approx(-np.log(prior)[codes].sum(), rel=1e-5)
    found.loss.backward()
    assert loss.heads.by_label["codes"].weight.grad.shape == (CODES, 4)
