"""The grid: every trial once, in an order that may be cut off anywhere."""

from __future__ import annotations

import doctest
import importlib
import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.experiment.arms import ArmError, describe, parse
from plugin.experiment.grid import LABELS, POOLS, Grid, Trial, trial_from_json, units
from plugin.experiment.presets import PRESETS
from plugin.experiment.satellites import SATELLITES, satellite_trials
from plugin.records import Allocation, Policy, Strategy

PLACES = [("massive", "sw-KE"), ("massive", "is-IS"), ("hwu64", "en")]


def core(seeds: int = 10) -> Grid:
    preset = PRESETS["core"]
    return Grid(
        PLACES, range(seeds), preset.pools, preset.labels, preset.budgets, preset.arms, preset.further_budgets
    )  # fmt: skip


grids = st.builds(
    Grid,
    places=st.lists(st.sampled_from(PLACES), min_size=1, unique=True),
    seeds=st.integers(1, 4).map(range),
    pools=st.lists(st.sampled_from(POOLS), min_size=1, unique=True),
    labels=st.lists(st.sampled_from(LABELS), min_size=1, unique=True),
    budgets=st.lists(st.sampled_from([5.0, 10.0, 20.0, 12.5]), min_size=1, unique=True),
    arms=st.lists(st.sampled_from(["random", "random-2", "entropy", "el2n:0.2"]), min_size=1, unique=True),
    further_budgets=st.lists(st.sampled_from([40.0, 60.0]), unique=True),
    baselines=st.booleans(),
)


def test_the_core_has_the_size_that_the_issue_names() -> None:
    # Per world four settings of three budgets and six arms, random at a fourth, everything; and nothing once.
    assert len(core().trials()) == 3 * 10 * (4 * (3 * 6 + 1 + 1) + 1)


@given(grids)
def test_every_trial_comes_once_and_every_wanted_one_comes(grid: Grid) -> None:
    trials = grid.trials()
    assert len(set(trials)) == len({trial.key for trial in trials}) == len(trials)
    settings = len(grid.pools) * len(grid.labels)
    curve = 0 if "random" in grid.arms and set(grid.further_budgets) <= set(grid.budgets) else len(grid.further_budgets)
    cells = settings * (len(grid.budgets) * len(grid.arms) + curve) + grid.baselines * (settings + 1)
    assert len(trials) == len(grid.places) * len(grid.seeds) * cells


@given(grids, st.data())
def test_every_prefix_is_balanced(grid: Grid, data: st.DataObject) -> None:
    """Of any setting, budget and arm the worlds that have it are the first ones, seed by seed."""
    trials = grid.trials()
    prefix = trials[: data.draw(st.integers(0, len(trials)))]
    worlds = [(seed, *place) for seed in grid.seeds for place in grid.places]
    done: dict[tuple[object, ...], list[tuple[int, str, str]]] = {}
    for trial in prefix:
        cell = (trial.pool, trial.labels, trial.budget, trial.arm)
        done.setdefault(cell, []).append((trial.seed, trial.corpus, trial.locale))
    assert all(found == worlds[: len(found)] for found in done.values())


def test_the_comparison_that_was_named_beforehand_comes_first() -> None:
    trials = core().trials()
    first = trials[: 3 * 10 * 7]
    assert {(trial.pool, trial.labels, trial.budget) for trial in first} == {
        ("whole", "reviewed", 10.0), ("none", "none", 0.0)
    }  # fmt: skip
    then = [("whole", "reviewed")] * 13 + [("window", "weak")] * (6 * 3 + 1)  # per world; 6 x 1 were the primary
    assert [(trial.pool, trial.labels) for trial in trials[len(first) : len(first) + 2 * len(then)]] == then * 2


@given(grids)
def test_a_unit_stays_in_one_world_and_none_is_lost(grid: Grid) -> None:
    found = units(grid.trials())
    assert [trial for unit in found for trial in unit] == grid.trials()
    assert all(len({trial.world for trial in unit}) == 1 for unit in found)


@given(grids)
def test_a_trial_survives_its_way_through_the_file(grid: Grid) -> None:
    for trial in [*grid.trials(), *satellite_trials(list(SATELLITES), PLACES, [0])]:
        assert trial_from_json(json.loads(json.dumps(trial.to_json()))) == trial


def test_whole_numbers_are_written_as_such() -> None:
    values = Trial("massive", "sw-KE", 3, "whole", "weak", 0.0, 12.5, "entropy", (("rounds", 3),)).to_json()
    assert (values["noise"], values["budget"], values["rounds"]) == (0, 12.5, 3)
    assert isinstance(values["noise"], int)


@pytest.mark.parametrize("name", SATELLITES)
def test_a_satellite_brings_what_it_is_compared_with(name: str) -> None:
    trials = satellite_trials([name], PLACES, range(2))
    assert {trial.locale for trial in trials} == {"sw-KE", "is-IS"}
    for trial in trials:
        plain = Trial(*(getattr(trial, field) for field in list(Trial.__slots__)[:-1]))
        # A bandit of one round would have nothing to go by.
        if trial.extra and trial.option("domains_half") is None and trial.arm != "bandit":
            assert plain in trials
        setting = (trial.world, trial.pool, trial.labels, trial.noise)
        others = [other for other in trials if (other.world, other.pool, other.labels, other.noise) == setting]
        assert {"random", "random-2"} <= {other.arm for other in others}


