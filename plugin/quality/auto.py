"""Which strategy each domain's round plays, by what evaluations have said of them: hierarchical Thompson sampling.

The posterior is that of `plugin.quality.effects`; here are the draw, the guard and the words.

Axes: D domains, K strategies.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from plugin.quality.effects import Effects, drawn, effects, pooled
from plugin.quality.selection.sampling import Lots
from plugin.records import Strategy

Float = NDArray[np.float64]

# One of each kind of doubt, not all there are: whatever is played has to be trained and evaluated too, six seeds each.
CANDIDATES = (
    Strategy.K_MEANS,
    Strategy.EL2N,
    Strategy.ENTROPY,
    Strategy.BALD,
    Strategy.JOINT,
    Strategy.RANDOM,
)
# For each round since a measurement: after 34 rounds it is worth half. Models, people and traffic change.
DISCOUNT = 0.98
# The part of a verdict's variance that the next verdict on the same frozen test set has too.
SHARED = 0.5
# Chapelle and Li's alpha. In simulations of 52 rounds (docs/strategies.md) a half loses least: drawing from the whole
# posterior never stops trying what is nearly as good.
RESHAPED = 0.5
# A strategy is barred from a domain while it is worse than random choice there with this probability.
BARRED = 0.95
_BARRED_DEVIATIONS = 1.6448536269514722  # of a normal distribution: its quantile at BARRED
_STEPS = 2**52  # as many lots, halfway between the steps, as float64 holds exactly


class Measured(NamedTuple):
    """The effect of a strategy in a domain, as one evaluation saw it; `age` in rounds, 0 is the newest."""

    domain: str
    strategy: Strategy
    age: int
    effect: float
    error: float


@dataclass(frozen=True, slots=True)
class Known:
    """Of one strategy in one domain. `measured` counts its evaluations there; `drawn` None: barred."""

    measured: int
    effect: float
    error: float
    drawn: float | None


@dataclass(frozen=True, slots=True)
class Choice:
    """The strategy that a domain plays: that of the lowest draw."""

    strategy: Strategy
    known: dict[Strategy, Known]
    spread: float

    @property
    def is_trial(self) -> bool:
        """Another one is thought better, and this one is tried to learn of it."""
        return any(other.effect < self.known[self.strategy].effect for other in self.known.values())


def choose(
    measured: Sequence[Measured],
    domains: Sequence[str],
    candidates: Sequence[Strategy],
    lots: Lots,
    *,
    discount: float = DISCOUNT,
    shared: float = SHARED,
    reshaped: float = RESHAPED,
) -> dict[str, Choice]:
    """For each domain the strategy of the next round.

    Random choice has no effect against itself, so it is played where nothing promises more. What is worse than random
    choice with a probability of `BARRED` is not played until what is known of it has aged.

    Args:
        measured: in any order. What is not of a candidate is left out, and random choice needs no measurement.
        domains: each is chosen for; one that nothing was measured in is drawn from what the strategies do over all
            domains, whether it is in `measured` or not.
        candidates: different ones, at least one.
        lots: of the round's frame. The draw of a strategy in a domain depends on these and on their names only.
        discount: of the weight of a measurement, for each round of age, in (0, 1].
        shared, reshaped: see `effects.pooled` and `effects.drawn`.

    Raises:
        ValueError: no candidates, one twice, a negative age, a discount outside (0, 1], or a measurement that
            `effects.pooled` refuses.

    Source: Hong et al. 2022 (hierarchical Thompson sampling); Thompson 1933; Chapelle and Li 2011.

    >>> past = [Measured("weather", Strategy.ENTROPY, age, -0.06, 0.01) for age in range(4)]
    >>> past += [Measured("music", Strategy.ENTROPY, 0, 0.05, 0.01), Measured("music", Strategy.EL2N, 0, -0.05, 0.01)]
    >>> lots = Lots(np.arange(5), seed=0)
    >>> chosen = choose(past, ["music", "weather"], [Strategy.ENTROPY, Strategy.EL2N, Strategy.RANDOM], lots)
    >>> {domain: choice.strategy.value for domain, choice in chosen.items()}
    {'music': 'el2n', 'weather': 'entropy'}
    >>> chosen["music"].known[Strategy.ENTROPY].drawn is None  # worse than random choice there, surely
    True
    """
    if not candidates or len(set(candidates)) != len(candidates):
        raise ValueError(f"candidates must be different strategies, at least one, not {list(candidates)}")
    if not 0.0 < discount <= 1.0:
        raise ValueError(f"discount must lie in (0, 1], not {discount}")
    if any(one.age < 0 for one in measured):
        raise ValueError("ages must not be negative")
    played = [strategy for strategy in candidates if strategy is not Strategy.RANDOM]
    cells = _cells(measured, played)
    known_domains = sorted({domain for domain, _ in cells})
    values, errors = _table(cells, known_domains, played, discount, shared)
    found = effects(values, errors)
    return {
        domain: _choice(domain, _row(found, known_domains, domain), played, candidates, cells, lots, reshaped)
        for domain in domains
    }


Cells = dict[tuple[str, Strategy], list[Measured]]


def _cells(measured: Sequence[Measured], played: Sequence[Strategy]) -> Cells:
    cells: Cells = defaultdict(list)
    for one in measured:
        if one.strategy in played:
            cells[one.domain, one.strategy].append(one)
    return cells


def _table(
    cells: Cells, domains: Sequence[str], played: Sequence[Strategy], discount: float, shared: float
) -> tuple[Float, Float]:
    """(D, K) effects and their standard errors, inf where there is none."""
    values, errors = np.zeros((len(domains), len(played))), np.full((len(domains), len(played)), np.inf)
    for (domain, strategy), seen in cells.items():
        at = domains.index(domain), played.index(strategy)
        weights = [discount**one.age for one in seen]
        values[at], errors[at] = pooled([one.effect for one in seen], [one.error for one in seen], weights, shared)
    return values, errors


def _row(found: Effects, domains: Sequence[str], domain: str) -> tuple[Float, Float, float]:
    if domain not in domains:
        return found.elsewhere, found.elsewhere_deviation, found.spread
    at = domains.index(domain)
    return found.mean[at], found.deviation[at], found.spread


def _choice(
    domain: str,
    row: tuple[Float, Float, float],
    played: Sequence[Strategy],
    candidates: Sequence[Strategy],
    cells: Cells,
    lots: Lots,
    reshaped: float,
) -> Choice:
    mean, deviation, spread = row
    draws = drawn(mean, deviation, [_lot(lots, domain, strategy) for strategy in played], reshaped)
    barred = mean > _BARRED_DEVIATIONS * deviation
    known = {
        strategy: Known(
            len(cells.get((domain, strategy), ())),
            float(mean[at]),
            float(deviation[at]),
            None if barred[at] else float(draws[at]),
        )
        for at, strategy in enumerate(played)
    }
    if Strategy.RANDOM in candidates:
        known[Strategy.RANDOM] = Known(0, 0.0, 0.0, 0.0)
    open_ = {strategy: one.drawn for strategy, one in known.items() if one.drawn is not None}
    if not open_:  # nothing but what harms is at hand: what harms least
        open_ = {strategy: one.effect for strategy, one in known.items()}
    return Choice(min(open_, key=lambda strategy: open_[strategy]), known, spread)


def _lot(lots: Lots, domain: str, strategy: Strategy) -> float:
    """In (0, 1), by name: another domain or candidate moves no other draw."""
    index = int.from_bytes(hashlib.sha256(f"{domain}\0{strategy.value}".encode()).digest()[:8], "little")
    return (lots.number("auto", index, _STEPS) + 0.5) / _STEPS
