"""How well the phones of the bundled English clips can be told apart: what benchmarks of encoders share."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from common import ASTERISK

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.files import write_text
from ptsel_fairseq.base.manifest import read_manifest

FOLDS = 5


def write_phones(out: Path, most_clips: int | None) -> None:
    """The phones of the English clips of the manifests, or of some of them, and these clips in five folds."""
    header, *phones = (ASTERISK / "classes" / "phone.tsv").read_text().splitlines()
    used = {utterance.path for file in (out / "data").glob("*.tsv") for utterance in read_manifest(file)}
    clips = sorted({line.split("\t")[0] for line in phones} & used)[:most_clips]
    phones = [line for line in phones if line.split("\t")[0] in set(clips)]
    write_text(out / "phone.tsv", "\n".join([header, *phones]) + "\n")
    lines = ["path\tclass", *(f"{clip}\tfold{number % FOLDS}" for number, clip in enumerate(clips))]
    write_text(out / "folds.tsv", "\n".join(lines) + "\n")


def probe(out: Path, name: str, features: str) -> list[float]:
    """Accuracy of the linear probe on phones, percent, and the ends of its 95 % interval over clips."""
    folder = out / "probes" / name
    if not list(folder.glob("*/result.json")):
        command = [
            *("ptsel", "probe", out / "data", "--classes", out / "phone.tsv"),
            *("--features", features, "--splits", "train", "valid", "--leave-out", out / "folds.tsv"),
            *("--seeds", 1, "--jobs", 1, "--out", folder),
        ]
        program = str(Path(sys.executable).parent / "ptsel")
        done = subprocess.run([program, *map(str, command[1:])], capture_output=True, text=True)
        if done.returncode != 0:
            raise PtselError(f"{folder}: {done.stderr[-500:]}")
    (file,) = folder.glob("*/result.json")
    accuracy = json.loads(file.read_text())["metrics"]["accuracy"]
    return [100 * value for value in (accuracy["value"], *accuracy["interval"])]


def shown(percent: Sequence[float]) -> str:
    return "{:.1f} ({:.1f} to {:.1f})".format(*percent)
