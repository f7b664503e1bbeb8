"""Minutes of synthetic music in the folders that `ptsel fetch` makes of `tonejs` and `rendered-scores`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import soundfile
from corpus_tools import write

RATE = 16_000
INSTRUMENTS = {
    "flute": (1.0, 0.1),
    "organ": (1.0, 0.8, 0.6, 0.5),
    "reed": (0.2, 0.1, 1.0, 0.1, 0.7),
}  # partials
NAMES = ("C", "Cs", "D", "Ds", "E", "F", "Fs", "G", "Gs", "A", "As", "B")
SPLITS = ("train", "train", "valid", "test")


def tone(instrument: str, midi: float, seconds: float) -> np.ndarray:
    time = np.arange(round(seconds * RATE)) / RATE
    pitch = 440 * 2 ** ((midi - 69) / 12)
    partials = sum(
        a * np.sin(2 * np.pi * pitch * (k + 1) * time) for k, a in enumerate(INSTRUMENTS[instrument])
    )
    return 0.1 * partials * np.exp(-2 * time / seconds) * np.minimum(1, time / 0.01)


def notes(root: Path) -> None:
    """Eight notes of each instrument, of two pitch classes, 2.2 s long."""
    corpus = root / "tonejs"
    rows: list[str] = []
    classes: dict[str, list[str]] = {"instrument": [], "note": []}
    for instrument in INSTRUMENTS:
        for number in range(8):
            midi = 48 + 12 * (number % 4) + 7 * (number // 4)
            name = f"{NAMES[midi % 12]}{midi // 12 - 1}"
            path = f"tonejs-instrument-{instrument}/{name}.flac"
            wave = tone(instrument, midi, 2.2)
            (corpus / "audio" / path).parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(corpus / "audio" / path, wave, RATE)
            rows.append(f"{path}\t{len(wave)}")
            classes["instrument"].append(f"{path}\t{instrument}")
            classes["note"].append(f"{path}\t{name}")
    for number, split in enumerate(("train", "valid", "test")):
        write(corpus / f"{split}.tsv", str(corpus / "audio"), *rows[number::3])
    for kind, lines in classes.items():
        write(corpus / "classes" / f"{kind}.tsv", "path\tclass", *lines)
    write(corpus / "report.md", "a miniature")


def pieces(root: Path, number: int = 32) -> None:
    """Chords of two instruments of three, in two keys, two tempi and two styles (rising or falling), 11 s long."""
    corpus = root / "rendered-scores"
    rng = np.random.default_rng(0)
    rows: dict[str, list[str]] = {split: [] for split in SPLITS}
    present: dict[str, list[str]] = {split: [] for split in SPLITS}
    classes: dict[str, list[str]] = {"style": [], "key": [], "tempo": []}
    for i in range(number):
        split = SPLITS[i // 4 % 4]
        key, beat, falls = (
            ((0, "C major"), (6, "F# major"))[i % 2],
            (0.35, 0.8)[i // 2 % 2],
            bool(rng.integers(2)),
        )
        left_out = list(INSTRUMENTS)[rng.integers(3)]
        playing = [name for name in INSTRUMENTS if name != left_out]
        wave = np.zeros(11 * RATE)
        for step, start in enumerate(np.arange(0, 10.9 - beat, beat)):
            degree = (0, 4, 7, 12)[step % 4] * (-1 if falls else 1)
            sound = tone(playing[step % 2], 60 + key[0] + degree, beat)
            wave[round(start * RATE) : round(start * RATE) + len(sound)] += sound
        path = f"piece{i:02d}.flac"
        (corpus / "audio").mkdir(parents=True, exist_ok=True)
        soundfile.write(corpus / "audio" / path, wave + 1e-4 * rng.standard_normal(len(wave)), RATE)
        rows[split].append(f"{path}\t{len(wave)}")
        classes["style"].append(f"{path}\t{'falling' if falls else 'rising'}")
        classes["key"].append(f"{path}\t{key[1]}")
        classes["tempo"].append(f"{path}\t{'fast' if beat < 0.5 else 'slow'}")
        present[split] += [f"{path}\t{name}\t{float(name in playing):g}" for name in INSTRUMENTS]
    for split in dict.fromkeys(SPLITS):
        write(corpus / f"{split}.tsv", str(corpus / "audio"), *rows[split])
        write(corpus / "labels" / f"{split}.tsv", "path\tclass\trelevance", *present[split])
    for kind, lines in classes.items():
        write(corpus / "classes" / f"{kind}.tsv", "path\tclass", *lines)
    write(corpus / "report.md", "a miniature")


def make(root: Path) -> None:
    notes(root)
    pieces(root)
