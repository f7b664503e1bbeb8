"""What a corpus of a thousand to three million utterances costs at a start: seconds, memory, and a random crop.

    python benchmarks/bench_corpus.py [--utterances 1000 28000 281000] [--three-million] [--parts store loader check]

28,000 is LibriSpeech's train-clean-100, 281,000 all of its training data. The audio is a few sparse WAV files under
many names, the tracks of seven labels are sparse arrays, so that the disk holds little; both are read as real ones are.
Each part is a process of its own: `store` opens manifest and store as a training does and then draws crops; `loader`
builds the plugin's dataset and fairseq's batches, and takes batches from two loading processes; `stock` does the
same with fairseq's dataset alone; `check` runs `ptsel check --headers-only`. `store` and `loader` use a packed copy
if `--pack` makes one. Memory is what stays resident beyond what the process had before. Figures are bytes an utterance
beside the paths, and whether the cost grows as the corpus does.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
from common import SEVEN, Figure, bundled, finish, parse, parser_of

SIZES, THREE_MILLION = [1000, 28_000, 281_000], 3_000_000
SECONDS = 12.3, 3.0  # of an utterance: LibriSpeech's mean, and how far they spread to either side
RATE, FILES = 16_000, 64
PARTS = ("store", "stock", "loader", "check")
WORKERS, BATCHES, CROPS = 2, 40, 2000
GOAL_BYTES, GOAL_FIRST_BATCH = 40, 10.0
LIBRISPEECH = 281_000


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--utterances", type=int, nargs="+", default=SIZES, metavar="N")
    parser.add_argument("--three-million", action="store_true", help="also three million utterances")
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument(
        "--pack", action="store_true", help="make a packed copy of the labels first, and read it"
    )
    parser.add_argument("--seconds", type=float, nargs=2, default=SECONDS, metavar=("MEAN", "SPREAD"))
    parser.add_argument("--folder", type=Path, help="where the corpora are made, and kept (default: removed)")
    parser.add_argument("--part", nargs=2, metavar=("NAME", "CORPUS"), help=argparse.SUPPRESS)
    tiny = {"utterances": [60, 120], "seconds": (2.0, 0.5), "pack": True}
    options = parse(parser, arguments, tiny)
    if options.part:
        name, corpus = options.part
        print(json.dumps(globals()[f"measure_{name}"](Path(corpus))))
        return []
    sizes = sorted({*options.utterances, *([THREE_MILLION] if options.three_million else [])})
    found: dict[int, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as temporary:
        for size in sizes:
            corpus = (options.folder or Path(temporary)) / str(size)
            if not (corpus / "data" / "train.tsv").exists():
                make_corpus(corpus, size, *options.seconds)
            found[size] = measure(corpus, options.parts, options.pack)
            print(json.dumps({"utterances": size, **found[size]}), flush=True)
    print(table(found))
    return finish(options, figures(found))


def measure(corpus: Path, parts: Sequence[str], packed: bool) -> dict[str, Any]:
    """Every part in a process of its own, which begins with nothing read."""
    if packed:
        started = time.perf_counter()
        run_part("pack", corpus)
        made: dict[str, Any] = {"pack_s": round(time.perf_counter() - started, 2)}
    else:
        made = {}
    for part in parts:
        made |= run_part(part, corpus)
    return made


def run_part(name: str, corpus: Path) -> dict[str, Any]:
    command = [sys.executable, "-W", "ignore", __file__, "--part", name, str(corpus)]
    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def make_corpus(corpus: Path, size: int, mean: float, spread: float) -> None:
    """Manifest, audio under so many names, and a store of seven labels."""
    data, audio = corpus / "data", corpus / "audio"
    data.mkdir(parents=True)
    rng = np.random.default_rng(0)
    lengths = (RATE * rng.uniform(mean - spread, mean + spread, FILES)).astype(int)
    audio.mkdir()
    for number, samples in enumerate(lengths.tolist()):
        sparse_wav(audio / f"{number}.wav", samples)
    with (data / "train.tsv").open("w") as manifest:
        manifest.write(f"{audio}\n")
        for i in range(size):
            folder = f"train-other-500/{i // 2500}/{i // 50}"
            if i % 50 == 0:
                (audio / folder).mkdir(parents=True)
            name = f"{folder}/{i // 2500}-{i // 50}-{i % 50:04d}.wav"
            os.link(audio / f"{i % FILES}.wav", audio / name)
            manifest.write(f"{name}\t{lengths[i % FILES]}\n")
    make_store(corpus, np.resize(lengths, size))


def sparse_wav(file: Path, samples: int) -> None:
    """Silence of which the disk holds the header alone."""
    soundfile.write(file, np.zeros(16, np.int16), RATE)
    header = bytearray(file.read_bytes()[:44])
    header[4:8], header[40:44] = ((n).to_bytes(4, "little") for n in (36 + 2 * samples, 2 * samples))
    with file.open("wb") as content:
        content.write(header)
        content.truncate(44 + 2 * samples)


def make_store(corpus: Path, lengths: np.ndarray) -> None:
    """A store as `ptsel extract` writes it, of the few first bundled clips; then its arrays become long and sparse."""
    from ptsel_fairseq.base.identity import Identity
    from ptsel_fairseq.base.manifest import Manifest, read_manifest
    from ptsel_fairseq.labels.extraction.extract import extract
    from ptsel_fairseq.labels.store.recordings import Recording, write_recordings

    clips = bundled()
    extract(Manifest(clips.file, clips.root, tuple(clips)[:4]), SEVEN, corpus / "store", jobs=1)
    folder, manifest = corpus / "store" / "train", read_manifest(corpus / "data" / "train.tsv")
    frames = int(((lengths - 400) // 320 + 1).sum())
    for file in folder.glob("*.npy"):
        small = np.load(file)
        if file.name == "lengths.npy":
            np.save(file, lengths.astype(np.int64))
        else:
            shape = (frames, *small.shape[1:])
            np.lib.format.open_memmap(file, "w+", small.dtype, shape).flush()
    identities = [Identity.of(corpus / "audio" / f"{number}.wav") for number in range(FILES)]
    recordings = [Recording(u.path, u.samples, identities[u.index % FILES]) for u in manifest]
    header = json.loads((folder / "header.json").read_text())
    header |= {"manifest_checksum": manifest.checksum, "recordings": write_recordings(folder, recordings)}
    (folder / "header.json").write_text(json.dumps(header))


def resident(kind: str = "Rss", pid: int | str = "self") -> int:
    """Bytes of memory of a process: all that is resident (Rss), or what no other process shares (Private_Dirty)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(f"{kind}:"))


