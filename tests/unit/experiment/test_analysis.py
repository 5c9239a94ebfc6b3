"""Known effects are found again, with what chance alone would show beside them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.experiment.analysis import Analysis, analyse, results_from
from plugin.experiment.analysis.comparisons import Comparison, against_random, compare, mean_rate, noise_floor, ratio
from plugin.experiment.analysis.costs import effective_number
from plugin.experiment.analysis.intervals import Change
from plugin.experiment.analysis.names import hard_share
from plugin.experiment.analysis.results import Pair, Setting
from plugin.quality.metrics import METRICS
from plugin.quality.significance import holm
from tests.unit.experiment.synthetic import World

SETTING = Setting("massive", "whole", "reviewed", 0.0, 0.1)
EFFECTS = {"entropy": {"dcer": -0.06, "semer": 0.03}, "default": {"dcer": -0.10, "semer": -0.04, "exact_match": 0.03}}
FULL = World(
    effects=EFFECTS, labels=("reviewed", "weak"), pools=("whole", "window"), locales=("sw-KE", "th-TH", "is-IS")
)
# Where one setting suffices.
ONE = replace(FULL, labels=("reviewed",), pools=("whole",), budgets=(10,))


@pytest.fixture(scope="module")
def analysis() -> Analysis:
    return analyse(results_from(FULL.rows()))


def change(analysis: Analysis, arm: str, metric: str, setting: Setting = SETTING) -> Change:
    return next(item.change for item in analysis.of(setting, metric) if item.arm == arm)


def test_the_primary_comparison_is_the_one_named_beforehand(analysis: Analysis) -> None:
    assert (analysis.primary, analysis.is_primary) == (SETTING, True)
    assert analysis.arms == ("default", "entropy", "el2n-10-90")


@pytest.mark.parametrize(("arm", "metric"), [(arm, metric) for arm, by in EFFECTS.items() for metric in by])
def test_known_effects_are_found(analysis: Analysis, arm: str, metric: str) -> None:
    found = change(analysis, arm, metric)
    assert found.value == pytest.approx(EFFECTS[arm][metric], abs=0.012)
    assert found.low is not None
    assert found.high is not None
    assert found.low < EFFECTS[arm][metric] + 0.004
    assert found.high > EFFECTS[arm][metric] - 0.004
    assert found.is_off_zero
    assert (found.pairs, found.seeds, found.locales) == (30, 10, 3)


def test_random_against_random_is_about_nothing(analysis: Analysis) -> None:
    floors = analysis.floors
    assert {item.metric for item in floors} == set(METRICS)
    assert len(floors) == 12 * len(METRICS)
    assert all(abs(item.change.value) < 0.02 for item in floors)
    assert np.mean([item.change.is_off_zero for item in floors]) <= 0.1


def test_p_values_are_corrected_over_the_strategies_of_a_metric(analysis: Analysis) -> None:
    family = [item.change for item in analysis.of(SETTING, "icer")]
    assert [item.p_holm for item in family] == pytest.approx(holm([item.p for item in family]).tolist())


def test_more_is_better_where_it_is(analysis: Analysis) -> None:
    found = {item.metric: item for item in analysis.comparisons if item.setting == SETTING and item.arm == "default"}
    assert found["exact_match"].gain == pytest.approx(0.03, abs=0.012)
    assert found["dcer"].gain == pytest.approx(0.10, abs=0.012)


def test_a_change_is_that_of_the_pair_against_the_mean_of_its_random_draws() -> None:
    results = results_from(FULL.rows())
    pair = Pair("th-TH", 4)
    arms = results.arms(SETTING)
    base = (arms["random"][pair].rate("dcer") + arms["random-2"][pair].rate("dcer")) / 2
    changes = against_random(results, SETTING, "entropy", "dcer")
    assert changes[pair] == pytest.approx(arms["entropy"][pair].rate("dcer") / base - 1)
    other = against_random(results, SETTING, "random", "dcer")
    assert other[pair] == pytest.approx(arms["random"][pair].rate("dcer") / arms["random-2"][pair].rate("dcer") - 1)


def test_one_random_draw_has_no_noise_floor() -> None:
    results = results_from(World(arms=("random", "entropy")).rows())
    assert noise_floor(results, SETTING) == []
    assert len(compare(results, SETTING, ["entropy"], ["dcer"])) == 1


def test_the_bar_between_entropy_and_el2n_is_direct(analysis: Analysis) -> None:
    duel = next(item for item in analysis.duels if item.setting == SETTING and item.metric == "dcer")
    assert (duel.arm, duel.against) == ("el2n-10-90", "entropy")
    assert duel.change.value == pytest.approx(1 / 0.94 - 1, abs=0.015)


def test_review_and_selection_stand_side_by_side(analysis: Analysis) -> None:
    by_arm = {item.arm: item for item in analysis.reviews if item.setting == SETTING and item.metric == "dcer"}
    plain, chosen = by_arm["random"], by_arm["default"]
    assert plain.review.value == pytest.approx(1 / 1.07 - 1, abs=0.015)
    assert (plain.select_weak, plain.both) == (None, None)
    assert chosen.both is not None
    assert chosen.select_weak is not None
    assert chosen.both.value == pytest.approx(0.90 / 1.07 - 1, abs=0.015)
    assert chosen.select_weak.value == pytest.approx(-0.10, abs=0.015)


def test_nothing_and_everything_are_the_ends(analysis: Analysis) -> None:
    ends = {(item.arm, item.metric): item.change.value for item in analysis.ends}
    assert ends["nothing", "dcer"] == pytest.approx(2**0.35 - 1, abs=0.02)
    assert ends["everything", "dcer"] == pytest.approx((11 / 2) ** -0.35 - 1, abs=0.02)


def test_locales_are_compared_one_by_one(analysis: Analysis) -> None:
    rows = [item for item in analysis.by_locale if item.arm == "default" and item.metric == "dcer"]
    assert [item.locale for item in rows] == ["is-IS", "sw-KE", "th-TH"]
    assert np.mean([item.change.value for item in rows]) == pytest.approx(change(analysis, "default", "dcer").value)
    assert all(item.change.low_wide is None and item.change.pairs == 10 for item in rows)


def test_what_a_strategy_costs_is_per_thousand_utterances(analysis: Analysis) -> None:
    costs = {item.arm: item for item in analysis.costs}
    assert costs["default"].select == pytest.approx(1000 * 3.2 / 9000)
    assert costs["entropy"].score == pytest.approx(1000 * 11 / 9000)
    assert costs["default"].extra_mb == pytest.approx(10.3)
    assert costs["random"].extra_mb == pytest.approx(0.3)
    assert costs["random"].peak_mb == 900


def test_memory_that_was_not_measured_is_not_guessed() -> None:
    rows = [{**row, "select_peak_mb": None} for row in ONE.rows()]
    assert [item.extra_mb for item in analyse(results_from(rows)).costs] == [None] * 4


def test_what_was_selected_is_described(analysis: Analysis) -> None:
    found = {item.arm: item for item in analysis.selections}
    assert found["entropy"].wrong == pytest.approx(0.4)
    assert found["random"].size == 900
    assert 5 < (found["random"].domains or 0) < 6


def test_the_same_results_give_the_same_numbers() -> None:
    rows = World(locales=("sw-KE",), budgets=(10,), effects=EFFECTS).rows()
    one, other = analyse(results_from(rows)), analyse(results_from(list(reversed(rows))))
    assert one.comparisons == other.comparisons
    assert one.saved == other.saved
    assert one.by_domain == other.by_domain


def test_an_unfinished_grid_says_what_is_there() -> None:
    rows = FULL.rows()
    left = analyse(results_from(rows[: len(rows) // 5]))
    assert left.is_primary
    assert 0 < change(left, "default", "dcer").seeds < 10
    assert change(left, "default", "dcer").value == pytest.approx(-0.10, abs=0.03)


def test_without_the_primary_setting_the_nearest_one_is_shown() -> None:
    found = analyse(results_from(replace(FULL, pools=("window",), labels=("weak",), budgets=(5,)).rows()))
    assert not found.is_primary
    assert (found.primary.pool, found.primary.budget) == ("window", 0.05)


def test_random_alone_can_be_analysed() -> None:
    found = analyse(results_from(World(arms=("random",), seeds=(0,), locales=("sw-KE",)).rows()))
    assert (found.arms, list(found.comparisons), list(found.saved)) == ((), [], [])


def test_corpora_are_never_pooled() -> None:
    other = replace(ONE, corpus="hwu64", locales=("en",), effects={}, rng_seed=1)
    found = analyse(results_from([*ONE.rows(), *other.rows()]))
    assert found.primary.corpus == "massive"
    assert change(found, "default", "dcer").pairs == 30
    elsewhere = change(found, "default", "dcer", replace(SETTING, corpus="hwu64"))
    assert abs(elsewhere.value) < 0.03
    assert elsewhere.pairs == 10


def test_noise_stands_beside_the_core_on_the_same_pairs() -> None:
    noisy = replace(
        World(effects={"entropy": {"dcer": 0.05}}, locales=("sw-KE",), budgets=(10,), ends=False), noise=20, rng_seed=3
    )
    found = analyse(results_from([*ONE.rows(), *noisy.rows()]))
    satellite = next(item for item in found.satellites if item.name == "noise")
    rows = {item.setting.noise: item.change for item in satellite.comparisons if _is(item, "entropy", "dcer")}
    assert rows[0.0].pairs == rows[0.2].pairs == 10
    assert rows[0.0].value == pytest.approx(-0.06, abs=0.02)
    assert rows[0.2].value == pytest.approx(0.05, abs=0.02)
    assert change(found, "entropy", "dcer").pairs == 30


def test_keys_of_their_own_make_satellites_of_their_own() -> None:
    rounds = [
        replace(ONE, extra={"round": number}, ends=False, pools=("whole",), labels=("reviewed",), budgets=(10,)).rows()
        for number in (1, 2)
    ]
    found = analyse(results_from([*ONE.rows(), *rounds[0], *rounds[1]]))
    satellite = next(item for item in found.satellites if item.name == "round")
    extras = {item.setting.extra for item in satellite.comparisons}
    assert extras == {(), (("round", 1),), (("round", 2),)}
    assert len([item for item in found.comparisons if item.setting.extra]) == 0


def test_a_value_that_belongs_to_one_locale_stands_beside_the_core_there() -> None:
    one = replace(ONE, locales=("sw-KE",), extra={"scores_from": "th-TH"}, ends=False)
    other = replace(ONE, locales=("th-TH",), extra={"scores_from": "is-IS"}, ends=False)
    found = analyse(results_from([*ONE.rows(), *one.rows(), *other.rows()]))
    satellite = next(item for item in found.satellites if item.name == "scores_from")
    rows = [(item.locale, dict(item.setting.extra).get("scores_from")) for item in satellite.comparisons
            if _is(item, "default", "dcer")]  # fmt: skip
    assert sorted(rows, key=str) == [("sw-KE", "th-TH"), ("sw-KE", None), ("th-TH", "is-IS"), ("th-TH", None)]
    assert {item.change.pairs for item in satellite.comparisons} == {10}


def test_of_half_of_the_domains_both_halves_are_measured() -> None:
    halves = [("calendar", "iot", "play"), ("email", "music", "qa")]
    rows = ONE.rows()
    for number, half in enumerate(halves, 1):
        gain = {("default", domain): -0.2 if domain in half else 0.1 for other in halves for domain in other}
        world = replace(
            ONE, arms=("random", "random-2", "default"), effects={}, domain_effects=gain, ends=False,
            extra={"domains_half": number}, own_noise=0.005, rng_seed=number,
        )  # fmt: skip
        for row in world.rows():
            row["selected"]["domains"] = {domain: 100 if domain in half else 7 for other in halves for domain in other}
            rows.append(row)
    found = {
        (item.arm, item.where): item.change.value
        for item in analyse(results_from(rows)).transfers
        if item.metric == "dcer"
    }
    assert found["default", "selected"] == pytest.approx(-0.2, abs=0.01)
    assert found["default", "other"] == pytest.approx(0.1, abs=0.01)
    assert found["random", "selected"] == pytest.approx(2**-0.35 - 1, abs=0.03)
    assert set(found) == {(arm, where) for arm in ("random", "default") for where in ("selected", "other")}


def test_compositions_are_shown_from_easy_to_hard_and_an_arm_of_few_pairs_is_no_core_arm() -> None:
    few = replace(ONE, arms=("el2n-50-50", "el2n-hard"), seeds=(0, 1, 2), ends=False, rng_seed=5)
    found = analyse(results_from([*ONE.rows(), *few.rows()]))
    assert "el2n-hard" not in found.arms
    satellite = next(item for item in found.satellites if item.name == "composition")
    rows = [item for item in satellite.comparisons if item.setting == SETTING and item.metric == "dcer"]
    assert [hard_share(item.arm) for item in rows] == [0.1, 0.5, 1.0]
    assert {item.change.pairs for item in rows} == {9}


GRID = {
    "places": [["massive", "sw-KE"], ["massive", "th-TH"], ["massive", "is-IS"]],
    "pools": ["whole"], "labels": ["reviewed"], "budgets": [10.0],
    "arms": ["random", "random-2", "entropy", "el2n-10-90", "default"],
}  # fmt: skip


def test_arms_that_no_grid_named_never_enter_the_family_however_many_pairs_they_have() -> None:
    rows = [*ONE.rows(), *replace(ONE, arms=("el2n-50-50", "entropy@equal"), ends=False, rng_seed=5).rows()]
    apart = analyse(results_from(rows, manifest={"runs": [{"grid": GRID}]}))
    assert set(apart.arms) == {"entropy", "el2n-10-90", "default"}
    alone = analyse(results_from(ONE.rows()))
    assert [item.change.p_holm for item in apart.comparisons] == [item.change.p_holm for item in alone.comparisons]
    family = next(item for item in apart.satellites if item.name == "composition")
    assert {item.arm for item in family.comparisons} == {"el2n-10-90", "el2n-50-50"}
    # A grid of other settings says nothing of this one; nor does a manifest without a run.
    others: list[dict[str, Any]] = [{"runs": [{"grid": {**GRID, "pools": ["window"]}}]}, {"runs": []}, {"runs": [{}]}]
    for manifest in others:
        assert "entropy@equal" in analyse(results_from(rows, manifest=manifest)).arms


def test_what_is_random_by_another_name_is_no_strategy() -> None:
    found = analyse(results_from(replace(ONE, arms=("random", "random-2", "el2n-0-100", "default")).rows()))
    assert found.arms == ("default",)
    assert not [item for satellite in found.satellites for item in satellite.comparisons if item.arm == "el2n-0-100"]


def test_allocations_stand_beside_the_same_strategy_without_a_quota() -> None:
    found = analyse(results_from(replace(ONE, arms=("random", "entropy", "entropy@equal", "default")).rows()))
    satellite = next(item for item in found.satellites if item.name == "allocation")
    assert {item.arm for item in satellite.comparisons} == {"entropy", "entropy@equal"}


def test_a_base_of_nothing_has_no_relative_change() -> None:
    rows = World(locales=("sw-KE",), budgets=(10,)).rows()
    for row in rows:
        if row["trial"]["seed"] == 0 and row["trial"]["arm"].startswith("random"):
            row["errors"]["dcer"]["*"][0] = 0.0
    assert change(analyse(results_from(rows)), "default", "dcer").pairs == 9
    assert ratio(0.1, 0.0) is None
    assert np.isnan(mean_rate([], "dcer"))


@given(st.lists(st.integers(1, 1000), min_size=1, max_size=30), st.integers(1, 50))
def test_the_effective_number_lies_between_one_and_the_number(counts: list[int], times: int) -> None:
    number = effective_number(counts)
    assert number is not None
    assert 1 - 1e-9 <= number <= len(counts) + 1e-9
    assert effective_number([times * count for count in counts]) == pytest.approx(number)
    assert effective_number([7] * len(counts)) == pytest.approx(len(counts))


def _is(item: Comparison, arm: str, metric: str) -> bool:
    return (item.arm, item.metric) == (arm, metric)
