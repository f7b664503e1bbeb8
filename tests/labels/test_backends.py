"""Other programs behind the same labels: same frames, refusals, and what the store says of them."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import ASTERISK, run_command, write_manifest

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels import backends
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.labels.label import Software, Track
from ptsel_fairseq.labels.pools import POOLS
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.labels.store.software import check_software
from ptsel_fairseq.labels.store.writer import StoreWriter
from ptsel_fairseq.labels.tracks import compute_tracks, get, names, resolve

GRID = FrameGrid()
RATE = 16_000


def importable(backend: str) -> bool:
    module = backends.BACKENDS[backend].module
    if importlib.util.find_spec(module) is None:
        return False
    try:
        backends.BACKENDS[backend].installed(next(iter(backends.BACKENDS[backend].labels.values())))
    except PtselError:
        return False
    return True


PRESENT = {backend: importable(backend) for backend in backends.BACKENDS}
needs = {
    backend: pytest.mark.skipif(not present, reason=f"needs {backends.BACKENDS[backend].package}")
    for backend, present in PRESENT.items()
}
each_backend = pytest.mark.parametrize(
    "backend", [pytest.param(backend, marks=needs[backend]) for backend in PRESENT]
)
each_label = pytest.mark.parametrize(
    ("backend", "name"),
    [
        pytest.param(backend, name, marks=needs[backend])
        for backend in PRESENT
        for name in sorted(backends.BACKENDS[backend].labels)
    ],
)


def track(backend: str, name: str, waveform: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    return compute_tracks(waveform.astype(np.float32), resolve([name], backend), GRID)[name]


@pytest.fixture(scope="module")
def speech() -> list[np.ndarray]:
    """Clips of 1 to 3 s, as openSMILE sees them: rounded to 16 bits."""
    manifest = read_manifest(ASTERISK / "train.tsv")
    chosen = [u for u in manifest if RATE < u.samples < 3 * RATE][:60:10]
    found = [read_audio(manifest.audio_path(utterance), RATE) for utterance in chosen]
    return [
        np.rint(waveform * 2**15).clip(-(2**15), 2**15 - 1).astype(np.float32) / 2**15 for waveform in found
    ]


@pytest.fixture(scope="module")
def few(tmp_path_factory) -> Path:
    """Manifests of a few clips."""
    folder = tmp_path_factory.mktemp("few")
    for split, every in (("train", 50), ("valid", 8)):
        write_manifest(ASTERISK / f"{split}.tsv", folder / f"{split}.tsv", every)
    return folder


# Pearson r of all frames together, where both are defined; and the share of frames on whose mask both agree.
AGREEMENT = {
    ("opensmile", "alpha_ratio"): (0.995, 1),
    ("opensmile", "audspec_l1"): (0.97, 1),
    ("opensmile", "f0"): (0.98, 0.95),
    ("opensmile", "log_hnr"): (0.98, 0.95),
    ("opensmile", "loudness"): (0.999, 1),
    ("opensmile", "rasta_l1"): (0.99, 1),
    ("opensmile", "rms_energy"): (0.9999, 1),
    ("opensmile", "voicing"): (0.8, 1),
    ("opensmile", "zcr"): (0.999, 1),
    ("praat", "f0"): (0.97, 0.85),
    ("praat", "log_hnr"): (0.5, 0.85),
    ("praat", "jitter"): (0.5, 0.7),
    ("praat", "shimmer"): (0.5, 0.7),
    ("world", "f0"): (0.9, 0.8),
}


@each_backend
def test_real_speech_gives_what_this_package_gives(backend, speech):
    compared = {name: limits for (program, name), limits in AGREEMENT.items() if program == backend}
    theirs = [compute_tracks(waveform, resolve(list(compared), backend), GRID) for waveform in speech]
    ours = [compute_tracks(waveform, resolve(list(compared)), GRID) for waveform in speech]
    for name, (least, same) in compared.items():
        a, b = (np.concatenate([tracks[name][0][:, 0] for tracks in side]) for side in (theirs, ours))
        if get(name).undefined is not None:
            mask_a, mask_b = (np.concatenate([tracks[name][1] for tracks in side]) for side in (theirs, ours))
            assert (mask_a == mask_b).mean() >= same, name
            a, b = a[mask_a & mask_b], b[mask_a & mask_b]
        assert np.corrcoef(a, b)[0, 1] >= least, name


@each_label
def test_an_event_lands_in_its_frame(backend, name):
    """A short event, or 200 ms of voice, is symmetric around the frame on whose middle it lies."""
    event, samples = 40, 2 * RATE
    position = np.arange(samples) - GRID.centre(event)
    voiced = np.clip(1.5 * np.cos(np.pi * np.clip(position / 3200, -0.5, 0.5)), 0, 1) * sum(
        0.15 * np.cos(2 * np.pi * 200 * k * position / RATE) / k for k in range(1, 20)
    )
    half = np.random.default_rng(0).standard_normal(samples)  # periods that are all the same have no jitter
    voiced += 0.01 * half[np.abs(position)] * np.clip(1 - np.abs(position / 2000), 0, 1)
    burst = 0.4 * np.exp(-0.5 * (position / 24) ** 2) * np.cos(2 * np.pi * 500 * position / RATE)
    label = resolve([name], backend)[0]
    values, valid = track(backend, name, voiced if label.undefined or name == "voicing" else burst)
    if valid is not None:
        assert valid[event]
        assert abs(np.flatnonzero(valid).mean() - event) <= 1
        return
    silence, _ = track(backend, name, np.zeros(samples))
    reach = 30  # not the ends of the waveform, outside which zeros do not count as crossings
    change = np.abs(values - silence)[event - reach : event + reach + 1, 0]
    assert change[reach] >= 0.8 * change.max() > 0
    if name != "rasta_l1":  # its filter rings after an event
        assert abs((change * np.arange(len(change))).sum() / change.sum() - reach) < 0.15


@each_backend
@pytest.mark.parametrize("samples", [0, 399, 400, 401, 719, 720, 1600, 4000])
def test_hard_audio_has_values_where_they_are_defined(backend, samples):
    draw = np.random.default_rng(0)
    labels = resolve(["all"], backend)
    for waveform in (
        np.zeros(samples),
        np.full(samples, 0.5),
        draw.standard_normal(samples).clip(-1, 1),
        1e-30 * draw.standard_normal(samples),
    ):
        tracks = compute_tracks(waveform.astype(np.float32), labels, GRID)
        for label in labels:
            values, valid = tracks[label.name]
            assert values.shape == (GRID.num_frames(samples), label.dim)
            assert np.isfinite(values).all()
            assert valid.shape == (GRID.num_frames(samples),)
            assert label.undefined is not None or valid.all()


def resonances(f0: float, formants: tuple[float, ...], seconds: float = 0.8) -> np.ndarray:
    """A pulse train through second-order resonators: a vowel whose formants are known."""
    from scipy.signal import lfilter

    samples = int(seconds * RATE)
    wave = np.zeros(samples)
    wave[(np.arange(0, seconds * f0) / f0 * RATE).astype(int)] = 1.0
    wave = lfilter([1], [1, -0.97], wave)  # the glottis falls by 6 dB an octave or so
    for hertz in formants:
        radius = np.exp(-np.pi * 80 / RATE)
        wave = lfilter([1], [1, -2 * radius * np.cos(2 * np.pi * hertz / RATE), radius**2], wave)
    return 0.5 * wave / np.abs(wave).max()


@needs["praat"]
@pytest.mark.parametrize("vowel", [(300, 2300, 3000), (700, 1200, 2600), (350, 800, 2400)])
def test_formants_of_known_vowels(vowel):
    values, valid = track("praat", "formants", resonances(120, (*vowel, 3700, 4700)))
    inner = slice(5, -5)
    assert valid[inner].all()
    np.testing.assert_allclose(np.median(values[inner], axis=0), vowel, rtol=0.05)
    noise = np.random.default_rng(0).standard_normal(RATE)
    assert track("praat", "formants", 0.1 * noise)[1].mean() < 0.2  # defined where voiced


@each_backend
def test_f0_of_a_pulse_train(backend):
    for f0 in (90.0, 150.0, 260.0):
        values, valid = track(backend, "f0", resonances(f0, (600, 1500, 2500)))
        inner = slice(6, -6)
        assert valid[inner].mean() > 0.9
        np.testing.assert_allclose(np.median(values[inner][valid[inner]]), f0, rtol=0.01)


@needs["praat"]
def test_between_frames_is_what_praat_says():
    """Pitch between Praat's frames: linear, undefined where the nearest frame is."""
    import parselmouth

    from ptsel_fairseq.labels.backends.praat import at_times

    manifest = read_manifest(ASTERISK / "train.tsv")
    waveform = read_audio(manifest.audio_path(manifest.utterances[3]), RATE)
    found = parselmouth.Sound(waveform.astype(float), RATE).to_pitch_ac(time_step=0.01)
    frequency = found.selected_array["frequency"]
    times = np.random.default_rng(0).uniform(found.xs()[0], found.xs()[-1], 500)
    values, valid = at_times(found.xs(), frequency, frequency > 0, times)
    theirs = np.array([found.get_value_at_time(t) for t in times])
    np.testing.assert_array_equal(valid, np.isfinite(theirs))
    np.testing.assert_allclose(values[valid], theirs[valid], rtol=1e-9)


