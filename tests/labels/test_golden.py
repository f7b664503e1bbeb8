"""Every label's values stay those of the version that first made them (`tests/golden/label_tracks.npz`)."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import ROOT

from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.labels.tracks import compute_tracks, get, names, resolve

KEPT = np.load(ROOT / "tests" / "golden" / "label_tracks.npz")
EVERY = 6  # the frames that are kept
# Of the label's standard deviation. Another processor's transforms round otherwise, which shows in a weak bin beside a
# strong one, or where a maximum or a quantile is chosen; so few values may differ more than the others.
MOST_WITHIN, MOST = 1e-5, 0.98
WEAK_BINS = {
    "lps": 5e-5,
    "mfcc": 2e-5,
    "mfcc_deltas": 2e-5,
    "spectral_contrast": 2e-4,
}  # which transforms round
ALL_WITHIN = 0.05
VERSIONS = dict.fromkeys(
    (
        "alpha_ratio",
        "chroma",
        "chroma_cens",
        "chroma_cqt",
        "cqt",
        "f0",
        "harmonic_energy",
        "percussive_energy",
        "rms_energy",
        "tempo_ratio",
        "tempogram",
        "tonnetz",
        "voicing",
    ),
    2,
)  # of all but the first a change of rounding, within these bounds


@pytest.fixture(scope="module", params=["speech", "music"])
def signal(request):
    waveform = KEPT[request.param].astype(np.float32) / np.float32(32768)
    return request.param, compute_tracks(waveform, resolve(["all"]), FrameGrid())


def test_every_label_is_kept():
    kept = {name.split(".")[1] for name in KEPT.files if "." in name}
    assert kept == set(names())


@pytest.mark.parametrize("name", names())
def test_a_label_is_what_it_was(signal, name):
    """A change of values needs a new version of the label, and then new numbers here."""
    signal_name, tracks = signal
    values, valid = tracks[name]
    assert get(name).version == VERSIONS.get(name, 1)
    if get(name).undefined is not None:
        np.testing.assert_array_equal(valid, KEPT[f"{signal_name}.{name}.valid"])
    expected, found = KEPT[f"{signal_name}.{name}"].astype(np.float64), values[::EVERY].astype(np.float64)
    spread = np.maximum(values.std(axis=0), 1e-3 * np.abs(values).max() + 1e-12)
    difference = np.abs(found - expected) / spread
    assert np.mean(difference <= WEAK_BINS.get(name, MOST_WITHIN)) >= MOST
    assert difference.max() <= ALL_WITHIN
