"""Seeds and utterances resampled together: against the analysis of variance, and against the truth of simulations."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from plugin.quality.crossed import Crossed, cross, estimate, expanded_level
from plugin.quality.inference import ratio_interval

Float = NDArray[np.float64]

SEEDS, UTTERANCES = 6, 150


def ratio(sums: Float) -> Float:
    found: Float = sums[..., 0] / sums[..., 1]
    return found


def difference(sums: Float) -> Float:
    found: Float = sums[..., 0] / sums[..., 2] - sums[..., 1] / sums[..., 2]
    return found


def test_with_one_seed_it_is_the_percentile_bootstrap_of_utterances() -> None:
    rng = np.random.default_rng(0)
    wrong = (rng.random(200) < 0.2).astype(np.float64)
    ours = estimate(ratio, cross(np.stack([wrong, np.ones(200)])[:, None], np.zeros(200), resamples=20_000))
    theirs = ratio_interval(wrong, np.ones(200), method="percentile", resamples=20_000)
    assert (ours.value, ours.degrees, ours.of_seeds) == (theirs.value, 199.0, 0.0)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=0.006)
    assert ours.std_error == pytest.approx(math.sqrt(theirs.value * (1 - theirs.value) / 200), rel=0.03)


def test_where_only_seeds_vary_it_is_hesterbergs_interval_and_students_test() -> None:
    rates = np.array([0.10, 0.12, 0.09, 0.14, 0.11, 0.10])
    table = np.stack([np.repeat(rates[:, None], 50, axis=1), np.ones((6, 50))])
    found = estimate(ratio, cross(table, np.zeros(50), resamples=20_000))
    error = rates.std(ddof=1) / math.sqrt(6)
    assert found.std_error == pytest.approx(error, rel=0.02)
    assert found.degrees == pytest.approx(5.0, rel=0.05)
    expected = ratio_interval(rates, np.ones(6), method="percentile", level=expanded_level(6), resamples=20_000)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.002)


def test_the_error_is_that_of_the_crossed_random_effects() -> None:
    """Seeds and utterances apart, and the rest not counted three times, as the resamples do."""
    rng = np.random.default_rng(1)
    found = []
    for _ in range(300):
        of_seed, of_row = rng.normal(0, 0.1, (6, 1)), rng.normal(0, 1.0, (1, 40))
        table = np.stack([5.0 + of_seed + of_row + rng.normal(0, 2.0, (6, 40)), np.ones((6, 40))])
        found.append(estimate(ratio, cross(table, np.zeros(40), resamples=2)))
    variance = 0.01 / 6 + 1.0 / 40 + 4.0 / 240
    assert np.mean([one.std_error**2 for one in found]) == pytest.approx(variance, rel=0.1)
    assert np.var([one.value for one in found]) == pytest.approx(variance, rel=0.2)


def test_groups_sum_to_all_and_share_their_draws() -> None:
    rng = np.random.default_rng(2)
    found = cross(rng.random((3, 4, 50)), rng.integers(0, 5, 50))
    assert found.draws[:, :-1].sum(axis=1) == pytest.approx(found.draws[:, -1])
    for group in range(6):
        assert found.cells(group).sum(axis=(0, 1)) == pytest.approx(found.sums[group])
    assert found.sizes[-1] == found.sizes[:-1].sum() == 50


def test_a_group_without_utterances_has_no_estimate() -> None:
    found = cross(np.ones((2, 3, 4)), np.array([0, 0, 2, 2]))
    assert found.sizes.tolist() == [2, 0, 2, 4]
    empty = estimate(ratio, found, 1)
    assert math.isnan(empty.value)
    assert not empty.is_known


def test_what_does_not_vary_has_no_error_and_is_not_known() -> None:
    found = estimate(ratio, cross(np.ones((2, 6, 10)), np.zeros(10)))
    assert (found.value, found.std_error, found.low, found.high) == (1.0, 0.0, 1.0, 1.0)
    assert not found.is_known


def test_the_same_seed_gives_the_same_draws() -> None:
    rng = np.random.default_rng(3)
    terms, groups = rng.random((2, 3, 40)), rng.integers(0, 3, 40)
    one, same, other = (cross(terms, groups, seed=seed).draws for seed in (5, 5, 6))
    assert (one == same).all()
    assert not (one == other).all()


@pytest.mark.parametrize(
    ("columns", "groups"),
    [
        (np.ones((2, 3)), np.zeros(3)),
        (np.ones((2, 0, 3)), np.zeros(3)),
        (np.ones((2, 1, 3)), np.zeros(2)),
        (np.full((1, 1, 2), np.nan), np.zeros(2)),
        (np.ones((2, 1, 3)), np.array([0, -1, 0])),
    ],
)
def test_what_cannot_be_resampled_is_refused(columns: Float, groups: Float) -> None:
    with pytest.raises(ValueError):
        cross(columns, groups)


def two_arms(rng: np.random.Generator, gain: float, between_seeds: float) -> Crossed:
    """Errors of a control and of an arm: utterances differ much, seeds a little, and every cell is chance."""
    hard = rng.normal(-2.0, 1.5, (1, UTTERANCES))
    luck = rng.normal(0.0, between_seeds, (2, SEEDS, 1))
    chance = expit(hard + luck - np.array([gain, 0.0])[:, None, None])  # (2, S, N)
    wrong = (rng.random(chance.shape) < chance).astype(np.float64)
    return cross(np.concatenate([wrong, np.ones((1, SEEDS, UTTERANCES))]), np.zeros(UTTERANCES), resamples=300)


def true_difference(gain: float, between_seeds: float) -> float:
    rng = np.random.default_rng(0)
    logit = rng.normal(-2.0, 1.5, 2_000_000) + rng.normal(0.0, between_seeds, 2_000_000)
    return float(expit(logit - gain).mean() - expit(logit).mean())


def covered(gain: float, between_seeds: float, runs: int) -> float:
    truth = true_difference(gain, between_seeds)
    rng = np.random.default_rng(7)
    found = [estimate(difference, two_arms(rng, gain, between_seeds)) for _ in range(runs)]
    return float(np.mean([one.low <= truth <= one.high for one in found]))


def test_the_interval_covers_the_truth() -> None:
    assert covered(gain=0.3, between_seeds=0.15, runs=200) >= 0.93


@pytest.mark.full
@pytest.mark.parametrize("gain", [0.0, 0.3])
@pytest.mark.parametrize("between_seeds", [0.0, 0.1, 0.3])
def test_the_interval_covers_the_truth_whatever_varies(gain: float, between_seeds: float) -> None:
    assert covered(gain, between_seeds, runs=1_000) >= 0.93
