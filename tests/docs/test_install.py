"""A plain install holds everything and needs no fairseq."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from conftest import ROOT, run_command

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    out = tmp_path_factory.mktemp("wheel")
    done = run_command("python", "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", out, ROOT)
    assert done.returncode == 0, done.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_holds_every_file(wheel):
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("ptsel_fairseq/")}
    files = (ROOT / "ptsel_fairseq").rglob("*")
    expected = {str(file.relative_to(ROOT)) for file in files if file.suffix in (".py", ".html")}
    assert packed == expected


def test_installed_beside_nothing_it_answers_and_lists_labels(wheel, tmp_path):
    """In an empty environment: help, labels and user-dir need nothing but Python."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    install = [venv / "bin" / "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True)
    for command in (["--help"], ["--version"], ["labels"], ["user-dir"]):
        done = subprocess.run(
            [venv / "bin" / "ptsel", *command], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
    assert str(venv) in done.stdout


def test_the_core_requirements_are_lower_bounds_without_fairseq(wheel):
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(next(name for name in archive.namelist() if name.endswith("METADATA"))).decode()
    requirements = [
        line.split(": ", 1)[1] for line in metadata.splitlines() if line.startswith("Requires-Dist")
    ]
    core = [requirement for requirement in requirements if "extra ==" not in requirement]
    assert not [requirement for requirement in core if "fairseq" in requirement]
    for requirement in core:
        assert ">=" in requirement
        assert "<" not in requirement
        assert "==" not in requirement
