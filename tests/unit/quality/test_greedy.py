"""The greedy orders against plain loops over whole numbers, and against what their papers promise."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from skactiveml.pool import CoreSet  # scikit-activeml's farthest-first traversal

from plugin.quality.selection.greedy import Places, facility_location, k_center, k_means_plus_plus, whole_weights
from plugin.quality.selection.points import OuterProducts, Points
from plugin.quality.selection.sampling import Lots

Matrix = np.ndarray[tuple[int, int], np.dtype[np.float64]]


def one_group(size: int, wanted: int) -> Places:
    return Places(np.zeros(size, dtype=np.int64), np.array([wanted]), 0)


def squares(points: Points) -> Matrix:
    """(N, N), in whole numbers, without a matrix product."""
    rows = points.coordinates.astype(np.int64)
    return np.asarray(((rows[:, None, :] - rows[None, :, :]) ** 2).sum(axis=2))


def similarities(points: Points) -> Matrix:
    rows = points.coordinates.astype(np.int64)
    return np.asarray((rows[:, None, :] * rows[None, :, :]).sum(axis=2))


points_of_seed = st.builds(
    lambda seed, size, kinds: np.random.default_rng(seed).dirichlet(np.full(kinds, 0.3), size),
    st.integers(0, 999), st.integers(1, 40), st.integers(2, 5),
)  # fmt: skip


@settings(max_examples=60)
@given(values=points_of_seed, wanted=st.integers(0, 50), seed=st.integers(0, 9))
def test_k_means_plus_plus_draws_as_a_plain_loop_does(values: Matrix, wanted: int, seed: int) -> None:
    size = len(values)
    points, lots = Points(values), Lots(np.arange(size), seed)
    weights = np.random.default_rng(seed).random(size)
    whole = whole_weights(weights, 62 - 26 - size.bit_length()).tolist()
    distance = squares(points).tolist()
    expected: list[int] = []
    while len(expected) < min(wanted, size):
        mass = [
            0 if i in expected else whole[i] * (min(distance[i][j] for j in expected) if expected else 1)
            for i in range(size)
        ]
        if not sum(mass):
            break
        drawn = lots.number("centres", len(expected), sum(mass))
        expected.append(next(i for i in range(size) if sum(mass[: i + 1]) > drawn))
    found = k_means_plus_plus(points, weights, one_group(size, min(wanted, size)), lots)
    assert found.tolist() == expected


def test_k_means_plus_plus_draws_by_weight_times_squared_distance() -> None:
    values = np.random.default_rng(0).random((8, 3))
    weights = np.array([1.0, 2.0, 3.0, 4.0, 1.0, 2.0, 3.0, 4.0])
    points = Points(values)
    distance = squares(points)
    chance = np.zeros((8, 8))  # of the first two draws
    for first in range(8):
        mass = weights * distance[first]
        chance[first] = weights[first] / weights.sum() * mass / mass.sum()
    draws = 4000
    count = np.zeros((8, 8))
    for seed in range(draws):
        first, second = k_means_plus_plus(points, weights, one_group(8, 2), Lots(np.arange(8), seed))
        count[first, second] += 1
    open_cells = chance > 0
    assert (count[~open_cells] == 0).all()
    assert scipy.stats.chisquare(count[open_cells], draws * chance[open_cells]).pvalue > 0.001


def test_the_first_row_is_drawn_by_squared_norm_when_asked() -> None:
    points = Points(np.diag([1.0, 2.0, 3.0]))
    first = [
        int(k_means_plus_plus(points, np.ones(3), one_group(3, 1), Lots(np.arange(3), seed), long_first=True)[0])
        for seed in range(1400)
    ]
    assert scipy.stats.chisquare(np.bincount(first, minlength=3), [100, 400, 900]).pvalue > 0.001


@settings(max_examples=60)
@given(values=points_of_seed, wanted=st.integers(0, 50), seed=st.integers(0, 9))
def test_with_trials_the_row_that_leaves_least_is_taken(values: Matrix, wanted: int, seed: int) -> None:
    size, trials = len(values), 4
    points, lots = Points(values), Lots(np.arange(size), seed)
    weights = np.random.default_rng(seed).random(size)
    whole = whole_weights(weights, 62 - 26 - size.bit_length()).tolist()
    distance = squares(points).tolist()
    expected: list[int] = []

    def left(chosen: list[int]) -> int:
        return sum(whole[i] * min(distance[i][j] for j in chosen) for i in range(size) if i not in expected)

    while len(expected) < min(wanted, size):
        mass = [
            0 if i in expected else whole[i] * (min(distance[i][j] for j in expected) if expected else 1)
            for i in range(size)
        ]
        if not sum(mass):
            break
        marks = [lots.number("centres", len(expected) * trials + trial, sum(mass)) for trial in range(trials)]
        drawn = sorted({next(i for i in range(size) if sum(mass[: i + 1]) > mark) for mark in marks})
        expected.append(min(drawn, key=lambda row: left([*expected, row])))
    found = k_means_plus_plus(points, weights, one_group(size, min(wanted, size)), lots, trials=trials)
    assert found.tolist() == expected


@settings(max_examples=60)
@given(values=points_of_seed, wanted=st.integers(0, 50), seed=st.integers(0, 9))
def test_k_center_takes_the_farthest(values: Matrix, wanted: int, seed: int) -> None:
    size = len(values)
    points = Points(values)
    distance = squares(points)
    order = k_center(points, one_group(size, min(wanted, size)), Lots(np.arange(size), seed)).tolist()
    for step in range(1, len(order)):
        nearest = distance[:, order[:step]].min(axis=1)
        assert nearest[order[step]] == nearest.max() > 0
    if len(order) < min(wanted, size):
        assert order == [] or not distance[:, order].min(axis=1).any()


def test_k_center_agrees_with_scikit_activeml() -> None:
    values = Points(np.random.default_rng(0).normal(size=(60, 5))).coordinates.astype(np.float64)
    order = k_center(Points(values), one_group(60, 20), Lots(np.arange(60), seed=3)).tolist()
    labels = np.full(60, np.nan)
    labels[order[0]] = 0
    theirs = CoreSet(random_state=0).query(values, labels, batch_size=19)
    assert order[1:] == theirs.tolist()


@pytest.mark.parametrize("seed", range(5))
def test_k_center_is_within_twice_the_best_radius(seed: int) -> None:
    points = Points(np.random.default_rng(seed).random((12, 2)))
    distance = squares(points)
    radius = {chosen: distance[:, chosen].min(axis=1).max() for chosen in itertools.combinations(range(12), 3)}
    order = k_center(points, one_group(12, 3), Lots(np.arange(12), seed))
    assert math.sqrt(distance[:, order].min(axis=1).max()) <= 2.0 * math.sqrt(min(radius.values()))


@settings(max_examples=60)
@given(values=points_of_seed, wanted=st.integers(0, 50), seed=st.integers(0, 9))
def test_facility_location_takes_the_largest_gain(values: Matrix, wanted: int, seed: int) -> None:
    size = len(values)
    points = Points(values)
    weights = np.random.default_rng(seed).random(size)
    whole = whole_weights(weights, 53 - 24 - size.bit_length())
    similar = similarities(points)
    order = facility_location(points, weights, one_group(size, min(wanted, size)), Lots(np.arange(size), seed)).tolist()
    stood_for = np.zeros(size, dtype=np.int64)
    for row in order:
        gain = (whole[:, None] * np.maximum(similar - stood_for[:, None], 0)).sum(axis=0)
        assert gain[row] == gain.max() > 0
        stood_for = np.maximum(stood_for, similar[row])
    if len(order) < min(wanted, size):
        assert not np.maximum(similar - stood_for[:, None], 0).any()


def test_facility_location_measures_blocks_of_many_rows_rightly() -> None:
    """More rows than are measured at a time: the lazy greedy equals the eager one."""
    points = Points(np.random.default_rng(4).dirichlet(np.full(6, 0.4), 400))
    similar = similarities(points)
    order = facility_location(points, np.ones(400), one_group(400, 60), Lots(np.arange(400), seed=0))
    stood_for = np.zeros(400, dtype=np.int64)
    for row in order:
        gain = np.maximum(similar - stood_for[:, None], 0).sum(axis=0)
        assert gain[row] == gain.max()
        stood_for = np.maximum(stood_for, similar[row])


@pytest.mark.parametrize("seed", range(5))
def test_facility_location_reaches_its_share_of_the_best(seed: int) -> None:
    points = Points(np.random.default_rng(seed).dirichlet(np.full(4, 0.3), 12))
    similar = similarities(points)
    best = max(similar[:, chosen].max(axis=1).sum() for chosen in itertools.combinations(range(12), 3))
    order = facility_location(points, np.ones(12), one_group(12, 3), Lots(np.arange(12), seed))
    assert similar[:, order].max(axis=1).sum() >= (1 - 1 / math.e) * best


@pytest.mark.parametrize("name", ["k-means", "k-center", "facility"])
@pytest.mark.parametrize("seed", range(4))
def test_groups_give_what_their_quota_says_and_then_all_are_open(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.dirichlet(np.full(20, 0.4), 90)
    points = Points(values / np.linalg.norm(values, axis=1, keepdims=True))  # so that nothing outdoes a row itself
    weights, lots = rng.random(90), Lots(np.arange(90), seed)
    group = rng.permutation(np.repeat([0, 1, 2], [60, 20, 10]))
    places = Places(group, np.array([3, 0, 8]), 40)
    orders = {
        "k-means": lambda: k_means_plus_plus(points, weights, places, lots),
        "k-center": lambda: k_center(points, places, lots),
        "facility": lambda: facility_location(points, weights, places, lots),
    }
    order = orders[name]()
    assert len(set(order.tolist())) == 51
    assert np.bincount(group[order[:11]], minlength=3).tolist() == [3, 0, 8]
    assert np.bincount(group[order[11:]], minlength=3)[1] > 0


def test_a_group_without_variety_loses_its_places_and_the_others_go_on() -> None:
    values = np.concatenate([np.tile([1.0, 0.0, 0.0, 0.0], (5, 1)), np.eye(4)[1:]])
    points, lots = Points(values), Lots(np.arange(8), seed=0)
    group = np.repeat([0, 1], [5, 3])
    for order in (
        k_means_plus_plus(points, np.ones(8), Places(group, np.array([4, 0]), 2), lots),
        k_center(points, Places(group, np.array([4, 0]), 2), lots),
        facility_location(points, np.ones(8), Places(group, np.array([4, 0]), 2), lots),
    ):
        assert group[order].tolist() == [0, 1, 1]


def test_places_without_a_quota_go_straight_on() -> None:
    places = Places(np.array([0, 0, 1]), np.array([0, 0]), 2)
    assert places.wanted
    assert places.open.all()
    places.take(1)
    assert places.open.tolist() == [True, False, True]
    places.take(0)
    assert not places.wanted


def test_no_weight_vanishes_and_ratios_stay() -> None:
    whole = whole_weights(np.array([1.0, 0.25, 0.0, 1e-12]), bits=20)
    assert whole.tolist() == [2**20, 2**18, 1, 1]
    assert whole_weights(np.zeros(3), bits=20).tolist() == [1, 1, 1]


def test_the_orders_are_pinned_for_ever() -> None:
    """A stored round must replay under every later version: these rows may never change."""
    size = 400
    grid = np.arange(size)[:, None] * np.array([37, 101, 211, 307, 401]) % 509 / 512
    lots, weights = Lots(np.arange(size), seed=5), np.arange(size) % 7 / 8
    assert k_means_plus_plus(Points(grid), weights, one_group(size, 9), lots).tolist() == [
        314,
        144,
        20,
        136,
        340,
        16,
        188,
        264,
        342,
    ]
    assert k_center(Points(grid), one_group(size, 9), lots).tolist() == [271, 0, 373, 179, 41, 113, 166, 345, 121]
    assert facility_location(Points(grid), weights, one_group(size, 9), lots).tolist() == [
        316,
        53,
        151,
        275,
        398,
        38,
        217,
        189,
        184,
    ]
    outer = OuterProducts(Points(grid[:, :3]), Points(grid[:, 3:]))
    assert k_means_plus_plus(outer, weights, one_group(size, 9), lots, long_first=True).tolist() == [
        313,
        146,
        18,
        125,
        340,
        10,
        184,
        251,
        341,
    ]
