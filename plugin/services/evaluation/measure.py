"""From labels and predictions to metric rows: rates over all seeds, and the change against the baseline, with intervals
that know the luck of training as well as that of the test set.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from db.repositories.evaluations import Metric
from plugin.quality.contrasts import Board, rate, relative
from plugin.quality.crossed import Estimate
from plugin.quality.metrics import HIGHER_IS_BETTER, METRICS, ErrorCounts, count_errors
from plugin.quality.metrics import Metric as Name
from plugin.records import Hypothesis

ALL_DOMAINS = "*"


def change_of(metric: str) -> str:
    """The name of the metric's relative change against the baseline."""
    return f"{metric}_change"


def count(
    gold: Sequence[Hypothesis], predictions: Mapping[str, Sequence[Sequence[Hypothesis]]]
) -> dict[str, list[ErrorCounts]]:
    """Per arm, what went wrong with each of its seeds."""
    return {arm: [count_errors(gold, said) for said in of_seeds] for arm, of_seeds in predictions.items()}


def metric_rows(
    found: Board, counts: Mapping[str, Sequence[ErrorCounts]], weights: Sequence[int], *, against: str
) -> dict[str, list[Metric]]:
    """Per arm every metric, over all and per gold domain; for arms other than `against` also the relative change."""
    return {arm: list(rows_of(found, arm, parts, weights, against)) for arm, parts in counts.items()}


def rows_of(
    found: Board, arm: str, parts: Sequence[ErrorCounts], weights: Sequence[int], against: str
) -> Iterator[Metric]:
    groups = {ALL_DOMAINS: -1, **{domain: group for group, domain in enumerate(found.domains)}}
    for domain, group in groups.items():
        n = found.size(group)
        for metric in METRICS:
            weighted = weighted_rate(parts, metric, weights, None if group == -1 else domain)
            yield from to_row(domain, metric, rate(found, arm, metric, group), n, weighted)
        for metric in METRICS if arm != against else ():
            yield from to_row(domain, change_of(metric), relative(found, arm, against, metric, group), n)


def weighted_rate(
    parts: Sequence[ErrorCounts], metric: Name, weights: Sequence[int], domain: str | None
) -> float | None:
    """The rate with each utterance as often as the log says its text."""
    top = bottom = 0.0
    for part in parts:
        weight = np.asarray(weights, dtype=np.float64) * (1.0 if domain is None else part.domains == domain)
        numerator, denominator = part.terms(metric)
        top += float(weight @ numerator)
        bottom += float(weight @ denominator)
    return top / bottom if bottom else None


def to_row(domain: str, metric: str, found: Estimate, n: int, weighted: float | None = None) -> Iterator[Metric]:
    """No row for a rate that is not defined; no interval where resampling cannot tell one."""
    if math.isfinite(found.value):
        told = math.isfinite(found.low) and math.isfinite(found.high) and found.low < found.high
        low, high = (found.low, found.high) if told else (None, None)
        yield Metric(domain, metric, found.value, low, high, n, weighted)


__all__ = ["ALL_DOMAINS", "HIGHER_IS_BETTER", "METRICS", "change_of", "count", "metric_rows"]
