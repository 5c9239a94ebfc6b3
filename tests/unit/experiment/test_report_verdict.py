"""The answer in plain words, for each way an experiment can end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from plugin.experiment.analysis import Analysis, analyse, results_from
from plugin.experiment.analysis.intervals import Change
from plugin.experiment.report.document import Verdict
from plugin.experiment.report.parts import change_cell, tone
from plugin.experiment.report.verdict import paper_direction, verdict
from tests.unit.experiment.synthetic import MANIFEST, World

ONE = World(arms=("random", "random-2", "default"), locales=("sw-KE", "th-TH"), own_noise=0.01)


def analysed(
    effects: Mapping[str, float], world: World = ONE, arm: str = "default", manifest: object = None
) -> Analysis:
    rows = replace(world, effects={arm: effects}).rows()
    return analyse(results_from(rows, manifest=manifest if isinstance(manifest, dict) else {}))


def answer(effects: Mapping[str, float], world: World = ONE, arm: str = "default") -> Verdict:
    return verdict(analysed(effects, world, arm))


def details(found: Verdict) -> str:
    return " ".join(found.details).replace("\u00a0", " ")


def test_both_errors_lower_is_good() -> None:
    found = answer({"dcer": -0.12, "semer": -0.06})
    assert found.tone == "good"
    assert "fewer domain errors" in found.sentence
    assert "fewer semantic errors" in found.sentence
    assert "of the labels are saved" in found.sentence
    assert [tile.tone for tile in found.tiles] == ["good", "good", "good"]
    assert "DCER −10 %: reached; SEMER −4 %: reached; 30 % of labels: reached" in details(found)


def test_one_error_lower_and_the_other_as_random_is_no_full_success() -> None:
    found = answer({"dcer": -0.08, "semer": 0.0})
    assert found.tone == ""
    assert "SEMER cannot be told apart from random's" in found.sentence
    assert "DCER −10 %: not reached; SEMER −4 %: not reached" in details(found)


def test_one_error_lower_and_the_other_higher_is_a_trade() -> None:
    found = answer({"dcer": -0.08, "semer": 0.04})
    assert (found.tone, "trades one error for another" in found.sentence) == ("", True)
    assert "more semantic errors" in found.sentence
    assert [tile.tone for tile in found.tiles] == ["good", "bad", "good"]


def test_worse_is_said_as_worse() -> None:
    found = answer({"dcer": 0.05, "semer": 0.05})
    assert (found.tone, "worse than random choice" in found.sentence) == ("bad", True)
    assert "saved" not in found.sentence


def test_no_difference_is_no_claim() -> None:
    found = answer({}, replace(ONE, own_noise=0.03, rng_seed=2))
    assert (found.tone, "cannot be told apart from random choice" in found.sentence) == ("", True)


def test_five_seeds_are_too_few_for_a_verdict() -> None:
    found = answer({"dcer": -0.2, "semer": -0.2}, replace(ONE, seeds=(0, 1, 2, 3, 4)))
    assert (found.tone, found.sentence.startswith("Too early to tell: 5")) == ("muted", True)
    assert {tile.tone for tile in found.tiles} <= {"muted", ""}


def test_a_large_effect_below_the_curve_saves_at_least_so_much() -> None:
    found = answer({"dcer": -0.6, "semer": -0.1})
    assert "needs more than 40\u00a0% of the pool" in found.sentence
    assert found.tiles[2].number == "≥\u00a075\u00a0%"


def test_labels_saved_may_not_have_been_measured() -> None:
    found = answer({"dcer": -0.12, "semer": -0.06}, replace(ONE, budgets=(10,), ends=False))
    assert "30 % of labels: not measured" in details(found)
    assert len(found.tiles) == 2


def test_another_comparison_than_the_one_named_is_said_to_be_so() -> None:
    found = answer({"dcer": -0.1, "semer": -0.1}, replace(ONE, pools=("window",), labels=("weak",)))
    assert "has not been run" in details(found)
    assert "With weak labels and a budget of" in found.sentence


def test_without_the_default_the_best_is_said_to_be_chosen_afterwards() -> None:
    world = replace(ONE, arms=("random", "random-2", "entropy", "margin"))
    found = answer({"dcer": -0.12, "semer": -0.06}, world, "margin")
    assert "**margin**" in found.sentence
    assert "chosen after seeing the results" in details(found)
    assert "target" not in details(found)


def test_what_the_default_is_comes_from_the_manifest() -> None:
    manifest = {**MANIFEST, "setup": {"default_arm": {"strategy": "k-means", "hard_share": 1.0}}}
    found = verdict(analysed({"dcer": -0.1, "semer": -0.1}, manifest=manifest))
    assert "`default` is the policy that Assay ships with: strategy k-means, hard share 1.0." in details(found)


def test_the_noise_floor_is_told_or_said_to_be_missing() -> None:
    assert "Noise floor, random against another random draw: DCER" in details(answer({"dcer": -0.1}))
    once = answer({"dcer": -0.1}, replace(ONE, arms=("random", "default")))
    assert "Random was drawn once only" in details(once)


def test_random_alone_has_no_verdict() -> None:
    found = answer({}, replace(ONE, arms=("random",)))
    assert (found.tone, found.sentence) == ("muted", "There is nothing to compare yet.")


CLEAR = Change(-0.1, -0.12, -0.08, None, None, 0.002, 0.01, 50, 10, 5, 0.008)


@pytest.mark.parametrize(
    ("change", "metric", "expected"),
    [
        (CLEAR, "dcer", "good"),
        (CLEAR, "slot_f1", "bad"),
        (replace(CLEAR, value=0.1, low=0.08, high=0.12), "dcer", "bad"),
        (replace(CLEAR, high=0.01), "dcer", ""),
        (replace(CLEAR, p_holm=0.06), "dcer", ""),
        (replace(CLEAR, p_holm=None), "dcer", "good"),
        (replace(CLEAR, seeds=5), "dcer", "muted"),
        (None, "dcer", "muted"),
    ],
)
def test_only_what_is_clear_has_a_colour(change: Change | None, metric: str, expected: str) -> None:
    assert tone(change, metric) == expected
    assert change_cell(change, metric).tone == expected


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (CLEAR, "holds"),
        (replace(CLEAR, value=0.1, low=0.08, high=0.12), "opposite"),
        (replace(CLEAR, high=0.01), "cannot be told apart"),
        (replace(CLEAR, p_holm=0.12), "leans its way"),
        (replace(CLEAR, value=0.03, low=0.01, high=0.05, p_holm=0.12), "leans the other way"),
        (replace(CLEAR, seeds=5), "too few seeds"),
        (None, "not run"),
    ],
)
def test_whether_the_papers_direction_holds(change: Change | None, expected: str) -> None:
    assert paper_direction(change) == expected
