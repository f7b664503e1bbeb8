"""Which definition of "MFCC with a linear classifier" gives which accuracy on the free corpora.

    ptsel fetch amazon-queen CORPORA/amazon-queen      # and tonejs, polish-emotions
    OMP_NUM_THREADS=1 python benchmarks/mfcc_baselines.py CORPORA [amazon-queen tonejs polish-emotions]

Number of cepstral coefficients, with and without their derivatives, mean and standard deviation over frames; a
logistic regression of two fixed strengths instead of the choice of `ptsel probe`, so that only the features differ.
Five folds by clip (Amazon Queen) or by note (tonejs), one speaker left out (Polish emotions). Prints accuracy and
balanced accuracy in percent, for each strength.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from common import ASTERISK, Figure, finish, parse, parser_of
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import GroupKFold, LeaveOneGroupOut, StratifiedKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from ptsel_fairseq.base.audio import read_whole_audio
from ptsel_fairseq.base.class_file import read_classes
from ptsel_fairseq.base.grid import SAMPLE_RATE, FrameGrid
from ptsel_fairseq.base.manifest import read_manifest
from ptsel_fairseq.downstream.corpora.catalogue.amazon_queen import ENOUGH_CLIPS, UNSURE
from ptsel_fairseq.labels.signal.analysis import Analysis
from ptsel_fairseq.labels.signal.cepstral import mfcc_deltas

STRENGTHS = (0.1, 1.0)
# Columns of `mfcc_deltas`: 20 coefficients, their slopes, the slopes of these.
DEFINITIONS: dict[str, tuple[list[int], list[int]]] = {  # columns of the mean, of the standard deviation
    "13": (list(range(13)), list(range(13))),
    "13 with both derivatives (label mfcc)": tuple(2 * [[*range(13), *range(20, 33), *range(40, 53)]]),
    "20": (list(range(20)), list(range(20))),
    "19 without the 0th, deviation of slopes": (list(range(1, 20)), [*range(1, 20), *range(21, 40)]),
    "20 with both derivatives (label mfcc_deltas)": tuple(2 * [list(range(60))]),
}
Item = tuple[str, str, np.ndarray, np.ndarray]  # path, class, cepstra [frames, 60], log mel [frames, 80]


def main(arguments: Sequence[str] | None = None) -> list[Figure]:
    parser = parser_of(__doc__)
    parser.add_argument(
        "corpora",
        type=Path,
        nargs="?",
        help="folder of the corpora (with --tiny: the bundled voices are taken)",
    )
    parser.add_argument("names", nargs="*", default=["polish-emotions", "tonejs", "amazon-queen"])
    options = parse(parser, arguments, {})
    if options.tiny:
        return finish(options, show("bundled voices", load(ASTERISK, "voice", ("train",))[::7], by_clip))
    if options.corpora is None:
        parser.error("expected the folder of the corpora")
    figures = []
    for name in options.names:
        corpus = options.corpora / name
        if name == "amazon-queen":
            figures += show(
                f"{name}, at most 150 clips of a character", load(corpus, "character_sure"), by_clip
            )
            figures += show(f"{name}, all clips of these characters", of_sure_characters(corpus), by_clip)
        elif name == "tonejs":
            figures += show(name, load(corpus, "instrument_seconds"), by_note)
        else:
            figures += show(name, load(corpus, "emotion"), by_speaker)
    return finish(options, figures)


def load(corpus: Path, kind: str, splits: Sequence[str] = ("train", "valid", "test")) -> list[Item]:
    """Every labelled stretch of some splits."""
    items, grid = [], FrameGrid()
    for split in splits:
        manifest = read_manifest(corpus / f"{split}.tsv")
        segments = read_classes(corpus / "classes" / f"{kind}.tsv", manifest, SAMPLE_RATE).segments
        for index in sorted({segment.utterance for segment in segments}):
            utterance = manifest.utterances[index]
            waveform = read_whole_audio(
                manifest.audio_path(utterance), SAMPLE_RATE, utterance.samples, manifest.where(utterance)
            )
            mels = Analysis(waveform, grid).log_mel
            cepstra = mfcc_deltas(mels)
            for segment in segments:
                if segment.utterance == index:
                    first, last = grid.frames_between(segment.start, segment.end, utterance.samples)
                    items.append((utterance.path, segment.name, cepstra[first:last], mels[first:last]))
    return items


def of_sure_characters(corpus: Path) -> list[Item]:
    """Clips of the characters with one voice and enough clips, however many there are."""
    items = load(corpus, "character")
    counts = Counter(item[1] for item in items)
    return [item for item in items if counts[item[1]] >= ENOUGH_CLIPS and item[1] not in UNSURE]


def by_clip(x: np.ndarray, y: np.ndarray, paths: np.ndarray, classifier) -> np.ndarray:
    return cross_val_predict(classifier, x, y, cv=StratifiedKFold(5, shuffle=True, random_state=0))


def by_note(x: np.ndarray, y: np.ndarray, paths: np.ndarray, classifier) -> np.ndarray:
    return cross_val_predict(classifier, x, y, groups=paths, cv=GroupKFold(5))


def by_speaker(x: np.ndarray, y: np.ndarray, paths: np.ndarray, classifier) -> np.ndarray:
    speakers = [path.split(".")[0] for path in paths]
    return cross_val_predict(classifier, x, y, groups=speakers, cv=LeaveOneGroupOut())


def show(title: str, items: list[Item], answer: Callable[..., np.ndarray]) -> list[Figure]:
    """Print accuracies, and give those of the first strength in percent."""
    paths, y = (np.array([item[i] for item in items]) for i in (0, 1))
    print(
        f"{title}: {len(y)} items, {len(set(y))} classes, the largest {max(Counter(y).values()) / len(y):.1%}"
    )
    features = {
        name: [np.concatenate([c[:, mean].mean(axis=0), c[:, deviation].std(axis=0)]) for _, _, c, _ in items]
        for name, (mean, deviation) in DEFINITIONS.items()
    }
    features["log mel (label log_mel)"] = [
        np.concatenate([m.mean(axis=0), m.std(axis=0)]) for _, _, _, m in items
    ]
    figures = []
    for name, rows in features.items():
        cells = []
        for strength in STRENGTHS:
            classifier = make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=3000))
            said = answer(np.array(rows), y, paths, classifier)
            if strength == STRENGTHS[0]:
                figures.append(Figure(f"{title}, {name}: accuracy", 100 * float(np.mean(said == y))))
            cells.append(f"{100 * np.mean(said == y):5.1f} {100 * balanced_accuracy_score(y, said):5.1f}")
        print(f"  {name:46s} {len(rows[0]):4d} numbers   " + "   ".join(cells), flush=True)
    return figures


if __name__ == "__main__":
    main()
