"""Whether what comes in, or what is made of it, has changed: two samples, before and now.

A change is worth an alarm when it is large *and* no accident: every result has a size, to be held to a threshold, and a
p-value. Of small samples sizes alone would alarm all the time: two samples of 50 from one distribution have a stability
index of 0.3 on average.

Axes: N values before, M values now, B bins or categories.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import chdtrc, ndtr
from scipy.stats import ks_2samp, rankdata

from plugin.quality.metrics.calibration import calibration_error

Float = NDArray[np.float64]

BINS = 10
# Categories of which fewer than this are expected in the smaller sample are counted as one.
LEAST_EXPECTED = 5.0


@dataclass(frozen=True, slots=True)
class Change:
    """How much has changed: `value` is the size, `p` how likely as much is without any change; `before` and `now` count
    cases.
    """

    value: float
    p: float
    before: int
    now: int


@dataclass(frozen=True, slots=True)
class Shift(Change):
    """Of a distribution of numbers; `ks` is the largest distance between the distribution functions, in [0, 1]."""

    ks: float


@dataclass(frozen=True, slots=True)
class Ranking:
    """How well scores put errors first: `area` 1 is all of them, 0.5 is chance, with its standard error."""

    area: float
    error: float
    wrong: int
    right: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """`error` is the expected calibration error, `gap` the mean probability less the share that was right."""

    error: float
    gap: float
    p: float
    cases: int


def stability_index(before: ArrayLike, now: ArrayLike) -> Change:
    r"""Population stability index of two histograms.

    .. math:: \sum_b (q_b - p_b) \ln \frac{q_b}{p_b}

    with p and q the shares before and now, each bin's count raised by 1/2 so that an empty one has a logarithm. Without
    a change it is distributed as :math:`(1/N + 1/M)\, \chi^2_{B-1}`, from which the p-value follows.

    Args:
        before, now: (B,) counts, not negative, of the same bins; B at least 2 where there is anything to compare.

    Returns:
        At least 0, without upper limit; by custom 0.1 is some and 0.2 much. NaN with p = 1 where a side is empty.

    Raises:
        ValueError: shapes that differ, negative or not finite counts.

    Source: Siddiqi 2006; its distribution: Yurdakul and Naranjo 2020.

    >>> found = stability_index([500, 500], [400, 600])
    >>> round(found.value, 4), found.p < 0.001
    (0.0405, True)
    """
    first, second = np.asarray(before, dtype=np.float64), np.asarray(now, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"counts must be (B,) each, of the same bins, not {first.shape} and {second.shape}")
    if not (np.isfinite(first).all() and np.isfinite(second).all() and (first >= 0).all() and (second >= 0).all()):
        raise ValueError("counts must be finite and not negative")
    n, m = int(first.sum()), int(second.sum())
    if not n or not m:
        return Change(math.nan, 1.0, n, m)
    p, q = ((counts + 0.5) / (counts + 0.5).sum() for counts in (first, second))
    value = float(((q - p) * np.log(q / p)).sum())
    chance = float(chdtrc(first.size - 1, value / (1.0 / n + 1.0 / m))) if first.size > 1 else 1.0
    return Change(value, chance, n, m)


def shift(before: ArrayLike, now: ArrayLike, *, bins: int = BINS) -> Shift:
    """How far a distribution of numbers has moved: stability index over the quantiles of before, p by Kolmogorov.

    Bins hold equally many values of before, fewer where values repeat. The p-value is that of the two-sample test of
    Kolmogorov and Smirnov, asymptotic, and too large where values repeat: it errs towards no alarm.

    Args:
        before, now: (N,), (M,) finite.
        bins: at least 2.

    Returns:
        `value` as `stability_index`. All NaN, p = 1, where a side is empty.

    Raises:
        ValueError: shapes, values that are not finite, too few bins.

    Source: as `stability_index`; Smirnov 1939.

    >>> found = shift(np.arange(1000.0), np.arange(1000.0) + 300.0)
    >>> round(found.ks, 2), found.value > 0.2
    (0.3, True)
    """
    first, second = _finite(before), _finite(now)
    if bins < 2:
        raise ValueError(f"bins must be at least 2, not {bins}")
    if not first.size or not second.size:
        return Shift(math.nan, 1.0, first.size, second.size, math.nan)
    edges = np.unique(np.quantile(first, np.arange(1, bins) / bins))
    counts = [
        np.bincount(np.searchsorted(edges, side, side="left"), minlength=edges.size + 1) for side in (first, second)
    ]
    test = ks_2samp(first, second, method="asymp")
    return Shift(stability_index(*counts).value, float(test.pvalue), first.size, second.size, float(test.statistic))


def mix_shift(before: Sequence[str], now: Sequence[str]) -> Change:
    """How far a mix of categories has moved, such as the domains of traffic: their stability index.

    Categories of which fewer than five are expected in the smaller sample count as one, what is new among them.

    Args:
        before, now: a category per case, N and M of them.

    Returns:
        As `stability_index`.

    >>> mix_shift(["music"] * 90 + ["weather"] * 10, ["music"] * 60 + ["weather"] * 40).value > 0.2
    True
    """
    first, second = Counter(before), Counter(now)
    n, m = len(before), len(now)
    if not n or not m:
        return Change(math.nan, 1.0, n, m)
    part = min(n, m) / (n + m)
    names = sorted({*first, *second})
    common = [name for name in names if (first[name] + second[name]) * part >= LEAST_EXPECTED]
    counts = [[side[name] for name in common] for side in (first, second)]
    rest = [n - sum(counts[0]), m - sum(counts[1])]
    if any(rest):
        counts = [[*side, left] for side, left in zip(counts, rest, strict=True)]
    return stability_index(*counts)


def ranking(scores: ArrayLike, wrong: ArrayLike) -> Ranking:
    r"""How well a score tells what is wrong: the chance that a wrong one has a higher score than a right one.

    .. math:: A = \frac{1}{W R} \sum_{w, r} [x_w > x_r] + \tfrac12 [x_w = x_r]

    Its standard error is DeLong's: the variance of each case's share of the pairs that it wins.

    Args:
        scores: (N,) finite, high means hard.
        wrong: (N,) boolean, or 0 and 1.

    Returns:
        Area in [0, 1], NaN where all are wrong or all are right; its error NaN where either is a single one.

    Raises:
        ValueError: shapes that differ, scores that are not finite, wrong not boolean.

    Source: DeLong, DeLong and Clarke-Pearson 1988; Sun and Xu 2014 (by ranks).

    >>> ranking([0.9, 0.8, 0.2, 0.1], [True, False, True, False]).area
    0.75
    """
    x, bad = _finite(scores), np.asarray(wrong)
    if x.shape != bad.shape:
        raise ValueError(f"scores and wrong must both be (N,), not {x.shape} and {bad.shape}")
    if not np.isin(bad, (0, 1)).all():
        raise ValueError("wrong must hold only true and false")
    high, low = x[bad.astype(np.bool_)], x[~bad.astype(np.bool_)]
    w, r = high.size, low.size
    if not w or not r:
        return Ranking(math.nan, math.nan, w, r)
    ranks = rankdata(np.concatenate([high, low]))  # of all, ties in the middle
    of_wrong = (ranks[:w] - rankdata(high)) / r  # (W,) share of the right ones that lie below
    of_right = 1.0 - (ranks[w:] - rankdata(low)) / w  # (R,) share of the wrong ones that lie above
    error = math.sqrt(of_wrong.var(ddof=1) / w + of_right.var(ddof=1) / r) if min(w, r) > 1 else math.nan
    return Ranking(float(of_wrong.mean()), error, w, r)


def ranking_loss(before: Ranking, now: Ranking) -> Change:
    """How much worse scores tell what is wrong than they did: the area lost, its p-value one-sided.

    Returns:
        In [-1, 1], positive when it became worse; NaN with p = 1 where an area or its error is not known.

    Source: as `ranking`; the samples are independent.

    >>> round(ranking_loss(Ranking(0.8, 0.03, 100, 300), Ranking(0.6, 0.04, 60, 200)).value, 4)
    0.2
    """
    value = before.area - now.area
    error = math.hypot(before.error, now.error)
    chance = float(ndtr(-value / error)) if error > 0.0 else 1.0
    known = math.isfinite(value) and math.isfinite(error)
    return Change(
        value if known else math.nan, chance if known else 1.0, *(one.wrong + one.right for one in (before, now))
    )


def share_change(before: tuple[int, int], now: tuple[int, int]) -> Change:
    r"""How much a share has changed, two-sided.

    The p-value is that of the normal test with the pooled share, each count corrected by 1/2 for being whole.

    Args:
        before, now: (successes, cases).

    Returns:
        The share now less the share before, in [-1, 1]. NaN with p = 1 where a side has no case.

    Raises:
        ValueError: more successes than cases, or negative ones.

    Source: Fleiss 1981, section 2.3.

    >>> found = share_change((80, 100), (40, 100))
    >>> round(found.value, 4), found.p < 0.001
    (-0.4, True)
    """
    (a, n), (b, m) = before, now
    if not (0 <= a <= n and 0 <= b <= m):
        raise ValueError(f"successes must lie in [0, cases], not {before} and {now}")
    if not n or not m:
        return Change(math.nan, 1.0, n, m)
    value, pooled, each = b / m - a / n, (a + b) / (n + m), 1.0 / n + 1.0 / m
    error = math.sqrt(pooled * (1.0 - pooled) * each)
    reach = max(abs(value) - each / 2.0, 0.0)
    return Change(value, 2.0 * float(ndtr(-reach / error)) if error > 0.0 else 1.0, n, m)


def stratified_share_change(strata: Sequence[tuple[tuple[int, int], tuple[int, int]]]) -> Change:
    r"""How much a share has changed within strata, such as domains: their mix may have changed, or differ, as it likes.

    .. math:: \frac{\sum_d w_d (q_d - p_d)}{\sum_d w_d}, \quad w_d = \frac{n_d m_d}{n_d + m_d}

    Its p-value is that of the normal test with the pooled share of each stratum.

    Args:
        strata: (before, now) of each, as in `share_change`; one without cases on a side counts nowhere.

    Returns:
        In [-1, 1]; `before` and `now` count the cases of strata that say something. NaN with p = 1 without any.

    Raises:
        ValueError: as `share_change`.

    Source: Cochran 1954; Mantel and Haenszel 1959.

    >>> within = [((90, 100), (9, 10)), ((1, 10), (10, 100))]  # the mix has changed, and no share in it
    >>> round(stratified_share_change(within).value, 4)
    0.0
    """
    told = [(share_change(before, now), before, now) for before, now in strata]
    told = [one for one in told if one[0].before and one[0].now]
    if not told:
        return Change(math.nan, 1.0, 0, 0)
    n, m = (np.array([getattr(change, side) for change, *_ in told], dtype=np.float64) for side in ("before", "now"))
    weight = n * m / (n + m)
    pooled = np.array([a + b for _, (a, _), (b, _) in told]) / (n + m)
    value = float(weight @ [change.value for change, *_ in told] / weight.sum())
    error = math.sqrt(weight @ (pooled * (1.0 - pooled))) / float(weight.sum())
    chance = 2.0 * float(ndtr(-abs(value) / error)) if error > 0.0 else 1.0
    return Change(value, chance, int(n.sum()), int(m.sum()))


def calibration(probability: ArrayLike, right: ArrayLike, *, bins: int = BINS) -> Calibration:
    r"""Whether probabilities mean what they say: expected calibration error, and Spiegelhalter's test.

    .. math:: z = \frac{\sum_i (y_i - p_i)(1 - 2 p_i)}{\sqrt{\sum_i (1 - 2 p_i)^2 p_i (1 - p_i)}}

    The error alone is above 0 by chance, the more so the fewer the cases; z is standard normal of probabilities that
    are right.

    Args:
        probability: (N,) in [0, 1].
        right: (N,) boolean, or 0 and 1.
        bins: of the calibration error, at least 1.

    Returns:
        `error` in [0, 1], `p` two-sided. NaN with p = 1 of no case.

    Raises:
        ValueError: as `metrics.calibration.calibration_error`.

    Source: Guo et al. 2017; Spiegelhalter 1986.

    >>> found = calibration([0.9] * 100, [True] * 60 + [False] * 40)
    >>> round(found.error, 2), round(found.gap, 2), found.p < 0.001
    (0.3, 0.3, True)
    """
    error = calibration_error(probability, right, bins=bins)
    p, y = np.asarray(probability, dtype=np.float64), np.asarray(right, dtype=np.float64)
    if not p.size:
        return Calibration(math.nan, math.nan, 1.0, 0)
    spread = math.sqrt(((1.0 - 2.0 * p) ** 2 * p * (1.0 - p)).sum())
    z = float(((y - p) * (1.0 - 2.0 * p)).sum()) / spread if spread > 0.0 else 0.0
    chance = 2.0 * float(ndtr(-abs(z)))
    if spread == 0.0 and error > 0.0 and not np.isin(p, (0.5,)).all():
        chance = 0.0  # what was certain did not happen
    return Calibration(error, float(p.mean() - y.mean()), chance, p.size)


def _finite(values: ArrayLike) -> Float:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or not np.isfinite(array).all():
        raise ValueError("values must be (N,) and finite")
    return array
