"""Domains: which are large enough, their standard errors, and how far they are shrunken."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from plugin.experiment.analysis.domains import (
    DomainChange,
    between_variance,
    large_domains,
    per_domain,
    ratio_error,
    shrink,
)
from plugin.experiment.analysis.results import Setting, results_from
from tests.unit.experiment.synthetic import World

SETTING = Setting("massive", "whole", "reviewed", 0.0, 0.1)


def changes(world: World, arm: str = "default", against: str | None = None) -> dict[str, DomainChange]:
    found = per_domain(results_from(world.rows()), SETTING, arm, "dcer", against=against)
    return {item.domain: item for item in found}


def test_only_domains_with_enough_test_utterances_are_shown() -> None:
    found = large_domains(results_from(World(budgets=(10,)).rows()), SETTING)
    assert found == {"calendar": 400, "email": 270, "iot": 220, "play": 390, "qa": 290}


def test_a_domain_that_differs_keeps_its_difference() -> None:
    effects = {("default", "play"): -0.30, ("default", "qa"): 0.20}
    found = changes(World(counts=True, domain_effects=effects, budgets=(10,)))
    assert found["play"].value == pytest.approx(-0.30, abs=0.06)
    assert found["qa"].value == pytest.approx(0.20, abs=0.08)
    assert found["play"].high is not None
    assert found["play"].high < -0.1
    assert found["play"].utterances == 390


def test_domains_that_differ_by_chance_only_are_drawn_together() -> None:
    found = changes(World(counts=True, locales=("sw-KE",), budgets=(10,)))
    raw, value = np.ptp([item.raw for item in found.values()]), np.ptp([item.value for item in found.values()])
    assert value < 0.5 * raw


def test_a_domain_can_be_compared_with_another_arm() -> None:
    effects = {("entropy", "iot"): -0.25}
    found = changes(World(counts=True, domain_effects=effects, budgets=(10,)), "el2n-10-90", "entropy")
    assert found["iot"].raw == pytest.approx(1 / 0.75 - 1, abs=0.12)
    assert found["iot"].against == "entropy"


def test_two_seeds_have_no_interval() -> None:
    found = changes(World(seeds=(0, 1), budgets=(10,)))
    assert all(item.low is None and item.value == item.raw for item in found.values())


def test_the_standard_error_is_that_of_repeated_draws() -> None:
    rng = np.random.default_rng(0)
    b = rng.uniform(80, 120, (4000, 12))
    a = 0.9 * b + rng.normal(0, 5, b.shape)
    ratios = a.sum(axis=1) / b.sum(axis=1)
    errors = [ratio_error(x, y) for x, y in zip(a, b, strict=True)]
    assert np.sqrt(np.mean(np.square(errors))) == pytest.approx(ratios.std(), rel=0.05)


def test_one_unit_has_no_standard_error() -> None:
    assert math.isnan(ratio_error([1.0], [2.0]))


def test_the_variance_between_is_the_restricted_likelihoods_where_errors_are_equal() -> None:
    # With equal errors Paule-Mandel, DerSimonian-Laird and restricted maximum likelihood agree.
    values, errors = np.array([-0.2, -0.05, 0.0, 0.1, 0.3]), np.full(5, 0.05)

    def minus_likelihood(tau2: float) -> float:
        variance = errors**2 + tau2
        mean = np.average(values, weights=1 / variance)
        return float(np.log(variance).sum() + np.log((1 / variance).sum()) + ((values - mean) ** 2 / variance).sum())

    best = minimize_scalar(minus_likelihood, bounds=(0, 1), method="bounded", options={"xatol": 1e-10}).x
    assert between_variance(values, errors) == pytest.approx(best, rel=1e-4)


@given(st.lists(st.tuples(st.floats(-0.5, 0.5), st.floats(0.01, 0.3)), min_size=2, max_size=8), st.floats(-1.0, 1.0))
def test_shrinking_draws_towards_the_mean_and_moves_with_the_values(
    estimates: list[tuple[float, float]], shift: float
) -> None:
    values, errors = np.array(estimates).T
    means, spreads = shrink(values, errors)
    assert (means >= values.min() - 1e-9).all()
    assert (means <= values.max() + 1e-9).all()
    assert (spreads > 0).all()
    moved, same = shrink(values + shift, errors)
    assert moved == pytest.approx(means + shift, abs=1e-6)
    assert same == pytest.approx(spreads, abs=1e-6)


def test_shrunken_estimates_err_less_than_raw_ones() -> None:
    rng = np.random.default_rng(4)
    raw, drawn = 0.0, 0.0
    for _ in range(300):
        truth = rng.normal(-0.05, 0.03, 6)
        errors = rng.uniform(0.03, 0.1, 6)
        seen = rng.normal(truth, errors)
        means, _ = shrink(seen, errors)
        raw += float(((seen - truth) ** 2).sum())
        drawn += float(((means - truth) ** 2).sum())
    assert drawn < 0.6 * raw


@pytest.mark.parametrize(
    ("values", "errors"), [([0.1], [0.1]), ([0.1, 0.2], [0.1]), ([0.1, 0.2], [0.1, 0.0]), ([[0.1, 0.2]], [[0.1, 0.2]])]
)
def test_what_cannot_be_shrunken_is_refused(values: list[float], errors: list[float]) -> None:
    with pytest.raises(ValueError):
        shrink(values, errors)
