"""What a trial adds: rows of the pool, selected by the code of production, and the labels they are trained with.

There is no control arm: what a trial compares is the strategy. A satellite changes which rows may enter or how
they are scored; the hypotheses stay those of the log.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from plugin.experiment import arms, memory
from plugin.experiment.grid import REVIEWED, Trial
from plugin.experiment.halves import half_of
from plugin.experiment.laboratory import Laboratory
from plugin.experiment.world import Bool, Labelled, World, mislabelled
from plugin.quality.bandit import Outcome, play
from plugin.quality.selection import select
from plugin.quality.selection.sampling import Lots
from plugin.records import Hypothesis, Strategy

Int = NDArray[np.int64]

# What a trial may do differently, as `Trial.extra` names it.
ROUNDS = "rounds"  # the budget in so many parts, with a new seed model after each
REPLICATES = "replicates"  # of the seed model
EPOCH = "el2n_epoch"
IN_SAMPLE = "el2n_in_sample_epochs"  # trained on trusted + pool for so many
SCORES_FROM = "scores_from"  # the locale whose model scores its own pool
HALF = "domains_half"  # 1 or 2: of the domains, every other one by name


@dataclass(frozen=True, slots=True)
class Chosen:
    """`rows` of the pool, ascending, and the label of each; how long selecting took; what a bandit played."""

    rows: Int
    labels: list[Hypothesis]
    pool_size: int
    seconds: float
    played: tuple[str, ...] = ()


def choose(laboratory: Laboratory, trial: Trial) -> Chosen:
    world = laboratory.world(trial.world)
    if trial.arm == arms.NOTHING:
        return Chosen(np.array([], dtype=np.int64), [], world.size, 0.0)
    labelled, eligible = _scored(laboratory, trial)
    labels = labels_of(world, labelled, trial)
    begun = time.perf_counter()
    outcomes: list[Outcome] = []
    if trial.arm == arms.EVERYTHING:
        rows = np.flatnonzero(eligible)
    else:
        rounds = int(trial.option(ROUNDS) or 1)
        rows, outcomes = _in_rounds(laboratory, world, trial, labelled, eligible, labels, rounds)
    seconds = time.perf_counter() - begun
    played = tuple(outcome.strategy.value for outcome in outcomes)
    return Chosen(rows, [labels[row] for row in rows], int(eligible.sum()), seconds, played)


def measure_memory(laboratory: Laboratory, trial: Trial) -> float | None:
    """MiB that selecting needs, from a second time: None for baselines and for arms measured in this process before."""
    known = (trial.arm, trial.pool)
    if trial.arm in arms.BASELINES or trial.extra or known in laboratory.measured:
        return None
    laboratory.measured.add(known)
    world = laboratory.world(trial.world)
    labelled, eligible = _scored(laboratory, trial)
    budget = places(int(eligible.sum()), trial.budget)
    return memory.allocated_mb(lambda: _select(world, trial, labelled, eligible, budget, []))


def labels_of(world: World, labelled: Labelled, trial: Trial) -> Sequence[Hypothesis]:
    """What each row of the pool would be trained with. Noise in reviewed labels is the annotators' own."""
    if trial.labels == REVIEWED:
        return mislabelled(world.gold, trial.noise / 100.0, world.seed)
    return labelled.hypotheses


def places(pool_size: int, per_cent: float) -> int:
    """The budget in utterances, at least one.

    >>> places(2171, 10.0), places(3, 10.0)
    (217, 1)
    """
    return max(1, int(pool_size * per_cent / 100.0 + 0.5))


def _scored(laboratory: Laboratory, trial: Trial) -> tuple[Labelled, Bool]:
    """The pool as the trial's strategy sees it, and the rows that may enter."""
    world = laboratory.world(trial.world)
    eligible = laboratory.eligible(trial.world, trial.pool)
    if replicates := trial.option(REPLICATES):
        return laboratory.with_replicates(trial.world, int(replicates)), eligible
    if epoch := trial.option(EPOCH):
        return laboratory.at_epoch(trial.world, int(epoch)), eligible
    if epochs := trial.option(IN_SAMPLE):
        return laboratory.in_sample(trial.world, int(epochs)), eligible
    if locale := trial.option(SCORES_FROM):
        labelled, common = laboratory.transferred(trial.world, str(locale))
        return labelled, eligible & common
    if half := trial.option(HALF):
        return world.labelled, eligible & in_half(world, int(half))
    return (world.labelled if trial.labels == REVIEWED else world.with_noise(trial.noise)), eligible


def in_half(world: World, half: int) -> Bool:
    """(N,): the rows with a hypothesis in that half of the corpus's domains, which is the same under every seed."""
    mine = half_of(world.domains, half)
    return np.array([hypothesis.domain in mine for hypothesis in world.labelled.hypotheses], dtype=np.bool_)


def _in_rounds(
    laboratory: Laboratory,
    world: World,
    trial: Trial,
    labelled: Labelled,
    eligible: Bool,
    labels: Sequence[Hypothesis],
    rounds: int,
) -> tuple[Int, list[Outcome]]:
    """Select a part of the budget, train the seed model with it, score what is left anew, and so on.

    The rows; and of a bandit what annotators found in each round, in the hypotheses of the log, which it goes by.
    """
    budget = places(int(eligible.sum()), trial.budget)
    rows = np.array([], dtype=np.int64)
    outcomes: list[Outcome] = []
    left = eligible.copy()
    for number in range(1, rounds + 1):
        if rows.size:
            labelled = laboratory.after(world, world.examples(rows, labels))
        part = budget * number // rounds - rows.size
        if part:
            chosen, strategy = _select(world, trial, labelled, left, part, outcomes)
            left[chosen] = False
            rows = np.sort(np.concatenate([rows, chosen]))
            if arms.is_bandit(trial.arm):
                reviewed = chosen[: chosen.size if trial.labels == REVIEWED else 0]
                wrong = sum(labels[row] != labelled.hypotheses[row] for row in reviewed)
                outcomes.append(Outcome(strategy, reviewed.size, wrong))
    return rows, outcomes


def _select(
    world: World, trial: Trial, labelled: Labelled, eligible: Bool, budget: int, outcomes: Sequence[Outcome]
) -> tuple[Int, Strategy]:
    arm = arms.parse(trial.arm)
    policy = replace(arm.policy, budget=budget, seed=arm.seed(world.seed))
    if arms.is_bandit(trial.arm):
        lots = Lots(np.flatnonzero(eligible), policy.seed)
        policy = replace(policy, strategy=play(outcomes, arms.strategies(trial.arm), lots).strategy)
    items = select(world.frame(labelled, eligible, policy.strategy), policy)
    return np.array(sorted(item.utterance_id for item in items), dtype=np.int64), policy.strategy
