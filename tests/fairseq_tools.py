"""Running code where fairseq is imported already; see ``fairseq_server.py``."""

from __future__ import annotations

import atexit
import itertools
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

SECONDS = 400
_counted = itertools.count()


@lru_cache
def _server() -> subprocess.Popen:
    server = subprocess.Popen(
        [sys.executable, str(Path(__file__).with_name("fairseq_server.py"))],
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    atexit.register(server.communicate)  # which closes its standard input, and it ends
    return server


def _ask(request: dict) -> None:
    print(json.dumps(request), file=_server().stdin, flush=True)


def _answer(seconds: float) -> int | None:
    """None if there is none after that time."""
    said = _server().stdout
    if not select.select([said], [], [], seconds)[0]:
        return None
    line = said.readline()
    assert line, "the server has ended"
    return int(line)


@lru_cache
def _folder() -> Path:
    folder = tempfile.TemporaryDirectory(prefix="said")
    atexit.register(folder.cleanup)
    return Path(folder.name)


@dataclass(frozen=True)
class Running:
    """A process of the server: its number, and the files of what it says."""

    number: int
    output: Path
    errors: Path

    def wait(self) -> subprocess.CompletedProcess[str]:
        """Its exit code and what it has said, when it has ended."""
        _ask({"wait": self.number})
        code = _answer(SECONDS)
        if code is None:
            os.kill(self.number, signal.SIGKILL)
            _answer(SECONDS)  # to this, so that the next one is the next question's
            raise TimeoutError(f"not done after {SECONDS} s: {self.output.read_text()[-3000:]}")
        return subprocess.CompletedProcess([], code, self.output.read_text(), self.errors.read_text())


def start(code: str, *arguments: object, **environment: str) -> Running:
    """Start Python code with these arguments, in the folder /."""
    count = next(_counted)
    output, errors = (_folder() / f"{count}.{name}" for name in ("output", "errors"))
    request = {
        "code": code,
        "arguments": [str(argument) for argument in arguments],
        "environment": {**os.environ, "OMP_NUM_THREADS": "1", **environment},
        "output": str(output),
        "errors": str(errors),
    }
    _ask(request)
    number = _answer(SECONDS)
    assert number is not None, f"the server did not answer in {SECONDS} s"
    return Running(number, output, errors)


def ptsel(*words: object) -> subprocess.CompletedProcess[str]:
    """A command that imports fairseq, for example ``ptsel("export", checkpoint, "--out", file)``."""
    return start("from ptsel_fairseq.cli import main\nraise SystemExit(main())", *words).wait()
