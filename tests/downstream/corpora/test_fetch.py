"""`ptsel fetch`: packages are downloaded once, checked, unpacked and prepared; nothing here needs a network."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest
from corpus_tools import write

from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import locked_folder
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.corpora import packages
from ptsel_fairseq.downstream.corpora.fetch import fetch_command
from ptsel_fairseq.downstream.corpora.packages import Package, download, unpack
from ptsel_fairseq.downstream.corpora.registry import CORPORA, fetched_names


@pytest.fixture
def registry(tmp_path, monkeypatch):
    """A folder that the clients copy packages from."""
    folder = tmp_path / "registry"
    folder.mkdir()
    for client, file in packages.FILES.items():
        monkeypatch.setitem(packages.COMMANDS, client, ("cp", str(folder / file), "."))
    return folder


def publish(registry: Path, name: str, source: Path, client: str = "npm") -> Package:
    """Pack a folder as a package of version 1 and return what is expected of it."""
    file = registry / packages.FILES[client].format(name=name, version="1")
    with tarfile.open(file, "w:gz") as archive:
        archive.add(source, arcname="package")
    return Package(client, name, "1", hashlib.sha256(file.read_bytes()).hexdigest())


def test_a_download_is_checked_and_done_once(registry, tmp_path):
    write(tmp_path / "content" / "A4.txt", "note")
    package = publish(registry, "notes", tmp_path / "content")
    file = download(package, tmp_path / "out")
    unpack(file, tmp_path / "unpacked")
    assert (tmp_path / "unpacked" / "package" / "A4.txt").read_text() == "note\n"
    (registry / package.file).unlink()
    assert download(package, tmp_path / "out") == file
    file.write_bytes(b"cut off")
    with pytest.raises(PtselError, match=r"cp .*notes-1.tgz.*No such file or directory; install Node.js"):
        download(package, tmp_path / "out")


def test_another_file_than_the_expected_one_is_not_used(registry, tmp_path):
    write(tmp_path / "content" / "A4.txt", "note")
    package = publish(registry, "notes", tmp_path / "content")
    other = Package("npm", "notes", "1", "0" * 64)
    with pytest.raises(PtselError, match=f"expected the SHA-256 {'0' * 64}, found {package.sha256}"):
        download(other, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_client_that_is_not_there_or_leaves_nothing(tmp_path, monkeypatch):
    package = Package("apt", "sounds", "1", "0" * 64)
    monkeypatch.setitem(packages.COMMANDS, "apt", ("no-such-client", "{name}"))
    with pytest.raises(PtselError, match="no-such-client: no such command; it is there on Debian"):
        download(package, tmp_path)
    monkeypatch.setitem(packages.COMMANDS, "apt", ("true", "{name}={version}"))
    with pytest.raises(
        PtselError, match=r"true sounds=1: expected it to download sounds_1_all.deb, found nothing"
    ):
        download(package, tmp_path)


@pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="needs dpkg")
def test_a_debian_package_is_unpacked(tmp_path):
    write(tmp_path / "tree" / "usr" / "share" / "x.txt", "x")
    write(tmp_path / "tree" / "DEBIAN" / "control", "Package: x", "Version: 1", "Architecture: all",
          "Maintainer: nobody <nobody@example.org>", "Description: x")  # fmt: skip
    packages._run(["dpkg-deb", "--build", "tree", "x_1_all.deb"], tmp_path, None)
    unpack(tmp_path / "x_1_all.deb", tmp_path / "out")
    assert (tmp_path / "out" / "usr" / "share" / "x.txt").read_text() == "x\n"


def test_every_package_has_a_checksum():
    for name in fetched_names():
        for package in CORPORA.get(name).packages:
            assert len(bytes.fromhex(package.sha256)) == 32


def test_polish_emotions_from_package_to_class_files(registry, recordings, tmp_path, monkeypatch, capsys):
    content = tmp_path / "content" / "data" / "polish"
    names = [f"m{s}.{e}_{word}_1.wav" for s in (1, 4, 5) for e in "asn" for word in ("tak", "nie")]
    for name in names:
        recordings.write(tmp_path / "POLISH" / name)
    content.mkdir(parents=True)
    with zipfile.ZipFile(content / "polish_speech_emotions.zip", "w") as zipped:
        for name in names:
            zipped.write(tmp_path / "POLISH" / name, f"POLISH/{name}")
    write(tmp_path / "content" / "LICENSE", "licence of the package")
    package = publish(registry, "nkululeko", tmp_path / "content", "pip")
    corpus = replace(CORPORA.get("polish-emotions"), packages=(package,))
    monkeypatch.setitem(CORPORA._things, "polish-emotions", (corpus, "this test"))
    out = tmp_path / "out"
    fetch_command("polish-emotions", out)
    manifest = read_manifest(out / "test.tsv")
    assert [u.path for u in manifest] == sorted(name for name in names if name.startswith("m1"))
    emotions = read_classes(out / "classes" / "emotion.tsv", manifest, 16000)
    assert emotions.names() == ["anger", "fear", "neutral"]
    printed = capsys.readouterr().out
    assert "licence: NOT STATED" in printed
    assert "source/nkululeko/package/LICENSE" in printed
    assert "DIFFERS: -432 utterances" in printed
    before = sorted((file, file.stat().st_mtime_ns) for file in (out / "source").rglob("*.wav"))
    fetch_command("polish-emotions", out)
    assert sorted((file, file.stat().st_mtime_ns) for file in (out / "source").rglob("*.wav")) == before
    with pytest.raises(PtselError, match="no corpus 'moon'; the corpora are amazon-queen, asterisk"):
        fetch_command("moon", out)
    next((out / "source").rglob("*.wav")).write_bytes(b"")
    with pytest.raises(
        PtselError, match=r"1 of 18 audio files .* is empty\); remove .*source and run the co"
    ):
        fetch_command("polish-emotions", out)
    shutil.rmtree(out / "source")
    fetch_command("polish-emotions", out)


def test_two_at_once_exclude_each_other(registry, tmp_path, monkeypatch):
    write(tmp_path / "content" / "LICENSE", "licence")
    package = publish(registry, "nkululeko", tmp_path / "content", "pip")
    monkeypatch.setitem(
        CORPORA._things,
        "polish-emotions",
        (replace(CORPORA.get("polish-emotions"), packages=(package,)), "test"),
    )
    out = tmp_path / "out"
    with (
        locked_folder(out / "source", "busy"),
        pytest.raises(PtselError, match="another `ptsel fetch` works there"),
    ):
        fetch_command("polish-emotions", out)
    assert list((out / "source").iterdir()) == []
