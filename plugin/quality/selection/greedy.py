"""Orders in which every next utterance is far from those before it, or stands for many that none stands for yet.

Whole numbers throughout (`points`), draws by seeded hash (`Lots`): equal input gives equal orders on every
machine, under every thread count and version of the libraries.

Axes: N rows, G groups.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin.quality.selection.frame import Float, Int
from plugin.quality.selection.points import Space
from plugin.quality.selection.sampling import Lots

MASS_BITS = 62  # the sum over N rows of weight x squared distance stays below 2^62: int64 holds it


class Places:
    """How many rows each group may still give: first `quota[g]` each, then `further` from any group.

    A row is taken once. `open` are the rows that may be taken next.
    """

    def __init__(self, group: Int, quota: Int, further: int) -> None:
        self._group = group
        self._left = np.asarray(quota, dtype=np.int64).copy()  # (G,)
        self._further = further
        self._taken = np.zeros(group.size, dtype=np.bool_)
        self.open: NDArray[np.bool_] = self._left[group] > 0  # (N,)
        self._move_on()

    @property
    def wanted(self) -> bool:
        return bool(self._left.any()) or self._further > 0

    def take(self, row: int) -> None:
        self._taken[row] = True
        self.open[row] = False
        if self._left.any():
            group = self._group[row]
            self._left[group] -= 1
            if not self._left[group]:
                self.open[self._group == group] = False
            self._move_on()
        else:
            self._further -= 1

    def _move_on(self) -> None:
        if not self._left.any():
            self.open = ~self._taken


def whole_weights(weights: Float, bits: int) -> Int:
    """Weights as whole numbers from 1 to 2^bits, the largest weight being 2^bits; none vanishes.

    >>> whole_weights(np.array([0.5, 2.0, 0.0]), bits=4).tolist()
    [4, 16, 1]
    """
    largest = float(weights.max(initial=0.0))
    if largest <= 0.0:
        return np.ones(weights.size, dtype=np.int64)
    whole: Int = np.maximum(np.rint(weights / largest * 2.0**bits), 1.0).astype(np.int64)
    return whole


def k_means_plus_plus(space: Space, weights: Float, places: Places, lots: Lots) -> Int:
    r"""Weighted D^2 sampling: each next row is drawn with probability proportional to weight x squared
    distance to the nearest row before it; the first with probability proportional to weight.

    .. math:: P(i) \propto w_i \min_{j \in S} \lVert x_i - x_j \rVert^2

    Args:
        space: N rows.
        weights: (N,) non-negative, finite; kept to their ratio to the largest, and never quite 0.
        places: how many, and from which groups.
        lots: where the draws come from.

    Returns:
        The rows in the order drawn, at most as many as `places` wants: fewer when all that are left lie
        exactly where a row before them lies. O(places x N x F) time.

    Source: Arthur and Vassilvitskii 2007, k-means++; the weights: Bachem et al. 2017 (sampling for weighted
    k-means).

    >>> from plugin.quality.selection.points import Points
    >>> space = Points(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]))
    >>> places = Places(np.zeros(3, dtype=np.int64), np.array([3]), 0)
    >>> len(k_means_plus_plus(space, np.ones(3), places, Lots(np.arange(3), seed=0)))
    2
    """
    bits = MASS_BITS - space.square_bits - int(space.size).bit_length()
    whole = whole_weights(weights, bits)
    nearest: Int | None = None  # (N,) squared distance to the nearest row taken
    order: list[int] = []
    while places.wanted:
        mass = np.where(places.open, whole if nearest is None else whole * nearest, 0)
        upto = np.cumsum(mass)
        total = int(upto[-1])
        if total == 0:
            break
        row = int(np.searchsorted(upto, lots.number("centres", len(order), total), side="right"))
        order.append(row)
        places.take(row)
        distances = space.squared_distances(row)
        nearest = distances if nearest is None else np.minimum(nearest, distances)
    return np.array(order, dtype=np.int64)
