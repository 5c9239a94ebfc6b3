"""Intervals and p-values of a mean over pairs of locale and seed that share their seeds.

A seed is one draw of trusted data and pool and one training seed. Of a parallel corpus every locale has the
same test set; trusted data and pool are drawn from lists of different length (repeated texts are dropped locale
by locale), so that they only overlap. Pairs of a seed may be dependent all the same: the seed is the unit that is
resampled, with all its locales, which is right whether they are or not. Another interval also resamples the
locales, as if they had been drawn too.

Axes: S seeds, L locales, B resamples.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin.experiment.analysis.results import Pair
from plugin.quality.crossed import expanded_level
from plugin.quality.inference import ratio_interval
from plugin.quality.significance import sign_flip_test

Float = NDArray[np.float64]

LEVEL = 0.95
RESAMPLES = 5_000
SEED = 0
FEWEST_SEEDS = 3  # for an interval at all
ENOUGH_SEEDS = 6  # below, no sign-flip test can reach p < 0.05
FEWEST_LOCALES = 3  # for an interval that speaks of other locales


@dataclass(frozen=True, slots=True)
class Change:
    """A mean over pairs. Fractions: -0.05 is 5 % lower.

    low, high              95 % interval over seeds, for these locales; None below three seeds
    low_wide, high_wide    95 % interval over seeds and locales; None below three of either
    p                      two-sided, sign flips of seeds
    p_holm                 the same, corrected over the strategies it was compared with
    spread                 standard deviation of the seeds' means; None below two seeds
    """

    value: float
    low: float | None
    high: float | None
    low_wide: float | None
    high_wide: float | None
    p: float
    spread: float | None
    pairs: int
    seeds: int
    locales: int
    p_holm: float | None = None

    @property
    def is_off_zero(self) -> bool:
        """Enough seeds, and an interval without 0."""
        is_known = self.seeds >= ENOUGH_SEEDS and self.low is not None and self.high is not None
        return is_known and is_off_zero(self.low, self.high)

    @property
    def is_clear(self) -> bool:
        """Off zero, and p below 0.05, corrected where it was one of several."""
        return self.is_off_zero and (self.p if self.p_holm is None else self.p_holm) < 1.0 - LEVEL


def is_off_zero(low: float | None, high: float | None) -> bool:
    """Whether an interval excludes 0; one that is not known does not.

    >>> is_off_zero(-0.2, -0.1), is_off_zero(-0.2, 0.1), is_off_zero(None, None)
    (True, False, False)
    """
    return low is not None and high is not None and (low > 0.0 or high < 0.0)


def summarise(changes: Mapping[Pair, float], *, resamples: int = RESAMPLES) -> Change | None:
    """The mean over pairs with its intervals; None without a pair.

    >>> flat = {Pair("en", 1): 0.5, Pair("sw", 1): -0.5, Pair("en", 2): 0.25, Pair("sw", 2): 0.25}
    >>> found = summarise(flat)
    >>> found.value, found.pairs, found.seeds, found.locales, found.low
    (0.125, 4, 2, 2, None)
    """
    if not changes:
        return None
    table, present = as_table(changes)
    sums, counts = table.sum(axis=1), present.sum(axis=1)  # (S, L) -> (S,)
    seeds, locales = table.shape
    low = high = low_wide = high_wide = None
    if seeds >= FEWEST_SEEDS:
        low, high = seed_interval(sums, counts, resamples=resamples)
        if locales >= FEWEST_LOCALES:
            low_wide, high_wide = crossed_interval(table, present, resamples=resamples)
    return Change(
        value=float(sums.sum() / counts.sum()),
        low=low,
        high=high,
        low_wide=low_wide,
        high_wide=high_wide,
        p=sign_flip_test(sums),
        spread=float(np.std(sums / counts, ddof=1)) if seeds > 1 else None,
        pairs=int(counts.sum()),
        seeds=seeds,
        locales=locales,
    )


def as_table(changes: Mapping[Pair, float]) -> tuple[Float, Float]:
    """Values and presence, (S, L) each, 0 where a pair is missing.

    >>> values, present = as_table({Pair("en", 1): 0.5, Pair("sw", 2): 0.25})
    >>> values.tolist(), present.tolist()
    ([[0.5, 0.0], [0.0, 0.25]], [[1.0, 0.0], [0.0, 1.0]])
    """
    seeds = {seed: row for row, seed in enumerate(sorted({pair.seed for pair in changes}))}
    locales = {locale: column for column, locale in enumerate(sorted({pair.locale for pair in changes}))}
    table = np.zeros((len(seeds), len(locales)))
    present = np.zeros_like(table)
    for pair, value in changes.items():
        at = seeds[pair.seed], locales[pair.locale]
        table[at], present[at] = value, 1.0
    return table, present


def seed_interval(
    sums: Float, counts: Float, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[float, float]:
    r"""BCa interval of :math:`\sum_s a_s / \sum_s b_s` under resampling of seeds, small-sample corrected.

    Args:
        sums: (S,) sums over a seed's pairs, finite.
        counts: (S,) their number, or the denominators of a ratio; not negative.
        level: coverage.
        resamples: B.
        seed: of the resampling.

    Returns:
        Low and high end; equal where all seeds agree.

    Source: Efron 1987 at the level of Hesterberg 2015.

    >>> low, high = seed_interval(np.array([1.0, 2.0, 3.0, 4.0]), np.ones(4))
    >>> low < 2.5 < high
    True
    """
    found = ratio_interval(sums, counts, level=expanded_level(len(sums), level), resamples=resamples, seed=seed)
    return found.low, found.high


def crossed_interval(
    table: Float, present: Float, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = SEED
) -> tuple[float, float]:
    """Percentile interval of the mean when seeds and locales are both resampled, independently.

    A cell counts as often as its seed was drawn times as often as its locale was. It is the wider answer to
    the wider question: what of another locale? Read at the expanded level of the rarer of the two.

    Args:
        table: (S, L) finite, 0 where a pair is missing.
        present: (S, L) 1 where there is a pair.
        level: coverage.
        resamples: B.
        seed: of the resampling.

    Returns:
        Low and high end. Conservative where locales do not differ.

    Source: Owen 2007, 'The pigeonhole bootstrap'.

    >>> crossed_interval(np.full((4, 3), 0.5), np.ones((4, 3)))
    (0.5, 0.5)
    """
    seeds, locales = table.shape
    rng = np.random.default_rng(seed)
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1.0 / seeds), size=resamples).astype(np.float64)  # (B, S)
    of_locales = rng.multinomial(locales, np.full(locales, 1.0 / locales), size=resamples)  # (B, L)
    sums = np.einsum("bl,bl->b", of_seeds @ table, of_locales)  # (B, S) @ (S, L) -> (B, L) -> (B,)
    counts = np.einsum("bl,bl->b", of_seeds @ present, of_locales)
    means = sums[counts > 0.0] / counts[counts > 0.0]
    tail = (1.0 - expanded_level(min(seeds, locales), level)) / 2.0
    low, high = np.quantile(means, [tail, 1.0 - tail])
    return float(low), float(high)
