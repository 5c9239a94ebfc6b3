"""What a run says of each strategy against random choice, in numbers and in a plain sentence.

The verdict is that on `PRIMARY`, over all domains, corrected for the number of strategies (Holm). Other metrics and
single domains are told beside it. Domains go by what is left of their own figure after shrinking.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.special import stdtrit

from db.repositories.verdicts import ALL_DOMAINS, Verdict
from plugin.quality.contrasts import (
    Board,
    difference,
    labels_needed,
    labels_saved,
    rate,
    relative,
    smoothed_rate,
)
from plugin.quality.crossed import Estimate
from plugin.quality.metrics import HIGHER_IS_BETTER, METRICS, Metric
from plugin.quality.shrinkage import shrink
from plugin.quality.significance import holm
from plugin.services.evaluation.arms import BASELINE, RANDOM
from plugin.services.evaluation.sentences import sentence
from plugin.services.evaluation.training import TRAINING_SEEDS

COMPARED = tuple(metric for metric in METRICS if metric not in HIGHER_IS_BETTER)
LEVEL = 0.95
# A relative change that is nobody's business, and what a verdict must at least be able to see.
RELEVANT = 0.05
BETTER, WORSE, SAME, OPEN = "better", "worse", "no difference", "not enough evidence"


@dataclass(frozen=True)
class Compared:
    """One arm against random choice in one domain by one metric, before it is said what follows."""

    arm: str
    metric: Metric
    group: int
    change: Estimate
    base: float
    saved: Estimate | None
    shrunken: tuple[float, float, float] | None = None
    p_holm: float | None = None


def verdicts(found: Board, strategies: Sequence[str], labels: int) -> list[Verdict]:
    """Of every strategy, overall and per domain, by every error rate. `labels`: how many each of the arms has."""
    rows: list[Compared] = []
    for metric in COMPARED:
        overall = [compared(found, arm, metric) for arm in strategies]
        rows += with_holm([replace(row, shrunken=own_change(found, row)) for row in overall])
        for arm in strategies:
            rows += with_shrinkage([compared(found, arm, metric, group) for group in range(len(found.domains))])
    return [to_verdict(found, row, labels) for row in rows]


def compared(found: Board, arm: str, metric: Metric, group: int = -1) -> Compared:
    base = rate(found, RANDOM, metric).value if group == -1 else smoothed_rate(found, RANDOM, metric, group)
    saved = labels_saved(found, BASELINE, RANDOM, arm, metric, group)
    return Compared(arm, metric, group, difference(found, arm, RANDOM, metric, group), base, saved)


def own_change(found: Board, row: Compared) -> tuple[float, float, float] | None:
    """Over all domains there is nothing to shrink towards. Of no errors, a ratio has no interval of its own."""
    change = relative(found, row.arm, RANDOM, row.metric)
    return (change.value, change.low, change.high) if change.is_known else measured(row)


def with_holm(rows: Sequence[Compared]) -> list[Compared]:
    """Over strategies, within a metric; what cannot be tested is not one of the tests."""
    tested = [row for row in rows if math.isfinite(row.change.p)]
    adjusted = dict(zip(map(id, tested), holm([row.change.p for row in tested]).tolist(), strict=True))
    return [replace(row, p_holm=adjusted.get(id(row))) for row in rows]


def with_shrinkage(rows: Sequence[Compared]) -> list[Compared]:
    r"""Relative changes of domains, drawn towards their mean as far as they are noise (`quality.shrinkage.shrink`).

    .. math:: y_d = \Delta_d / \tilde r_d, \quad s_d = s(\Delta_d) / \tilde r_d

    with the control's smoothed rate :math:`\tilde r_d`. A domain with one seed's luck or without a difference at all
    has no standard error to go by: it is then left as it is.
    """
    known = [row for row in rows if row.change.std_error > 0.0 and row.base > 0.0]
    if len(known) < 2:
        return [replace(row, shrunken=measured(row)) for row in rows]
    values = np.array([row.change.value / row.base for row in known])
    errors = np.array([row.change.std_error / row.base for row in known])
    means, spreads = shrink(values, errors)
    reach = stdtrit([row.change.degrees for row in known], (1.0 + LEVEL) / 2.0) * spreads
    found = {
        row.group: (float(mean), max(float(mean - far), -1.0), float(mean + far))
        for row, mean, far in zip(known, means, reach, strict=True)
    }
    return [replace(row, shrunken=found.get(row.group)) for row in rows]


def measured(row: Compared) -> tuple[float, float, float] | None:
    change = row.change
    if not change.is_known or not row.base > 0.0:
        return None
    return change.value / row.base, change.low / row.base, change.high / row.base


def to_verdict(found: Board, row: Compared, labels: int) -> Verdict:
    seeds, n = len(found.crossed.terms), found.size(row.group)
    own = measured(row) if row.group != -1 else row.shrunken
    state = state_of(row, seeds)
    needed = None
    if state == OPEN and row.base > 0.0 and seeds > 1:
        needed = labels_needed(row.change, RELEVANT * row.base, utterances=n, labels=max(labels, 1))
    verdict = Verdict(
        domain=ALL_DOMAINS if row.group == -1 else found.domains[row.group],
        metric=row.metric,
        arm=row.arm,
        control=RANDOM,
        n=n,
        seeds=seeds,
        state=state,
        sentence="",
        difference=finite(row.change.value),
        std_error=finite(row.change.std_error),
        ci_low=finite(row.change.low),
        ci_high=finite(row.change.high),
        **triple("relative", own),
        **triple("shrunken", row.shrunken),
        p_value=finite(row.change.p),
        p_holm=row.p_holm,
        **triple("labels_saved", saved_share(row.saved)),
        control_labels_needed=needed,
    )
    return verdict._replace(sentence=sentence(verdict, fewest_seeds=TRAINING_SEEDS))


def state_of(row: Compared, seeds: int) -> str:
    if seeds < TRAINING_SEEDS or row.shrunken is None:
        return OPEN
    _, low, high = row.shrunken
    is_sure = row.p_holm is None or row.p_holm < 1.0 - LEVEL
    if high < 0.0 and is_sure:
        return BETTER
    if low > 0.0 and is_sure:
        return WORSE
    return SAME if max(-low, high) < RELEVANT else OPEN


def saved_share(saved: Estimate | None) -> tuple[float, float, float] | None:
    """No more than all of them, even where a resample has control labels do harm."""
    return (min(saved.value, 1.0), saved.low, min(saved.high, 1.0)) if saved else None


def finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def triple(name: str, values: tuple[float, float, float] | None) -> Mapping[str, float]:
    """Value and interval under the names of their columns; nothing where one of them is not known."""
    if values is None or not all(map(math.isfinite, values)):
        return {}
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))