def most_resident() -> int:
    """The most bytes that this program had resident; getrusage would tell those of its parent, where they are more."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith("VmHWM:"))


class Cost:
    """Seconds and resident bytes since it was made."""

    def __init__(self) -> None:
        self.memory, self.started = resident(), time.perf_counter()

    def so_far(self, name: str) -> dict[str, Any]:
        seconds = time.perf_counter() - self.started
        return {f"{name}_s": round(seconds, 3), f"{name}_bytes": resident() - self.memory}


def measure_pack(corpus: Path) -> dict[str, Any]:
    from ptsel_fairseq.labels.store.packing import pack_labels
    from ptsel_fairseq.labels.store.reader import LabelStore

    pack_labels(LabelStore(corpus / "store", "train"), SEVEN)
    return {}


def measure_store(corpus: Path) -> dict[str, Any]:
    """Manifest, store, whether they fit, and then crops at random."""
    from ptsel_fairseq.base.manifest import read_manifest
    from ptsel_fairseq.labels.crops import Crop, CropTracks, check_split, standardisation
    from ptsel_fairseq.labels.store.reader import LabelStore

    read_manifest(bundled().file)  # what the first call imports is not the corpus'
    cost = Cost()
    manifest = read_manifest(corpus / "data" / "train.tsv")
    found = cost.so_far("manifest")
    store = LabelStore(corpus / "store", "train")
    check_split(store, manifest)
    found |= cost.so_far("open")
    tracks = CropTracks(manifest, store.grid, store, standardisation(store, SEVEN))
    lines = np.random.default_rng(0).integers(0, len(manifest), CROPS).tolist()
    shortest = int(store.grid.num_samples(store.num_frames(0)) // 2)
    started = time.perf_counter()
    for line in lines:
        tracks([Crop(line, 320, shortest)], shortest)
    per_crop = 1e6 * (time.perf_counter() - started) / CROPS
    paths = sum(len(utterance.path) for utterance in manifest)
    return {**found, "crop_us": round(per_crop, 1), "path_bytes": paths}


def measure_stock(corpus: Path) -> dict[str, Any]:
    """fairseq's own dataset and batches of the same audio."""
    from fairseq.data import FileAudioDataset

    cost = Cost()
    data = FileAudioDataset(str(corpus / "data" / "train.tsv"), RATE, 250_000, 16_000)
    return first_batches(cost, data, "stock")