@each_backend
def test_the_store_says_whose_values_it_holds(backend, few, tmp_path):
    done = run_command("ptsel", "extract", few, "--splits", "valid", "--labels", "f0", "--backend", backend,
                       "--store", tmp_path / "store")  # fmt: skip
    assert done.returncode == 0, done.stderr
    program = backends.BACKENDS[backend]
    assert program.licence in done.stdout
    header = json.loads((tmp_path / "store" / "valid" / "header.json").read_text())
    entry = header["labels"]["f0"]
    version = resolve(["f0"], backend)[0].software.version
    assert entry["backend"] == {"name": backend, "version": version, "licence": program.licence}
    assert entry["origin"] == f"{program.title} {version}"
    store = LabelStore(tmp_path / "store", "valid")
    assert store.software("f0") == f"{backend} {version}"
    manifest = read_manifest(few / "valid.tsv")
    values, valid = track(backend, "f0", read_audio(manifest.audio_path(manifest.utterances[0]), RATE))
    np.testing.assert_array_equal(store.track("f0", 0), values)
    np.testing.assert_array_equal(store.valid("f0", 0), valid)


@each_backend
def test_two_programs_are_never_mixed(backend, few, tmp_path):
    """Neither in a split, nor in two splits of one store; other labels may be added."""
    valid, train = (read_manifest(few / f"{split}.tsv") for split in ("valid", "train"))
    extract(valid, ["f0"], tmp_path, backend=backend)
    before = (tmp_path / "valid" / "header.json").read_bytes()
    for manifest in (valid, train):
        with pytest.raises(
            PtselError, match=rf"f0 is there as computed by {backend} .*by ptsel_fairseq itself"
        ):
            extract(manifest, ["f0"], tmp_path)
    assert (tmp_path / "valid" / "header.json").read_bytes() == before
    assert not (tmp_path / "train").exists()
    extract(valid, ["zcr"], tmp_path)
    store = LabelStore(tmp_path, "valid")
    assert store.software("zcr") == "ptsel_fairseq itself"
    assert store.software("f0").startswith(f"{backend} ")
    other = replace(get("zcr"), software=Software("other", "1", "none"))
    with pytest.raises(PtselError, match="zcr is there as computed by ptsel_fairseq itself"):
        check_software(tmp_path, [other])


