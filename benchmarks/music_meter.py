"""Why no label tells the meter of music: the same probe where tempo, and then the notes too, are known.

    ptsel fetch rendered-scores CORPUS --hours 10
    OMP_NUM_THREADS=1 python benchmarks/music_meter.py CORPUS [--clips 1440]

Each row of the table takes away one thing that a label does not know. Means of log mel over a clip have no order of
frames. The onsets' autocorrelation has it, but at lags in seconds, so that tempo and meter are mixed. At lags in beats,
with the tempo of the corpus's plan, only meter is left; with the notes of the score in place of the audio's onsets,
nothing is left that hearing could lose. Classifiers, splits and groups are those of `ptsel probe`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from common import Figure, finish, parse
from music_at_16_khz import (
    TEMPI,
    at_lags,
    in_percent,
    log_mel,
    onset_curve,
    parser_of_corpus,
    pooled,
    read_plan,
    read_splits_and_classes,
)

from ptsel_fairseq.base.audio import read_audio
from ptsel_fairseq.base.grid import SAMPLE_RATE
from ptsel_fairseq.base.progress import progress_bar
from ptsel_fairseq.base.tables import markdown
from ptsel_fairseq.base.workers import map_ordered
from ptsel_fairseq.downstream import probe_features
from ptsel_fairseq.downstream.corpora.music.library import read_library
from ptsel_fairseq.downstream.corpora.music.piece import QUARTER, Note
from ptsel_fairseq.downstream.corpora.music.plan import window
from ptsel_fairseq.labels import compute

HOP = 0.020
# Beats: the units of a beat in two and in three, then bars of two, three and four beats and of twice as many.
LAGS = np.array([1 / 4, 1 / 3, 1 / 2, 2 / 3, 1, 4 / 3, 3 / 2, 2, 3, 4, 6, 8, 9, 12])
LABELS = ("tempo_ratio", "tempogram")
TASKS: Mapping[str, Mapping[str, str]] = {  # of the classes of meter
    "meter (4)": {},
    "beat divided in 2 or 3": {"duple": "2", "triple": "2", "compound duple": "3", "compound triple": "3"},
    "bar of 2 or 3 beats": {"duple": "2", "compound duple": "2", "triple": "3", "compound triple": "3"},
}


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of_corpus(__doc__, clips=1440)
    options = parse(parser, arguments, {})
    if options.tiny:
        return finish(options, tiny())
    if options.corpus is None:
        parser.error("expected the folder of the corpus")
    return finish(options, compare(options.corpus, options.clips, options.jobs))


def compare(corpus: Path, count: int, jobs: int | None) -> list[Figure]:
    """Print the table; as figures the recall of each row on each task."""
    split_of, classes = read_splits_and_classes(corpus, ("meter", "work"))
    meter, group = classes["meter"], classes["work"]
    plan, seconds = read_plan(corpus)
    plan = [clip for clip in plan if clip["path"] in meter][:count]
    works = {work.name: work for work in read_library(corpus / "source/music21/music21/corpus", jobs).works}
    notes = [notes_of(works[clip["work"]], clip, seconds) for clip in plan]
    rows: dict[str, list[np.ndarray]] = {}
    described = map_ordered(partial(features, corpus), list(zip(plan, notes, strict=True)), jobs=jobs)
    for found in progress_bar(described, total=len(plan), desc="clips", unit="clip"):
        for name, values in found.items():
            rows.setdefault(name, []).append(values)
    paths = [clip["path"] for clip in plan]
    table, figures = [["what the probe hears", *TASKS]], []
    for name, values in rows.items():
        table.append([name])
        for task, names in TASKS.items():
            result = probe_features(
                np.stack(values),
                [names.get(meter[path], meter[path]) for path in paths],
                [split_of[path] for path in paths],
                ids=paths,
                groups=[group[path] for path in paths],
            )["uar"]
            table[-1].append(in_percent(result))
            figures.append(Figure(f"{task}, {name}: recall averaged over classes", result.value))
    print(markdown(table))
    return figures


def notes_of(work, clip: dict, seconds: float) -> list[Note]:
    """The notes of a clip, each once, whoever plays it."""
    parts = {player["part"] for player in clip["players"]}
    return [
        note
        for part in sorted(parts)
        for note in window(work, work.piece.parts[part], clip["start"], clip["tempo"], seconds)
    ]


def features(corpus: Path, of_clip: tuple[dict, list[Note]]) -> dict[str, np.ndarray]:
    """What each row of the table knows of a clip."""
    clip, notes = of_clip
    waveform = read_audio(corpus / "audio" / clip["path"], SAMPLE_RATE)
    beat = 60 / clip["beats"]
    mel = log_mel(waveform, SAMPLE_RATE, HOP)
    onsets = onset_curve(mel)
    scale = 60 / clip["tempo"] / QUARTER
    score = np.array([note.start * scale for note in notes])
    tracks = compute(waveform, list(LABELS), sample_rate=SAMPLE_RATE)
    return {
        "log mel": pooled(mel),
        **{f"`{name}`": pooled(tracks[name].values.T) for name in LABELS},
        "the onsets, lags in seconds": at_lags(onsets, 60 / TEMPI, HOP),
        "the onsets, lags in beats": at_lags(onsets, beat * LAGS, HOP),
        "the notes, lags in beats": at_lags(impulses(score, len(onsets)), beat * LAGS, HOP),
    }


def impulses(seconds: np.ndarray, frames: int) -> np.ndarray:
    """How many notes begin at each frame, spread over about three frames as the ear's onsets are."""
    distance = (np.arange(frames)[:, None] * HOP - seconds[None, :]) / HOP
    return np.exp(-0.5 * distance**2).sum(axis=1)


def bars(beats: int, parts: int, beat: float, seconds: float) -> Iterator[float]:
    """When the notes of an even rhythm begin: each beat divided into parts, the first of a bar three times."""
    unit = beat / parts
    for at in range(int(seconds / unit)):
        yield from [at * unit] * (3 if at % (beats * parts) == 0 else 1)


def tiny() -> list[Figure]:
    """Whether lags in beats are the same at each tempo, and tell the meter of an even rhythm."""
    told, within = [], 0.0
    for beats, parts in ((2, 2), (3, 2), (2, 3), (3, 3)):
        found = [
            at_lags(
                impulses(np.array([*bars(beats, parts, beat, 24.0)]), round(24.0 / HOP)), beat * LAGS, HOP
            )
            for beat in (0.4, 0.6, 0.8)
        ]
        within = max(within, *(float(np.abs(other - found[0]).max()) for other in found))
        told.append(found[0])
    between = min(float(np.abs(a - b).max()) for i, a in enumerate(told) for b in told[:i])
    return [Figure("difference between meters over that between tempi", between / within, 1.0)]


if __name__ == "__main__":
    main()
