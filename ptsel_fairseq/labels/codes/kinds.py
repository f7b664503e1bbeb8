"""How codebooks are made: clusters by k-means, and random codes."""

from __future__ import annotations

from typing import Any

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.base.provenance import versions
from ptsel_fairseq.base.threads import one_thread
from ptsel_fairseq.labels.codes.codebook import Codebook
from ptsel_fairseq.labels.store.reader import LabelStore

KMEANS, RANDOM = "kmeans", "random"
# Of the clustering of HuBERT (Hsu et al. 2021, arXiv 2106.07447, section IV-B): k-means++, mini-batches of 10,000,
# 20 random starts.
STARTS, BATCH, MOST_PASSES, PATIENCE = 20, 10_000, 100, 100
# Of the codebook of BEST-RQ (Chiu et al. 2022, arXiv 2202.01855, section 4).
RANDOM_WIDTH = 16


def definition(store: LabelStore, label: str) -> dict[str, Any]:
    """What decides the values of a stored label, as far as codes of it depend on it."""
    info = store.info(label)
    return {
        "version": info.version,
        "dim": info.dim,
        "parameters": info.parameters,
        "software": store.software(label),
    }


def fit_kmeans(store: LabelStore, label: str, codes: int, seed: int, most_frames: int) -> Codebook:
    """Cluster a sample of the valid frames of a split, in the label's own unit, as HuBERT's first iteration does.

    Args:
        store: of the split to fit on.
        codes: number of clusters.
        seed: of the sample and of the clustering.
        most_frames: of the sample; all frames if there are fewer.

    Raises:
        PtselError: fewer different frames than clusters.
    """
    from sklearn.cluster import MiniBatchKMeans

    frames = sample_frames(store, label, most_frames, seed)
    different = len(np.unique(frames[: 100 * codes], axis=0)) if len(frames) else 0
    if different < codes:
        different = len(np.unique(frames, axis=0)) if len(frames) else 0
    if different < codes:
        raise PtselError(
            f"{store.folder}, split {store.split}: {codes} clusters of {label} need as many different frames, found "
            f"{different} in a sample of {len(frames)}; take fewer codes or a larger split"
        )
    with one_thread():  # sums in another number of threads round otherwise
        model = MiniBatchKMeans(
            n_clusters=codes,
            init="k-means++",
            n_init=STARTS,
            batch_size=BATCH,
            max_iter=MOST_PASSES,
            max_no_improvement=PATIENCE,
            reassignment_ratio=0.0,
            tol=0.0,
            random_state=seed,
        ).fit(frames)
    settings = {
        "codes": codes,
        "seed": seed,
        "split": store.split,
        "sample": most_frames,
        "frames": len(frames),
        "inertia_per_frame": float(model.inertia_) / len(frames),
        "software": versions("numpy", "scikit-learn"),
    }
    return Codebook(KMEANS, label, definition(store, label), settings, {"centres": model.cluster_centers_})


def sample_frames(store: LabelStore, label: str, most: int, seed: int) -> np.ndarray:
    """Valid frames of a split, float64 [frames, dim]: all of them, or those of a random sample of `most` frames."""
    lengths = [store.num_frames(i) for i in range(store.num_utterances)]
    ends = np.cumsum(lengths, dtype=np.int64)
    total = int(ends[-1]) if len(ends) else 0
    chosen = np.arange(total)
    if total > most:
        chosen = np.sort(np.random.default_rng(seed).choice(total, most, replace=False, shuffle=False))
    places = np.searchsorted(chosen, np.concatenate([[0], ends]))
    found = []
    for i, length in enumerate(lengths):
        rows = chosen[places[i] : places[i + 1]] - (ends[i] - length)
        if len(rows):
            valid = store.valid(label, i)[rows]
            found.append(store.track(label, i)[rows[valid]])
    dim = store.info(label).dim
    return np.concatenate([np.zeros((0, dim), np.float32), *found]).astype(np.float64)


def draw_random(store: LabelStore, label: str, codes: int, seed: int) -> Codebook:
    """The random-projection quantizer of BEST-RQ: Chiu et al. 2022, arXiv 2202.01855, equation 1.

    A frame, in standard deviations of the split, is projected to `RANDOM_WIDTH` dimensions by a matrix of Xavier's
    uniform distribution; its code is the nearest of `codes` vectors of the standard normal distribution, both scaled to
    length one. Nothing of it is ever trained.

    Raises:
        PtselError: a label that does not vary in the split.
    """
    statistics = store.statistics(label)
    varies = statistics.std > 0
    if not varies.any():
        raise PtselError(
            f"{store.folder}, split {store.split}: {label} does not vary; there is nothing to code"
        )
    rng = np.random.default_rng(seed)
    dim = len(statistics.mean)
    limit = np.sqrt(6 / (dim + RANDOM_WIDTH))
    arrays = {
        "mean": statistics.mean,
        "std": np.where(varies, statistics.std, 1.0),
        "projection": rng.uniform(-limit, limit, (dim, RANDOM_WIDTH)),
        "centres": rng.standard_normal((codes, RANDOM_WIDTH)),
    }
    settings = {"codes": codes, "seed": seed, "split": store.split, "software": versions("numpy")}
    return Codebook(RANDOM, label, definition(store, label), settings, arrays, unit=True)
