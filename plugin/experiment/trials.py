"""A trial: select, train, evaluate."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from plugin.experiment import memory
from plugin.experiment.choosing import Int, choose, measure_memory
from plugin.experiment.grid import Trial
from plugin.experiment.laboratory import Laboratory
from plugin.experiment.world import World
from plugin.quality.metrics import METRICS, ErrorCounts, count_errors
from plugin.records import Hypothesis
from plugin.tokens import token_spans

ALL_DOMAINS = "*"


def run_trial(laboratory: Laboratory, trial: Trial) -> dict[str, Any]:
    """The line of the results. The evaluated model is one replicate under the world's seed, whatever the arm."""
    world = laboratory.world(trial.world)
    chosen = choose(laboratory, trial)
    added = world.examples(chosen.rows, dict(zip(chosen.rows, chosen.labels, strict=True)))
    begun = time.perf_counter()
    model = laboratory.trainer().train([*world.trusted, *added], [], seed=world.seed, replicates=1)
    trained = time.perf_counter()
    test = world.evaluation
    said = model.predict([row.text for row in test], [row.locale for row in test]).hypotheses
    counts = count_errors([row.label for row in test], said)
    return {
        "trial": trial.to_json(),
        "size": len(added),
        "pool_size": chosen.pool_size,
        "dropped": world.dropped,
        "errors": errors_of(counts),
        "selected": describe(world, chosen.rows) | ({"played": list(chosen.played)} if chosen.played else {}),
        "seconds": {
            "select": _rounded(chosen.seconds),
            "score": _rounded(world.seconds["score"]),
            "train": _rounded(trained - begun),
            "evaluate": _rounded(time.perf_counter() - trained),
        },
        "peak_rss_mb": memory.peak_rss_mb(),
        "select_peak_mb": measure_memory(laboratory, trial),
    }


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
    tokens = [len(token_spans(world.pool.truth[row].text)) for row in rows]
    pairs = list(zip(gold, said, strict=True))
    return {
        "wrong_share": _rounded(np.mean([true != guess for true, guess in pairs])),
        "wrong_domain_share": _rounded(np.mean([true.domain != guess.domain for true, guess in pairs])),
        "mean_tokens": _rounded(np.mean(tokens)),
        "domains": dict(sorted(Counter(label.domain for label in gold).items())),
    }


def _rounded(value: float | np.floating[Any]) -> float:
    return round(float(value), 4)
