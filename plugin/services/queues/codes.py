"""Rank codes of a queue: where its order begins, and room between those that are served."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from plugin.label_studio.queues import RANK_GAP, between, rank_codes

# Half a million places before the first: what comes in is often harder than all that waits.
START = 0.25


def fresh(count: int) -> list[float]:
    return rank_codes(count, after=START)


def fit(codes: Sequence[float | None], end: float | None = None) -> list[float]:
    """Codes for the places that have none, between their neighbours, and before `end`.

    Raises ValueError when there is no room: then the whole queue is to be ordered anew.
    """
    filled: list[float] = []
    at = 0
    for is_open, run in groupby(codes, key=lambda code: code is None):
        places = list(run)
        at += len(places)
        if is_open:
            following = codes[at] if at < len(codes) else end
            filled += _run(filled[-1] if filled else None, following, len(places))
        else:
            filled += [code for code in places if code is not None]
    return filled


def _run(low: float | None, high: float | None, count: int) -> list[float]:
    if low is None and high is None:
        return fresh(count)
    if low is None and high is not None and high - RANK_GAP * count > 0:
        return [high - RANK_GAP * place for place in range(count, 0, -1)]
    return between(low, high, count)
