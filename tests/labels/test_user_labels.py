"""Labels of users: found by file and by installed package, computed in every process, refused with a reason."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ASTERISK, ROOT, run_command, write_manifest

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.grid import FrameGrid
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.labels import registry
from ptsel_fairseq.labels.extraction import extract as extraction
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.labels.label import Track
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.labels.tracks import compute_tracks, get, resolve
from ptsel_fairseq.labels.user import read_user_files, register

EXAMPLE = ROOT / "examples" / "own_label.py"
GRID = FrameGrid()
NOISE = np.random.default_rng(0).standard_normal(16_000).astype(np.float32) * 0.1
HEADER = "import numpy as np\nfrom ptsel_fairseq.labels.user import register\n"


pytestmark = pytest.mark.usefixtures("nothing_stays_registered")


def own(body: str, **options) -> str:
    """The text of a file with one label, `mine`."""
    options = {"unit": "u", "description": "d"} | options
    words = ", ".join(f"{key}={value!r}" for key, value in options.items())
    return f"{HEADER}@register('mine', {words})\ndef mine(analysis):\n    {body}\n"


@pytest.fixture
def user_file(tmp_path):
    def write(text: str, name: str = "mine.py") -> Path:
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def track_of_mine(file: Path):
    read_user_files([file])
    return compute_tracks(NOISE, resolve(["mine"]), GRID)["mine"]


def test_the_example_is_the_index_of_two_tones():
    """Two tones 12 dB apart in the two bands; and no index in silence."""
    read_user_files([EXAMPLE])
    time = np.arange(16_000) / 16_000
    wave = 0.2 * np.sin(2 * np.pi * 500 * time) + 0.05 * np.sin(2 * np.pi * 3000 * time)
    wave[8000:] = 0
    values, valid = compute_tracks(wave.astype(np.float32), resolve(["hammarberg_index"]), GRID)[
        "hammarberg_index"
    ]
    np.testing.assert_allclose(values[2:22], 20 * np.log10(4), atol=0.2)
    assert valid[:24].all()
    assert not valid[26:].any()
    assert (values[26:] == 0).all()


def test_the_example_agrees_with_opensmile():
    opensmile = pytest.importorskip("opensmile")
    read_user_files([EXAMPLE])
    waveform = read_audio(ASTERISK / "audio" / "en" / "agent-pass.ogg", 16_000)
    same_place = FrameGrid(320, 320)  # centres of every second openSMILE frame
    values, _ = compute_tracks(waveform, resolve(["hammarberg_index"]), same_place)["hammarberg_index"]
    extractor = opensmile.Smile(opensmile.FeatureSet.eGeMAPSv02, opensmile.FeatureLevel.LowLevelDescriptors)
    theirs = extractor.process_signal(waveform, 16_000)["hammarbergIndex_sma3"].to_numpy()[::2]
    both = min(len(theirs), len(values))
    assert np.corrcoef(values[:both, 0], theirs[:both])[0, 1] > 0.95


def test_the_command_extracts_and_lists_the_example(data_dir, tmp_path):
    done = run_command("ptsel", "extract", data_dir, "--splits", "valid", "--labels", "hammarberg_index", "zcr",
                       "--user-labels", EXAMPLE, "--store", tmp_path)  # fmt: skip
    assert done.returncode == 0, done.stderr
    store, manifest = LabelStore(tmp_path, "valid"), read_manifest(data_dir / "valid.tsv")
    assert store.labels == ("hammarberg_index", "zcr")
    read_user_files([EXAMPLE])
    waveform = read_audio(manifest.audio_path(manifest.utterances[1]), 16_000)
    values, valid = compute_tracks(waveform, resolve(["hammarberg_index"]), GRID)["hammarberg_index"]
    np.testing.assert_array_equal(store.track("hammarberg_index", 1), values)
    np.testing.assert_array_equal(store.valid("hammarberg_index", 1), valid)
    info = store.info("hammarberg_index")
    assert (info.version, info.unit, info.undefined) == (1, "dB", "digital silence")
    entries = json.loads((tmp_path / "valid" / "header.json").read_text())["labels"]
    assert re.fullmatch(r"own_label\.py, sha256 [0-9a-f]{64}", entries["hammarberg_index"]["origin"])
    assert entries["zcr"]["origin"] == "ptsel_fairseq"
    listed = run_command("ptsel", "labels", "hammarberg_index", "--user-labels", EXAMPLE).stdout
    assert listed.startswith("hammarberg_index    1  dB")
    assert "from own_label.py" in listed


@pytest.mark.slow
def test_other_processes_compute_the_same(data_dir, tmp_path, monkeypatch, user_file):
    """Also when the file is edited or gone after the start: its text travels, not its path."""
    monkeypatch.setattr("ptsel_fairseq.base.workers.SHORT_WORK_SECONDS", 0)
    manifest = read_manifest(write_manifest(data_dir / "valid.tsv", tmp_path / "valid.tsv", every=2))
    file = user_file(EXAMPLE.read_text())
    real = extraction.read_user_files

    def read_and_remove(files):
        found = real(files)
        file.unlink()
        return found

    extract(manifest, ["hammarberg_index", "rms_energy"], tmp_path / "one", jobs=1, user_labels=[file])
    monkeypatch.setattr(extraction, "read_user_files", read_and_remove)
    extract(manifest, ["hammarberg_index", "rms_energy"], tmp_path / "two", jobs=2, user_labels=[file])
    for name in ("hammarberg_index.npy", "hammarberg_index.valid.npy", "rms_energy.npy"):
        assert (tmp_path / "one/valid" / name).read_bytes() == (tmp_path / "two/valid" / name).read_bytes()


@pytest.mark.parametrize(
    ("body", "options", "says"),
    [
        ("return np.zeros(3)", {}, r"expected numbers of shape \(49, 1\) .*found float64 of shape \(3, 1\)"),
        ("return np.zeros((analysis.num_frames, 2))", {}, r"\(49, 1\).*\(49, 2\)"),
        ("return np.array(['a'] * 49)", {}, r"expected numbers.*<U1"),
        ("return np.where(np.arange(49) == 7, np.nan, 1)", {}, "not finite .* first in frame 7 of 49"),
        ("return np.full(49, 1e300)", {}, "not finite"),
        ("return np.zeros(49), np.ones(49, bool)", {}, "a mask, though it says that it is always defined"),
        ("return np.zeros(49)", {"undefined": "noise"}, "found no mask"),
        ("return np.zeros(49), np.ones(49)", {"undefined": "noise"}, "mask of bool .*float64"),
        ("return np.full(49, np.nan), np.arange(49) < 2", {"undefined": "noise"}, "not finite .* frame 0"),
        ("return 1 / 0", {}, r"ZeroDivisionError: division by zero, in mine\.py, line 5"),
        ("analysis.waveform *= 2", {}, r"read-only.*mine\.py, line 5"),
        ("return None", {}, "expected numbers"),
    ],
)  # fmt: skip
def test_a_track_that_cannot_be_stored(user_file, body, options, says):
    with pytest.raises(PtselError, match=f"label mine.*{says}"):
        track_of_mine(user_file(own(body, **options)))


def test_values_outside_the_mask_are_not_looked_at(user_file):
    body = "return np.where(np.arange(49) < 5, np.nan, 2), np.arange(49) >= 5"
    values, valid = track_of_mine(user_file(own(body, undefined="the start")))
    assert values.dtype == np.float32
    np.testing.assert_array_equal(values[:, 0], [0] * 5 + [2] * 44)
    np.testing.assert_array_equal(valid, [False] * 5 + [True] * 44)


def test_integers_and_one_dimension_will_do(user_file):
    values, valid = track_of_mine(user_file(own("return np.arange(49)")))
    np.testing.assert_array_equal(values, np.arange(49.0)[:, None])
    assert values.dtype == np.float32
    assert valid.all()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = (", r"line 1: .*never closed"),
        ("import no_such_module_here", "ModuleNotFoundError: No module named"),
        ("x = 1", "expected a function decorated with"),
        (own("return 0").replace("'mine'", "'zcr'"), "label zcr: the name is taken by ptsel_fairseq"),
        (own("return 0").replace("'mine'", "'zaiem_speech'"), "this is the name of a pool"),
        (own("return 0").replace("'mine'", "'My label'"), "expected a name of lower-case"),
        (own("return 0") + own("return 1").removeprefix(HEADER), r"the name is taken by mine\.py"),
        (own("return 0", dim=0), "expected dim to be a whole number from 1, found 0"),
        (own("return 0", version="2"), "expected version"),
        (own("return 0", parameters={"set": {1}}), "JSON"),
        (own("return 0").replace("unit='u', ", ""), "TypeError: .*unit"),
    ],
)
def test_a_file_that_cannot_be_used(user_file, text, says):
    file = user_file(text)
    with pytest.raises(PtselError, match=rf"--user-labels {file}: .*{says}"):
        read_user_files([file])
    assert "mine" not in registry.known()


def test_a_file_that_cannot_be_read(tmp_path):
    (tmp_path / "latin.py").write_bytes(b"# \xe9\n")
    for name, says in (("absent.py", "No such file"), ("latin.py", "utf-8"), (".", "directory")):
        with pytest.raises(PtselError, match=f"--user-labels .*cannot be read.*{says}"):
            read_user_files([tmp_path / name])


def test_an_edited_file_is_loaded_again(user_file):
    file = user_file(own("return np.full(49, 1)"))
    assert track_of_mine(file)[0][0] == 1
    assert track_of_mine(file)[0][0] == 1
    user_file(own("return np.full(49, 2)", version=2))
    assert track_of_mine(file)[0][0] == 2
    assert get("mine").version == 2


def test_another_version_or_an_edited_file_is_not_mixed(user_file, data_dir, tmp_path):
    """A finished label of another version is refused; an unfinished one of another text starts anew."""
    manifest = read_manifest(data_dir / "valid.tsv")
    file = user_file(own("return np.full(analysis.num_frames, 1)"))
    extract(manifest, ["mine"], tmp_path / "store", jobs=1, user_labels=[file])
    user_file(own("return np.full(analysis.num_frames, 2)", version=2))
    with pytest.raises(PtselError, match=r"mine is of definition 1, .* makes 2"):
        extract(manifest, ["mine"], tmp_path / "store", jobs=1, user_labels=[file])

    frames = GRID.num_frames(manifest.utterances[0].samples)
    for value in (3, 4):
        read_user_files([user_file(own(f"return np.full(analysis.num_frames, {value})"))])
        writer = extraction.StoreWriter(tmp_path / "partial", manifest, resolve(["mine"]), GRID)
        assert len(writer.open()) == len(manifest)
        writer.write(0, {"mine": Track(np.full((frames, 1), value, np.float32), np.ones(frames, bool))})
        writer.close()


def test_a_label_of_this_process_only(data_dir, tmp_path, monkeypatch):
    """As in a notebook: one process will do, several cannot see it and say so."""

    @register("mine", unit="u", description="d")
    def mine(analysis):
        return np.ones(analysis.num_frames)

    manifest = read_manifest(data_dir / "valid.tsv")
    monkeypatch.setattr("ptsel_fairseq.base.workers.SHORT_WORK_SECONDS", 0)
    with pytest.raises(PtselError, match="registered in this process only"):
        extract(manifest, ["mine"], tmp_path, jobs=2)
    extract(manifest, ["mine"], tmp_path, jobs=1)
    assert LabelStore(tmp_path, "valid").statistics("mine").mean == [1.0]


def install(folder: Path, module: str, text: str) -> dict[str, str]:
    """A package in a folder of its own, as pip would leave it; returns the environment that finds it."""
    folder.mkdir()
    (folder / f"{module}.py").write_text(text)
    metadata = folder / f"{module}-1.5.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {module}\nVersion: 1.5\n")
    (metadata / "entry_points.txt").write_text(f"[ptsel_fairseq.labels]\nlabels = {module}\n")
    return {"PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}


def test_labels_of_an_installed_package(data_dir, tmp_path):
    environment = install(tmp_path / "site", "spoken_labels", own("return np.ones(analysis.num_frames)"))
    done = run_command("ptsel", "extract", data_dir, "--splits", "valid", "--labels", "mine",
                       "--store", tmp_path / "store", **environment)  # fmt: skip
    assert done.returncode == 0, done.stderr
    header = json.loads((tmp_path / "store" / "valid" / "header.json").read_text())
    assert header["labels"]["mine"]["origin"] == "spoken_labels 1.5"
    assert "from spoken_labels 1.5" in run_command("ptsel", "labels", "mine", **environment).stdout


def test_the_label_of_the_documentation_as_a_package(tmp_path):
    page = (ROOT / "docs" / "extending.md").read_text()
    text = page.split("<!-- file: my_label.py -->\n```python\n")[1].split("```")[0]
    environment = install(tmp_path / "site", "crest", text)
    assert "from crest 1.5" in run_command("ptsel", "labels", "crest_factor", **environment).stdout


def test_a_broken_package_is_named_and_stops_only_what_needs_it(tmp_path):
    environment = install(tmp_path / "site", "broken_labels", "raise ValueError('no licence')")
    assert run_command("ptsel", "labels", "zcr", **environment).returncode == 0
    done = run_command("ptsel", "labels", **environment)
    assert done.returncode == 2
    assert (
        "package broken_labels 1.5 (entry point ptsel_fairseq.labels: labels = broken_labels)" in done.stderr
    )
    assert "ValueError: no licence, in broken_labels.py, line 1" in done.stderr
    assert "Traceback" not in done.stderr
    debug = run_command("ptsel", "--debug", "labels", **environment)
    assert "ValueError: no licence" in debug.stderr
    assert "Traceback" in debug.stderr


def test_registering_is_light():
    code = "import sys, ptsel_fairseq.labels.user; print({'torch', 'librosa', 'numpy'} & set(sys.modules))"
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "set()"
    )
