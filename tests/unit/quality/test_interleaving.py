"""Every prefix of a queue keeps the shares, for any number of groups."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.quality.selection import interleave


def worst_deviation(sizes: list[int], order: list[int]) -> float:
    """max over prefixes and groups of |count - prefix * share|, in items."""
    n, taken, worst = sum(sizes), [0] * len(sizes), 0
    for length, group in enumerate(order, start=1):
        taken[group] += 1
        worst = max(worst, *(abs(n * count - length * size) for count, size in zip(taken, sizes, strict=True)))
    return worst / n


@given(sizes=st.lists(st.integers(0, 60), min_size=1, max_size=8))
def test_every_prefix_keeps_the_shares(sizes: list[int]) -> None:
    order = interleave(sizes)
    assert [order.count(group) for group in range(len(sizes))] == sizes
    if order:
        present = sum(size > 0 for size in sizes)
        bound = 1.0 - 1.0 / (2 * present - 2) if present > 1 else 0.0
        assert worst_deviation(sizes, order) <= bound + 1e-12


@given(sizes=st.lists(st.integers(1, 3000), min_size=2, max_size=4))
def test_long_queues_keep_the_shares(sizes: list[int]) -> None:
    assert worst_deviation(sizes, interleave(sizes)) < 1.0


def test_the_paper_at_fifty_with_a_fifth_control() -> None:
    assert worst_deviation([10, 4, 36], interleave([10, 4, 36])) <= 0.75


@pytest.mark.parametrize(
    ("sizes", "order"),
    [
        ([], []),
        ([0, 0], []),
        ([3], [0, 0, 0]),
        ([0, 2], [1, 1]),
        ([1, 1], [0, 1]),
        ([1, 3], [1, 0, 1, 1]),
        ([2, 2, 2], [0, 1, 2, 0, 1, 2]),
    ],
)
def test_by_hand(sizes: list[int], order: list[int]) -> None:
    assert interleave(sizes) == order


def test_a_negative_size_is_refused() -> None:
    with pytest.raises(ValueError, match="must not be negative"):
        interleave([1, -1])
