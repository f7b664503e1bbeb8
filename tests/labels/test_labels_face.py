"""`ptsel_fairseq.labels` as a notebook uses it: right numbers for what it takes, one clear error for all else."""

from __future__ import annotations

import doctest
import importlib
import subprocess
import sys

import numpy as np
import pytest
import torch
from conftest import ASTERISK, ROOT, run_command

from ptsel_fairseq import labels
from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.manifest import read_manifest

SPEECH = read_audio(ASTERISK / "audio" / "en" / "agent-pass.ogg", 16_000)
NAMES = ["f0", "loudness", "log_mel"]


def test_the_tracks_are_those_of_a_store(data_dir, store_dir):
    """Bit for bit, whatever number of threads the notebook has set."""
    store, manifest = labels.LabelStore(store_dir, split="train"), read_manifest(data_dir / "train.tsv")
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        for utterance in manifest.utterances[:3]:
            waveform = read_audio(manifest.audio_path(utterance), 16_000)
            tracks = labels.compute(waveform, list(store.labels), sample_rate=16_000)
            assert list(tracks) == list(store.labels)
            for name, track in tracks.items():
                assert isinstance(track, labels.Track)
                np.testing.assert_array_equal(track.values, store.track(name, utterance.index))
                np.testing.assert_array_equal(track.valid, store.valid(name, utterance.index))
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)


FIRST = """
import dataclasses, sys, numpy
from ptsel_fairseq import labels
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels.signal import built_in_labels
seen = []
def compute(analysis):
    import torch
    seen.append(torch.get_num_threads())
    return zcr.compute(analysis)
zcr = built_in_labels()["zcr"]
built_in_labels()["zcr"] = dataclasses.replace(zcr, compute=compute)
assert "torch" not in sys.modules
if sys.argv[1] == "compute":
    labels.compute(numpy.ones(16000), "zcr", sample_rate=16000)
else:
    labels.extract(read_manifest(sys.argv[2]), ["zcr"], sys.argv[3])
assert set(seen) == {1}, seen
"""


@pytest.mark.parametrize("how", ["compute", "extract"])
def test_the_first_waveform_of_a_process_has_one_thread_too(data_dir, tmp_path, how):
    """torch, which is loaded for it, would take as many as there are cores."""
    done = run_command(
        *("python", "-c", FIRST, how, data_dir / "valid.tsv", tmp_path / "store"), OMP_NUM_THREADS="2"
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    "given",
    [
        SPEECH.astype(np.float64),
        torch.from_numpy(SPEECH),
        torch.from_numpy(SPEECH).double().requires_grad_(),
        np.repeat(SPEECH, 2)[::2],  # not contiguous
        SPEECH.astype(">f4"),
    ],
    ids=["float64", "tensor", "tensor with gradient", "a view", "big endian"],
)
def test_float_waveforms_of_any_kind(given):
    expected = labels.compute(SPEECH, NAMES, sample_rate=16_000)
    for name, track in labels.compute(given, NAMES, sample_rate=16_000).items():
        assert track.values.dtype == np.float32
        assert track.valid.dtype == bool
        np.testing.assert_array_equal(track.values, expected[name].values)
        np.testing.assert_array_equal(track.valid, expected[name].valid)


def test_names_pools_and_order():
    found = labels.compute(SPEECH, ["zcr", "pase", "f0", "zcr"], sample_rate=16_000)
    assert list(found) == ["zcr", "f0", "lps", "mfcc", "rms_energy", "voicing"]
    assert list(labels.compute(SPEECH, "f0", sample_rate=16_000.0)) == ["f0"]
    assert set(labels.names()) >= set(labels.POOLS["music"])
    assert labels.get("f0").unit == "Hz"


with_nan = SPEECH.copy()
with_nan[[123, 456]] = np.nan
with_infinity = SPEECH.copy()
with_infinity[7] = -np.inf


@pytest.mark.parametrize(
    ("waveform", "says"),
    [
        ((SPEECH * 32767).astype(np.int16), r"found int16; .*waveform / 32768"),
        (torch.from_numpy((SPEECH * 32767).astype(np.int32)), r"found int32; divide by the full scale"),
        ((SPEECH * 127 + 128).astype(np.uint8), r"found uint8, whose zero is in the middle"),
        (SPEECH.astype(np.float16), "found float16, too coarse"),
        (torch.from_numpy(SPEECH).bfloat16(), "found bfloat16, too coarse"),
        (SPEECH > 0, "found bool; read the audio as float32"),
        (SPEECH.astype(complex), "found complex128"),
        (SPEECH.tolist(), "found list"),
        ("agent-pass.ogg", "expected a numpy array or a torch tensor .*found str"),
        (None, "found NoneType"),
        (SPEECH * 32767, r"full scale 1, found one of .*32768 for 16 bits"),
        (with_nan, r"2 of .* samples are not finite, first sample 123 \(nan\)"),
        (with_infinity, r"1 of .* first sample 7 \(-inf\)"),
        (np.stack([SPEECH, SPEECH]), r"found shape \(2, .*waveform\.mean\(0\)"),
        (np.stack([SPEECH, SPEECH], axis=1), r"waveform\.mean\(1\)"),
        (SPEECH[None], r"take waveform\[0\]"),
        (SPEECH[:, None], r"take waveform\[:, 0\]"),
        (SPEECH[None, None], "one waveform at a time"),
        (np.float32(0.5), r"expected a numpy array"),
        (np.array(0.5, np.float32), r"found shape \(\)"),
        (SPEECH[:399], r"at least 400 samples \(25 ms\).*found 399"),
        (SPEECH[:0], "found none"),
    ],
)
def test_a_waveform_that_would_give_a_wrong_number(waveform, says):
    with pytest.raises(PtselError, match=f"^waveform: .*{says}"):
        labels.compute(waveform, NAMES, sample_rate=16_000)


