r"""Systems that were trained with several seeds and asked about one test set: how sure one may be, of both together.

A rate is a ratio of sums over seeds and utterances; either might have been others. The analysis of variance of the
two crossed factors says how large the error is, and resampling both what shape it has: a resample draws seeds with
replacement, and utterances with replacement, and counts a cell as often as its seed was drawn times as often as its
utterance was (the pigeonhole bootstrap). All systems and all groups of utterances share the draws: what is compared is
paired.

Axes: C columns (terms of rates), S seeds, N utterances, G groups of utterances, B resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtr, stdtrit

from plugin.quality.blocks import blocks

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Statistic = Callable[[Float], Float]  # sums (..., C) -> (...); NaN where it is not defined

LEVEL = 0.95
RESAMPLES = 2_000
# More than this share of resamples in which a statistic is not defined, or not finite: it has no interval.
MOST_UNDEFINED = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Crossed:
    """Terms of rates, and their sums: as they are and resampled. The last group of sums is all utterances.

    terms     (S, N, C), utterances group after group
    sums      (G + 1, C)
    draws     (B, G + 1, C)
    sizes     (G + 1,) utterances
    """

    terms: Float
    sums: Float
    draws: Float
    sizes: Int

    def cells(self, group: int) -> Float:
        """(S, n, C): the terms of a group."""
        if group in (-1, self.sizes.size - 1):
            return self.terms
        end = int(self.sizes[: group + 1].sum())
        return self.terms[:, end - int(self.sizes[group]) : end]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A statistic with what is known of its chance; NaN where that is not known.

    std_error      of seeds and utterances together
    of_seeds       the part of its square that more seeds would lower; 0 of one seed, where it cannot be seen
    degrees        of freedom of the standard error
    p              two-sided, that the statistic is 0 (Student's t)
    """

    value: float
    std_error: float
    low: float
    high: float
    of_seeds: float
    degrees: float
    p: float

    @property
    def is_known(self) -> bool:
        return math.isfinite(self.low) and math.isfinite(self.high) and self.std_error > 0.0


def cross(columns: ArrayLike, groups: ArrayLike, *, resamples: int = RESAMPLES, seed: int = 0) -> Crossed:
    """The sums of the columns within each group, and of all, under resampling of seeds and utterances.

    With one seed it is the ordinary bootstrap over utterances.

    Args:
        columns: (C, S, N) terms, finite; a column that is the same for every seed is repeated.
        groups: (N,) whole numbers from 0 to G - 1, the group of each utterance.
        resamples: B, at least 1.
        seed: of the resampling; the same seed gives the same draws.

    Raises:
        ValueError: shapes that do not agree, no seed, terms that are not finite, a group below 0, no resample.

    Source: Owen 2007, 'The pigeonhole bootstrap'.

    >>> found = cross([[[1.0, 0.0, 1.0]], [[1.0, 1.0, 1.0]]], [0, 0, 1])
    >>> found.sums.tolist(), found.sizes.tolist()
    ([[1.0, 2.0], [1.0, 1.0], [2.0, 3.0]], [2, 1, 3])
    """
    terms, group = np.asarray(columns, dtype=np.float64), np.asarray(groups, dtype=np.int64)
    if terms.ndim != 3 or not terms.shape[1] or group.shape != terms.shape[2:]:
        raise ValueError(f"columns must be (C, S, N) and groups (N,), not {terms.shape} and {group.shape}")
    if not np.isfinite(terms).all():
        raise ValueError("terms must be finite")
    if (group < 0).any() or resamples < 1:
        raise ValueError("groups must not be negative, and there must be a resample")
    n_columns, seeds, size = terms.shape
    order = np.argsort(group, kind="stable")
    terms = terms[:, :, order]
    counts = np.bincount(group)  # (G,)
    rng = np.random.default_rng(seed)
    even = np.full(max(size, 1), 1.0 / max(size, 1))
    draws = np.empty((resamples, counts.size + 1, n_columns))
    done = 0
    for step in blocks(resamples, size):
        of_seeds = rng.multinomial(seeds, np.full(seeds, 1.0 / seeds), size=step).astype(np.float64)  # (b, S)
        of_rows = rng.multinomial(size, even, size=step)[:, :size].astype(np.float64)  # (b, N)
        for column, term in enumerate(terms):
            draws[done : done + step, :, column] = _by_group((of_seeds @ term) * of_rows, counts)
        done += step
    sums = _by_group(terms.sum(axis=1), counts).T  # (G + 1, C)
    return Crossed(np.moveaxis(terms, 0, 2), sums, draws, np.append(counts, size))


