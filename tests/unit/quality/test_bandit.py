"""The bandit: what it draws, what it plays, and that it finds the best arm at less cost than a uniform player."""

from __future__ import annotations

from collections import Counter
from math import exp, lgamma

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from plugin.quality.bandit import CANDIDATES, DISCOUNT, Outcome, discounted, draw_rates, play
from plugin.quality.selection.sampling import Lots
from plugin.records import CONCRETE, Strategy

ARMS = CANDIDATES[:4]
RATES = np.array([0.10, 0.30, 0.15, 0.50])  # of wrong hypotheses that the arms find
Int = NDArray[np.int64]

outcomes = st.lists(
    st.tuples(st.sampled_from(CONCRETE), st.integers(0, 500), st.floats(0.0, 1.0)).map(
        lambda drawn: Outcome(drawn[0], drawn[1], int(drawn[1] * drawn[2]))
    ),
    max_size=30,
)
seeds = st.integers(-(2**63), 2**63 - 1)


def lots_of(seed: int) -> Lots:
    return Lots(np.arange(3), seed)


def played_by_thompson(rates: NDArray[np.float64], seed: int, size: int = 1, discount: float = 1.0) -> Int:
    """(T,) arms of a simulation: the rates (T, K) are those of each round, of `size` reviews."""
    rng = np.random.default_rng(seed)
    past: list[Outcome] = []
    for number, row in enumerate(rates):
        arm = play(past, ARMS, Lots(np.array([number]), seed), discount).strategy
        past.append(Outcome(arm, size, int(rng.binomial(size, row[ARMS.index(arm)]))))
    return np.array([ARMS.index(outcome.strategy) for outcome in past])


def regret(rates: NDArray[np.float64], played: Int) -> NDArray[np.float64]:
    """(T,): what the best arm of each round would have found beyond the one that was played, so far."""
    lost = rates.max(axis=1) - rates[np.arange(len(played)), played]
    total: NDArray[np.float64] = np.cumsum(lost)
    return total


@pytest.fixture(scope="module")
def simulated() -> NDArray[np.float64]:
    """(seeds, T) regret of Thompson sampling, checked on the way for the arm that is played most."""
    rates = np.tile(RATES, (400, 1))
    runs = []
    for seed in range(8):
        played = played_by_thompson(rates, seed)
        assert Counter(played.tolist()).most_common(1)[0][0] == int(RATES.argmax())
        runs.append(regret(rates, played))
    return np.array(runs)


def test_regret_grows_ever_more_slowly(simulated: NDArray[np.float64]) -> None:
    first, second, third, fourth = np.diff(simulated.mean(axis=0)[[0, 99, 199, 299, 399]])
    assert max(second, third, fourth) < first / 2
    assert third + fourth < (first + second) / 2


def test_regret_is_below_a_uniform_players_of_every_seed(simulated: NDArray[np.float64]) -> None:
    rates = np.tile(RATES, (400, 1))
    uniform = [regret(rates, np.random.default_rng(seed).integers(0, 4, 400))[-1] for seed in range(8)]
    assert simulated[:, -1].max() < min(uniform)
    assert simulated[:, -1].mean() < np.mean(uniform) / 2


def test_a_round_of_many_reviews_is_learned_from_at_once() -> None:
    rates = np.tile(RATES, (40, 1))
    shares = [np.mean(played_by_thompson(rates, seed, size=100)[8:] == 3) for seed in range(8)]
    assert min(shares) > 0.8


def test_what_forgets_follows_a_best_arm_that_changes() -> None:
    rates = np.concatenate([np.tile(RATES, (60, 1)), np.tile(RATES[::-1], (60, 1))])

    def late(discount: float) -> float:
        runs = [regret(rates, played_by_thompson(rates, seed, size=50, discount=discount)) for seed in range(8)]
        return float(np.mean([run[-1] - run[59] for run in runs]))

    assert late(DISCOUNT) < late(1.0) / 2


@pytest.mark.parametrize(("successes", "trials"), [(0.0, 0.0), (3.0, 10.0), (2.5, 2.5), (0.0, 40.5)])
def test_rates_follow_the_posterior(successes: float, trials: float) -> None:
    lots = (np.arange(500) + 0.5) / 500
    rates = draw_rates(np.full(500, successes), np.full(500, trials), lots)
    posterior = stats.beta(1 + successes, 1 + trials - successes)
    np.testing.assert_allclose(posterior.cdf(rates), lots, atol=1e-9)
    assert rates.mean() == pytest.approx(posterior.mean(), abs=2e-3)


def test_an_arm_is_played_as_often_as_it_is_likely_to_be_the_best() -> None:
    """The chance in closed form: P(B > A) is a finite sum of beta functions (Cook 2005)."""
    past = [Outcome(Strategy.RANDOM, 20, 6), Outcome(Strategy.ENTROPY, 10, 4)]
    pair = (Strategy.RANDOM, Strategy.ENTROPY)
    (a, b), (c, d) = (7, 15), (5, 7)

    def log_beta(x: float, y: float) -> float:
        return lgamma(x) + lgamma(y) - lgamma(x + y)

    better = sum(exp(log_beta(a + i, b + d) - log_beta(1 + i, d) - log_beta(a, b)) / (d + i) for i in range(c))
    times = sum(play(past, pair, lots_of(seed), 1.0).strategy is Strategy.ENTROPY for seed in range(4000))
    assert times / 4000 == pytest.approx(better, abs=4 * (0.25 / 4000) ** 0.5)


