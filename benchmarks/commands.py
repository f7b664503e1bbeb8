"""The commands that write files, each on a small input, run in processes that are forked from one that is warm."""

from __future__ import annotations

import contextlib
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
from common import ASTERISK

from ptsel_fairseq.base.files import file_checksum
from ptsel_fairseq.base.manifest import read_manifest

CLIPS = 12
LABELS = ("rms_energy", "zcr")


@dataclass(frozen=True)
class Command:
    """One command: the words for an output folder, which hold all that it writes."""

    name: str
    words: Callable[[Path], list[str]]


def prepare(base: Path) -> list[Command]:
    """Make the inputs in a folder and the commands that read them; run those that later ones need."""
    audio, data = base / "audio", base / "data"
    manifest = read_manifest(ASTERISK / "train.tsv")
    for number, utterance in enumerate(manifest.utterances[:CLIPS]):
        waveform, rate = soundfile.read(manifest.audio_path(utterance), dtype="float32", frames=16_000)
        file = audio / f"speaker{number % 3}" / f"{number:02d}.flac"
        file.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(file, np.pad(waveform, (0, 16_000 - len(waveform))), rate)
    wav = base / "wav"
    wav.mkdir()
    for file in sorted(audio.rglob("*.flac"))[:6]:
        soundfile.write(wav / f"{file.stem}.wav", soundfile.read(file)[0], 22_050)
    grids = base / "grids"
    for file in audio.rglob("*.flac"):
        grid = (grids / file.relative_to(audio)).with_suffix(".TextGrid")
        grid.parent.mkdir(parents=True, exist_ok=True)
        grid.write_text(
            'File type = "ooTextFile"\nObject class = "TextGrid"\n\n0\n1\n<exists>\n1\n'
            '"IntervalTier"\n"words"\n0\n1\n2\n'
            f'0.1\n0.4\n"one"\n0.4\n0.9\n"{file.stem}"\n'
        )
    classes, scores = base / "classes.tsv", base / "scores"
    export_from = base / "checkpoint.pt"
    _checkpoint(export_from)
    run(["manifest", str(audio), "--out", str(data), "--valid-percent", "0"])
    lines = (data / "train.tsv").read_text().splitlines()[1:]
    rows = [f"{line.split(chr(9))[0]}\tk{i % 2}" for i, line in enumerate(lines)]
    classes.write_text("\n".join(["path\tclass", *rows]) + "\n")
    store = base / "store"
    extract = ["extract", str(data), "--splits", "train", "--labels", *LABELS, "--jobs", "1", "--store"]
    run([*extract, str(store)])
    few = ["--permutations", "20", "--bootstrap", "10", "--estimator", "cka", "--split", "train"]
    score = ["score", str(data), "--store", str(store), "--classes", str(classes), *few]
    run([*score, "--out", str(scores)])
    select = ["select", str(scores), "--method", "direct", "--out"]
    align = ["align", str(data), "--splits", "train", "--textgrids", str(grids), "--out"]
    return [
        Command("manifest", lambda out: ["manifest", str(audio), "--out", str(out / "m")]),
        Command("convert", lambda out: ["convert", str(wav), str(out / "c"), "--jobs", "1"]),
        Command("extract", lambda out: [*extract, str(out / "store")]),
        Command("score", lambda out: [*score, "--out", str(out / "ci"), "--cache", str(out / "cache")]),
        Command("select", lambda out: [*select, str(out / "w.yaml")]),
        Command("report", lambda out: ["report", str(scores), "--out", str(out / "r.html")]),
        Command("align", lambda out: [*align, str(out / "aligned")]),
        Command("export", lambda out: ["export", str(export_from), "--out", str(out / "stock.pt")]),
    ]


def _checkpoint(file: Path) -> None:
    import torch

    model = {"_name": "ptsel_wav2vec2", "conv_feature_layers": "[(512, 10, 5)]", "encoder_layers": 1}
    cfg = {"model": model, "task": {"normalize": False}, "criterion": {}, "common": {}}
    weights = {"mask_emb": torch.arange(60_000.0), "pretext_heads.f0": torch.ones(3)}
    torch.save({"cfg": cfg, "model": weights}, file)


def start(words: list[str], log: Path) -> int:
    """Run `ptsel WORDS` in a process of its own group; what it prints goes to `log`."""
    sys.stdout.flush()
    sys.stderr.flush()
    child = os.fork()
    if child:
        return child
    code = 1
    try:
        os.setsid()
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.dup2(out, 1)
        os.dup2(out, 2)
        from ptsel_fairseq.cli import main

        main(words)
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 1
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def wait(process: int) -> int:
    """The exit code; negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def run(words: list[str], log: Path | None = None) -> int:
    """Run a command to its end; raise SystemExit with what it printed if there is no `log` and it fails."""
    file = log or Path(os.environ.get("TMPDIR", "/tmp")) / f"ptsel-{os.getpid()}.log"
    code = wait(start(words, file))
    said = file.read_text(errors="replace")
    if log is None:
        file.unlink()
        if code:
            raise SystemExit(f"ptsel {' '.join(words)}: exit code {code}\n{said}")
    return code


def contents(folder: Path) -> dict[str, str]:
    """SHA-256 of every file below a folder, by its path."""
    return {
        str(file.relative_to(folder)): file_checksum(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


@contextlib.contextmanager
def empty(folder: Path) -> Iterator[Path]:
    """An empty folder that is removed afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def clean_run(command: Command, folder: Path) -> tuple[dict[str, str], float]:
    """What a command writes when it is left alone, and its seconds."""
    with empty(folder) as out:
        started = time.monotonic()
        run(command.words(out))
        return contents(out), time.monotonic() - started


def warm_up() -> None:
    """Import what the commands need, so that forked processes begin at once."""
    import matplotlib.figure  # noqa: F401
    import scipy.stats  # noqa: F401
    import torch  # noqa: F401

    from ptsel_fairseq import selection  # noqa: F401
    from ptsel_fairseq.cli import main  # noqa: F401
