"""The draws are what the stored inclusion probabilities say, over many seeds: all fixed, so nothing is left to luck."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from plugin.quality.selection import Frame, ranking, select
from plugin.quality.selection.diversity import diverse_order
from plugin.quality.selection.frame import Int
from plugin.quality.selection.sampling import Lots
from plugin.records import Allocation, Arm, Policy, Strategy

SIZE = 60
FRAME = Frame(
    ids=np.arange(SIZE, dtype=np.int64),
    domains=np.repeat(["large", "middle", "small"], [40, 15, 5]),
    scores={
        name: np.random.default_rng(n).random(SIZE)
        for n, name in enumerate(["entropy", "el2n", "joint_uncertainty", "confidence"])
    },
    features={
        name: np.random.default_rng(n).dirichlet(np.full(6, 0.4), SIZE)
        for n, name in enumerate(["domain_probs", "intent_probs", "slot_mass"])
    },
)
PAPER = Policy(strategy=Strategy.EL2N, hard_share=0.10, budget=25, control_share=0.4)

DESIGNS = {
    "el2n-10-90": PAPER,
    "el2n-half": replace(PAPER, hard_share=0.5),
    "entropy-hard": Policy(strategy=Strategy.ENTROPY, budget=25, control_share=0.4),
    "random": Policy(strategy=Strategy.RANDOM, budget=25, control_share=0.3),
    "el2n-10-90-equal": replace(PAPER, hard_share=0.3, allocation=Allocation.EQUAL),
    "el2n-proportional": replace(PAPER, hard_share=0.3, allocation=Allocation.PROPORTIONAL),
    "entropy-hard-equal": Policy(strategy=Strategy.ENTROPY, budget=25, control_share=0.4, allocation=Allocation.EQUAL),
    # Its order draws nothing, so the probabilities are of the whole design, not only given the order.
    "facility-location": Policy(strategy=Strategy.FACILITY_LOCATION, budget=25, control_share=0.4),
    "facility-location-half-equal": Policy(
        strategy=Strategy.FACILITY_LOCATION, budget=25, control_share=0.4, hard_share=0.5, allocation=Allocation.EQUAL
    ),
    "k-means": Policy(strategy=Strategy.K_MEANS, budget=25, control_share=0.4),
    "k-means-half": Policy(strategy=Strategy.K_MEANS, budget=25, control_share=0.4, hard_share=0.5),
    "all-control": Policy(strategy=Strategy.ENTROPY, budget=25, control_share=1.0),
    "no-control": replace(PAPER, control_share=0.0),
}


@pytest.mark.parametrize("policy", DESIGNS.values(), ids=DESIGNS.keys())
def test_frequencies_match_the_stored_probabilities(policy: Policy) -> None:
    check_frequencies(policy, seeds=400)


@pytest.mark.full
@pytest.mark.parametrize("policy", DESIGNS.values(), ids=DESIGNS.keys())
def test_frequencies_match_to_another_digit(policy: Policy) -> None:
    check_frequencies(policy, seeds=8_000)


def check_frequencies(policy: Policy, seeds: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        if policy.strategy is Strategy.K_MEANS:
            fix_the_order(patch)
        count_draws(policy, seeds)


def fix_the_order(patch: pytest.MonkeyPatch) -> None:
    """The seed draws the order of k-means too, and the probabilities are given the order: one order for all seeds."""

    def always(strategy: Strategy, frame: Frame, group: Int, quota: Int, further: int, _lots: Lots) -> Int:
        return diverse_order(strategy, frame, group, quota, further, Lots(frame.ids, seed=0))

    patch.setattr(ranking, "diverse_order", always)


def count_draws(policy: Policy, seeds: int) -> None:
    stored = np.full(SIZE, np.nan)
    count = np.zeros(SIZE)
    total = []  # Horvitz-Thompson estimates of the number of rows
    for seed in range(seeds):
        items = select(FRAME, replace(policy, seed=seed))
        rows = np.array([item.utterance_id for item in items])
        pi = np.array([item.inclusion_probability for item in items])
        known = ~np.isnan(stored[rows])
        np.testing.assert_array_equal(stored[rows][known], pi[known])  # of the design, not of the draw
        stored[rows] = pi
        count[rows] += 1
        total.append((1.0 / pi).sum())

    never = np.isnan(stored)
    certain = stored == 1.0
    assert (count[never] == 0).all()
    assert (count[certain] == seeds).all()
    open_rows = ~never & ~certain
    if open_rows.any():
        p = stored[open_rows]
        z = (count[open_rows] - seeds * p) / np.sqrt(seeds * p * (1.0 - p))
        assert np.abs(z).max() < 4.0
        # Counts of a draw without replacement vary less than binomial ones together, never more.
        assert scipy.stats.chi2.sf((z**2).sum(), open_rows.sum()) > 0.001
    # The probabilities of all rows sum to the size of the round, and estimates are unbiased.
    assert np.nansum(stored) == pytest.approx(25.0, abs=1e-8)
    spread = np.std(total) / np.sqrt(seeds)
    assert abs(np.mean(total) - (SIZE - never.sum())) <= 4.0 * spread + 1e-9


def test_the_control_arm_is_uniform() -> None:
    seeds = 600
    count = np.zeros(SIZE)
    pairs = np.zeros((SIZE, SIZE))
    for seed in range(seeds):
        items = select(FRAME, Policy(strategy=Strategy.ENTROPY, budget=20, control_share=0.5, seed=seed))
        rows = np.array([item.utterance_id for item in items if Arm.CONTROL in item.arms])
        count[rows] += 1
        pairs[np.ix_(rows, rows)] += 1
    assert count.sum() == seeds * 10
    # A draw without replacement of n from N has (1 - n/N) of the multinomial variance, times N/(N-1).
    share = 10 / SIZE
    statistic = ((count - seeds * share) ** 2).sum() / (seeds * share * (1 - share)) * (SIZE - 1) / SIZE
    assert 0.001 < scipy.stats.chi2.sf(statistic, SIZE - 1) < 0.999
    together = pairs[np.triu_indices(SIZE, k=1)]
    expected = seeds * 10 * 9 / (SIZE * (SIZE - 1))
    assert np.abs(together - expected).max() < 6.0 * np.sqrt(expected)


def test_the_place_in_the_queue_does_not_depend_on_the_id() -> None:
    """Control and easy items come in random order: the mean id is the same at every rank."""
    frame = Frame(np.arange(200), np.full(200, "a"), {"el2n": np.linspace(0, 1, 200)})
    first = [select(frame, replace(PAPER, control_share=1.0, budget=20, seed=seed))[0] for seed in range(400)]
    assert scipy.stats.kstest([item.utterance_id / 200 for item in first], "uniform").pvalue > 0.001
