"""How sure one may be of a rate and of a difference between two systems: bootstrap intervals.

A rate is a ratio of two sums over utterances (`ErrorCounts.terms`). Utterances with equal terms are
interchangeable, so a bootstrap draws how often each *kind* of utterance occurs instead of the utterances
themselves: the same distribution, for a hundredth of the work when terms are small counts.

Axes: N utterances, U kinds of utterance, B resamples.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, ndtri

from plugin.quality.blocks import blocks

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Method = Literal["bca", "percentile"]
Statistic = Callable[[Float], Float]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate with its confidence interval; NaN where it is not defined."""

    value: float
    low: float
    high: float
    level: float
    n: int


def ratio_interval(
    numerator: ArrayLike,
    denominator: ArrayLike,
    *,
    method: Method = "bca",
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    r"""Bootstrap confidence interval of a pooled rate, :math:`\sum_n a_n / \sum_n b_n`.

    `percentile` takes the quantiles of the resampled rates; `bca` corrects them for bias and for a spread
    that depends on the rate (acceleration from the jackknife).

    Args:
        numerator: (N,) terms a, finite.
        denominator: (N,) terms b, finite, not negative.
        method: "bca" or "percentile".
        level: coverage, in (0, 1).
        resamples: B, at least 1; 2000 suffice for 95 %.
        seed: of the resampling; the same seed gives the same interval.

    Returns:
        The rate and its interval, in the unit of a / b. All NaN when the denominators sum to 0.

    Raises:
        ValueError: shapes that differ, terms that are not finite, options out of range.

    Source: Efron 1987; Efron and Tibshirani 1993, chapters 13 and 14.3 (as scipy.stats.bootstrap).

    >>> found = ratio_interval([0, 1, 0, 1], [1, 1, 1, 1], method="percentile")
    >>> found.value, found.low, found.high
    (0.5, 0.0, 1.0)
    """
    return _interval([numerator, denominator], _ratio, method, level, resamples, seed)


def relative_change_interval(
    numerator: ArrayLike,
    denominator: ArrayLike,
    base_numerator: ArrayLike,
    base_denominator: ArrayLike,
    *,
    method: Method = "bca",
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    r"""Paired bootstrap interval of the relative change of a rate between two systems.

    .. math:: \frac{\sum_n a_n / \sum_n b_n}{\sum_n a'_n / \sum_n b'_n} - 1

    Both systems are measured on the same utterances, which are resampled together.

    Args:
        numerator, denominator: (N,) terms of the new system.
        base_numerator, base_denominator: (N,) terms of the system it is compared with.
        method, level, resamples, seed: as in `ratio_interval`.

    Returns:
        A fraction in [-1, inf): -0.05 means 5 % lower than the base. Negative is better for error rates.
        NaN when the base rate is 0 or undefined.

    Raises:
        ValueError: as `ratio_interval`.

    Source: Efron and Tibshirani 1993; paired as in Koehn 2004.

    >>> one = [1, 1, 1, 1]
    >>> relative_change_interval([0, 1, 0, 0], one, [0, 1, 1, 0], one).value
    -0.5
    """
    columns = [numerator, denominator, base_numerator, base_denominator]
    return _interval(columns, _relative_change, method, level, resamples, seed)


def sums_interval(
    columns: Sequence[ArrayLike],
    statistic: Statistic,
    *,
    method: Method = "bca",
    level: float = 0.95,
    resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    r"""Bootstrap confidence interval of any function of the columns' sums over utterances.

    Args:
        columns: C terms, (N,) each, finite and not negative.
        statistic: sums (..., C) -> (...); NaN where it is not defined.
        method, level, resamples, seed: as in `ratio_interval`.

    Raises:
        ValueError: as `ratio_interval`.

    Source: as `ratio_interval`.

    >>> sums_interval([[0, 1, 0, 1], [1, 1, 1, 1]], lambda sums: sums[..., 0] / sums[..., 1]).value
    0.5
    """
    return _interval(list(columns), statistic, method, level, resamples, seed)


def weighted_mean(values: ArrayLike, inclusion_probability: ArrayLike) -> float:
    r"""Mean over the whole frame from a round's items, :math:`\sum_i y_i / \pi_i \big/ \sum_i 1 / \pi_i`.

    Undoes that hard utterances were chosen more often; consistent for the frame's mean as long as every
    row of the frame could be chosen, that is, if there is a control arm or an easy share.

    Args:
        values: (n,) finite, of the selected items.
        inclusion_probability: (n,) in (0, 1], as stored with them.

    Returns:
        In the range of the values. NaN when n = 0.

    Raises:
        ValueError: shapes that differ, values that are not finite, a probability outside (0, 1].

    Source: Hajek 1971.

    >>> weighted_mean([1.0, 0.0], [1.0, 0.25])
    0.2
    """
    y, pi = _terms([values, inclusion_probability]).T
    if not ((pi > 0.0) & (pi <= 1.0)).all():
        raise ValueError("inclusion_probability must lie in (0, 1]")
    return float((y / pi).sum() / (1.0 / pi).sum()) if y.size else math.nan


def _ratio(sums: Float) -> Float:
    """(..., 2) -> (...)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        quotient: Float = sums[..., 0] / sums[..., 1]
    return quotient


def _relative_change(sums: Float) -> Float:
    """(..., 4) -> (...)."""
    with np.errstate(divide="ignore", invalid="ignore"):
        change: Float = _ratio(sums[..., :2]) / _ratio(sums[..., 2:]) - 1.0
    return change


def _interval(
    columns: list[ArrayLike], statistic: Statistic, method: Method, level: float, resamples: int, seed: int
) -> Interval:
    if method not in ("bca", "percentile"):
        raise ValueError(f"method must be 'bca' or 'percentile', not {method!r}")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), not {level}")
    if resamples < 1:
        raise ValueError(f"resamples must be at least 1, not {resamples}")
    terms = _terms(columns)
    if (terms[:, 1::2] < 0.0).any():
        raise ValueError("a denominator is negative")
    value = float(statistic(terms.sum(axis=0)))
    n = len(terms)
    if not math.isfinite(value):
        return Interval(math.nan, math.nan, math.nan, level, n)
    kinds, counts = np.unique(terms, axis=0, return_counts=True)  # (U, C), (U,)
    resampled = _resample(kinds, counts, statistic, resamples, seed)  # (B,)
    tails = np.array([(1.0 - level) / 2.0, (1.0 + level) / 2.0])
    if method == "bca" and resampled.size:
        tails = _bca_tails(tails, value, resampled, kinds, counts, statistic)
    low, high = _quantiles(resampled, tails)
    return Interval(value, low, high, level, n)


def _terms(columns: list[ArrayLike]) -> Float:
    """C columns (N,) -> (N, C), checked."""
    arrays = [np.asarray(column, dtype=np.float64) for column in columns]
    shapes = {array.shape for array in arrays}
    if len(shapes) != 1 or arrays[0].ndim != 1:
        raise ValueError(f"terms must be (N,) each, of the same utterances, not {[a.shape for a in arrays]}")
    table = np.stack(arrays, axis=1)
    if not np.isfinite(table).all():
        raise ValueError("terms must be finite")
    return table


def _resample(kinds: Float, counts: Int, statistic: Statistic, resamples: int, seed: int) -> Float:
    """(B,): the statistic of N utterances drawn with replacement; draws where it is undefined are left out."""
    rng = np.random.default_rng(seed)
    n = int(counts.sum())
    draws = (rng.multinomial(n, counts / n, size=size) for size in blocks(resamples, len(kinds)))  # (b, U)
    values = np.concatenate([statistic(draw.astype(np.float64) @ kinds) for draw in draws])
    defined: Float = values[~np.isnan(values)]
    return defined


def _bca_tails(tails: Float, value: float, resampled: Float, kinds: Float, counts: Int, statistic: Statistic) -> Float:
    """The quantiles to read off instead; the plain ones where no correction is defined."""
    below = (np.mean(resampled < value) + np.mean(resampled <= value)) / 2.0
    without = statistic((counts @ kinds)[None, :] - kinds)  # jackknife: (U,), each `counts` times
    if below in (0.0, 1.0) or not np.isfinite(without).all():
        return tails
    influence = np.average(without, weights=counts) - without
    spread = counts @ influence**2
    acceleration = counts @ influence**3 / (6.0 * spread**1.5) if spread > 0.0 else 0.0
    bias = ndtri(below)
    z = bias + ndtri(tails)
    corrected: Float = ndtr(bias + z / (1.0 - acceleration * z))
    return corrected


def _quantiles(values: Float, at: Float) -> list[float]:
    """Between neighbours, unless a resampled base was 0 and the change infinite."""
    if not values.size:
        return [math.nan, math.nan]
    method: Literal["linear", "inverted_cdf"] = "linear" if np.isfinite(values).all() else "inverted_cdf"
    found: list[float] = np.quantile(values, at, method=method).tolist()
    return found
