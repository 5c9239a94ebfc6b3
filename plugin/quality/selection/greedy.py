"""Orders in which every next utterance is far from those before it, or stands for many that none stands for yet.

Whole numbers throughout (`points`), draws by seeded hash (`Lots`): equal input gives equal orders on every
machine, under every thread count and version of the libraries.

Axes: N rows, G groups.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from plugin.quality.selection.frame import Float, Int
from plugin.quality.selection.points import NORM_BITS, Points, Space
from plugin.quality.selection.sampling import Lots

EXACT_BITS = 53  # float64 holds every whole number up to 2^53
MEASURED = 64  # gains measured at a time
MASS_BITS = 62  # the sum over N rows of weight x squared distance stays below 2^62: int64 holds it


class Places:
    """How many rows each group may still give: first `quota[g]` each, then `further` from any group.

    A row is taken once. `open` are the rows that may be taken next. What a group cannot fill with rows that
    differ from each other it loses.
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

    def exhausted(self) -> bool:
        """Nothing that is open differs from what was taken: give up the quotas that are left; whether that ends all."""
        if not self._left.any():
            return True
        self._left[:] = 0
        self._move_on()
        return not self.wanted

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


def k_means_plus_plus(
    space: Space, weights: Float, places: Places, lots: Lots, *, trials: int = 1, long_first: bool = False
) -> Int:
    r"""Weighted D^2 sampling: each next row is drawn with probability proportional to weight x squared
    distance to the nearest row before it.

    .. math:: P(i) \propto w_i \min_{j \in S} \lVert x_i - x_j \rVert^2

    With more than one of `trials` so many rows are drawn for each place, and the one is taken that leaves the
    least of the sum of weight x squared distance (greedy k-means++): fewer outliers, less chance.

    Args:
        space: N rows.
        weights: (N,) non-negative, finite; kept to their ratio to the largest, and never quite 0.
        places: how many, and from which groups.
        lots: where the draws come from.
        trials: rows drawn for each place, at least 1.
        long_first: the first row is drawn by weight x squared norm, not by weight alone.

    Returns:
        The rows in the order drawn, at most as many as `places` wants: fewer when all that are left lie
        exactly where a row before them lies. O(places x trials x N x F) time.

    Source: Arthur and Vassilvitskii 2007, k-means++, greedy as in its section 7; the weights as in weighted k-means.

    >>> from plugin.quality.selection.points import Points
    >>> space = Points(np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 0.0]]))
    >>> places = Places(np.zeros(3, dtype=np.int64), np.array([3]), 0)
    >>> len(k_means_plus_plus(space, np.ones(3), places, Lots(np.arange(3), seed=0)))
    2
    """
    bits = MASS_BITS - space.square_bits - space.size.bit_length()
    whole = whole_weights(weights, bits)
    nearest = space.norms if long_first else np.ones(space.size, dtype=np.int64)  # (N,) what the draw weighs
    order: list[int] = []
    while places.wanted:
        upto = np.cumsum(np.where(places.open, whole * nearest, 0))
        total = int(upto[-1])
        if total == 0:
            if places.exhausted():
                break
            continue
        marks = [lots.number("centres", len(order) * trials + trial, total) for trial in range(trials)]
        drawn = np.unique(np.searchsorted(upto, np.array(marks, dtype=np.int64), side="right"))  # (B,)
        after = space.squared_distances(drawn)  # (N, B)
        if order:
            after = np.minimum(after, nearest[:, None])
        best = int((np.where(places.open, whole, 0) @ after).argmin()) if drawn.size > 1 else 0
        nearest = after[:, best]
        row = int(drawn[best])
        order.append(row)
        places.take(row)
    return np.array(order, dtype=np.int64)


