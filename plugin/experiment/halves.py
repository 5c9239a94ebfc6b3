"""Half of a corpus's domains: shared by what selects among them and by what analyses the trials."""

from __future__ import annotations

from collections.abc import Iterable


def half_of(domains: Iterable[str], half: int) -> frozenset[str]:
    """Of the domains by name, every other one: the first, third, ... are half 1, the others half 2.

    By name and not by size, which differs from draw to draw: one seed's half would not be the next one's.

    >>> sorted(half_of(["play", "alarm", "qa", "alarm"], 1)), sorted(half_of(["play", "alarm", "qa"], 2))
    (['alarm', 'qa'], ['play'])
    """
    if half not in (1, 2):
        raise ValueError(f"a half is 1 or 2, not {half}")
    return frozenset(sorted(set(domains))[half - 1 :: 2])
