"""Arms against each other: by hand, and against the truth of simulations."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from plugin.quality.contrasts import (
    SMOOTHING,
    Board,
    board,
    difference,
    labels_needed,
    labels_saved,
    rate,
    relative,
    smoothed_rate,
)
from plugin.quality.crossed import Estimate
from plugin.quality.metrics import ErrorCounts, count_errors
from plugin.records import Hypothesis

LABELS = {name: Hypothesis(name, f"{name}_intent") for name in ("audio", "music", "weather")}
OTHER = Hypothesis("other", "other_intent")
NOISY = Estimate(0.002, 0.010, -0.02, 0.02, of_seeds=0.00002, degrees=20.0, p=0.9)


def counts(gold: list[Hypothesis], chance: float, rng: np.random.Generator) -> ErrorCounts:
    wrong = rng.random(len(gold)) < chance
    return count_errors(gold, [OTHER if at else label for label, at in zip(gold, wrong, strict=True)])


def world(rates: dict[str, float], *, size: int = 400, seeds: int = 6, seed: int = 0, resamples: int = 500) -> Board:
    """Every arm errs by chance, at its own rate."""
    rng = np.random.default_rng(seed)
    gold = [LABELS[name] for name in rng.choice(sorted(LABELS), size, p=[0.05, 0.45, 0.5])]
    return board(
        {arm: [counts(gold, rate, rng) for _ in range(seeds)] for arm, rate in rates.items()}, resamples=resamples
    )


def test_rates_are_pooled_over_seeds_and_domains_sum_to_all() -> None:
    gold = [LABELS["music"]] * 3 + [LABELS["weather"]]
    first, second = count_errors(gold, [OTHER, *gold[1:]]), count_errors(gold, [OTHER, OTHER, *gold[2:]])
    found = board({"random": [first, second]})
    assert found.domains == ("music", "weather")
    assert [found.size(group) for group in (0, 1, -1)] == [3, 1, 4]
    assert [rate(found, "random", "dcer", group).value for group in (0, 1, -1)] == [0.5, 0.0, 0.375]
    assert rate(found, "random", "exact_match").value == 0.625


def test_the_difference_and_the_relative_change_agree() -> None:
    found = world({"random": 0.2, "entropy": 0.1})
    gap, change = difference(found, "entropy", "random", "dcer"), relative(found, "entropy", "random", "dcer")
    assert change.value == pytest.approx(gap.value / rate(found, "random", "dcer").value)
    assert gap.high < 0.0
    assert change.high < 0.0
    assert gap.p < 1e-6


def test_the_same_arm_twice_differs_in_nothing() -> None:
    gold = [LABELS["music"]] * 4
    same = [count_errors(gold, [OTHER, *gold[1:]])] * 2
    found = difference(board({"random": same, "entropy": same}), "entropy", "random", "dcer")
    assert (found.value, found.std_error, found.is_known) == (0.0, 0.0, False)


def test_a_domain_without_errors_borrows_a_rate() -> None:
    gold = [LABELS["music"]] * 30 + [LABELS["weather"]] * 10
    found = board({"random": [count_errors(gold, [OTHER] * 8 + gold[8:])] * 2})
    assert smoothed_rate(found, "random", "dcer", 1) == pytest.approx(0.2 * SMOOTHING / (10 + SMOOTHING))
    assert smoothed_rate(found, "random", "dcer", 0) == pytest.approx((8 + 0.2 * SMOOTHING) / (30 + SMOOTHING))
    assert math.isnan(relative(found, "random", "random", "dcer", 1).value)


def test_labels_saved_are_read_off_the_line_from_no_labels() -> None:
    found = world({"baseline": 0.4, "random": 0.3, "entropy": 0.2}, size=4000)
    told = labels_saved(found, "baseline", "random", "entropy", "dcer")
    assert told is not None
    assert told.value == pytest.approx(0.5, abs=0.06)
    assert told.low < 0.5 < told.high
    worse = labels_saved(found, "baseline", "entropy", "random", "dcer")
    assert worse is not None
    assert worse.value == pytest.approx(-1.0, abs=0.2)


RATES = {"baseline": 0.4, "random": 0.3, "entropy": 0.2}


@pytest.mark.parametrize("runs", [30, pytest.param(400, marks=pytest.mark.full)])
def test_labels_saved_cover_the_truth(runs: int) -> None:
    worlds = (world(RATES, size=300, seed=seed, resamples=200) for seed in range(runs))
    told = [labels_saved(found, "baseline", "random", "entropy", "dcer") for found in worlds]
    known = [one for one in told if one is not None]
    assert len(known) > 0.6 * runs
    assert np.mean([one.low <= 0.5 <= one.high for one in known]) >= 0.93


def test_what_labels_brought_nothing_saves_cannot_be_told() -> None:
    assert (
        labels_saved(world({"baseline": 0.3, "random": 0.3, "entropy": 0.2}), "baseline", "random", "entropy", "dcer")
        is None
    )


def test_less_noise_and_larger_effects_need_fewer_labels() -> None:
    def needed(change: Estimate = NOISY, relevant: float = 0.01, labels: int = 100) -> int:
        found = labels_needed(change, relevant, utterances=2000, labels=labels)
        assert found is not None
        return found

    assert needed() > needed(replace(NOISY, std_error=0.006))
    assert needed() > needed(relevant=0.02)
    assert needed() == needed(replace(NOISY, value=-0.002))
    assert needed() > needed(replace(NOISY, value=-0.015))
    assert needed(labels=200) > needed()
    assert needed() % 10 == 0


def test_what_was_seen_is_to_be_shown_where_the_noise_is_low_and_nothing_settled() -> None:
    quiet = replace(NOISY, value=0.004, std_error=0.0025, of_seeds=0.0)
    found = labels_needed(quiet, 0.01, utterances=2000, labels=100)
    assert found is not None
    assert found < 200


def test_unknown_noise_and_no_difference_at_all_promise_nothing() -> None:
    unknown = Estimate(0.0, math.nan, math.nan, math.nan, math.nan, math.nan, math.nan)
    assert labels_needed(unknown, 0.01, utterances=100, labels=10) is None
    settled = replace(NOISY, value=0.0, std_error=0.0001, of_seeds=0.0)
    assert labels_needed(settled, 0.01, utterances=100, labels=10) is None
    with pytest.raises(ValueError):
        labels_needed(NOISY, 0.0, utterances=100, labels=10)


def test_arms_of_different_seeds_or_utterances_are_refused() -> None:
    rng = np.random.default_rng(0)
    one, other = (counts([LABELS["music"]] * size, 0.5, rng) for size in (3, 4))
    for wrong in ({}, {"random": [one], "entropy": [one, one]}, {"random": [one], "entropy": [other]}):
        with pytest.raises(ValueError):
            board(wrong)
