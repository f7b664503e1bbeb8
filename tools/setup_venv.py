"""Make `.venv` and install into it what `make demo` and `make test` need; nothing to do on a second run.

Uses the standard library only, since it runs before anything is installed.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
STAMP = VENV / "ptsel-setup.sha256"
# The release whose CPU build is looked for where there is no GPU.
CPU_TORCH = "torch==2.13.0"


def main() -> None:
    if sys.version_info < (3, 11):  # noqa: UP036  (this file runs on whatever Python there is)
        sys.exit(
            f"setup: Python 3.11 or later is needed, this is {sys.version.split()[0]}; try make PYTHON=python3.11"
        )
    recipe = hashlib.sha256(
        b"".join((ROOT / name).read_bytes() for name in ("setup.py", "tools/setup_venv.py"))
    )
    if STAMP.is_file() and STAMP.read_text() == recipe.hexdigest():
        return
    if not PYTHON.exists():
        say(f"making {VENV}")
        venv.create(VENV, with_pip=True)
    install_torch()
    say("installing ptsel_fairseq with fairseq and the test tools")
    pip("install", "--editable", f"{ROOT}[fairseq,dev]")
    mend_torchaudio()
    STAMP.write_text(recipe.hexdigest())
    say("done")


def install_torch() -> None:
    """Prefer a CPU build of torch on a machine without a GPU, if pip's own configuration offers one."""
    if run_quietly(PYTHON, "-c", "import torch").returncode == 0:
        return
    wanted = "torch"
    if shutil.which("nvidia-smi") is None and offers_cpu_build(CPU_TORCH):
        wanted = CPU_TORCH
    say(f"installing {wanted}")
    pip("install", wanted)


def offers_cpu_build(requirement: str) -> bool:
    report = run_quietly(
        PYTHON, "-m", "pip", "install", "--quiet", "--dry-run", "--no-deps", "--ignore-installed",
        "--report", "-", requirement,
    )  # fmt: skip
    if report.returncode != 0:
        return False
    return "+cpu" in json.loads(report.stdout)["install"][0]["metadata"]["version"]


def mend_torchaudio() -> None:
    """Move torchaudio's compiled extension aside where it cannot load beside this torch.

    torchaudio's wheels are CUDA builds. Beside a CPU build of torch their extension fails to load, which
    torchaudio takes as fatal, while it does without an extension that is not there; everything this project
    uses of torchaudio is plain Python.
    """
    check = run_quietly(PYTHON, "-c", "import torchaudio")
    if check.returncode == 0:
        return
    where = run_quietly(
        PYTHON,
        "-c",
        "import importlib.util as u; print(u.find_spec('torchaudio').submodule_search_locations[0])",
    )
    extension = Path(where.stdout.strip()) / "lib"
    if "OSError" not in check.stderr or not extension.is_dir():
        sys.exit(f"setup: torchaudio cannot be imported:\n{check.stderr}")
    say("torchaudio's extension does not fit this torch: moving it aside")
    extension.rename(extension.with_name("lib.aside"))
    if run_quietly(PYTHON, "-c", "import torchaudio").returncode != 0:
        sys.exit("setup: torchaudio cannot be imported even without its extension")


def pip(*arguments: str) -> None:
    done = subprocess.run([PYTHON, "-m", "pip", "--disable-pip-version-check", *arguments], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True)  # fmt: skip
    if done.returncode != 0:
        sys.exit(f"setup: pip {' '.join(arguments)} failed:\n{done.stdout}")


def run_quietly(*command: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True)


def say(message: str) -> None:
    print(f"setup: {message}", flush=True)


if __name__ == "__main__":
    main()
