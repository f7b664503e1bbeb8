"""What labels add to data loading: batches of audio with seven labels against audio alone, in the same run.

    python benchmarks/bench_loading.py [--rounds 5] [--format flac] [--seconds 12]

Prints the median processor time of an epoch of batches for each, and the ratios: labels read from the store's arrays,
and from a packed copy of them. Audio is that of the bundled Ogg
files; `--format` writes it as FLAC or WAV first, `--seconds` joins clips to utterances of at least so many seconds.
LibriSpeech's are FLAC and 12 s long on average; short WAV files are the hardest case for the ratio.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import numpy as np
import soundfile
from common import SEVEN, Figure, bundled, finish, in_turns, medians, parse, parser_of, ratio, write_some
from fairseq.data import FileAudioDataset

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.base.manifest import Manifest, read_manifest
from ptsel_fairseq.labels.extraction.extract import extract
from ptsel_fairseq.labels.store.packing import pack_labels
from ptsel_fairseq.labels.store.reader import LabelStore
from ptsel_fairseq.plugin.dataset import PtselDataset

BATCH = 8
LONGEST = 250_000  # samples of a crop, as in the recipe of BASE
PLAIN, LABELLED, PACKED = "audio alone", "with seven labels", "seven, packed"
GOAL, GOAL_PACKED = 1.1, 1.05


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--format", choices=["ogg", "flac", "wav"], default="ogg")
    parser.add_argument("--seconds", type=float, default=0, help="join clips until they last so long")
    parser.add_argument("--clips", type=int, help="bundled clips to use (default: all of the training split)")
    options = parse(parser, arguments, {"rounds": 1, "clips": 10})
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        manifest = first_lines(bundled(), options.clips, folder)
        if options.format != "ogg" or options.seconds:
            manifest = written(manifest, folder, options.format, options.seconds)
        extract(manifest, SEVEN, folder / "store")
        store = LabelStore(folder / "store", "train")
        scaling = {label: (store.statistics(label).mean, store.statistics(label).std) for label in SEVEN}
        plain, *audio = (stock_dataset(manifest, folder) for _ in range(3))
        labelled = PtselDataset(audio[0], manifest, FrameGrid(), store, scaling, seed=1)
        pack_labels(store, SEVEN)
        packed = PtselDataset(audio[1], manifest, FrameGrid(), store, scaling, seed=1)
        contenders = {
            PLAIN: partial(epoch, plain),
            LABELLED: partial(epoch, labelled),
            PACKED: partial(epoch, packed),
        }
        times = in_turns(contenders, options.rounds)  # the round that is not counted fills the file cache
        for name, seconds in medians(times).items():
            print(f"{name:18s} {1000 * seconds:8.1f} ms for {len(plain)} utterances")
    what = f"loading {options.format} files with seven labels{{}}, over audio alone"
    return finish(
        options,
        [
            Figure(what.format(""), ratio(times, LABELLED, PLAIN), GOAL, True),
            Figure(what.format(", packed"), ratio(times, PACKED, PLAIN), GOAL_PACKED, True),
        ],
    )


def first_lines(manifest: Manifest, clips: int | None, folder: Path) -> Manifest:
    """The manifest itself, or its first utterances as one in a folder."""
    if clips is None:
        return manifest
    file = folder / "first" / "train.tsv"
    write_some(file, manifest, manifest.utterances[:clips])
    return read_manifest(file)


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


def stock_dataset(manifest: Manifest, folder: Path) -> FileAudioDataset:
    absolute = folder / "absolute.tsv"
    absolute.write_text("\n".join([str(manifest.root), *(f"{u.path}\t{u.samples}" for u in manifest)]) + "\n")
    return FileAudioDataset(str(absolute), sample_rate=SAMPLE_RATE, max_sample_size=LONGEST)


def epoch(data: FileAudioDataset | PtselDataset) -> None:
    """Load every utterance once, in batches."""
    order = data.ordered_indices()
    for first in range(0, len(order), BATCH):
        data.collater([data[int(i)] for i in order[first : first + BATCH]])


if __name__ == "__main__":
    main()
