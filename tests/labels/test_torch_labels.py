"""The labels that torch computes in batches are those of the catalogue, whatever stands beside them in the batch."""

from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
from conftest import ROOT
from corpus_tools import CLIPS

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.batch import (
    complete_frames,
    compute_batch,
    local_labels,
    torch_form,
    torch_labels,
)
from ptsel_fairseq.labels.tracks import compute_tracks, names, resolve

GRID = FrameGrid()
# In the label's unit: on a CPU, where only the order of sums differs, and on any device, whose transforms round
# otherwise. A weak bin beside a strong one in the same frame suffers most.
WITHIN = {
    "alpha_ratio": (1e-4, 1e-3),
    "audspec_l1": (1e-4, 1e-3),
    "chroma": (1e-5, 1e-4),
    "gammatone": (1e-4, 5e-2),
    "log_mel": (1e-4, 5e-2),
    "log_mel_long": (1e-4, 5e-2),
    "loudness": (1e-4, 1e-3),
    "lps": (1e-4, 1.0),
    "mfcc": (1e-3, 5e-2),
    "mfcc_deltas": (1e-3, 5e-2),
    "onset_strength": (1e-4, 5e-3),
    "plp": (1e-5, 1e-4),
    "rms_energy": (1e-6, 1e-5),
    "spectral_bandwidth": (1e-2, 0.1),
    "spectral_centroid": (1e-2, 0.1),
    "spectral_contrast": (1e-4, 0.5),
    "spectral_entropy": (1e-6, 1e-5),
    "spectral_flatness": (1e-6, 1e-5),
    "spectral_flux": (1e-6, 1e-5),
    "spectral_rolloff": (31.25, 31.25),  # a bin, where rounding decides between two
    "voicing": (1e-5, 5e-3),
    "zcr": (1e-6, 1e-6),
}


@pytest.fixture(scope="module")
def waveforms() -> list[np.ndarray]:
    """Clips of unlike length; one with digital silence in and after it, one of a single frame, one of none."""
    found = [soundfile.read(clip, dtype="float32")[0] for clip in CLIPS[::12]]
    silenced = found[1].copy()
    silenced[4000:9000] = silenced[-3000:] = 0
    return [*found, silenced, found[2][:400], found[3][:399]]


