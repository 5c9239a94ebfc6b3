"""Domains: which are large enough, their standard errors, and how far they are shrunken."""

from __future__ import annotations

import math

import numpy as np
import pytest

from plugin.experiment.analysis.domains import (
    DomainChange,
    large_domains,
    per_domain,
    ratio_error,
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