def k_center(space: Space, places: Places, lots: Lots) -> Int:
    r"""Farthest-first traversal: each next row is the one farthest from all before it, the first is drawn.

    .. math:: \arg\max_i \min_{j \in S} \lVert x_i - x_j \rVert

    Its largest distance from any row to the nearest chosen one is at most twice the smallest that so many
    rows can reach.

    Args:
        space: N rows.
        places: how many, and from which groups.
        lots: the first row, and which of several equally far.

    Returns:
        The rows in the order taken; fewer than wanted when all that are left lie where a row before them lies.
        O(places x N x F) time.

    Source: Gonzalez 1985; as active learning: Sener and Savarese 2018, the core-set approach.

    >>> from plugin.quality.selection.points import Points
    >>> space = Points(np.array([[0.0], [0.4], [1.0]]))
    >>> places = Places(np.zeros(3, dtype=np.int64), np.array([2]), 0)
    >>> sorted(k_center(space, places, Lots(np.arange(3), seed=2)).tolist())
    [0, 2]
    """
    by_lot = np.argsort(lots.draw("centres"))  # so that the first of equals is a random one
    nearest: Int = np.ones(space.size, dtype=np.int64)
    order: list[int] = []
    while places.wanted:
        far = np.where(places.open, nearest, 0)
        row = int(by_lot[np.argmax(far[by_lot])])
        if far[row] == 0:
            if places.exhausted():
                break
            continue
        distances = space.squared_distances(np.array([row]))[:, 0]
        nearest = np.minimum(nearest, distances) if order else distances
        order.append(row)
        places.take(row)
    return np.array(order, dtype=np.int64)


def facility_location(points: Points, weights: Float, places: Places, lots: Lots) -> Int:
    r"""Representatives: each next row adds most to how well every row is stood for by its most similar one.

    .. math:: f(S) = \sum_i w_i \max_{j \in S} x_i \cdot x_j

    f is monotone and submodular, so the greedy reaches at least 1 - 1/e of the most that so many rows can
    reach. Lazy: a gain only ever shrinks, so a row is measured again only when its last gain could still win.

    Args:
        points: N rows, no coordinate negative.
        weights: (N,) non-negative, finite; how much it matters that a row is stood for.
        places: how many, and from which groups.
        lots: which of several with the same gain.

    Returns:
        The rows in the order taken; fewer than wanted when no row adds anything. O(N^2 F) time per
        place at worst, in practice a few hundred gains of O(N F) each; O(N F) memory.

    Source: Nemhauser, Wolsey and Fisher 1978; lazy: Minoux 1978; as data selection: Wei, Iyer and Bilmes 2015.

    >>> points = Points(np.array([[1.0, 0.0], [0.9, 0.1], [0.8, 0.2], [0.0, 0.5]]))
    >>> places = Places(np.zeros(4, dtype=np.int64), np.array([2]), 0)
    >>> facility_location(points, np.ones(4), places, Lots(np.arange(4), seed=0)).tolist()
    [0, 3]
    """
    by_lot = np.argsort(lots.draw("centres"))  # so that the first of equals is a random one
    rows = points.coordinates[by_lot]  # (N, F)
    bits = EXACT_BITS - 2 * NORM_BITS - points.size.bit_length()
    whole = whole_weights(weights[by_lot], bits).astype(np.float64)  # (N,)
    stood_for = np.zeros(points.size, dtype=np.float32)  # (N,) the similarity of the most similar one taken
    bound = rows.astype(np.float64) @ (whole @ rows)  # (N,) gains of the empty set; later, upper bounds
    measured = np.zeros(points.size, dtype=np.int64)  # (N,) for which place a bound was measured last
    order: list[int] = []
    while places.wanted:
        may = np.where(places.open[by_lot], bound, -1.0)
        best = int(np.argmax(may))
        if may[best] <= 0.0:
            if places.exhausted():
                break
        elif measured[best] == len(order):
            order.append(int(by_lot[best]))
            places.take(order[-1])
            stood_for = np.maximum(stood_for, rows @ rows[best])
        else:
            stale = np.where(measured < len(order), may, -1.0)
            width = min(MEASURED, stale.size)
            block = np.argpartition(stale, stale.size - width)[-width:]
            gains = np.maximum(rows @ rows[block].T - stood_for[:, None], 0.0)  # (N, B)
            bound[block] = whole @ gains
            measured[block] = len(order)
    return np.array(order, dtype=np.int64)
