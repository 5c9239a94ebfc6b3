"""Lots, apportionment, and how far a walk reaches."""

from __future__ import annotations

from itertools import combinations
from math import comb

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from plugin.quality.selection.sampling import Lots, apportion, reach


def test_lots_are_pinned_for_ever() -> None:
    """A stored selection must replay under every later version: these numbers may never change."""
    lots = Lots(np.array([1, 2, 3], dtype=np.int64), seed=7)
    assert lots.draw("control").tolist() == [3786775368125367814, 7923868447337616629, 10448184470579696745]


def test_lots_depend_on_seed_purpose_and_ids_only() -> None:
    ids = np.arange(1000, dtype=np.int64)
    control = Lots(ids, 0).draw("control")
    np.testing.assert_array_equal(control, Lots(ids, 0).draw("control"))
    for other in (Lots(ids, 1).draw("control"), Lots(ids, 0).draw("easy"), Lots(ids + 1, 0).draw("control")):
        assert abs(scipy.stats.spearmanr(control, other).statistic) < 0.12
    assert np.unique(control).size == 1000


def test_lots_are_uniform_and_unrelated_to_the_id() -> None:
    ids = np.arange(50_000, dtype=np.int64)
    lots = Lots(ids, 3).draw("control") / 2.0**64
    assert scipy.stats.kstest(lots, "uniform").pvalue > 0.001
    assert abs(scipy.stats.spearmanr(ids, lots).statistic) < 0.02
    assert abs(scipy.stats.spearmanr(lots[1:], lots[:-1]).statistic) < 0.02


@pytest.mark.parametrize(
    ("total", "weights", "caps", "expected"),
    [
        (0, [1, 1], [5, 5], [0, 0]),
        (10, [1, 1], [5, 5], [5, 5]),
        (3, [1, 1], [9, 5], [2, 1]),
        (3, [1, 1], [5, 9], [1, 2]),
        (10, [70, 20, 10], [70, 20, 10], [7, 2, 1]),
        (10, [65, 25, 10], [65, 25, 10], [7, 2, 1]),
        (100, [1, 1, 1], [3, 200, 200], [3, 49, 48]),
        (10, [1, 1, 1], [1, 3, 100], [1, 3, 6]),
        (5, [0, 1], [9, 9], [0, 5]),
        (4, [3, 1], [3, 1], [3, 1]),
    ],
)
def test_apportion_by_hand(total: int, weights: list[int], caps: list[int], expected: list[int]) -> None:
    assert apportion(total, weights, caps) == expected


@given(groups=st.lists(st.tuples(st.integers(0, 50), st.integers(1, 50)), min_size=1, max_size=9), data=st.data())
def test_apportion_gives_all_within_caps_and_in_order_of_weight(
    groups: list[tuple[int, int]], data: st.DataObject
) -> None:
    weights, caps = [weight for weight, _ in groups], [cap for _, cap in groups]
    room = sum(cap for weight, cap in groups if weight)
    total = data.draw(st.integers(0, room))
    given_places = apportion(total, weights, caps)
    assert sum(given_places) == total
    assert all(0 <= places <= cap for places, cap in zip(given_places, caps, strict=True))
    for (a, weight_a), (b, weight_b) in combinations(enumerate(weights), 2):
        if weight_a > weight_b and given_places[a] < caps[a]:
            assert given_places[a] >= given_places[b]
    with pytest.raises(ValueError, match="cannot divide"):
        apportion(room + 1, weights, caps)


@pytest.mark.parametrize(("size", "marked", "wanted"), [(4, 1, 1), (7, 3, 2), (9, 4, 4), (8, 5, 0), (8, 0, 3)])
def test_reach_by_counting_every_draw(size: int, marked: int, wanted: int) -> None:
    counted = np.zeros(marked)
    for place in range(marked):
        me = wanted + place
        others = [other for other in range(size) if other != me]
        for draw in combinations(others, marked):
            counted[place] += sum(other not in draw for other in range(me)) < wanted
    np.testing.assert_allclose(reach(size, marked, wanted), counted / comb(size - 1, marked), atol=1e-14)


@pytest.mark.parametrize(("size", "marked", "wanted"), [(1000, 20, 80), (200_000, 1000, 4000), (600, 100, 499)])
def test_reach_agrees_with_scipy(size: int, marked: int, wanted: int) -> None:
    # Counted as scipy counts: draw marked ones until `wanted` unmarked ones have come.
    expected = scipy.stats.nhypergeom(size - 1, marked, wanted).sf(np.arange(marked))
    np.testing.assert_allclose(reach(size, marked, wanted), expected, rtol=1e-6, atol=1e-8)
