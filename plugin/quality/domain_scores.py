"""Class scores that a source gives with its records, as distributions."""

from __future__ import annotations

import math
from collections.abc import Mapping

from plugin.records import SUM_TOLERANCE, domain_scores_limit

REST = "rest"


def complete_with_rest(scores: Mapping[str, float]) -> dict[str, float]:
    """Make a top-N list of class scores a distribution: the missing mass becomes one class `rest`.

    The entropy of the result is a lower bound of the entropy over all classes, and the same for every
    record of a source, which is what ranking needs. A class already named `rest` takes the mass. What
    rounding leaves, less than `SUM_TOLERANCE` too little or up to `domain_scores_limit` too much, is divided
    away.

    Args:
        scores: class -> probability; at most 1 in all, but for rounding.

    Returns:
        A new dict, in the given order, that sums to 1.

    Raises:
        ValueError: no class at all, a negative or non-finite score, nothing but zeros, or a sum above 1.

    >>> complete_with_rest({"music": 0.5, "weather": 0.25})
    {'music': 0.5, 'weather': 0.25, 'rest': 0.25}
    """
    if not scores:
        raise ValueError("domain scores are empty: leave the field out when there are none")
    for name, value in scores.items():
        if not 0.0 <= value <= 1.0 + SUM_TOLERANCE:
            raise ValueError(f"domain score of {name!r} must lie in [0, 1], not {value}")
    total = math.fsum(scores.values())
    if total > domain_scores_limit(len(scores)):
        raise ValueError(f"domain scores sum to {total:.6g}: more than 1 is no distribution")
    if total == 0.0:
        raise ValueError("domain scores are all 0: leave the field out when nothing is known")
    if 1.0 - total <= SUM_TOLERANCE:
        return {name: value / total for name, value in scores.items()}
    completed = dict(scores)
    completed[REST] = completed.get(REST, 0.0) + (1.0 - total)
    return completed
