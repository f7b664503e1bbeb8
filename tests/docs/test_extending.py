"""Each chapter of docs/extending.md shows one file; it is written to a folder outside the package and used as told."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest
from conftest import ASTERISK, BIN, ROOT

PAGE = (ROOT / "docs" / "extending.md").read_text(encoding="utf-8")
CHAPTERS = dict(re.findall(r"^## (.+?)\n(.*?)(?=^## |\Z)", PAGE, re.S | re.M))
FILE = re.compile(r"<!-- file: (\S+) -->\n```\w+\n(.*?)```", re.S)
COMMANDS = re.compile(r"<!-- test: run -->\n```sh\n(.*?)```", re.S)
ELSEWHERE = re.compile(r"<!-- test: elsewhere \((\S+)")


@pytest.fixture
def folder(data_dir, store_dir, tmp_path, monkeypatch):
    """An empty folder; the commands find the bundled prompts, and a small data folder with its label store."""
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    for name, value in {
        "PROMPTS": ASTERISK / "audio",
        "CLASSES": ASTERISK / "classes",
        "DATA": data_dir,
        "STORE": store_dir,
    }.items():
        monkeypatch.setenv(name, str(value))
    return tmp_path


@pytest.mark.slow
@pytest.mark.parametrize("chapter", [name for name, text in CHAPTERS.items() if COMMANDS.search(text)])
def test_a_chapter_does_what_it_says(chapter, folder):
    text = CHAPTERS[chapter]
    files = dict(FILE.findall(text))
    assert len(files) == 1, f"{chapter}: expected one file, found {', '.join(files) or 'none'}"
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(content, encoding="utf-8")
    for commands in COMMANDS.findall(text):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", commands],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=600,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout[-2000:]}\n{done.stderr[-3000:]}"


def test_every_chapter_is_run_here_or_names_the_test_that_runs_it():
    for chapter, text in CHAPTERS.items():
        assert FILE.search(text), f"{chapter}: no file"
        elsewhere = ELSEWHERE.search(text)
        assert COMMANDS.search(text) or (elsewhere and (ROOT / elsewhere[1]).is_file()), chapter


def test_the_page_names_every_kind():
    links = re.findall(r"\]\(#(\S+?)\)", PAGE)
    titles = {title.lower().replace(" ", "-") for title in CHAPTERS}
    assert set(links) == titles


def test_every_entry_point_group_is_that_of_a_registry():
    """The groups that the page names are those that the code reads."""
    named = set(re.findall(r"`(ptsel_fairseq\.\w+)` \|", PAGE))
    code = "\n".join(
        file.read_text(encoding="utf-8") for file in sorted(Path(ROOT / "ptsel_fairseq").rglob("*.py"))
    )
    assert named
    for group in named:
        assert f'"{group}"' in code, group
