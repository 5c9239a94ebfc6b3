"""A bandit over strategies: each round it plays one, the likelier the more wrong hypotheses that one has found.

Axes: K arms (strategies), T rounds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv

from plugin.quality.selection.sampling import Lots
from plugin.records import Strategy

Float = NDArray[np.float64]

# What it plays, where the model gives what they look at. Not one of each kind: `entropy` and `margin` ask about one and
# the same doubt, that of the domain, and nothing learned of the one is used for the other. Another list is another
# `bandit` in the experiment too.
CANDIDATES = (
    Strategy.RANDOM,
    Strategy.ENTROPY,
    Strategy.EL2N,
    Strategy.MARGIN,
    Strategy.BALD,
    Strategy.JOINT,
    Strategy.K_MEANS,
    Strategy.FACILITY_LOCATION,
)
PRIOR = (1.0, 1.0)  # Beta(1, 1): every share of wrong hypotheses is as likely before the first review
# For each round that was reviewed since, whether or not the champion has changed. That a model learns what it was asked
# about is the reason, and holds only where it has. After three rounds a review counts half, and all evidence together
# is worth less than 1 / (1 - 0.8) = 5 rounds.
DISCOUNT = 0.8
_STEPS = 2**52  # as many lots, halfway between the steps, as float64 holds exactly


class Outcome(NamedTuple):
    """What became of a round: `fixed` of the strategy's `reviewed` items had a hypothesis that was mended."""

    strategy: Strategy
    reviewed: int
    fixed: int


@dataclass(frozen=True, slots=True)
class Evidence:
    """Of one strategy, over all rounds: discounted counts, and the rate that was drawn from their posterior."""

    reviewed: float
    fixed: float
    drawn: float


@dataclass(frozen=True, slots=True)
class Play:
    """The strategy of a round, and why: it has the highest `drawn` of all."""

    strategy: Strategy
    evidence: dict[Strategy, Evidence]


def discounted(counts: Float, discount: float = 1.0) -> Float:
    r"""Counts over rounds, where each round counts less than the one after it.

    .. math:: \sum_t \gamma^{T - 1 - t} c_t

    Args:
        counts: (T, ...) the oldest round first, none negative.
        discount: gamma in (0, 1]; 1 forgets nothing. The evidence for any arm stays below 1 / (1 - gamma) rounds, and
            an arm that is not played grows uncertain again.

    Returns:
        (...), at most the sum; of no rounds 0.

    Raises:
        ValueError: a discount outside (0, 1], or counts that are negative or not finite.

    Source: Raj and Kalyani 2017 (discounted Thompson sampling).

    >>> discounted(np.array([[8.0, 0.0], [0.0, 3.0]]), discount=0.5).tolist()
    [4.0, 3.0]
    """
    if not 0.0 < discount <= 1.0:
        raise ValueError(f"discount must lie in (0, 1], not {discount}")
    counts = np.asarray(counts, dtype=np.float64)
    if not np.all(np.isfinite(counts)) or np.any(counts < 0.0):
        raise ValueError("counts must be finite and not negative")
    weights = discount ** np.arange(len(counts) - 1, -1, -1, dtype=np.float64)  # (T,)
    # No matrix product: column by column it may round differently, and successes would exceed trials.
    summed: Float = (weights.reshape(-1, *[1] * (counts.ndim - 1)) * counts).sum(axis=0)  # (T, ...) -> (...)
    return summed


def draw_rates(successes: Float, trials: Float, lots: Float, prior: tuple[float, float] = PRIOR) -> Float:
    r"""One draw of each arm's success rate from what is known of it: Thompson sampling plays the highest.

    .. math:: \theta_k = F^{-1}(u_k), \quad F \text{ of Beta}(a + s_k, b + n_k - s_k)

    with s successes in n trials. A draw and not the mean: an arm is played as often as it is likely to be the best, so
    that one of which little is known gets its chance.

    Args:
        successes: (K,) in [0, trials], whole or discounted.
        trials: (K,).
        lots: (K,) u in (0, 1), uniform.
        prior: a and b, above 0.

    Returns:
        (K,) rates in [0, 1]; rising with successes and lots, falling with failures.

    Raises:
        ValueError: more successes than trials, negative or not finite counts, a lot outside (0, 1), a prior that is
            not above 0.

    Source: Thompson 1933; Chapelle and Li 2011 (algorithm 2).

    >>> draw_rates(np.array([0.0, 30.0]), np.array([0.0, 100.0]), np.array([0.5, 0.5])).round(3).tolist()
    [0.5, 0.303]
    """
    successes, trials, lots = (np.asarray(values, dtype=np.float64) for values in (successes, trials, lots))
    if not np.all((successes >= 0.0) & (successes <= trials) & np.isfinite(trials)):
        raise ValueError("successes must lie in [0, trials], and trials be finite")
    if not np.all((lots > 0.0) & (lots < 1.0)):
        raise ValueError("lots must lie in (0, 1)")
    if not min(prior) > 0.0:
        raise ValueError(f"prior must be above 0, not {prior}")
    rates: Float = betaincinv(prior[0] + successes, prior[1] + trials - successes, lots)
    return rates


def play(outcomes: Sequence[Outcome], candidates: Sequence[Strategy], lots: Lots, discount: float = DISCOUNT) -> Play:
    """The strategy of the next round: Thompson sampling on the shares of wrong hypotheses that each has found.

    Args:
        outcomes: of the rounds so far, the oldest first; one that was not reviewed at all tells nothing and makes the
            others no older. Those of strategies that are no candidates count as rounds only.
        candidates: at least one.
        lots: of the round's frame: the same frame and seed play the same, and a review changes the frame.
        discount: see `discounted`. It steps with each reviewed round of any strategy, not with each new champion:
            under the same champion evidence ages without having become less true, and at 0.8 never amounts to five
            rounds.

    Raises:
        ValueError: no candidates, one twice, or an outcome with more fixed than reviewed.

    >>> past = [Outcome(Strategy.RANDOM, 100, 10), Outcome(Strategy.ENTROPY, 100, 60)]
    >>> played = play(past, [Strategy.RANDOM, Strategy.ENTROPY], Lots(np.arange(5), seed=0))
    >>> played.strategy.value, played.evidence[Strategy.RANDOM].reviewed
    ('entropy', 80.0)
    """
    if not candidates or len(set(candidates)) != len(candidates):
        raise ValueError(f"candidates must be different strategies, at least one, not {list(candidates)}")
    told = [outcome for outcome in outcomes if outcome.reviewed]
    counts = np.zeros((len(told), len(candidates), 2))  # (T, K, 2): reviewed, fixed
    for number, outcome in enumerate(told):
        if outcome.strategy in candidates:
            counts[number, candidates.index(outcome.strategy)] = outcome.reviewed, outcome.fixed
    reviewed, fixed = discounted(counts, discount).T  # (K,) each
    numbers = [lots.number("bandit", index, _STEPS) for index in range(len(candidates))]
    drawn = draw_rates(fixed, reviewed, (np.array(numbers) + 0.5) / _STEPS)
    evidence = {
        strategy: Evidence(*map(float, values))
        for strategy, *values in zip(candidates, reviewed, fixed, drawn, strict=True)
    }
    return Play(candidates[int(np.argmax(drawn))], evidence)
