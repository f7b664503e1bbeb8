"""All that was fixed beforehand: tasks, factors, sizes, seeds. PREREGISTRATION.md says why."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ptsel_fairseq.labels.pools import MUSIC, ZAIEM_SPEECH

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"  # rows that are committed
PAGE = HERE.parents[1] / "docs" / "music.md"

SEEDS = (1, 2)

# The three factors.
ENCODERS = ("transformer", "crdnn", "cnn")
RELEVANCE = "relevance"  # λ by the package's default method, for one task
EQUAL = "equal"
RULES = (EQUAL, "running_ratio", "dwa", "uncertainty", "gradnorm")  # balancing rules of the package
WEIGHTINGS = (*RULES, RELEVANCE)
NONE = "none"  # the random encoder
FAMILIES = {  # a partition of the package's pool `music`
    "spectral": ("log_mel_long", "mfcc"),
    "harmony": ("chroma", "chroma_cens", "chroma_cqt", "cqt", "tonnetz"),
    "rhythm": ("onset_strength", "tempo_ratio", "tempogram"),
    "timbre": ("harmonic_energy", "percussive_energy", "rms_energy", "spectral_contrast"),
}
WORKERS = (*FAMILIES, "music", "speech", "random")
CATALOGUE = tuple(sorted({*MUSIC, *ZAIEM_SPEECH}))  # what `random` draws from
NUM_RANDOM = 5  # labels that it draws, others for each seed

# Baselines: summaries of a label, without any encoder.
BASELINES = ("log_mel", "mfcc", "chroma")

# Data.
SCORES, NOTES = "rendered-scores", "tonejs"  # corpora of `ptsel fetch`
HOURS = 3  # of rendered scores
TRAIN_PIECES, TEST_PIECES = 280, 140  # at most, the first by checksum
EXCERPT = (2.0, 8.0)  # seconds of a piece that are a point of its tasks
NOTE_SECONDS = 4  # of a note, cut into pieces of one second
NOTE_TEST_SHARE = 0.4  # of the notes, by a checksum of their path
VALID_SHARE = 0.2  # of the notes' training part
MOST_POINTS = {"train": 50, "test": 25}  # of a class of a task of one class
MOST_CLASSES = 30
FEWEST_POINTS = {"train": 5, "test": 2}  # of a class

# Encoders and their training.
WIDTH = 64  # of the frames of every encoder
CROP = 150  # frames
BATCH = 4
UPDATES = 120
LEARNING_RATE = 3e-3
WEIGHT_DECAY = 0.01
PERIOD = 12  # updates, of the rules that have one
LONGER = 8  # times as many updates, in the stage `longer`

PENALTIES = (1e-3, 1e-2, 1e-1)  # of the probes
PROBE_ITERATIONS = 60  # of L-BFGS
ROW_RESAMPLES = 200  # of the interval of a row


@dataclass(frozen=True)
class Task:
    """A downstream task.

    Attributes:
        corpus: whose recordings its points are of.
        classes: name of the class file; of several classes at once, of the folder of ``<split>.tsv``.
        several: whether a point has several classes at once.
        summary: how frames become the vector of a point.
    """

    name: str
    corpus: str
    classes: str
    several: bool = False
    summary: str = "mean_std"

    @property
    def metric(self) -> str:
        return "map" if self.several else "accuracy"


TASKS = {
    task.name: task
    for task in (
        Task("instruments", NOTES, "instrument"),
        Task("pitch_class", NOTES, "note"),
        Task("present", SCORES, "labels", several=True),
        Task("style", SCORES, "style"),
        Task("key", SCORES, "key"),
        Task("tempo", SCORES, "tempo"),
    )
}


@dataclass(frozen=True)
class Settings:
    """What a run is asked for.

    Attributes:
        out: folder of corpora, labels and anything else that is not committed.
        results: folder of the tables.
        stages: which parts to run.
        minutes: of the grid, after which it stops at the end of a training; None for no limit.
        tiny: a few recordings and updates: to see that all steps work.
    """

    out: Path
    results: Path
    stages: tuple[str, ...]
    corpora: Path
    minutes: float | None = None
    seeds: tuple[int, ...] = SEEDS
    tiny: bool = False

    @property
    def updates(self) -> int:
        return 3 if self.tiny else UPDATES

    @property
    def pieces(self) -> dict[str, int]:
        """Rendered scores of the training part and of the test part."""
        return {"train": 16, "test": 8} if self.tiny else {"train": TRAIN_PIECES, "test": TEST_PIECES}

    @property
    def fewest(self) -> dict[str, int]:
        return {"train": 2, "test": 1} if self.tiny else FEWEST_POINTS

    @property
    def labels(self) -> tuple[str, ...]:
        """What is computed."""
        return tuple(sorted({*CATALOGUE, *BASELINES}))

    @property
    def iterations(self) -> int:
        """Of a probe's fit, at most."""
        return 5 if self.tiny else PROBE_ITERATIONS

    @property
    def resamplings(self) -> int:
        """Of the bootstrap of effects."""
        return 50 if self.tiny else 2000
