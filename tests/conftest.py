"""Real speech for all tests: a few of the bundled clips, their manifests and a label store."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from ptsel_fairseq.base.files import file_checksum
from ptsel_fairseq.base.manifest import Manifest, read_manifest
from ptsel_fairseq.labels.signal.librosa_import import importing_in_turn

# The first example may import, and machines are shared.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

# As the commands below: sums of several threads round otherwise, and processes a core would wait for each other.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")  # with more, numba's parallel loops give torch as many

# All that tests take librosa's answers from and that compiles ufuncs; later it would not be in turn.
with importing_in_turn():
    import librosa.beat
    import librosa.core.audio
    import librosa.core.pitch
    import librosa.filters  # noqa: F401

# Run in the background of a shell, where it is ignored and children would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

ROOT = Path(__file__).resolve().parent.parent
ASTERISK = ROOT / "examples" / "asterisk"
BIN = Path(sys.executable).parent
LABELS = ["alpha_ratio", "f0", "log_mel", "zcr"]  # always defined, undefined when unvoiced, vector, scalar


@pytest.fixture(autouse=True, scope="module")
def the_environment_is_left_as_it_was() -> Iterator[None]:
    """dask sets variables for its workers here, one of which made every later command twice as slow."""
    before = dict(os.environ)
    yield
    for name in os.environ.keys() - before.keys():
        del os.environ[name]
    os.environ.update(before)


def write_manifest(source: Path, out: Path, every: int) -> Path:
    """Write every n-th line of a bundled manifest, with an absolute audio folder."""
    root, *lines = source.read_text().splitlines()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text("\n".join([str((source.parent / root).resolve()), *lines[::every]]) + "\n")
    return out


def run_command(
    *command: object, cwd: Path | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command of this environment, for example ``run_command("ptsel", "check", folder)``."""
    program, *arguments = (str(word) for word in command)
    with subprocess.Popen(
        [str(BIN / program), *arguments],
        cwd=cwd,
        env={**os.environ, "OMP_NUM_THREADS": "1", **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            out, error = process.communicate(timeout=600)
        except BaseException:  # a test that is stopped takes what its command has started with it
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(process.args, process.returncode, out, error)


def wait_for(file: Path, seconds: float = 60) -> None:
    """Until another process has made it."""
    end = time.monotonic() + seconds
    while not file.exists():
        assert time.monotonic() < end, f"{file.name} did not appear"
        time.sleep(0.02)


@pytest.fixture(scope="session")
def data_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifests of a fifth of the bundled clips: ``train.tsv`` and ``valid.tsv``."""
    folder = tmp_path_factory.mktemp("data")
    write_manifest(ASTERISK / "train.tsv", folder / "train.tsv", every=5)
    write_manifest(ASTERISK / "valid.tsv", folder / "valid.tsv", every=3)
    return folder


@pytest.fixture(scope="session")
def store_dir(data_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The label store of `data_dir` with LABELS."""
    from ptsel_fairseq.labels.extraction.extract import extract_command

    store = tmp_path_factory.mktemp("labels") / "store"
    extract_command(data_dir, ["train", "valid"], LABELS, store)
    return store


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path."""
    return {
        str(file.relative_to(folder)): file_checksum(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@pytest.fixture
def valid_manifest(data_dir: Path) -> Manifest:
    """The manifest of the few clips that tests validate on."""
    return read_manifest(data_dir / "valid.tsv")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package as a wheel."""
    out = tmp_path_factory.mktemp("wheel")
    done = run_command("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, ROOT)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


@pytest.fixture
def nothing_stays_registered(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a test registers as its own label is forgotten after it."""
    from ptsel_fairseq.labels import registry

    monkeypatch.setattr(registry, "_registered", dict(registry._registered))
    monkeypatch.setattr("ptsel_fairseq.labels.user._loaded", {})


@pytest.fixture
def recordings():
    """Real waveforms one after the other, for miniature corpora."""
    from corpus_tools import Recordings

    return Recordings()


@pytest.fixture
def librispeech(tmp_path: Path, recordings):
    """A miniature LibriSpeech: two splits of one chapter."""
    from corpus_tools import write_librispeech

    return write_librispeech(tmp_path / "LibriSpeech", recordings)


@pytest.fixture(scope="session")
def voices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Manifests train, valid and test of two thirds of the bundled clips in five voices."""
    folder = tmp_path_factory.mktemp("voices")
    lines = (ASTERISK / "train.tsv").read_text().splitlines()[1:]
    parts = {
        "train": lines[0::3],
        "valid": lines[1::9],
        "test": (ASTERISK / "valid.tsv").read_text().splitlines()[1:],
    }
    for split, chosen in parts.items():
        (folder / f"{split}.tsv").write_text("\n".join([str(ASTERISK / "audio"), *chosen]) + "\n")
    return folder
