"""What labels add to data loading: batches of audio with seven labels against audio alone, in the same run.

    python benchmarks/bench_loading.py [--rounds 5]

Prints the median processor time of an epoch of batches for both, and their ratio. Audio is decoded from the bundled Ogg
files; `--decoded` takes it from WAV instead, the hardest case for the ratio.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import soundfile
from fairseq.data import FileAudioDataset

from ptsel_fairseq.labels.extract import extract
from ptsel_fairseq.labels.grid import FrameGrid
from ptsel_fairseq.labels.store import LabelStore
from ptsel_fairseq.manifest import Manifest, read_manifest
from ptsel_fairseq.plugin.dataset import PtselDataset

ROOT = Path(__file__).resolve().parent.parent
LABELS = ["alpha_ratio", "f0", "log_hnr", "loudness", "rasta_l1", "voicing", "zcr"]
BATCH = 8


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--decoded", action="store_true", help="read WAV files instead of Ogg")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        manifest = read_manifest(ROOT / "examples" / "asterisk" / "train.tsv")
        if options.decoded:
            manifest = decode(manifest, Path(folder))
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


def decode(manifest: Manifest, folder: Path) -> Manifest:
    lines = [str(folder)]
    for utterance in manifest:
        waveform, rate = soundfile.read(manifest.audio_path(utterance))
        soundfile.write(folder / f"{utterance.index}.wav", waveform, rate)
        lines.append(f"{utterance.index}.wav\t{len(waveform)}")
    (folder / "train.tsv").write_text("\n".join(lines) + "\n")
    return read_manifest(folder / "train.tsv")


def stock_dataset(manifest: Manifest, folder: str) -> FileAudioDataset:
    absolute = Path(folder) / "absolute.tsv"
    absolute.write_text("\n".join([str(manifest.root), *(f"{u.path}\t{u.samples}" for u in manifest)]) + "\n")
    return FileAudioDataset(str(absolute), sample_rate=16_000, max_sample_size=96_000)


def epoch(data: FileAudioDataset | PtselDataset) -> float:
    order = data.ordered_indices()
    started = time.process_time()
    for first in range(0, len(order), BATCH):
        data.collater([data[int(i)] for i in order[first : first + BATCH]])
    return time.process_time() - started


if __name__ == "__main__":
    main()
