"""A plain install holds everything and needs no fairseq."""

from __future__ import annotations

import subprocess
import sys
import zipfile

import pytest
from conftest import ROOT

pytestmark = pytest.mark.slow


def run_command_of(*command) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode:
        pytest.skip("not a git clone")
    return done.stdout


def test_the_wheel_holds_every_file(wheel):
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if name.startswith("ptsel_fairseq/")}
    files = (ROOT / "ptsel_fairseq").rglob("*")
    expected = {
        str(file.relative_to(ROOT))
        for file in files
        if file.suffix in (".py", ".html") or file.name == "py.typed"
    }
    for folder, name in (("configs", "configs"), ("examples/asterisk", "asterisk")):
        tracked = run_command_of("git", "-C", ROOT, "ls-files", folder).splitlines()
        expected |= {
            f"ptsel_fairseq/bundled/{name}/{file.removeprefix(f'{folder}/')}"
            for file in tracked
            if not file.endswith(".py")
        }
    assert packed == expected


def test_installed_beside_nothing_it_answers_and_gives_recipes_and_speech(wheel, tmp_path):
    """In an empty environment: help, recipes, speech and user-dir need nothing but Python."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    install = [venv / "bin" / "pip", "install", "--quiet", "--no-deps", "--no-index", wheel]
    subprocess.run(install, check=True, capture_output=True)
    for command in (["--help"], ["--version"], ["recipe", "pretraining/tiny", "--out", "tiny.yaml"],
                    ["example-data", "speech"], ["user-dir"]):  # fmt: skip
        done = subprocess.run(
            [venv / "bin" / "ptsel", *command], capture_output=True, text=True, cwd=tmp_path
        )
        assert done.returncode == 0, done.stderr
    assert str(venv) in done.stdout
    assert (tmp_path / "tiny.yaml").read_text() == (
        ROOT / "configs" / "pretraining" / "tiny.yaml"
    ).read_text()
    assert len(list((tmp_path / "speech").rglob("*.ogg"))) == 262


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


def test_the_page_of_a_package_index_has_no_link_that_leads_nowhere(wheel):
    archive = zipfile.ZipFile(wheel)
    metadata = archive.read(next(name for name in archive.namelist() if name.endswith("METADATA"))).decode()
    head, _, page = metadata.partition("\n\n")
    for field in ("Author:", "Keywords:", "Project-URL:", "License"):
        assert field in head
    assert "# ptsel_fairseq" in page
    assert "](docs/" not in page  # more of this in test_metadata.py
    assert "<!--" not in page
