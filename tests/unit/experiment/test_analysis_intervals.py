"""Intervals and p-values: against scipy, against simulation with known truth, and by their properties."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from plugin.experiment.analysis.intervals import (
    Change,
    as_table,
    crossed_interval,
    seed_interval,
    summarise,
)
from plugin.experiment.analysis.results import Pair
from plugin.quality.crossed import expanded_level

Float = NDArray[Any]
TRUTH = -0.05


def pairs(table: Float) -> dict[Pair, float]:
    return {Pair(f"l{c}", r): float(value) for r, row in enumerate(table) for c, value in enumerate(row)}


def found(changes: dict[Pair, float], resamples: int = 5_000) -> Change:
    change = summarise(changes, resamples=resamples)
    assert change is not None
    return change


def test_the_interval_is_scipys_bca_at_the_expanded_level() -> None:
    values = np.random.default_rng(3).gamma(2.0, 0.02, 12) - 0.08
    ours = seed_interval(values, np.ones(12), resamples=40_000)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=40_000, confidence_level=expanded_level(12), method="BCa",
        rng=np.random.default_rng(1),
    ).confidence_interval  # fmt: skip
    assert ours == pytest.approx((theirs.low, theirs.high), abs=0.03 * (theirs.high - theirs.low))


def test_for_normal_data_the_expanded_level_gives_students_interval() -> None:
    values = stats.norm.ppf((np.arange(15) + 0.5) / 15)
    low, high = seed_interval(values, np.ones(15), resamples=40_000)
    student = stats.t.interval(0.95, 14, 0.0, values.std(ddof=1) / np.sqrt(15))
    assert (low, high) == pytest.approx(student, rel=0.05)


@pytest.mark.parametrize(("seeds", "locales"), [(10, 5), (10, 1), (6, 3)])
def test_the_interval_covers_what_it_says(seeds: int, locales: int) -> None:
    rng = np.random.default_rng(seeds + locales)
    covered = simulate(lambda: draws(rng, seeds, locales), lambda c: (c.low, c.high))
    assert 0.91 <= covered <= 0.985


def test_the_wide_interval_also_covers_where_locales_differ() -> None:
    rng = np.random.default_rng(7)
    between = simulate(lambda: draws(rng, 10, 5, locale_sd=0.03), lambda c: (c.low, c.high))
    wide = simulate(lambda: draws(rng, 10, 5, locale_sd=0.03), lambda c: (c.low_wide, c.high_wide))
    assert between < 0.75  # an interval for these locales says little of others
    assert wide >= 0.91


def draws(rng: np.random.Generator, seeds: int, locales: int, locale_sd: float = 0.0) -> Float:
    shared, own = rng.normal(0, 0.01, (seeds, 1)), rng.normal(0, 0.025, (seeds, locales))
    table: Float = TRUTH + shared + own + rng.normal(0, locale_sd, (1, locales))
    return table


def simulate(draw: Callable[[], Float], ends: Callable[[Change], tuple[float | None, float | None]]) -> float:
    inside = []
    for _ in range(300):
        low, high = ends(found(pairs(draw()), resamples=1_500))
        assert low is not None
        assert high is not None
        inside.append(low <= TRUTH <= high)
    return float(np.mean(inside))


def test_locales_of_one_seed_do_not_count_as_independent() -> None:
    shared: Float = np.random.default_rng(0).normal(TRUTH, 0.02, (10, 1))
    five_times: Float = np.repeat(shared, 5, axis=1)
    one, five = found(pairs(shared)), found(pairs(five_times))
    assert (five.low, five.high, five.p) == pytest.approx((one.low, one.high, one.p), rel=0.01)
    assert five.pairs == 50


def test_p_is_that_of_the_seeds_means() -> None:
    table = np.random.default_rng(5).normal(-0.01, 0.03, (8, 4))
    theirs = stats.permutation_test((table.mean(axis=1),), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert found(pairs(table)).p == pytest.approx(theirs.pvalue)


def test_a_missing_pair_leaves_the_mean_over_those_that_are_there() -> None:
    changes = pairs(np.arange(12.0).reshape(4, 3))
    del changes[Pair("l0", 0)], changes[Pair("l2", 3)]
    change = found(changes)
    assert change.value == pytest.approx(np.mean(list(changes.values())))
    assert (change.pairs, change.seeds, change.locales) == (10, 4, 3)


@pytest.mark.parametrize(
    ("seeds", "has_interval", "can_be_off_zero"), [(2, False, False), (5, True, False), (6, True, True)]
)
def test_few_seeds_say_little(seeds: int, has_interval: bool, can_be_off_zero: bool) -> None:
    change = found({Pair("sw", seed): -0.1 - 0.001 * seed for seed in range(seeds)})
    assert (change.low is not None) is has_interval
    assert change.is_off_zero is can_be_off_zero


def test_nothing_is_summarised_as_nothing() -> None:
    assert summarise({}) is None


def test_an_expanded_level_needs_two_units() -> None:
    with pytest.raises(ValueError, match="two units"):
        expanded_level(1)


@settings(deadline=None, max_examples=40)
@given(st.integers(3, 8), st.integers(1, 4), st.integers(0, 2**32 - 1), st.floats(-2.0, 2.0))
def test_the_summary_moves_with_its_values(seeds: int, locales: int, seed: int, shift: float) -> None:
    table = np.random.default_rng(seed).normal(0, 1, (seeds, locales))
    here, there = found(pairs(table), 300), found(pairs(table + shift), 300)
    mirrored = found(pairs(-table), 300)
    assert there.value == pytest.approx(here.value + shift)
    assert here.low is not None
    assert here.high is not None
    # Resamples that tie with the estimate but for rounding move the quantile by a few ranks.
    assert there.low == pytest.approx(here.low + shift, abs=1e-9 + 0.1 * (here.high - here.low))
    assert here.low <= here.value <= here.high
    assert mirrored.value == pytest.approx(-here.value)
    assert mirrored.p == pytest.approx(here.p)


@settings(deadline=None, max_examples=25)
@given(st.integers(3, 6), st.integers(3, 5), st.integers(0, 2**32 - 1))
def test_the_order_of_pairs_does_not_matter(seeds: int, locales: int, seed: int) -> None:
    changes = pairs(np.random.default_rng(seed).normal(0, 1, (seeds, locales)))
    assert found(dict(reversed(changes.items())), 200) == found(changes, 200)


def test_the_crossed_interval_is_as_wide_as_the_locales_differ() -> None:
    table: Float = np.repeat(np.array([[-0.1, 0.0, 0.1, 0.2]]), 6, axis=0)
    low, high = crossed_interval(table, np.ones_like(table))
    assert low <= -0.05
    assert high >= 0.15
    narrow = seed_interval(table.sum(axis=1), np.full(6, 4.0))
    assert narrow == pytest.approx((0.05, 0.05))


def test_the_table_has_a_row_per_seed() -> None:
    values, present = as_table({Pair("b", 2): 1.0, Pair("a", 2): 3.0, Pair("b", 1): 2.0})
    assert values.tolist() == [[0.0, 2.0], [3.0, 1.0]]
    assert present.tolist() == [[0.0, 1.0], [1.0, 1.0]]
