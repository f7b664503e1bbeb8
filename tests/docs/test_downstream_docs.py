"""Every command of docs/downstream.md does what it says."""

from __future__ import annotations

import os
import re
import subprocess

import pytest
from conftest import BIN, ROOT

BLOCKS = re.findall(
    r"<!-- test: run -->\n```sh\n(.*?)```", (ROOT / "docs" / "downstream.md").read_text(), re.S
)
pytestmark = pytest.mark.slow


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