def batch_of(waveforms: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    rows = [torch.from_numpy(waveform) for waveform in waveforms]
    padded = torch.nn.utils.rnn.pad_sequence(
        rows, batch_first=True, padding_value=0.3
    )  # must not be looked at
    return padded, torch.tensor([len(row) for row in rows])


def check(name: str, waveforms: list[np.ndarray], found, tolerance: float) -> None:
    values, valid = (tensor.cpu().numpy() for tensor in found)
    assert values.dtype == np.float32
    for row, waveform in enumerate(waveforms):
        expected, mask = compute_tracks(waveform, resolve([name]), GRID)[name]
        frames = len(expected)
        np.testing.assert_array_equal(valid[row, :frames], mask)
        assert not valid[row, frames:].any()
        np.testing.assert_allclose(values[row, :frames][mask], expected[mask], rtol=0, atol=tolerance)
        if name == "spectral_rolloff":
            assert np.count_nonzero(values[row, :frames] != expected) <= 0.01 * frames


def test_every_torch_label_has_its_tolerance():
    assert sorted(WITHIN) == torch_labels()
    assert set(WITHIN) <= set(names())


@pytest.mark.parametrize("name", sorted(WITHIN))
def test_a_batch_gives_the_catalogues_tracks(name, waveforms):
    check(name, waveforms, compute_batch(*batch_of(waveforms), [name], GRID)[name], WITHIN[name][0])


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("name", sorted(WITHIN))
def test_a_gpu_gives_the_catalogues_tracks(name, waveforms):
    padded, lengths = batch_of(waveforms)
    found = compute_batch(padded.cuda(), lengths.cuda(), [name], GRID)
    check(name, waveforms, found[name], WITHIN[name][1])


@pytest.mark.parametrize("name", sorted(WITHIN))
def test_rounding_moves_a_label_less_than_is_allowed_to_a_device(name, waveforms):
    """The same in double precision: another device's rounding is no worse than all of float32's."""
    padded, lengths = batch_of(waveforms)
    exact = compute_batch(padded.double(), lengths, [name], GRID)[name][0].float()
    check(name, waveforms, (exact, compute_batch(padded, lengths, [name], GRID)[name][1]), WITHIN[name][1])


def test_a_row_does_not_depend_on_its_neighbours(waveforms):
    together = compute_batch(*batch_of(waveforms), sorted(WITHIN), GRID)
    for row in (0, 3, len(waveforms) - 2):
        alone = compute_batch(*batch_of([waveforms[row]]), sorted(WITHIN), GRID)
        frames = GRID.num_frames(len(waveforms[row]))
        for name in WITHIN:
            for mine, theirs in zip(alone[name], together[name], strict=True):
                np.testing.assert_allclose(
                    mine[0, :frames], theirs[row, :frames], rtol=0, atol=WITHIN[name][0]
                )


@pytest.mark.parametrize("backend", ["mkldnn", "cuda"])
def test_a_precision_set_for_one_backend_does_not_touch_it(waveforms, backend):
    padded, lengths = batch_of(waveforms[:2])
    names = ["spectral_bandwidth", "spectral_centroid"]
    plain = compute_batch(padded, lengths, names, GRID)
    setting = getattr(getattr(torch.backends, backend), "matmul", None)
    if not hasattr(setting, "fp32_precision"):
        pytest.skip("this torch has no precision of one backend")
    before, setting.fp32_precision = setting.fp32_precision, {"mkldnn": "bf16", "cuda": "tf32"}[backend]
    try:
        inside = compute_batch(padded, lengths, names, GRID)
    finally:
        setting.fp32_precision = before
    for name in names:
        torch.testing.assert_close(inside[name][0], plain[name][0], rtol=0, atol=WITHIN[name][0])


def test_half_precision_around_it_and_gradients_do_not_touch_it(waveforms):
    padded, lengths = batch_of(waveforms[:4])
    plain = compute_batch(padded, lengths, sorted(WITHIN), GRID)
    before = torch.get_float32_matmul_precision()
    try:
        torch.set_float32_matmul_precision("medium")
        with torch.autocast("cpu", dtype=torch.bfloat16):
            inside = compute_batch(padded.requires_grad_(), lengths, sorted(WITHIN), GRID)
    finally:
        torch.set_float32_matmul_precision(before)
    for name in WITHIN:
        torch.testing.assert_close(inside[name][0], plain[name][0], rtol=0, atol=WITHIN[name][0])
        assert not inside[name][0].requires_grad


@pytest.mark.parametrize("name", local_labels())
def test_a_frame_depends_on_what_it_is_said_to_reach_and_on_no_more(name, waveforms):
    waveform, other = waveforms[0][:32_000], waveforms[4][:32_000]
    frame = 40
    before, after = torch_form(name).reach(GRID)
    rows = []
    # All beyond the reach replaced; then some inside its edge, one side at a time. Windows fade out there.
    inside = round(0.12 * (before + after))
    for first, last in ((before, after), (before - inside, after), (before, after - inside)):
        changed = other.copy()
        place = slice(GRID.centre(frame) - first, GRID.centre(frame) + last)
        changed[place] = waveform[place]
        rows.append(changed)
    values = compute_batch(*batch_of([waveform, *rows]), [name], GRID)[name][0][:, frame].double()
    changes = (values[1:] - values[0]).abs().amax(dim=1)
    assert changes[0] <= WITHIN[name][0]
    if name != "spectral_rolloff":  # in steps of a bin
        assert (changes[1:] > 3 * WITHIN[name][0]).all(), changes


@pytest.mark.parametrize("name", local_labels())
def test_complete_frames_of_a_crop_are_those_of_the_recording(name, waveforms):
    whole = max(waveforms, key=len)
    values, valid = (t[0].numpy() for t in compute_batch(*batch_of([whole]), [name], GRID)[name])
    hop, samples = GRID.hop, 16_000
    last = len(whole) - samples
    for start, length in (
        (0, samples),
        (37 * hop, samples),
        (last // hop * hop, len(whole) - last // hop * hop),
    ):
        crop = whole[start : start + length]
        found, defined = (t[0].numpy() for t in compute_batch(*batch_of([crop]), [name], GRID)[name])
        ends = start + length == len(whole)
        complete = complete_frames(name, length, GRID, start == 0, ends)
        first = start // hop
        mine = complete & defined
        np.testing.assert_array_equal(mine, complete & valid[first : first + len(found)])
        np.testing.assert_allclose(
            found[mine], values[first : first + len(found)][mine], rtol=0, atol=WITHIN[name][0]
        )
        lost = len(complete) - complete.sum()
        assert lost <= 5 * ((start > 0) + (not ends))
        assert complete.all() == (lost == 0)


def test_frames_lost_at_the_ends_of_a_crop_are_as_documented():
    lost: dict[int, list[str]] = {}
    for name in local_labels():
        counts = {
            int((~complete_frames(name, GRID.num_samples(50), GRID, begins, not begins)).sum())
            for begins in (True, False)
        }
        assert len(counts) == 1  # as many at the end as at the beginning
        lost.setdefault(counts.pop(), []).append(name)
    text = (
        (ROOT / "docs" / "labels.md")
        .read_text()
        .split("| frames masked at each such end")[1]
        .split("\n\n")[0]
    )
    documented = {}
    for row in text.splitlines()[2:]:
        count, labels = row.strip("| ").split(" | ")
        documented[int(count)] = labels.replace("`_", "`spectral_").replace("`", "").split(", ")
    assert documented == {count: lost[count] for count in sorted(lost)}


def test_labels_that_depend_on_the_whole_recording_are_not_local():
    assert set(torch_labels()) - set(local_labels()) == {"onset_strength"}
    assert not {"f0", "jitter", "log_hnr", "rasta_l1", "cqt", "tempogram"} & set(torch_labels())


def test_another_sample_rate_is_refused(waveforms):
    with pytest.raises(PtselError, match="defined for audio at 16000 Hz, not for 8000 Hz"):
        compute_batch(*batch_of(waveforms[:1]), ["zcr"], FrameGrid(sample_rate=8000))