def estimate(statistic: Statistic, crossed: Crossed, group: int = -1, *, level: float = LEVEL) -> Estimate:
    r"""A statistic of one group's sums, with standard error, interval and p-value.

    Linearised, the statistic is a sum of cells :math:`z_{sn}`. With the mean squares of the two-way layout (seeds,
    utterances, the rest), which are independent,

    .. math::
        s^2 = S N (M_S + M_N - M_E), \quad
        \nu = \frac{s^4}{(S N)^2} \Big/ \left(\frac{M_S^2}{S-1} + \frac{M_N^2}{N-1} + \frac{M_E^2}{(S-1)(N-1)}\right)

    of one seed :math:`s^2 = N M_N`. The interval is the percentile interval of the resamples, whose variance
    :math:`s_*^2` counts the rest three times and seeds for :math:`(S-1)/S`, read at the level that makes up for both
    and for the few seeds: :math:`\Phi(-t_{\nu, (1+level)/2}\, s / s_*)` and its complement.

    Args:
        statistic: sums (..., C) -> (...), smooth, NaN where not defined.
        crossed: what `cross` gave.
        group: which one; -1 is all utterances.
        level: coverage, in (0, 1).

    Returns:
        Interval and error are NaN where the statistic is undefined or infinite in more than a twentieth of resamples.

    Raises:
        ValueError: a level outside (0, 1).

    Source: Searle 1971, chapter 9 (crossed random effects); Satterthwaite 1946; Owen 2007; Hesterberg 2015.

    >>> found = estimate(lambda sums: sums[..., 0] / sums[..., 1], cross(np.ones((2, 1, 4)), np.zeros(4)))
    >>> found.value, found.low, found.high
    (1.0, 1.0, 1.0)
    """
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), not {level}")
    with np.errstate(divide="ignore", invalid="ignore"):
        value = float(statistic(crossed.sums[group]))
        draws = statistic(crossed.draws[:, group])
    defined = draws[np.isfinite(draws)]
    if not math.isfinite(value) or defined.size < (1.0 - MOST_UNDEFINED) * draws.size:
        return Estimate(value, *[math.nan] * 6)
    variance, of_seeds, degrees = _variance(crossed.cells(group) @ _slope(statistic, crossed.sums[group]))
    error, resampled = math.sqrt(variance), float(defined.std())
    reach = float(stdtrit(degrees, (1.0 + level) / 2.0))
    tail = float(ndtr(-reach * error / resampled)) if resampled > 0.0 else (1.0 - level) / 2.0
    low, high = np.quantile(defined, [tail, 1.0 - tail]).tolist()
    p = 2.0 * float(stdtr(degrees, -abs(value) / error)) if error > 0.0 else math.nan
    return Estimate(value, error, low, high, of_seeds, degrees, p)


def _slope(statistic: Statistic, sums: Float) -> Float:
    """(C,): how the statistic follows each of its sums, by central differences."""
    step = 1e-5 * np.maximum(np.abs(sums), 1.0)
    moved = np.diag(step)  # (C, C)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope: Float = np.nan_to_num((statistic(sums + moved) - statistic(sums - moved)) / (2.0 * step))
    return slope


def _variance(cells: Float) -> tuple[float, float, float]:
    """Of the sum of crossed cells (S, n): all of it, the part of the seeds, and degrees of freedom."""
    seeds, size = cells.shape
    if size < 2:
        return 0.0, 0.0, 1.0
    of_rows, of_seeds = cells.mean(axis=0), cells.mean(axis=1)
    rows = seeds * float(of_rows.var(ddof=1))  # mean squares
    if seeds == 1:
        return size * rows, 0.0, size - 1.0
    between = size * float(of_seeds.var(ddof=1))
    rest = cells - of_rows - of_seeds[:, None] + cells.mean()
    freedom = (seeds - 1.0) * (size - 1.0)
    left = float((rest**2).sum()) / freedom
    total = max(between + rows - left, rows, between)
    doubt = between**2 / (seeds - 1.0) + rows**2 / (size - 1.0) + left**2 / freedom
    degrees = max(total**2 / doubt, 1.0) if doubt > 0.0 else freedom
    return seeds * size * total, seeds * size * max(total - rows, 0.0), degrees


def expanded_level(n: int, level: float = LEVEL) -> float:
    r"""The nominal level at which a bootstrap interval of a mean covers `level` in spite of small n.

    The bootstrap distribution of a mean is too narrow by :math:`\sqrt{(n-1)/n}` and has normal tails where
    Student's are due; reading it at this level makes up for both:

    .. math:: 1 - 2\,\Phi\left(-\sqrt{n/(n-1)}\; t_{(1+level)/2,\,n-1}\right)

    Args:
        n: independent units, at least 2.
        level: in (0, 1).

    Returns:
        A level in (level, 1), nearer to `level` the larger n.

    Raises:
        ValueError: n < 2.

    Source: Hesterberg 2015, 'What teachers should know about the bootstrap', expanded percentile interval.

    >>> round(expanded_level(10), 4), round(expanded_level(1000), 4)
    (0.9829, 0.9504)
    """
    if n < 2:
        raise ValueError(f"an interval needs two units at least, not {n}")
    quantile = math.sqrt(n / (n - 1)) * float(stdtrit(n - 1, (1.0 + level) / 2.0))
    return 1.0 - 2.0 * float(ndtr(-quantile))


def _by_group(cells: Float, counts: Int) -> Float:
    """(R, N), group after group -> (R, G + 1), the last of all."""
    sums = np.zeros((len(cells), counts.size + 1))
    filled = counts > 0
    if filled.any():
        starts = (np.cumsum(counts) - counts)[filled]
        sums[:, :-1][:, filled] = np.add.reduceat(cells, starts, axis=1)
        sums[:, -1] = sums[:, :-1].sum(axis=1)
    return sums