def test_before_the_first_review_every_arm_is_as_likely() -> None:
    counts = Counter(play([], CANDIDATES, lots_of(seed)).strategy for seed in range(4000))
    assert set(counts) == set(CANDIDATES)
    assert stats.chisquare(list(counts.values())).pvalue > 1e-4


@given(past=outcomes, seed=seeds, discount=st.floats(0.01, 1.0))
def test_the_highest_draw_is_played_and_counts_are_those_of_the_definition(
    past: list[Outcome], seed: int, discount: float
) -> None:
    played = play(past, CANDIDATES, lots_of(seed), discount)
    assert played == play(past, CANDIDATES, lots_of(seed), discount)
    assert set(played.evidence) == set(CANDIDATES)
    assert played.evidence[played.strategy].drawn == max(known.drawn for known in played.evidence.values())
    told = [outcome for outcome in past if outcome.reviewed]
    for strategy, known in played.evidence.items():
        ages = [(len(told) - 1 - at, row) for at, row in enumerate(told) if row.strategy is strategy]
        assert known.reviewed == pytest.approx(sum(discount**age * row.reviewed for age, row in ages))
        assert known.fixed == pytest.approx(sum(discount**age * row.fixed for age, row in ages))
        assert 0.0 <= known.drawn <= 1.0
        assert known.fixed <= known.reviewed


@given(past=outcomes, seed=seeds)
def test_a_round_without_reviews_changes_nothing(past: list[Outcome], seed: int) -> None:
    idle = [outcome for row in past for outcome in (row, Outcome(Strategy.BALD, 0, 0))]
    assert play(idle, CANDIDATES, lots_of(seed)) == play(past, CANDIDATES, lots_of(seed))


@given(reviewed=st.integers(1, 300), rounds=st.integers(1, 300), discount=st.floats(0.01, 1.0), seed=seeds)
def test_arms_that_never_fail_keep_successes_within_trials(
    reviewed: int, rounds: int, discount: float, seed: int
) -> None:
    past = [Outcome(ARMS[number % 3], reviewed, reviewed) for number in range(rounds)]
    known = play(past, ARMS, lots_of(seed), discount).evidence
    assert all(row.fixed == row.reviewed for row in known.values())


@settings(max_examples=50)
@given(
    successes=st.floats(0.0, 200.0), failures=st.floats(0.0, 200.0), lot=st.floats(0.01, 0.99), more=st.floats(0.5, 50)
)
def test_rates_rise_with_successes_and_fall_with_failures(
    successes: float, failures: float, lot: float, more: float
) -> None:
    counts = np.array([successes, successes + more, successes])
    trials = counts + np.array([failures, failures, failures + more])
    plain, luckier, unluckier = draw_rates(counts, trials, np.full(3, lot))
    assert unluckier < plain < luckier


@given(counts=st.lists(st.integers(0, 1000), max_size=20))
def test_nothing_is_forgotten_without_a_discount(counts: list[int]) -> None:
    assert discounted(np.array(counts, dtype=np.float64)) == sum(counts)


def test_evidence_never_exceeds_what_the_discount_lets_stand() -> None:
    assert discounted(np.full(500, 10.0), DISCOUNT) == pytest.approx(10.0 / (1.0 - DISCOUNT))


@pytest.mark.parametrize("discount", [0.0, -0.5, 1.1, float("nan")])
def test_discounts_outside_their_range_are_refused(discount: float) -> None:
    with pytest.raises(ValueError, match="discount must lie in"):
        discounted(np.ones(3), discount)


@pytest.mark.parametrize("count", [-1.0, float("nan"), float("inf")])
def test_impossible_counts_are_refused(count: float) -> None:
    with pytest.raises(ValueError, match="counts must be finite"):
        discounted(np.array([1.0, count]))
    with pytest.raises(ValueError, match="successes must lie"):
        draw_rates(np.array([count]), np.array([2.0 if count < 0 else count]), np.array([0.5]))


@pytest.mark.parametrize("lot", [0.0, 1.0, float("nan")])
def test_lots_are_never_the_ends(lot: float) -> None:
    with pytest.raises(ValueError, match="lots must lie"):
        draw_rates(np.zeros(1), np.zeros(1), np.array([lot]))


def test_a_prior_without_weight_is_refused() -> None:
    with pytest.raises(ValueError, match="prior must be above 0"):
        draw_rates(np.zeros(1), np.zeros(1), np.array([0.5]), prior=(0.0, 1.0))


def test_more_mended_than_reviewed_is_refused() -> None:
    with pytest.raises(ValueError, match="successes must lie"):
        play([Outcome(Strategy.RANDOM, 3, 4)], CANDIDATES, lots_of(0))


@pytest.mark.parametrize("candidates", [(), (Strategy.RANDOM, Strategy.RANDOM)])
def test_candidates_are_different_and_some(candidates: tuple[Strategy, ...]) -> None:
    with pytest.raises(ValueError, match="candidates must be different strategies"):
        play([], candidates, lots_of(0))


def test_candidates_can_choose() -> None:
    assert set(CANDIDATES) <= set(CONCRETE)
