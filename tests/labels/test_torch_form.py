"""The torch form of a user's label: given beside the numpy form, used where built-in ones are, refused clearly."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from conftest import run_command

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.batch import complete_frames, compute_batch, local_labels, torch_labels
from ptsel_fairseq.labels.tracks import compute_tracks, resolve
from ptsel_fairseq.labels.user import read_user_files, register, register_torch

GRID = FrameGrid()
TEXT = """
import numpy as np
from ptsel_fairseq.labels.user import register, register_torch

@register("peak", unit="full scale", description="largest sample of 25 ms", window=0.025)
def peak(analysis):
    return np.abs(analysis.frames(0.025)).max(axis=1)

@register_torch("peak", seconds=0.025)
def peak_of_batch(analysis):
    return analysis.frames_of(0.025).abs().amax(dim=-1, keepdim=True)
"""

pytestmark = pytest.mark.usefixtures("nothing_stays_registered")


def noise(samples: int) -> np.ndarray:
    return 0.1 * np.random.default_rng(samples).standard_normal(samples).astype(np.float32)


@pytest.fixture
def peak_file(tmp_path):
    file = tmp_path / "peak.py"
    file.write_text(TEXT)
    return file


def test_both_forms_of_one_file(peak_file):
    read_user_files([peak_file])
    assert "peak" in torch_labels()
    assert "peak" in local_labels()
    waveforms = [noise(16_000), noise(9000)]
    padded = torch.zeros(2, 16_000)
    for row, waveform in enumerate(waveforms):
        padded[row, : len(waveform)] = torch.from_numpy(waveform)
    values, valid = compute_batch(padded, torch.tensor([16_000, 9000]), ["peak"], GRID)["peak"]
    for row, waveform in enumerate(waveforms):
        expected = compute_tracks(waveform, resolve(["peak"]), GRID)["peak"]
        frames = len(expected.values)
        np.testing.assert_array_equal(values[row, :frames].numpy(), expected.values)
        assert valid[row, :frames].all()
        assert not valid[row, frames:].any()
    assert complete_frames("peak", 1040, GRID, begins=False, ends=False).tolist() == [True, True, True]


def test_extraction_on_the_device_takes_it(peak_file, data_dir, tmp_path):
    from ptsel_fairseq.base.manifest import read_manifest
    from ptsel_fairseq.labels.extraction.extract import extract
    from ptsel_fairseq.labels.store import LabelStore

    manifest = read_manifest(data_dir / "valid.tsv")
    for name, device in (("here", None), ("there", torch.device("cpu"))):
        extract(manifest, ["peak"], tmp_path / name, jobs=1, user_labels=[peak_file], device=device)
    here, there = (LabelStore(tmp_path / name, "valid") for name in ("here", "there"))
    for i in range(here.num_utterances):
        np.testing.assert_allclose(here.track("peak", i), there.track("peak", i), atol=1e-6)


def own_torch_form(function, **options) -> None:
    @register("mine", unit="u", description="d", **options)
    def mine(analysis):
        return np.zeros(analysis.num_frames)

    register_torch("mine", seconds=0.025)(function)


@pytest.mark.parametrize(
    ("function", "options", "says"),
    [
        (lambda analysis: torch.zeros(1, 3, 1), {}, r"expected a tensor \(1, 49, 1\).*found \(1, 3, 1\)"),
        (lambda analysis: np.zeros((1, 49, 1)), {}, "found ndarray"),
        (lambda analysis: torch.zeros(1, 49, 1), {"undefined": "noise"}, "found no mask"),
        (lambda analysis: (torch.zeros(1, 49, 1), analysis.is_frame), {}, "a mask, though"),
        (lambda analysis: (torch.zeros(1, 49, 1), torch.ones(1, 49)), {"undefined": "noise"}, "mask of bool"),
        (lambda analysis: 1 / 0, {}, "ZeroDivisionError"),
    ],
)
def test_a_torch_form_that_is_wrong(function, options, says):
    own_torch_form(function, **options)
    with pytest.raises(PtselError, match=f"label mine, torch form: .*{says}"):
        compute_batch(torch.zeros(1, 16_000), torch.tensor([16_000]), ["mine"], GRID)


def test_a_torch_form_of_no_label_or_a_second_one():
    with pytest.raises(PtselError, match="label zcr: expected the name of a label that the same file"):
        register_torch("zcr", seconds=0.02)(lambda analysis: None)
    own_torch_form(lambda analysis: None)
    with pytest.raises(PtselError, match="has a torch form already"):
        register_torch("mine", seconds=0.02)(lambda analysis: None)


def test_a_label_without_one_says_which_have_one():
    with pytest.raises(PtselError, match=r"label f0: it has no form for torch.*loudness"):
        compute_batch(torch.zeros(1, 16_000), torch.tensor([16_000]), ["f0"], GRID)


def test_listing_labels_imports_no_heavy_package(peak_file):
    code = (
        "import sys; from ptsel_fairseq.cli.program import main; "
        f"main(['labels', '--user-labels', {str(peak_file)!r}]); "
        "print('loaded:', {'torch', 'librosa', 'numba', 'scipy'} & set(sys.modules))"
    )
    done = run_command("python", "-c", code)
    assert "peak" in done.stdout, done.stderr
    assert "loaded: set()" in done.stdout
