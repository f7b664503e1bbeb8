"""Every command of docs/downstream.md does what it says."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from conftest import BIN, ROOT

PAGE = (ROOT / "docs" / "downstream.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"<!-- test: run -->\n```sh\n(.*?)```", PAGE, re.S)


def test_the_python_runs(capsys):
    (code,) = re.findall(r"<!-- test: run -->\n```python\n(.*?)```", PAGE, re.S)
    exec(code, {})
    printed = capsys.readouterr().out
    assert printed.startswith("0.1111111111111111 (0.0, ")
    assert "first − second" in printed


def test_the_functions_of_the_page_are_those_of_the_face():
    from ptsel_fairseq import downstream

    table = PAGE.split("### From Python")[1].split("\n## ")[0]
    named = set(re.findall(r"`([a-z_]+)`", table))
    functions = {
        name
        for name in downstream.__all__
        if name.split("_")[0] in ("evaluate", "compare", "probe", "verify")
    }
    assert functions <= named <= {*downstream.__all__}


@pytest.mark.slow
def test_the_commands_run(tmp_path):
    work = tmp_path / "my work"
    assert len(BLOCKS) == 2
    done = subprocess.run(
        ["bash", "-c", "set -euo pipefail\n" + "\n".join(BLOCKS)],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "WORK": str(work)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (work / "table.png").is_file()
    assert "first − second" in (work / "table.md").read_text()
    assert "mfcc linear − log_mel linear" in (work / "probe" / "comparison.md").read_text()