def test_an_extraction_that_another_program_began_is_not_gone_on_with(few, tmp_path):
    """What an interrupted extraction has written is dropped, not mixed with what another program computes."""
    manifest = read_manifest(few / "valid.tsv")
    software = Software("other", "1", "none")
    for label in (replace(get("zcr"), origin="Other 1", software=software), get("zcr")):
        writer = StoreWriter(tmp_path, manifest, [label], GRID)
        assert len(writer.open()) == len(manifest)
        frames = GRID.num_frames(manifest.utterances[0].samples)
        writer.write(0, {"zcr": Track(np.ones((frames, 1), np.float32), np.ones(frames, bool))})
        writer.close()


def test_statistics_of_another_program_are_not_taken_online(few, tmp_path):
    """A label computed in training is scaled with statistics of the same program."""
    online = pytest.importorskip("ptsel_fairseq.plugin.online")
    from ptsel_fairseq.heads.settings import HeadSettings

    extract(read_manifest(few / "valid.tsv"), ["loudness"], tmp_path)
    online.check_online("loudness", HeadSettings(), LabelStore(tmp_path, "valid"))
    header = tmp_path / "valid" / "header.json"
    content = json.loads(header.read_text())
    content["labels"]["loudness"]["backend"] = {"name": "other", "version": "1", "licence": "none"}
    header.write_text(json.dumps(content))
    with pytest.raises(
        PtselError, match=r"statistics of loudness .* are of other 1, online it is computed by this"
    ):
        online.check_online("loudness", HeadSettings(), LabelStore(tmp_path, "valid"))


