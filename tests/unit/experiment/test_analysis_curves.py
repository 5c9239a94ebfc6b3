"""Labels saved: against curves whose truth is known, scipy's isotonic regression, and by its properties."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import isotonic_regression

from plugin.experiment.analysis.curves import (
    LabelsSaved,
    equivalent_budget,
    falling,
    labels_saved,
    random_curve,
    share_saved,
)
from plugin.experiment.analysis.results import Setting, results_from
from tests.unit.experiment.synthetic import World

BUDGETS = np.array([0.0, 0.05, 0.1, 0.2, 0.4])
SETTING = Setting("massive", "whole", "reviewed", 0.0, 0.1)


def saved_by(world: World, arm: str = "default", metric: str = "dcer", **options: Any) -> LabelsSaved:
    found = labels_saved(results_from(world.rows()), SETTING, arm, metric, **options)
    assert found is not None
    return found


@pytest.mark.parametrize("exponent", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("trusted", [0.05, 0.15, 0.4])
@pytest.mark.parametrize("truth", [0.02, 0.07, 0.14, 0.3, 0.38])
def test_a_power_law_is_read_backwards(exponent: float, trusted: float, truth: float) -> None:
    curve = (BUDGETS + trusted) ** -exponent
    reached = np.array([(truth + trusted) ** -exponent])
    assert equivalent_budget(BUDGETS, curve[None], reached)[0] == pytest.approx(truth, rel=0.06)


def test_more_is_better_is_read_the_other_way_round() -> None:
    curve = 1.0 - (BUDGETS + 0.1) ** -0.3 / 3
    reached = np.array([1.0 - 0.25**-0.3 / 3])
    assert equivalent_budget(BUDGETS, curve[None], reached, rising=True)[0] == pytest.approx(0.15, rel=0.02)


def test_knots_are_met_exactly_and_the_ends_are_censored() -> None:
    curve = np.array([[5.0, 4.0, 3.0, 2.0, 1.0]])
    for budget, rate in zip(BUDGETS, curve[0], strict=True):
        assert equivalent_budget(BUDGETS, curve, np.array([rate]))[0] == pytest.approx(budget, abs=1e-9)
    assert equivalent_budget(BUDGETS, curve, np.array([0.99]))[0] == math.inf
    assert equivalent_budget(BUDGETS, curve, np.array([5.1]))[0] == 0.0


def test_a_plateau_counts_from_where_it_begins() -> None:
    curve = np.array([[4.0, 2.0, 2.0, 2.0, 1.0]])
    assert equivalent_budget(BUDGETS, curve, np.array([2.0]))[0] == pytest.approx(0.05)


@settings(deadline=None)
@given(arrays(np.float64, (5,), elements=st.floats(-10, 10)))
def test_the_falling_fit_is_scipys_isotonic_regression(values: np.ndarray[Any, np.dtype[np.float64]]) -> None:
    theirs = isotonic_regression(values, increasing=False).x
    np.testing.assert_allclose(falling(values[None])[0], theirs, atol=1e-9)


@settings(deadline=None)
@given(
    arrays(np.float64, (5,), elements=st.floats(0.1, 1.0)),
    st.floats(0.05, 1.1),
    st.floats(0.05, 1.1),
    st.floats(0.1, 50.0),
)
def test_a_lower_error_never_needs_fewer_labels_and_the_unit_does_not_matter(
    rates: np.ndarray[Any, np.dtype[np.float64]], one: float, other: float, unit: float
) -> None:
    curves = np.stack([rates, rates])
    low, high = equivalent_budget(BUDGETS, curves, np.array(sorted([one, other])))
    assert low >= high
    scaled = equivalent_budget(BUDGETS, unit * curves, unit * np.array(sorted([one, other])))
    for ours, theirs in zip((low, high), scaled, strict=True):
        # A fit with a plateau may be left a knot earlier or later by rounding; that is not the unit's doing.
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-6) or len(np.unique(falling(rates[None]).round(9))) < 5


@pytest.mark.parametrize("budgets", [[0.1], [0.1, 0.1], [0.2, 0.1]])
def test_a_curve_needs_ascending_budgets(budgets: list[float]) -> None:
    with pytest.raises(ValueError, match="two ascending budgets"):
        equivalent_budget(np.array(budgets), np.ones((1, len(budgets))), np.ones(1))


@pytest.mark.parametrize("truth", [0.0, 0.3, 0.5, -0.4])
def test_the_share_of_labels_saved_is_found_again(truth: float) -> None:
    found = saved_by(World(saved={"default": truth}, own_noise=0.0))
    assert found.saved == pytest.approx(truth, abs=0.015)
    assert (found.pairs, found.seeds, found.at_least, found.worse_than_nothing) == (50, 10, False, False)


def test_its_interval_covers_the_truth() -> None:
    inside = 0
    for seed in range(60):
        found = saved_by(World(saved={"default": 0.3}, locales=("sw-KE", "th-TH"), rng_seed=seed), resamples=500)
        assert found.low is not None
        assert found.high is not None
        inside += found.low <= 0.3 <= found.high
    assert inside >= 53


def test_an_error_below_randoms_whole_curve_is_at_least_so_much() -> None:
    found = saved_by(World(effects={"default": {"dcer": -0.5}}))
    assert found.at_least
    assert found.saved == pytest.approx(1 - 0.1 / 0.4)
    assert found.high_at_least


def test_an_error_above_that_of_nothing_saves_less_than_nothing() -> None:
    found = saved_by(World(effects={"default": {"dcer": 2.0}}))
    assert found.worse_than_nothing
    assert found.saved == -math.inf
    assert found.low == -math.inf


def test_a_hard_locale_counts_no_more_than_an_easy_one() -> None:
    world = World(locales=("sw-KE", "th-TH"), saved={"default": 0.3}, own_noise=0.0)
    rows = world.rows()
    for row in rows:
        if row["trial"]["locale"] == "th-TH":
            row["errors"]["dcer"]["*"][1] *= 50.0
    found = labels_saved(results_from(rows), SETTING, "default", "dcer")
    assert found is not None
    assert found.saved == pytest.approx(0.3, abs=0.015)


def test_a_budget_that_few_pairs_have_does_not_cost_the_others_their_pairs() -> None:
    rows = World(saved={"default": 0.3}, own_noise=0.0).rows()
    kept = [row for row in rows if row["trial"]["budget"] != 40 or row["trial"]["seed"] == 0]
    found = labels_saved(results_from(kept), SETTING, "default", "dcer")
    assert found is not None
    assert (found.largest, found.pairs) == (0.2, 50)
    assert found.saved == pytest.approx(0.3, abs=0.015)


def test_one_budget_is_no_curve() -> None:
    rows = World(budgets=(10,), ends=False).rows()
    assert labels_saved(results_from(rows), SETTING, "default", "dcer") is None


def test_randoms_curve_is_the_mean_over_its_pairs() -> None:
    rows = World(arms=("random", "random-2"), own_noise=0.0, shared_noise=0.0, locales=("sw-KE",)).rows()
    curve = random_curve(results_from(rows), SETTING, "dcer")
    assert curve is not None
    assert curve.budgets == (0.0, 0.05, 0.1, 0.2, 0.4)
    assert curve.rates == pytest.approx([0.24 * (1 + b / 0.1) ** -0.35 for b in curve.budgets])
    assert curve.pairs == 10


def test_a_share_of_nothing_is_minus_infinity() -> None:
    assert share_saved(0.1, 0.2) == pytest.approx(0.5)
    assert share_saved(0.1, 0.05) == pytest.approx(-1.0)
    assert share_saved(0.1, 0.0) == -math.inf
