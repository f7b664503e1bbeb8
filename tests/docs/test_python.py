"""The blocks of docs/python.md run one after the other, and the notebook from an empty kernel."""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import subprocess

import pytest
from conftest import BIN, ROOT

PAGE = (ROOT / "docs" / "python.md").read_text(encoding="utf-8")
NOTEBOOK = ROOT / "examples" / "notebook.ipynb"


@pytest.fixture
def speech(tmp_path, monkeypatch):
    """A folder in which the commands of the page have run."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", f"{BIN}{os.pathsep}{os.environ['PATH']}")
    for commands in re.findall(r"<!-- test: run -->\n```sh\n(.*?)```", PAGE, re.S):
        subprocess.run(["bash", "-euo", "pipefail", "-c", commands], check=True, capture_output=True)
    return tmp_path


@pytest.mark.slow
@pytest.mark.usefixtures("nothing_stays_registered")
def test_the_page_runs(speech):
    space: dict = {}
    printed = io.StringIO()
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.S)
    assert len(blocks) == 6
    with contextlib.redirect_stdout(printed):
        for block in blocks:
            exec(compile(block, "docs/python.md", "exec"), space)
    text = printed.getvalue()
    assert re.search(r"\(\d+, 1\) 20\d Hz where voiced", text)
    assert "True\n" in text
    assert "('f0', 'loudness', 'mfcc', 'zcr') 230 utterances" in text
    assert re.search(r"mfcc +0\.9\d\d  \(", text)
    assert sum(space["chosen"].weights.values()) == pytest.approx(1)
    assert "WER 0.167 and 0.500" in text
    assert (speech / "weights.yaml").is_file()


def test_every_name_of_the_page_is_of_a_face():
    """Names that the text mentions exist, so that a renamed function is noticed."""
    from ptsel_fairseq import downstream, labels, selection

    faces = {"labels": labels, "selection": selection, "downstream": downstream}
    named = re.findall(r"\b(labels|selection|downstream)\.(\w+)\(", PAGE)
    assert len(named) > 10
    for face, name in named:
        assert name in faces[face].__all__, f"{face}.{name}"


def test_the_notebook_keeps_its_outputs():
    cells = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert all(cell["execution_count"] == i + 1 for i, cell in enumerate(code))
    kinds = {kind for cell in code for output in cell["outputs"] for kind in output.get("data", ())}
    assert "image/png" in kinds
    assert not [output for cell in code for output in cell["outputs"] if output["output_type"] == "error"]
    assert NOTEBOOK.stat().st_size < 500_000


@pytest.mark.slow
def test_the_notebook_runs(speech):
    nbclient = pytest.importorskip("nbclient")
    nbformat = pytest.importorskip("nbformat")
    pytest.importorskip("ipykernel")
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    place = {"metadata": {"path": str(speech)}}
    client = nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=place)
    client.execute()
    kept = nbformat.read(NOTEBOOK, as_version=4)
    for cell, before in zip(notebook.cells, kept.cells, strict=True):
        if cell.cell_type == "code":
            assert [output.output_type for output in cell.outputs] == [
                output.output_type for output in before.outputs
            ]