@pytest.mark.slow
def test_other_processes_compute_the_same(tmp_path, monkeypatch):
    backend = next((backend for backend, present in PRESENT.items() if present), None)
    if backend is None:
        pytest.skip("needs a backend")
    monkeypatch.setattr("ptsel_fairseq.base.workers.SHORT_WORK_SECONDS", 0)
    write_manifest(ASTERISK / "valid.tsv", tmp_path / "valid.tsv", every=8)
    manifest = read_manifest(tmp_path / "valid.tsv")
    for jobs in (1, 2):
        extract(manifest, ["f0"], tmp_path / str(jobs), jobs=jobs, backend=backend)
    one, two = (LabelStore(tmp_path / str(jobs), "valid") for jobs in (1, 2))
    assert list(one.checksums().values()) == list(two.checksums().values())


def test_what_a_backend_does_not_compute_is_refused(data_dir, tmp_path):
    words = ("ptsel", "extract", data_dir, "--store", tmp_path / "store")
    for backend, asked, says in (
        (
            "praat",
            "loudness",
            "does not compute 'loudness'; it computes f0, formants, jitter, log_hnr, shimmer",
        ),
        ("world", "zaiem_speech", "does not compute 'alpha_ratio'; it computes f0"),
        ("kaldi", "f0", "expected opensmile or praat or world, found 'kaldi'"),
    ):
        done = run_command(*words, "--labels", asked, "--backend", backend)
        assert done.returncode == 2
        assert says in done.stderr
        assert not (tmp_path / "store").exists()


def test_a_backend_that_is_not_installed_says_how_to_install_it(monkeypatch):
    for backend in backends.BACKENDS.values():
        monkeypatch.setitem(sys.modules, backend.module, None)
        with pytest.raises(PtselError, match=f"--backend {backend.name}: .*{backend.install}"):
            resolve(["f0"], backend.name)


def test_labels_of_backends_are_those_of_this_package():
    """The same name, dimension, unit, and undefined alike; only formants are nowhere else."""
    for backend in backends.BACKENDS.values():
        for name, label in backend.labels.items():
            if name == "formants":
                continue
            own = get(name)
            assert (label.name, label.dim, label.unit) == (name, own.dim, own.unit)
            assert (label.undefined is None) == (own.undefined is None)
    assert set(POOLS["zaiem_interspeech"]) < set(backends.BACKENDS["opensmile"].labels)


def test_formants_need_praat():
    assert "formants" not in names()
    assert "formants" not in [label.name for label in resolve(["all"])]
    with pytest.raises(PtselError, match="computed by Praat only: give --backend praat"):
        resolve(["formants"])
    listed = run_command("ptsel", "labels").stdout
    assert "Hz" in next(line for line in listed.splitlines() if line.startswith("formants"))
    assert "needs --backend praat" in run_command("ptsel", "labels", "formants").stdout


def test_a_user_cannot_take_the_name_of_a_label_of_a_backend():
    from ptsel_fairseq.labels.user import register

    with pytest.raises(PtselError, match="formants: the name is taken by --backend praat"):
        register("formants", unit="Hz", description="mine")(lambda analysis: np.ones(analysis.num_frames))
