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
    assert len(BLOCKS) == 2
    done = subprocess.run(
        ["bash", "-c", "set -euo pipefail\n" + "\n".join(BLOCKS)],
        cwd=ROOT,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "WORK": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "table.png").is_file()
    assert "first − second" in (tmp_path / "table.md").read_text()
    assert "mfcc linear − log_mel linear" in (tmp_path / "probe" / "comparison.md").read_text()
