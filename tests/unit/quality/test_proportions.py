"""Wilson's interval against scipy; Newcombe's against the cases of his paper, and against what it promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from plugin.quality.proportions import difference_interval, share_interval


@given(st.integers(1, 2000), st.data(), st.sampled_from([0.8, 0.95, 0.99]))
def test_wilson_is_scipys(n: int, data: st.DataObject, level: float) -> None:
    successes = data.draw(st.integers(0, n))
    found = share_interval(successes, n, level=level)
    theirs = binomtest(successes, n).proportion_ci(confidence_level=level, method="wilson")
    assert (found.low, found.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)
    assert 0.0 <= found.low <= found.value <= found.high <= 1.0


@pytest.mark.parametrize(
    ("one", "other", "low", "high"),
    [  # Newcombe 1998, Statistics in Medicine 17, table II, method 10
        ((56, 70), (48, 80), 0.0524, 0.3339),
        ((9, 10), (3, 10), 0.1705, 0.8090),
        ((10, 10), (0, 20), 0.6791, 1.0000),
        ((0, 10), (0, 20), -0.1611, 0.2775),
        ((10, 10), (0, 10), 0.6075, 1.0000),
    ],
)
def test_newcombes_own_cases(one: tuple[int, int], other: tuple[int, int], low: float, high: float) -> None:
    found = difference_interval(one, other)
    assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)


@given(st.integers(1, 300), st.integers(1, 300), st.data())
def test_the_difference_turns_with_its_sides(n: int, m: int, data: st.DataObject) -> None:
    one, other = (data.draw(st.integers(0, n)), n), (data.draw(st.integers(0, m)), m)
    found, turned = difference_interval(one, other), difference_interval(other, one)
    assert (found.value, found.low, found.high) == pytest.approx((-turned.value, -turned.high, -turned.low))
    assert -1.0 <= found.low <= found.value <= found.high <= 1.0 + 1e-12


def test_it_covers_the_truth_about_as_often_as_it_says() -> None:
    """Pre-filled many, blind few, as in a queue."""
    rng = np.random.default_rng(5)
    prefilled, blind = rng.binomial(400, 0.75, 4000), rng.binomial(25, 0.6, 4000)
    intervals = [
        difference_interval((a, 400), (b, 25)) for a, b in zip(prefilled.tolist(), blind.tolist(), strict=True)
    ]
    covered = np.mean([found.low <= 0.15 <= found.high for found in intervals])
    assert 0.94 < covered < 0.97


def test_without_a_case_nothing_is_known() -> None:
    assert math.isnan(share_interval(0, 0).value)
    found = difference_interval((3, 4), (0, 0))
    assert math.isnan(found.value)
    assert (found.low, found.high, found.n) == (-1.0, 1.0, 4)


@pytest.mark.parametrize(("successes", "n"), [(-1, 4), (5, 4)])
def test_impossible_counts_are_refused(successes: int, n: int) -> None:
    with pytest.raises(ValueError, match="successes must lie in"):
        share_interval(successes, n)


def test_an_impossible_level_is_refused() -> None:
    with pytest.raises(ValueError, match="level must lie in"):
        share_interval(1, 2, level=1.0)
