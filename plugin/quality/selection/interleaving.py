"""An order in which every prefix keeps the shares: people stop early."""

from __future__ import annotations

from collections.abc import Sequence


def interleave(sizes: Sequence[int]) -> list[int]:
    r"""Merge groups so that each prefix holds its share of every group to within one item.

    With n items in all, group g has after k items a count :math:`x_g(k)` with
    :math:`|x_g(k) - k n_g / n| \le 1 - 1/(2m - 2) < 1`, m >= 2 being the groups that are not empty.
    Tijdeman's rule: of the groups whose next item is already due, take the one that must come soonest.
    (Rounding each group by itself reaches this only for two groups.)

    Args:
        sizes: items of each group, G non-negative integers.

    Returns:
        the group of each of the n positions; group g occurs `sizes[g]` times. O(n G).

    Raises:
        ValueError: a negative size.

    Source: Tijdeman 1980, The chairman assignment problem, Discrete Mathematics 32.

    >>> interleave([1, 4])
    [1, 1, 0, 1, 1]
    >>> interleave([2, 2, 2])
    [0, 1, 2, 0, 1, 2]
    """
    if any(size < 0 for size in sizes):
        raise ValueError(f"group sizes must not be negative: {list(sizes)}")
    n = sum(sizes)
    groups = [group for group, size in enumerate(sizes) if size]
    if len(groups) < 2:
        return groups * n
    slack = 2 * len(groups) - 2
    taken = [0] * len(sizes)
    order = []
    for step in range(1, n + 1):
        due = [g for g in groups if slack * (step * sizes[g] - taken[g] * n) >= n]
        soonest = min(due, key=lambda g: _deadline(taken[g], sizes[g], n, slack))
        taken[soonest] += 1
        order.append(soonest)
    return order


def _deadline(taken: int, size: int, n: int, slack: int) -> int:
    """The last position at which the group's next item keeps the bound (ceiling of an exact fraction)."""
    return -(-n * (slack * (taken + 1) - 1) // (slack * size))
