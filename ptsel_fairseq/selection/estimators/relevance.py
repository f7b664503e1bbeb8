"""Relevance: how much a label tells the classes apart by what can be heard of it, beyond chance.

For labels side by side, in standard deviations: S their covariance (shrunk as Ledoit and Wolf 2004 say), m_c
their mean in class c, h_c the class's mean of what the speech predicts of them at points that the prediction
never saw (see `audible`), w the classes' shares of the points, and

    B = Σ_c w_c (m_c h_c' + h_c m_c') / 2.

With the weight λ_h spread over the d_h columns of label h, a_j = λ_h / d_h and A = diag(a),

    V_γ(λ) = tr( (S + γ A⁻¹)⁻¹ B ),

the share of the labels' variance that lies between the classes and is heard, summed over directions. Were all
of a label heard (h = m), it would be Pillai's trace where γ = 0, the sum of squared canonical correlations of
labels and classes, at most min(D, k - 1) for k classes; what cannot be heard adds nothing. (With h_c on both
sides, what is heard would be counted twice, and the code of the class itself would come behind labels that are
simple functions of the speech.) A direction whose share of the loss is below γ hardly counts: it would not be
learned. Labels that say the same share their worth. `relevance` of one label is V of it alone, λ = 1. **Higher
is better.** For a scalar label that is a function of the speech, 1 - V is the share of its variance inside the
classes: conditional dependence, normalised.

Pure chance gives B the expectation E under labels that are permuted by group (see `Task.transplant`). The score
of one label is (V - V_E) m / (m - V_E) with V_E the value of E and m the largest value it could have: 0 in the
mean without any tie, and m where nothing varies inside the classes. For a group B becomes (B - E) / (1 - e),
e = tr(S⁻¹E) / D, less what of it is negative.

Of a task of values (`value_task`) there is one m, the covariance of label and value in standard deviations, and one h,
that of what is heard of the label; B = (m h' + h m') / 2, and Pillai's trace is the squared multiple correlation.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy.linalg import eigh, solve_triangular

from ptsel_fairseq.base.errors import PtselError
from ptsel_fairseq.selection.estimators.audible import Audible, Plain
from ptsel_fairseq.selection.estimators.null import Null, permuted, sum_of_chi_squares
from ptsel_fairseq.selection.estimators.shrinkage import ledoit_wolf
from ptsel_fairseq.selection.estimators.task import Task, stack

NOISE_FLOOR = 0.03  # γ over the sum of the weights
DRAWS = 200  # permutations for E where points come in groups
VALUES_AT_ONCE = 4_000_000  # of permuted labels
MOST_OPERATIONS = 4e12  # of all permutations together; beyond, moments of their distribution are used


@dataclass(frozen=True)
class Found:
    """Relevance of one label.

    Attributes:
        score: adjusted, see the module.
        raw: V before the adjustment.
        chance: V of E.
        most: the largest value that it could have.
        null: its distribution under permutation by group; None if it was not asked for.
        standard_error: from the jackknife over blocks of groups.
        per_class: what each class adds to the raw value [k].
    """

    score: float
    raw: float
    chance: float
    most: float
    null: Null | None
    standard_error: float | None
    blocks: int
    per_class: np.ndarray


class Relevance:
    """Second moments of the labels of one task, from which relevance follows for each and for any weights.

    Attributes:
        names: of the labels that can be scored, sorted.
        reasons: label -> why it cannot.
        stacked: the labels' values.
        dims: columns of each label.

    Args:
        task: classes, groups and speech. labels: name -> values [n] or [n, d]; NaN where undefined (see
        `Stacked`). audible: of what is heard (default), or of all of the label: Pillai's trace, adjusted.
        heard: the `Audible` of the same task, where there is one already. shrinkage: whether S is shrunk.
        Without it, and with γ = 0, no invertible linear map of a label changes its score.
    """

    def __init__(
        self,
        task: Task,
        labels: Mapping[str, np.ndarray],
        audible: bool = True,
        heard: Audible | None = None,
        shrinkage: bool = True,
    ) -> None:
        self.task, self.shrinkage = task, shrinkage
        self._known_powers: dict[float, tuple[float, float, float]] = {}
        self.stacked, self.reasons = stack(labels, len(task))
        self.names, self.dims = self.stacked.names, self.stacked.dims
        self.plain = Plain(task)
        self.audible = (heard or Audible(task)) if audible else None
        self.means = self.plain.class_means(self.stacked.values)
        self.heard_means = self.audible.class_means(self._products) if self.audible else self.means

    def _covariance(self, values: np.ndarray) -> tuple[np.ndarray, float]:
        return ledoit_wolf(values) if self.shrinkage else (values.T @ values / len(values), 0.0)

    @property
    def columns(self) -> int:
        return self.stacked.values.shape[1]

    @cached_property
    def covariance(self) -> np.ndarray:
        """S of all labels together [D, D], shrunk."""
        return self._covariance(self.stacked.values)[0]

    @cached_property
    def between(self) -> np.ndarray:
        """B [D, D], not adjusted."""
        return self._between(self.means, self.heard_means)

    def _between(self, means: np.ndarray, heard: np.ndarray) -> np.ndarray:
        found = (means * self.task.shares[:, None]).T @ heard
        return (found + found.T) / 2

    @cached_property
    def _grams(self) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
        """Inner products of what makes class means, and of what makes heard ones, of points and of groups' sums."""
        root = np.sqrt(self.task.shares)[:, None]
        found = []
        for by_group in (False, True)[: 1 if self.task.independent else 2]:
            plain = self.plain.gram_of_matrix(by_group)
            if self.audible is None:
                three = (plain, plain, plain)
            else:
                three = (
                    plain,
                    self.audible.product_with_plain(by_group),
                    self.audible.gram_of_matrix(by_group),
                )
            found.append(tuple(root * each * root.T for each in three))
        return found

    def _powers(self, shared: float = 0.0) -> tuple[float, float, float]:
        """Sums of the eigenvalues of the quadratic form in a label's values that B is, of their squares and cubes.

        `shared`: correlation of a label's values in one group.
        """
        key = round(shared, 3)
        if key not in self._known_powers:
            own = self._grams[0]
            if key:
                own = tuple(a + key * (b - a) for a, b in zip(*self._grams, strict=True))
            plain, cross, heard = own
            form = plain
            if self.audible is not None:
                # (A'WG + G'WA) / 2 has the eigenvalues of these products, beside zeros.
                form = np.block([[cross, heard], [plain, cross.T]]) / 2
            square = form @ form
            powers = (np.trace(form), np.trace(square), np.vdot(square, form.T))
            self._known_powers[key] = (float(powers[0]), float(powers[1]), float(powers[2]))
        return self._known_powers[key]

    @cached_property
    def _chance(self) -> tuple[float, float]:
        """What E takes of the points' own second moments and of those of pairs in one group (see `chance`)."""
        traces = [float(np.trace(cross)) for _, cross, _ in self._grams]
        if self.task.independent:
            return traces[0] * len(self.task) / (len(self.task) - 1), 0.0
        return traces[0], traces[1] - traces[0]

    @cached_property
    def _pairs(self) -> np.ndarray:
        """Mean product of two points of one group, over groups of two and more [D, D]."""
        z = self.stacked.values
        sums = self.task.group_sums(z)
        sizes = np.bincount(self.task.group_of)
        count = float((sizes * (sizes - 1)).sum())
        return (sums.T @ sums - z.T @ z) / count if count else np.zeros((z.shape[1],) * 2)

    @cached_property
    def chance(self) -> np.ndarray:
        """E [D, D], what B is in the mean over permutations by group."""
        z = self.stacked.values
        if self.exact and not self.task.independent:
            total = np.zeros((z.shape[1],) * 2)
            for some, heard in self._permuted_means(z, DRAWS):
                for means, hears in zip(some, heard, strict=True):
                    total += self._between(means, hears)
            return total / DRAWS
        own, pairs = self._chance
        expected = own * (z.T @ z) / len(z)
        return expected + pairs * self._pairs if pairs else expected

    @property
    def exact(self) -> bool:
        """Whether the permutations themselves are within reach, rather than moments of their distribution."""
        return self._within_reach(DRAWS) and 8.0 * len(self.task.names) * len(self.task) < 1e9

    def _permuted_means(self, values: np.ndarray, count: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Class means and heard class means of values [n, D] that are permuted by group, [P, k, D] each.

        `count` permutations altogether, some at a time.
        """
        n, D = values.shape
        at_once = max(1, VALUES_AT_ONCE // (n * D))
        for first in range(0, count, at_once):
            donors = np.array(
                [
                    self.task.transplant(np.random.default_rng([self.task.seed, 3, number]))
                    for number in range(first, min(count, first + at_once))
                ]
            )
            moved = values[donors.T].reshape(n, -1)
            both = [self.plain.class_means(moved)]
            if self.audible is not None:
                both.append(self.audible.matrix @ moved)
            means = [each.reshape(len(each), -1, D).transpose(1, 0, 2) for each in both]
            yield means[0], means[-1]

    def _floor(self, name: str, gamma: float) -> tuple[slice, np.ndarray, np.ndarray]:
        """Columns of a label; the lower triangle L of S + γ d I; eigenvalues of S."""
        span = self.stacked.spans[self.names.index(name)]
        S = self._covariance(self.stacked.values[:, span])[0]
        d = span.stop - span.start
        return span, np.linalg.cholesky(S + gamma * d * np.eye(d)), np.linalg.eigvalsh(S)

    def score(
        self, name: str, gamma: float = NOISE_FLOOR, permutations: int = 0, jackknife: bool = False
    ) -> Found:
        """Relevance of one label.

        Args:
            gamma: noise floor; 0 for Pillai's trace.
            permutations: of the null distribution; 0 for none.
            jackknife: whether to estimate the standard error.

        Raises:
            PtselError: so few points that chance alone explains the label.
        """
        span, L, spectrum = self._floor(name, gamma)
        d, k = span.stop - span.start, len(self.task.names)
        directions = min(d, self.task.directions)
        most = float(np.sort(spectrum / (spectrum + gamma * d))[::-1][:directions].sum())
        means, heard = (
            solve_triangular(L, each[:, span].T, lower=True) for each in (self.means, self.heard_means)
        )
        per_class = self.task.shares * (means * heard).sum(axis=0)
        raw = float(per_class.sum())
        chance = float(np.trace(_whitened(L, self.chance[span, span])))
        score = _adjusted(raw, chance, most)
        if score is None:
            raise PtselError(
                f"label {name}: its {d} columns are too many for {len(self.task)} points"
                + (f" in {k} classes" if self.task.of_classes else "")
                + f": chance alone gives {chance:.3g} of at most {most:.3g}; score more data, "
                + ("coarser classes, or " if self.task.of_classes else "or with ")
                + "a shorter summary"
            )
        null = self._null(span, L, permutations) if permutations else None
        error, blocks = self._jackknife(span, gamma, chance, most) if jackknife else (None, 0)
        return Found(score, raw, chance, most, null, error, blocks, per_class)

    def nulls(self, gamma: float, permutations: int) -> dict[str, Null]:
        """The null distribution of every label, each permutation made once for all of them."""
        floors = [self._floor(name, gamma) for name in self.names]
        if not (self.exact and self._within_reach(permutations)):
            return {
                name: self._moments(span, L) for name, (span, L, _) in zip(self.names, floors, strict=True)
            }
        whitened = np.concatenate(
            [solve_triangular(L, self.stacked.values[:, span].T, lower=True).T for span, L, _ in floors],
            axis=1,
        )
        starts = [span.start for span, _, _ in floors]
        drawn = np.concatenate(
            [
                np.add.reduceat(np.einsum("k,pkd,pkd->pd", self.task.shares, means, heard), starts, axis=1)
                for means, heard in self._permuted_means(whitened, permutations)
            ]
        )
        return {name: permuted(drawn[:, number]) for number, name in enumerate(self.names)}

    def _within_reach(self, permutations: int) -> bool:
        return 2.0 * len(self.task.names) * len(self.task) * self.columns * permutations < MOST_OPERATIONS

    def _null(self, span: slice, L: np.ndarray, permutations: int) -> Null:
        if not (self.exact and self._within_reach(permutations)):
            return self._moments(span, L)
        whitened = solve_triangular(L, self.stacked.values[:, span].T, lower=True).T
        return permuted(
            np.concatenate(
                [
                    np.einsum("k,pkd,pkd->p", self.task.shares, means, heard)
                    for means, heard in self._permuted_means(whitened, permutations)
                ]
            )
        )

    def _moments(self, span: slice, L: np.ndarray) -> Null:
        """The null distribution as a weighted sum of chi-squares: what permutations tend to for many groups."""
        z = self.stacked.values[:, span]
        own = np.maximum(np.linalg.eigvalsh(_whitened(L, z.T @ z / len(z))), 0.0)
        shared = 0.0
        if not self.task.independent:
            shared = max(float(np.trace(_whitened(L, self._pairs[span, span])) / own.sum()), 0.0)
        return sum_of_chi_squares(self._powers(shared), own)

    def _jackknife(self, span: slice, gamma: float, chance: float, most: float) -> tuple[float | None, int]:
        """Standard error of the score from leaving out one block of groups at a time; the regressions stay."""
        z, task = self.stacked.values[:, span], self.task
        heard = z if self.audible is None else self._heard[:, span]
        count, d = int(task.blocks.max()) + 1, z.shape[1]
        shrunk = self._covariance(z)[1]
        moments, totals, sizes = np.zeros((count, d, d)), np.zeros((count, d)), np.zeros(count)
        for block in range(count):
            rows = np.flatnonzero(task.blocks == block)
            moments[block], totals[block], sizes[block] = z[rows].T @ z[rows], z[rows].sum(axis=0), len(rows)
        values = []
        all_moments, all_totals = moments.sum(axis=0), totals.sum(axis=0)
        for block, (shares, both) in enumerate(task.without_blocks(z, heard)):
            n = len(task) - sizes[block]
            mean = (all_totals - totals[block]) / n
            S = (all_moments - moments[block]) / n - np.outer(mean, mean)
            S = (1 - shrunk) * S + shrunk * np.trace(S) / d * np.eye(d)
            try:
                L = np.linalg.cholesky(S + gamma * d * np.eye(d))
            except np.linalg.LinAlgError:
                return None, count
            whitened = [solve_triangular(L, each.T, lower=True) for each in both]
            raw = float(shares @ (whitened[0] * whitened[1]).sum(axis=0))
            values.append((raw - chance) * most / (most - chance))
        spread = np.array(values) - np.mean(values)
        return float(np.sqrt((count - 1) / count * (spread @ spread))), count

    @cached_property
    def _products(self) -> np.ndarray:
        """Of the speech and the labels, by fold."""
        return self.audible.products(self.stacked.values) if self.audible else np.empty(0)

    @cached_property
    def _heard(self) -> np.ndarray:
        return self.audible.predict(self._products) if self.audible else self.stacked.values

    def adjusted_factor(self, names: tuple[str, ...] | None = None) -> tuple[np.ndarray, np.ndarray]:
        """S [D, D] and F [D, r] of some labels (default all), in order, with F F' the adjusted B.

        B less chance is no longer positive semidefinite; what is negative of it, in units of S, is taken as 0.
        """
        chosen = self.names if names is None else names
        columns = np.concatenate(
            [
                np.arange(span.start, span.stop)
                for span in (self.stacked.spans[self.names.index(n)] for n in chosen)
            ]
        )
        S = self.covariance[np.ix_(columns, columns)]
        E = self.chance[np.ix_(columns, columns)]
        L = np.linalg.cholesky(S)
        values, vectors = eigh(_whitened(L, self.between[np.ix_(columns, columns)] - E))
        kept = values > 1e-12
        left = 1 - float(np.trace(_whitened(L, E))) / len(columns)
        if left <= 0:
            raise PtselError(
                f"{len(columns)} columns of labels are too many for {len(self.task)} points: chance alone explains "
                "them; score more data or fewer labels"
            )
        return S, (L @ vectors[:, kept]) * np.sqrt(values[kept] / left)


def _adjusted(raw: float, chance: float, most: float) -> float | None:
    """What is left above chance, over what chance leaves, times the most there is; None if it leaves nothing."""
    return (raw - chance) * most / (most - chance) if chance < most else None


def _whitened(L: np.ndarray, C: np.ndarray) -> np.ndarray:
    """L⁻¹ C L⁻ᵀ, C symmetric."""
    inner = solve_triangular(L, solve_triangular(L, C, lower=True).T, lower=True)
    return (inner + inner.T) / 2


def relevance(
    x: np.ndarray,
    labels: Mapping[str, np.ndarray],
    classes: np.ndarray,
    groups: np.ndarray | None = None,
    *,
    gamma: float = NOISE_FLOOR,
    audible: bool = True,
    permutations: int = 0,
    seed: int = 0,
) -> dict[str, Found]:
    """Relevance of each label: the shortest way to it, see `Relevance`."""
    task = Task(x, classes, groups, seed)
    made = Relevance(task, labels, audible)
    return {name: made.score(name, gamma, permutations) for name in made.names}
