"""From labels and predictions to metric rows: rates with bootstrap intervals, and the paired change between arms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from db.repositories.evaluations import Metric
from plugin.quality.inference import Interval, ratio_interval, relative_change_interval
from plugin.quality.metrics import HIGHER_IS_BETTER, METRICS, ErrorCounts, count_errors
from plugin.records import Hypothesis

ALL_DOMAINS = "*"


def change_of(metric: str) -> str:
    """The name of the metric's relative change against the baseline."""
    return f"{metric}_change"


def compare(
    gold: Sequence[Hypothesis],
    predictions: Mapping[str, Sequence[Hypothesis]],
    *,
    against: str,
    seed: int,
) -> dict[str, list[Metric]]:
    """Per arm every metric, over all and per gold domain; for arms other than `against` also the relative change."""
    counts = {arm: by_domain(count_errors(gold, predicted)) for arm, predicted in predictions.items()}
    measured = {arm: list(rates(parts, seed)) for arm, parts in counts.items()}
    for arm, parts in counts.items():
        if arm != against:
            measured[arm].extend(changes(parts, counts[against], seed))
    return measured


def by_domain(counts: ErrorCounts) -> dict[str, ErrorCounts]:
    return {ALL_DOMAINS: counts, **counts.by_domain()}


def rates(parts: Mapping[str, ErrorCounts], seed: int) -> Iterator[Metric]:
    for domain, counts in parts.items():
        for metric in METRICS:
            yield from to_row(domain, metric, ratio_interval(*counts.terms(metric), seed=seed))


def changes(parts: Mapping[str, ErrorCounts], base: Mapping[str, ErrorCounts], seed: int) -> Iterator[Metric]:
    for domain, counts in parts.items():
        for metric in METRICS:
            terms = (*counts.terms(metric), *base[domain].terms(metric))
            yield from to_row(domain, change_of(metric), relative_change_interval(*terms, seed=seed))


def to_row(domain: str, metric: str, found: Interval) -> Iterator[Metric]:
    """No row for a rate that is not defined; no interval where resampling cannot tell one."""
    if math.isfinite(found.value):
        told = math.isfinite(found.low) and math.isfinite(found.high) and found.low < found.high
        yield Metric(domain, metric, found.value, found.low if told else None, found.high if told else None, found.n)


__all__ = ["ALL_DOMAINS", "HIGHER_IS_BETTER", "METRICS", "change_of", "compare"]
