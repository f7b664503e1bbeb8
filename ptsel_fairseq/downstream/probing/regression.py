"""`ptsel probe --values`: how well a number, such as valence or an age, is predicted from frozen features."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.downstream.metrics.answer_files import Table
from ptsel_fairseq.downstream.metrics.results import Result
from ptsel_fairseq.downstream.probing.classifiers import (
    Fitted,
    Part,
    fit_network,
    is_deterministic,
    standardised,
)
from ptsel_fairseq.downstream.probing.items import Fold, Items, tested_rows
from ptsel_fairseq.downstream.probing.runs import probe_folds

PENALTIES = tuple(10.0**power for power in range(3, -6, -1))  # over the number of items, strongest first


def probe_values(
    items: Items, folds: Sequence[Fold], model: str, seeds: int, name: str, groups: Table | None = None
) -> Result:
    """Train in every fold with every seed; the predictions of a run are those of all its folds.

    Args:
        items: with numbers as `Items.y`, float64 [items].

    Returns:
        Metrics ``r2`` and ``ccc`` of the test items of all folds together.

    Raises:
        PtselError: values that are the same for all items to train on, or to choose on.
    """
    for fold in folds:
        for rows, what in ((fold.train, "train"), (fold.valid, "choose")):
            if len(rows) < 2 or not np.ptp(items.y[rows]) > 0:
                raise PtselError(
                    f"expected values that differ to {what} on, found {len(rows)} items"
                    + (f" of the value {items.y[rows[0]]:g}" if len(rows) else "")
                    + "; divide the data otherwise"
                )
    return probe_folds("regression", fit_and_predict, float, items, folds, model, seeds, name, groups)


def fit_and_predict(model: str, train: Part, valid: Part, test: Part, seed: int) -> Fitted:
    """Train on `train`, choose on `valid`, predict for `test`; numbers are the `y` of each.

    One layer and ``linear``: ridge regression whose penalty gives the least squared error on `valid`, fitted again on
    both. Otherwise the network of `classifiers.fit_and_answer` with the squared error of the value in standard
    deviations as its loss. Features are standardised over what a model learns from.
    """
    if is_deterministic(model, train.x.shape[1]):
        return _ridge(train, valid, test)
    return _network(model, train, valid, test, seed)


def _ridge(train: Part, valid: Part, test: Part) -> Fitted:
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    def flat(x: np.ndarray) -> np.ndarray:
        return x.reshape(len(x), -1).astype(np.float64)

    def fit(penalty: float, x: np.ndarray, y: np.ndarray):
        return make_pipeline(StandardScaler(), Ridge(alpha=penalty * len(y))).fit(flat(x), y)

    errors = [
        float(np.square(fit(penalty, train.x, train.y).predict(flat(valid.x)) - valid.y).mean())
        for penalty in PENALTIES
    ]
    best = PENALTIES[int(np.argmin(errors))]  # of equal ones the strongest
    final = fit(best, np.concatenate([train.x, valid.x]), np.concatenate([train.y, valid.y]))
    return Fitted(final.predict(flat(test.x)), {"penalty": best, "valid_mse": min(errors)})


def _network(model: str, train: Part, valid: Part, test: Part, seed: int) -> Fitted:
    import torch
    from torch import nn

    x, valid_x, test_x = standardised(train.x, valid.x, test.x)
    mean, deviation = float(train.y.mean()), float(train.y.std())
    y, valid_y = (torch.from_numpy((part.y - mean) / deviation).float()[:, None] for part in (train, valid))
    network = fit_network(
        *(model, x, valid_x, 1),
        lambda outputs, rows: nn.functional.mse_loss(outputs, y[rows]),
        lambda outputs: nn.functional.mse_loss(outputs, valid_y),
        seed,
    )
    return Fitted(network.outputs(test_x)[:, 0].double().numpy() * deviation + mean, network.chosen)


def describe_values(items: Items, folds: Sequence[Fold]) -> str:
    """What was tested on what, and what the mean of the items to learn from would reach."""
    missed = sum(
        float(np.square(items.y[fold.test] - items.y[np.concatenate([fold.train, fold.valid])].mean()).sum())
        for fold in folds
    )
    tested = items.y[tested_rows(folds)]
    spread = float(np.square(tested - tested.mean()).sum())
    text = (
        f"{len(folds)} fold{'s' if len(folds) > 1 else ''}, {len(tested)} test items with values from {tested.min():g} "
        f"to {tested.max():g}"
    )
    if spread > 0:
        text += f"; the mean of the others reaches an R² of {1 - missed / spread:.4f}"
    return text + (
        f"; {items.unlabelled} utterances without a value are left out" if items.unlabelled else ""
    )
