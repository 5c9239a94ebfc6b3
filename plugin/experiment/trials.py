"""A trial: select, train, evaluate."""

from __future__ import annotations

import resource
import sys
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin.experiment import arms
from plugin.experiment.grid import REVIEWED, Trial
from plugin.experiment.world import Labelled, World, mislabelled
from plugin.quality.metrics import METRICS, ErrorCounts, count_errors
from plugin.quality.selection import select
from plugin.records import Hypothesis, TrainingExample
from plugin.services.ports import Trainer

Int = NDArray[np.int64]
ALL_DOMAINS = "*"


@dataclass(frozen=True, slots=True)
class Chosen:
    """What a trial adds: `rows` of the pool, with the label each is trained on."""

    rows: Int
    labels: list[Hypothesis]
    pool_size: int
    seconds: float


def run_trial(world: World, trial: Trial, trainer: Trainer) -> dict[str, Any]:
    """The line of the results. The evaluated model is one replicate under the world's seed, whatever the arm."""
    chosen = choose(world, trial)
    added = [
        TrainingExample(row.id, row.locale, row.text, label)
        for row, label in zip((world.pool.truth[row] for row in chosen.rows), chosen.labels, strict=True)
    ]
    begun = time.perf_counter()
    model = trainer.train([*world.trusted, *added], [], seed=world.seed, replicates=1)
    trained = time.perf_counter()
    test = world.evaluation
    said = model.predict([row.text for row in test], [row.locale for row in test]).hypotheses
    counts = count_errors([row.label for row in test], said)
    return {
        "trial": trial.to_json(),
        "size": len(added),
        "pool_size": chosen.pool_size,
        "errors": errors_of(counts),
        "selected": describe(world, chosen.rows),
        "seconds": {
            "select": _rounded(chosen.seconds),
            "score": _rounded(world.seconds["score"]),
            "train": _rounded(trained - begun),
            "evaluate": _rounded(time.perf_counter() - trained),
        },
        "peak_rss_mb": peak_rss_mb(),
    }


def choose(world: World, trial: Trial) -> Chosen:
    """Select by the code of production, with no control arm: what a trial compares is the strategy."""
    if trial.arm == arms.NOTHING:
        return Chosen(np.array([], dtype=np.int64), [], world.size, 0.0)
    weak = trial.labels != REVIEWED
    labelled = world.with_noise(trial.noise) if weak else world.labelled
    eligible = world.eligible(trial.pool)
    begun = time.perf_counter()
    rows = np.flatnonzero(eligible) if trial.arm == arms.EVERYTHING else _select(world, trial, labelled)
    seconds = time.perf_counter() - begun
    labels = labelled.hypotheses if weak else mislabelled(world.gold, trial.noise / 100.0, world.seed)
    return Chosen(rows, [labels[row] for row in rows], int(eligible.sum()), seconds)


def _select(world: World, trial: Trial, labelled: Labelled) -> Int:
    arm = arms.parse(trial.arm)
    frame = world.frame(labelled, world.eligible(trial.pool))
    if not frame.ids.size:
        return frame.ids
    policy = replace(arm.policy, budget=places(frame.ids.size, trial.budget), seed=arm.seed(world.seed))
    return np.array(sorted(item.utterance_id for item in select(frame, policy)), dtype=np.int64)


def places(pool_size: int, per_cent: float) -> int:
    """The budget in utterances, at least one."""
    return max(1, int(pool_size * per_cent / 100.0 + 0.5))


def errors_of(counts: ErrorCounts) -> dict[str, dict[str, list[int]]]:
    """Numerator and denominator of each metric, over all and by the reference's domain."""
    parts = {ALL_DOMAINS: counts, **counts.by_domain()}
    return {
        metric: {
            domain: [int(terms.sum()) for terms in part.terms(metric)] for domain, part in parts.items()
        }
        for metric in METRICS
    }  # fmt: skip


def describe(world: World, rows: Int) -> dict[str, Any]:
    """What was selected: how much of it the seed model has wrong, how long it is, its true domains."""
    if not rows.size:
        return {"wrong_share": None, "wrong_domain_share": None, "mean_tokens": None, "domains": {}}
    gold: Sequence[Hypothesis] = [world.pool.truth[row].label for row in rows]
    said = [world.labelled.hypotheses[row] for row in rows]
    tokens = [len(world.pool.truth[row].text.split()) for row in rows]
    pairs = list(zip(gold, said, strict=True))
    return {
        "wrong_share": _rounded(np.mean([true != guess for true, guess in pairs])),
        "wrong_domain_share": _rounded(np.mean([true.domain != guess.domain for true, guess in pairs])),
        "mean_tokens": _rounded(np.mean(tokens)),
        "domains": dict(sorted(Counter(label.domain for label in gold).items())),
    }


def peak_rss_mb() -> int:
    """The most memory this process has held, model and worlds included."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10))


def _rounded(value: float | np.floating[Any]) -> float:
    return round(float(value), 4)