@pytest.mark.parametrize(
    ("rate", "says"),
    [(8000, "found 8000 Hz; resample"), (44_100.0, "orig_sr=44100, target_sr=16000"), ("16k", "number of Hz"),
     (None, "number of Hz"), (True, "number of Hz"), (float("nan"), "found nan Hz")],
)  # fmt: skip
def test_another_rate(rate, says):
    with pytest.raises(PtselError, match=f"^sample_rate: .*{says}"):
        labels.compute(SPEECH, NAMES, sample_rate=rate)
    with pytest.raises(TypeError, match="sample_rate"):
        labels.compute(SPEECH, NAMES)


@pytest.mark.parametrize(
    ("names", "says"),
    [
        (["f0", "loudnes"], "no label 'loudnes'; did you mean 'loudness'\\?; the labels are"),
        ("zaiem_speach", "did you mean 'zaiem_speech'"),
        ("F0", "did you mean 'f0'"),
        ("xyzzy", "no label 'xyzzy'; the labels are"),
        ([], "names: expected a label"),
        ([3], r"names: .*found 3 \(int\)"),
        ("formants", "computed by Praat only"),
    ],
)
def test_names_that_are_none(names, says):
    with pytest.raises(PtselError, match=says):
        labels.compute(SPEECH, names, sample_rate=16_000)


@pytest.mark.usefixtures("nothing_stays_registered")
def test_a_label_of_ones_own():
    @labels.register("largest", unit="full scale", description="largest sample of 25 ms")
    def largest(analysis):
        return np.abs(analysis.frames(0.025)).max(axis=1)

    @labels.register_torch("largest", seconds=0.025)
    def largest_of_batch(analysis):
        return analysis.frames_of(0.025).abs().amax(dim=-1, keepdim=True)

    track = labels.compute(SPEECH, "largest", sample_rate=16_000)["largest"]
    assert track.values[3, 0] == np.abs(SPEECH[960 : 960 + 400]).max()
    grid = labels.LabelStore  # noqa: F841  (the face has it too)
    batch = labels.compute_batch(
        torch.from_numpy(SPEECH)[None], torch.tensor([len(SPEECH)]), ["largest"], labels_grid()
    )
    np.testing.assert_array_equal(batch["largest"][0][0].numpy(), track.values)


def labels_grid():
    from ptsel_fairseq.base.grid import FrameGrid

    return FrameGrid()


def test_a_split_is_extracted_by_its_file(data_dir, tmp_path):
    labels.extract(data_dir / "valid.tsv", ["zcr"], tmp_path, jobs=1)
    assert labels.LabelStore(tmp_path, "valid").labels == ("zcr",)
    with pytest.raises(TypeError, match="positional"):
        labels.extract(data_dir / "valid.tsv", ["zcr"], tmp_path, 1)


def test_a_drawing_has_a_row_for_each_label():
    figure = labels.draw(SPEECH, ["f0", "zcr", "mfcc"], sample_rate=16_000, title="agent-pass")
    texts = " ".join(
        text.get_text() for axis in figure.axes for text in axis.findobj() if hasattr(text, "get_text")
    )
    for word in ("agent-pass", "zcr", "mfcc", "of the waveform"):
        assert word in texts
    with pytest.raises(PtselError, match="not finite"):
        labels.draw(with_nan, "f0", sample_rate=16_000)


def test_importing_the_face_is_light_and_its_names_are_there():
    code = (
        "import sys; from ptsel_fairseq import labels; "
        "print({'torch', 'numpy', 'librosa'} & set(sys.modules), set(labels.__all__) <= set(dir(labels)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout.strip() == "set() True", done.stderr
    for name in labels.__all__:
        assert getattr(labels, name).__doc__ or name == "POOLS"
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = labels.nonsense


def test_documented_old_paths_stay():
    from ptsel_fairseq.labels.store import LabelStore
    from ptsel_fairseq.labels.user import register

    assert LabelStore is labels.LabelStore
    assert register is labels.register
    assert (ROOT / "ptsel_fairseq" / "py.typed").exists()


@pytest.mark.parametrize("module", ["ptsel_fairseq.labels", "ptsel_fairseq.labels.waveform"])
def test_the_examples_in_docstrings(module):
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted > 0
    assert found.failed == 0
