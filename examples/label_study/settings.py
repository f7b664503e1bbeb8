"""All that was fixed beforehand: tasks, labels, controls, sizes, seeds. PREREGISTRATION.md says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).resolve().parent
RESULTS = HERE / "results"  # rows that are committed

SEEDS = (1, 2, 3)
TEST_SHARE = 0.4  # of the recordings, drawn by a checksum of their path

# How many recordings a pool takes of each part, the first by checksum.
CLIPS_A_LANGUAGE = 120
CLIPS_A_CHARACTER = 70
CLIPS_A_SENTENCE = 450
MUSIC_SECONDS = 4  # of a note, cut into pieces of one second

MOST_CLASSES = 50  # of a task, the most frequent
FEWEST_POINTS = {"train": 5, "test": 2}
EXAMPLES = (5, 20, 100)  # labelled examples a class of the learning curves

# The encoder: convolutions on log mel; and its training.
CHANNELS = 96
KERNEL = 5
DILATIONS = (1, 1, 2)
CROP = 100  # frames
BATCH = 16
UPDATES = 400
LEARNING_RATE = 2e-3

# Tier 1: ridge regression of a label on random features.
RIDGE_CHANNELS = 384
RIDGE_FRAMES = 20_000
RIDGE = 1e-3  # of the features' mean variance

# Heads of the outcome.
PENALTIES = (1e-3, 1e-2, 1e-1)
PROBE_ITERATIONS = 60  # of L-BFGS
MLP_HIDDEN = 128
MLP_EPOCHS = 40

# Tier 3: wav2vec 2.0 on log-mel bands.
TIER3_TASKS = ("phones", "characters", "question", "emotion")
TIER3_UPDATES = 500
PAPERS_WAY, TIER3_DEFAULT = "papers_sparsemax", "v_1"  # v_1: γ of 1/34, the package's 0.03

ORACLE_DIM = 8
ORACLE_NOISE = (0.25, 1.0, 4.0)  # standard deviations of the noise, that of the code being 1
NUM_GROUPS = 80  # random groups of each pool
PAPERS = ("alpha_ratio", "f0", "log_hnr", "rasta_l1", "rms_energy", "voicing", "zcr")
SAME_AS_ANOTHER = ("audspec_l1",)  # the values of loudness
CONTROLS = (
    "ctl_white_noise",
    "ctl_utterance_noise",
    "ctl_time",
    "ctl_f0_shifted",
    "ctl_loudness_gain",
    "ctl_mfcc_other",
)
GAMMAS = (0.01, 0.03, 0.1, 0.3, 1.0)  # of V_γ, each over the number of labels
NOISE_CONTROLS = ("ctl_white_noise", "ctl_utterance_noise")


@dataclass(frozen=True)
class Task:
    """A downstream task.

    Attributes:
        pool: of recordings that encoders for it are trained on.
        summary: how frames become the vector of a point, of features and of labels: ``mean``, ``mean_std``, or
            ``downsample``, four Gaussian-weighted means in time order.
        most: points of a class, in the training part and in the test part.
        made_for: the label family that should win, if the task was chosen for one.
    """

    name: str
    pool: str
    summary: str
    most: Mapping[str, int] = field(default_factory=lambda: {"train": 200, "test": 100})
    made_for: str = ""


TASKS = {
    task.name: task
    for task in (
        Task("phones", "speech", "mean"),
        Task("words", "speech", "mean_std"),
        Task("characters", "speech", "mean"),
        Task("roles", "speech", "mean"),
        Task("language", "speech", "mean"),
        Task("emotion", "speech", "mean_std"),
        Task("question", "speech", "downsample", {"train": 270, "test": 180}, "prosody"),
        Task("question_cs", "speech", "downsample", {"train": 180, "test": 120}, "prosody"),
        Task("instruments", "music", "mean"),
        Task("instruments_sf", "music", "mean"),
        Task("pitch_class", "music", "mean", made_for="pitch"),
    )
}
POOLS = ("speech", "music")


@dataclass(frozen=True)
class Settings:
    """What a run is asked for.

    Attributes:
        out: folder of corpora, features and anything else that is not committed.
        results: folder of the tables.
        tiers: which parts of the study.
        tiny: a few recordings and updates: to see that all steps work.
    """

    out: Path
    results: Path
    tiers: tuple[str, ...]
    tiny: bool = False
    seeds: tuple[int, ...] = SEEDS
    corpora: Path = field(default=Path())

    @property
    def labels(self) -> tuple[str, ...]:
        """What is computed, as `ptsel extract` takes it."""
        return tuple(sorted({*PAPERS, "loudness", "log_mel", "mfcc"})) if self.tiny else ("all",)

    @property
    def updates(self) -> int:
        return 4 if self.tiny else UPDATES

    @property
    def iterations(self) -> int:
        """Of a probe's fit, at most."""
        return 5 if self.tiny else PROBE_ITERATIONS

    @property
    def resamplings(self) -> int:
        """Of the bootstrap."""
        return 50 if self.tiny else 2000

    @property
    def num_groups(self) -> int:
        return 2 if self.tiny else NUM_GROUPS
