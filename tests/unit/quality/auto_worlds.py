"""Worlds to try the strategy `auto` in: effects and noise as the benchmark measured them, and some that are made up.

Axes: D domains, K strategies, T rounds.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from plugin.experiment.analysis.domains import between_variance, ratio_error
from plugin.experiment.analysis.results import ALL, Setting, read_results
from plugin.quality.auto import CANDIDATES, Measured, choose
from plugin.quality.selection.sampling import Lots
from plugin.records import Policy, Strategy

Float = NDArray[np.float64]

RESULTS = Path(__file__).parents[3] / "docs" / "benchmark" / "massive"
PRIMARY = Setting("massive", "whole", "reviewed", 0.0, 0.1)
ARMS = {Strategy.K_MEANS: "default", Strategy.ENTROPY: "entropy", Strategy.EL2N: "el2n-hard"}
SEEDS = 6  # of training, which a verdict rests on
DOMAINS, ROUNDS = 20, 52
PLAYED = tuple(strategy for strategy in CANDIDATES if strategy is not Strategy.RANDOM)


@dataclass(frozen=True)
class World:
    """What strategies do: (K,) means over domains, drawn anew in each world by `unsure`, and how domains differ.

    noise       standard errors of verdicts, of which each domain has one
    persistent  part of a verdict's variance that is the same in every round: the frozen test set's
    drift       part of what domains differ by that is another with every round
    """

    mean: Float
    unsure: Float
    spread: Float
    noise: Float
    persistent: float = 0.0
    drift: float = 0.0


@dataclass(frozen=True)
class Outcome:
    """(T,) changes against random choice, mean over domains, as gains: what was played, the best fixed strategy, and
    the best of each domain; (T, D) what was played.
    """

    gained: Float
    fixed: Float
    every: Float
    played: NDArray[np.object_]


@cache
def measured_world(metric: str) -> World:
    """Of the comparison named beforehand (5 locales, 18 domains, 10 seeds); what it lacks is drawn from what it has."""
    results = read_results(RESULTS)
    found, noise = {}, []
    for strategy, arm in ARMS.items():
        cells = defaultdict(list)
        for pair, trial in results.arms(PRIMARY)[arm].items():
            base = results.random_trials(PRIMARY, pair)
            for domain, (errors, under) in trial.errors[metric].items():
                rate = math.fsum(one.rate(metric, domain) for one in base) / len(base)
                cells[pair.locale, domain].append((errors, rate * under))
        pairs = [np.array(cell).T for (_, domain), cell in cells.items() if domain != ALL]
        changes = np.array([new.sum() / old.sum() - 1.0 for new, old in pairs])
        errors_ = np.array([ratio_error(new, old) for new, old in pairs])
        found[strategy] = changes.mean(), math.sqrt(between_variance(changes, errors_))
        noise.append(errors_ * math.sqrt(len(pairs[0][0]) / SEEDS))
    known = np.array(list(found.values()))  # (3, 2)
    mean, spread = (np.array([found.get(one, known.mean(axis=0))[at] for one in PLAYED]) for at in (0, 1))
    unsure = np.where([one in found for one in PLAYED], 0.0, known[:, 0].std(ddof=1))
    return World(mean, unsure, spread, np.concatenate(noise))


def alike(metric: str, best: Strategy, effect: float, others: float) -> World:
    """One strategy is the best nearly everywhere: there is nothing to win by choosing domain by domain."""
    mean = np.array([effect if strategy is best else others for strategy in PLAYED])
    flat = np.full(len(PLAYED), 0.01)
    return replace(measured_world(metric), mean=mean, unsure=np.zeros(len(PLAYED)), spread=flat)


def simulate(world: World, seed: int, *, rounds: int = ROUNDS, domains: int = DOMAINS) -> Outcome:
    """A world drawn, and `auto` let loose on it: the first round has no verdict and plays the default."""
    rng = np.random.default_rng(seed)
    names = [f"domain-{number}" for number in range(domains)]
    mean = world.mean + world.unsure * rng.standard_normal(len(PLAYED))
    own = world.spread * rng.standard_normal((domains, len(PLAYED)))
    noise = rng.choice(world.noise, domains)
    fixed_part = rng.standard_normal(own.shape) * noise[:, None] * math.sqrt(world.persistent)
    past: list[list[Measured]] = []
    gained, fixed, every, played = [], [], [], []
    for number in range(rounds):
        effects = mean + own
        aged = [one._replace(age=number - 1 - at) for at, round_ in enumerate(past) for one in round_]
        lots = Lots(np.array([number]), seed)
        chosen = (
            {name: choice.strategy for name, choice in choose(aged, names, CANDIDATES, lots).items()}
            if past
            else dict.fromkeys(names, Policy().strategy)
        )
        seen = []
        total = 0.0
        for at, name in enumerate(names):
            strategy = chosen[name]
            if strategy is Strategy.RANDOM:
                continue
            column = PLAYED.index(strategy)
            effect = effects[at, column]
            total -= effect
            fresh = rng.standard_normal() * noise[at] * math.sqrt(1.0 - world.persistent)
            seen.append(Measured(name, strategy, 0, effect + fixed_part[at, column] + fresh, noise[at]))
        past.append(seen)
        played.append([chosen[name] for name in names])
        gained.append(total / domains)
        fixed.append(-effects.mean(axis=0))
        every.append(-np.minimum(effects, 0.0).min(axis=1).mean())
        kept = math.sqrt(1.0 - world.drift**2)
        own = kept * own + world.drift * world.spread * rng.standard_normal(own.shape)
    of_fixed = np.array(fixed)
    best = of_fixed[:, of_fixed.sum(axis=0).argmax()]
    return Outcome(np.array(gained), best, np.array(every), np.array(played, dtype=object))