def measure_loader(corpus: Path) -> dict[str, Any]:
    """The plugin's dataset with seven labels."""
    from fairseq.data import FileAudioDataset

    from ptsel_fairseq.base.manifest import read_manifest
    from ptsel_fairseq.labels.crops import check_split, standardisation
    from ptsel_fairseq.labels.store.reader import LabelStore
    from ptsel_fairseq.plugin.dataset import PtselDataset

    cost = Cost()
    file = corpus / "data" / "train.tsv"
    manifest, audio = read_manifest(file), FileAudioDataset(str(file), RATE, 250_000, 16_000)
    store = LabelStore(corpus / "store", "train")
    check_split(store, manifest)
    data = PtselDataset(audio, manifest, store.grid, store, standardisation(store, SEVEN), seed=1)
    return first_batches(cost, data, "loader")


def first_batches(cost: Cost, data: Any, name: str) -> dict[str, Any]:
    """Batches as fairseq makes them, from two processes: when the first one comes, and what each process then holds."""
    import torch
    from fairseq.data import data_utils

    order = data.ordered_indices()
    batches = data_utils.batch_by_size(
        order, data.num_tokens, np.minimum(data.sizes[order], 250_000), max_tokens=1_400_000
    )
    picked = np.random.default_rng(0).permutation(len(batches))[:BATCHES]
    loader = torch.utils.data.DataLoader(
        data, batch_sampler=[list(batches[i]) for i in picked], collate_fn=data.collater, num_workers=WORKERS
    )
    iterator = iter(loader)
    next(iterator)
    found = cost.so_far(f"{name}_first_batch")
    for _ in range(len(picked) - 3):
        next(iterator, None)
    children = Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()
    own = [resident("Private_Dirty", pid) for pid in children]
    return {**found, f"{name}_worker_bytes": int(max(own, default=0))}


def measure_check(corpus: Path) -> dict[str, Any]:
    """`ptsel check --headers-only` with the store, on the manifest and the audio's headers."""
    from ptsel_fairseq.data.check import check_command

    started, used, before = time.perf_counter(), sum(os.times()[:4]), resident()
    with open(os.devnull, "w") as nowhere:
        printed, sys.stdout = sys.stdout, nowhere
        try:
            check_command(corpus / "data", store=corpus / "store", headers_only=True)
        finally:
            sys.stdout = printed
    return {
        "check_s": round(time.perf_counter() - started, 2),
        "check_processor_s": round(sum(os.times()[:4]) - used, 2),  # of its processes, too
        "check_peak_bytes": most_resident() - before,
    }


def table(found: dict[int, dict[str, Any]]) -> str:
    """A row for each number of a part, a column for each size."""
    names = dict.fromkeys(name for numbers in found.values() for name in numbers)
    lines = ["| | " + " | ".join(f"{size:,}" for size in found) + " |", "| --- |" + " --- |" * len(found)]
    for name in names:
        cells = [in_words(name, numbers.get(name)) for numbers in found.values()]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def in_words(name: str, value: float | None) -> str:
    if value is None:
        return ""
    return f"{value / 1e6:.1f} MB" if name.endswith("_bytes") else f"{value:g}"


def figures(found: dict[int, dict[str, Any]]) -> list[Figure]:
    sizes = list(found)
    largest = sizes[-1]
    numbers, made = found[largest], []
    if "open_bytes" in numbers:
        beside = (numbers["open_bytes"] - numbers["path_bytes"]) / largest
        made.append(
            Figure(f"resident bytes an utterance beside its path, of {largest}", beside, GOAL_BYTES, True)
        )
    if "loader_first_batch_s" in numbers:
        nearest = min(sizes, key=lambda size: abs(size - LIBRISPEECH))
        seconds = found[nearest]["loader_first_batch_s"]
        made.append(
            Figure(f"seconds to the first batch of {nearest} utterances", seconds, GOAL_FIRST_BATCH, True)
        )
    if len(sizes) > 1 and "open_s" in numbers:
        before = sizes[-2]
        growth = (numbers["open_s"] / found[before]["open_s"]) / (largest / before)
        made.append(
            Figure(f"seconds to open, {largest} over {before} utterances, as a share of linear", growth)
        )
    return made


if __name__ == "__main__":
    main()
