"""Vectors of whole numbers: their products are exact, so every machine measures the same distances.

Float addition depends on its order, and matrix products add in an order that differs by processor, thread
count and library. A sum of whole numbers does not, as long as no partial sum leaves the numbers that the
type holds: float32 holds every whole number up to 2^24. So coordinates are rounded to whole numbers on a
grid that keeps each vector's norm within 2^12; by Cauchy-Schwarz every partial sum of every product then
stays within 2^24. The products run in BLAS at full float32 speed and are exact.

Axes: N rows, F coordinates, B rows of a block.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plugin.quality.selection.frame import Float, Int

NORM_BITS = 12  # norms stay within 2^12, so products within 2^24, the end of float32's whole numbers
FINEST = 1000  # the grid's points per unit length, as a power of two, are a float64 too
SQUARE_BITS = 2 * NORM_BITS + 2  # squared distances stay within 2^26


class Space(Protocol):
    """Where a strategy measures how far apart N utterances are."""

    @property
    def size(self) -> int: ...
    @property
    def square_bits(self) -> int:
        """Squared norms and distances are at most 2 to this."""
        ...

    @property
    def norms(self) -> Int:
        """(N,) squared distances to the origin."""
        ...

    def squared_distances(self, rows: Int) -> Int:
        """(N, B) from each of those rows to all."""
        ...


class Points:
    """N vectors on a grid of whole numbers.

    >>> points = Points(np.array([[0.6, 0.8], [1.0, 0.0], [0.0, 0.0]]))
    >>> (points.squared_distances(np.array([2])) / points.unit**2).round(3).T.tolist()
    [[1.0, 1.0, 0.0]]
    """

    square_bits = SQUARE_BITS

    def __init__(self, vectors: NDArray[np.floating[Any]]) -> None:
        self.coordinates, self.unit = on_grid(vectors)
        self.norms = (self.coordinates.astype(np.int64) ** 2).sum(axis=1)  # (N, F) -> (N,)

    @property
    def size(self) -> int:
        return len(self.coordinates)

    def dots(self, rows: Int) -> Int:
        """(N, B) inner products of those rows with all."""
        products: Int = (self.coordinates @ self.coordinates[rows].T).astype(np.int64)
        return products

    def squared_distances(self, rows: Int) -> Int:
        """(N, B) from each of those rows to all."""
        squares: Int = self.norms[:, None] + self.norms[rows] - 2 * self.dots(rows)
        return squares


class OuterProducts:
    r"""N matrices :math:`a_i h_i^T`, never written out: K x F numbers each would be too many.

    .. math:: \langle a_i h_i^T, a_j h_j^T \rangle = (a_i \cdot a_j) (h_i \cdot h_j)

    >>> space = OuterProducts(Points(np.array([[1.0, 0.0], [0.0, 1.0]])), Points(np.array([[1.0], [0.5]])))
    >>> (space.squared_distances(np.array([0])) / space.norms.max()).T.tolist()
    [[0.0, 1.25]]
    """

    _COARSER = 8  # bits given up, so that sums over many rows fit into int64
    square_bits = 4 * NORM_BITS + 2 - _COARSER

    def __init__(self, left: Points, right: Points) -> None:
        self._left = left
        self._right = right
        self._norms = left.norms * right.norms
        self.norms = self._norms >> self._COARSER

    @property
    def size(self) -> int:
        return self._left.size

    def squared_distances(self, rows: Int) -> Int:
        """(N, B) from each of those rows to all."""
        dots = self._left.dots(rows) * self._right.dots(rows)
        squares: Int = (self._norms[:, None] + self._norms[rows] - 2 * dots) >> self._COARSER
        return squares


def on_grid(vectors: NDArray[np.floating[Any]]) -> tuple[NDArray[np.float32], float]:
    """The vectors on the finest grid that keeps every product exact.

    Args:
        vectors: (N, F), finite.

    Returns:
        (N, F) whole numbers as float32, and the grid's points per unit length, a power of two. The grid is
        found by exact arithmetic alone, so it too is the same on every machine.

    >>> on_grid(np.array([[0.25, 1.0]]))
    (array([[ 512., 2048.]], dtype=float32), 2048.0)
    """
    wide: Float = np.asarray(vectors, dtype=np.float64)
    largest = float(np.abs(wide).max(initial=0.0))
    exponent = min(NORM_BITS + 1 - int(np.frexp(largest)[1]), FINEST) if largest else 0
    while True:
        grid = np.rint(np.ldexp(wide, exponent))
        # Whole numbers far below 2^53: this sum is exact too, in any order.
        if (grid**2).sum(axis=1).max(initial=0.0) <= 2.0 ** (2 * NORM_BITS):
            return grid.astype(np.float32), float(2.0**exponent)
        exponent -= 1
