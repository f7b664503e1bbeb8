"""What labels add to data loading: batches of audio with seven labels against audio alone, in the same run.

    python benchmarks/bench_loading.py [--rounds 5] [--format flac] [--seconds 12]

Prints the median processor time of an epoch of batches for both, and their ratio. Audio is that of the bundled Ogg
files; `--format` writes it as FLAC or WAV first, `--seconds` joins clips to utterances of at least so many seconds.
LibriSpeech's are FLAC and 12 s long on average; short WAV files are the hardest case for the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np
import soundfile
from fairseq.data import FileAudioDataset

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.base.manifest import Manifest, read_manifest
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.plugin.dataset import PtselDataset

ROOT = Path(__file__).resolve().parent.parent
LABELS = ["alpha_ratio", "f0", "log_hnr", "loudness", "rasta_l1", "voicing", "zcr"]
BATCH = 8
LONGEST = 250_000  # samples of a crop, as in the recipe of BASE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--format", choices=["ogg", "flac", "wav"], default="ogg")
    parser.add_argument("--seconds", type=float, default=0, help="join clips until they last so long")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        manifest = read_manifest(ROOT / "examples" / "asterisk" / "train.tsv")
        if options.format != "ogg" or options.seconds:
            manifest = written(manifest, Path(folder), options.format, options.seconds)
        extract(manifest, LABELS, Path(folder) / "store")
        store = LabelStore(Path(folder) / "store", "train")
        scaling = {label: (store.statistics(label).mean, store.statistics(label).std) for label in LABELS}
        plain = stock_dataset(manifest, folder)
        labelled = PtselDataset(
            stock_dataset(manifest, folder), manifest, FrameGrid(), store, scaling, seed=1
        )
        times = {"audio alone": [], "with seven labels": []}
        for _ in range(options.rounds + 1):  # the first round fills the file cache
            for name, data in (("audio alone", plain), ("with seven labels", labelled)):
                times[name].append(epoch(data))
        medians = {name: statistics.median(values[1:]) for name, values in times.items()}
        for name, seconds in medians.items():
            print(f"{name:18s} {1000 * seconds:8.1f} ms for {len(plain)} utterances")
        ratio = medians["with seven labels"] / medians["audio alone"]
        print(f"ratio, labels to audio alone: {ratio:.3f}")


def written(manifest: Manifest, folder: Path, form: str, seconds: float) -> Manifest:
    """The clips, joined to at least so many seconds, as files of another format."""
    lines, waiting = [str(folder)], []
    for utterance in manifest:
        waiting.append(read_audio(manifest.audio_path(utterance), SAMPLE_RATE))
        if sum(map(len, waiting)) < seconds * SAMPLE_RATE:
            continue
        waveform, waiting = np.concatenate(waiting), []
        name = f"{utterance.index}.{form}"
        soundfile.write(folder / name, waveform, SAMPLE_RATE)
        lines.append(f"{name}\t{len(waveform)}")
    (folder / "train.tsv").write_text("\n".join(lines) + "\n")
    return read_manifest(folder / "train.tsv")


def stock_dataset(manifest: Manifest, folder: str) -> FileAudioDataset:
    absolute = Path(folder) / "absolute.tsv"
    absolute.write_text("\n".join([str(manifest.root), *(f"{u.path}\t{u.samples}" for u in manifest)]) + "\n")
    return FileAudioDataset(str(absolute), sample_rate=SAMPLE_RATE, max_sample_size=LONGEST)


def epoch(data: FileAudioDataset | PtselDataset) -> float:
    order = data.ordered_indices()
    started = time.process_time()
    for first in range(0, len(order), BATCH):
        data.collater([data[int(i)] for i in order[first : first + BATCH]])
    return time.process_time() - started


if __name__ == "__main__":
    main()