def test_random_is_drawn_from_the_same_part_of_the_pool_as_what_is_compared_with_it() -> None:
    trials = [trial for trial in satellite_trials(["locales", "domains"], PLACES, [0]) if trial.extra]
    for extra, world in {(trial.extra, trial.world) for trial in trials}:
        assert {"random", "random-2"} <= {trial.arm for trial in trials if (trial.extra, trial.world) == (extra, world)}


def test_annotators_err_too() -> None:
    settings = {(trial.pool, trial.labels, trial.noise) for trial in satellite_trials(["noise"], PLACES, [0])}
    assert settings == {
        (pool, labels, noise) for pool, labels in (("window", "weak"), ("whole", "reviewed")) for noise in (0, 10, 20)
    }


def test_a_world_is_made_once_for_all_satellites() -> None:
    trials = satellite_trials(list(SATELLITES), PLACES, range(3))
    worlds = [(seed, *place) for seed in range(3) for place in PLACES[:2]]
    assert [(u[0].seed, u[0].corpus, u[0].locale) for u in units(trials)] == worlds
    assert len(trials) == len(set(trials))


def test_satellites_share_trials_with_the_core() -> None:
    with_satellites = Grid(
        PLACES, range(10), ["whole"], ["reviewed"], [10.0], PRESETS["core"].arms,
        satellites=satellite_trials(["allocations"], PLACES, range(10)),
    )  # fmt: skip
    assert Counter(trial.key for trial in with_satellites.trials()).most_common(1)[0][1] == 1
    assert len(with_satellites.trials()) == 3 * 10 * (6 + 2) + 2 * 10 * 4


def test_scores_are_taken_from_another_locale_of_the_same_corpus_only() -> None:
    trials = satellite_trials(["locales"], [("massive", "sw-KE"), ("hwu64", "en"), ("massive", "is-IS")], [0])
    assert {(trial.locale, trial.option("scores_from")) for trial in trials if trial.extra} == {("sw-KE", "is-IS")}
    assert not [trial for trial in trials if trial.corpus == "hwu64"]


def test_the_bandit_has_as_many_rounds_as_a_fixed_strategy() -> None:
    rounds = {
        arm: {trial.option("rounds") for trial in satellite_trials(["rounds"], PLACES, [0]) if trial.arm == arm}
        for arm in ("bandit", "default")
    }
    assert rounds["bandit"] == rounds["default"] - {None}
    assert len(rounds["bandit"]) == 2


def test_an_unknown_satellite_is_named() -> None:
    with pytest.raises(ValueError, match="'moon'"):
        satellite_trials(["moon"], PLACES, [0])


@pytest.mark.parametrize(
    ("name", "strategy", "hard_share", "allocation"),
    [
        ("entropy", Strategy.ENTROPY, 1.0, Allocation.GLOBAL),
        ("el2n-10-90", Strategy.EL2N, 0.1, Allocation.GLOBAL),
        ("el2n-hard", Strategy.EL2N, 1.0, Allocation.GLOBAL),
        ("el2n:0.35@equal", Strategy.EL2N, 0.35, Allocation.EQUAL),
        ("random-7", Strategy.RANDOM, 1.0, Allocation.GLOBAL),
        ("default", Policy().strategy, Policy().hard_share, Policy().allocation),
    ],
)
def test_an_arm_is_a_policy_without_control(
    name: str, strategy: Strategy, hard_share: float, allocation: Allocation
) -> None:
    policy = parse(name).policy
    assert (policy.strategy, policy.hard_share, policy.allocation) == (strategy, hard_share, allocation)
    assert policy.control_share == 0.0


@pytest.mark.parametrize("strategy", [strategy for strategy in Strategy if strategy is not Strategy.AUTO])
def test_every_strategy_of_production_is_an_arm(strategy: Strategy) -> None:
    assert parse(strategy.value).policy.strategy is strategy


@pytest.mark.parametrize("name", ["auto", "entropie", "el2n:2", "el2n:x", "entropy@all", "random-0", "random-x", ""])
def test_what_is_no_arm_is_refused_by_name(name: str) -> None:
    with pytest.raises(ArmError, match=f"arm {name!r}"):
        parse(name)


def test_random_arms_differ_in_every_world() -> None:
    seeds = [parse(f"random-{number}").seed(world) for number in (2, 3, 4) for world in range(100)]
    assert len({*seeds, *(parse("random").seed(world) for world in range(100))}) == 400


def test_what_an_arm_means_is_kept_without_what_the_trial_decides() -> None:
    assert describe("nothing") == {}
    assert describe("el2n-10-90")["hard_share"] == 0.1
    assert not {"budget", "seed", "control_share"} & set(describe("default"))


@pytest.mark.parametrize("name", ["arms", "choosing", "halves", "laboratory"])
def test_examples_run(name: str) -> None:
    outcome = doctest.testmod(importlib.import_module(f"plugin.experiment.{name}"), raise_on_error=False)
    assert outcome.attempted
    assert not outcome.failed
