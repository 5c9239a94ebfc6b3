"""Many random draws in the memory of a few."""

from __future__ import annotations

from collections.abc import Iterator

# Cells of a block of draws held in memory at once: 4 million float64 are 32 MB.
BLOCK_CELLS = 4_000_000


def blocks(draws: int, width: int) -> Iterator[int]:
    """Cut `draws` rows of `width` cells into blocks; the rows of each.

    >>> list(blocks(10, 1_000_000))
    [4, 4, 2]
    """
    step = max(1, BLOCK_CELLS // max(width, 1))
    for start in range(0, draws, step):
        yield min(step, draws - start)
