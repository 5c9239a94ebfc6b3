"""Draws without a random-number generator: a seeded hash gives every utterance a lot per purpose.

The lots depend on the seed, the purpose and the set of ids, on nothing else. So they are the same under
every version of numpy and on every machine, adding a purpose moves no other draw, and a frame that has
changed since the last round is drawn afresh even when the seed has not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from copy import copy
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]
UInt = NDArray[np.uint64]

Purpose = Literal["control", "ties", "easy", "reserve", "order", "candidates", "centres", "bandit", "auto", "noise"]


class Lots:
    """The lots of one frame under one seed.

    >>> lots = Lots(np.array([10, 20, 30]), seed=0)
    >>> len(set(lots.draw("control").tolist()))
    3
    >>> (lots.draw("control") == Lots(np.array([10, 20, 30]), seed=1).draw("control")).any()
    np.False_
    """

    def __init__(self, ids: Int, seed: int) -> None:
        self._ids = ids.astype("<i8")
        self._prefix = hashlib.sha256(f"assay-lots-1\0{seed}\0".encode() + self._ids.tobytes()).digest()

    def draw(self, purpose: Purpose) -> UInt:
        """A lot per id, (N,), all different: their ascending order is a uniformly random permutation."""
        key = np.frombuffer(hashlib.sha256(self._prefix + purpose.encode()).digest(), dtype="<u8")
        return _mix(_mix(self._ids.view("<u8") + key[:1]) ^ key[1:2])

    def of(self, rows: Int) -> Lots:
        """The same lots, of some of the ids.

        >>> lots = Lots(np.array([10, 20, 30]), seed=0)
        >>> bool((lots.of(np.array([2])).draw("ties") == lots.draw("ties")[2:]).all())
        True
        """
        part = copy(self)
        part._ids = self._ids[rows]
        return part

    def number(self, purpose: Purpose, index: int, below: int) -> int:
        """The `index`-th whole number of a purpose, uniform in [0, below): biased by less than below / 2^256.

        >>> [Lots(np.array([10, 20, 30]), seed=0).number("centres", index, below=6) for index in range(5)]
        [2, 1, 3, 3, 1]
        """
        digest = hashlib.sha256(self._prefix + purpose.encode() + b"\0" + index.to_bytes(8, "little")).digest()
        return int.from_bytes(digest, "little") * below >> 256


def _mix(values: UInt) -> UInt:
    """The finalizer of SplitMix64 (Steele et al. 2014): a bijection, so different ids keep different lots."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def apportion(total: int, weights: Sequence[int], caps: Sequence[int]) -> list[int]:
    """Divide whole places by weight: largest remainder, and what a full group cannot take goes to the others.

    Args:
        total: places to give, at most `sum(caps)`.
        weights: non-negative integers, G of them; a group of weight 0 gets nothing.
        caps: the most each group can take, G of them.

    Returns:
        G integers that sum to `total`. Equal remainders go to the larger cap, then to the earlier group.

    Raises:
        ValueError: the groups that have a weight cannot take the total.

    >>> apportion(10, weights=[1, 1, 1], caps=[100, 2, 100])
    [4, 2, 4]
    """
    given = [0] * len(caps)
    free = [group for group, weight in enumerate(weights) if weight]
    if total > sum(caps[group] for group in free):
        raise ValueError(f"cannot divide {total} places: the groups take {sum(caps[group] for group in free)}")
    left = total
    while True:  # groups whose share reaches their cap are filled and leave; at most G times
        whole = sum(weights[group] for group in free)
        full = [group for group in free if left * weights[group] >= caps[group] * whole]
        if not full:
            break
        for group in full:
            given[group] = caps[group]
        left -= sum(caps[group] for group in full)
        free = [group for group in free if group not in full]
    remainder = {}
    for group in free:
        given[group], remainder[group] = divmod(left * weights[group], whole)
    spare = total - sum(given)
    for group in sorted(free, key=lambda g: (-remainder[g], -caps[g], g))[:spare]:
        given[group] += 1
    return given


def reach(size: int, marked: int, wanted: int) -> Float:
    r"""How likely a walk gets as far as each place beyond the first `wanted` ones.

    `size` items lie in an order that knows nothing of `marked` of them, drawn uniformly at random. A walk
    goes along the order until it has met `wanted` unmarked ones. For an *unmarked* item at place
    `wanted + k` (counted from 0) the walk takes it if fewer than `wanted` unmarked ones lie before it, that
    is, if the number m of marked ones before the `wanted`-th unmarked one of the others exceeds k:

    .. math:: \sum_{m > k} \binom{w - 1 + m}{m} \binom{N - 1 - w - m}{c - m} / \binom{N - 1}{c}

    Args:
        size: N, more than marked + wanted.
        marked: c.
        wanted: w.

    Returns:
        (c,) in [0, 1], falling: the probability at k = 0 .. c - 1; beyond that it is 0.

    Source: the negative hypergeometric distribution (scipy.stats.nhypergeom).

    >>> reach(size=3, marked=1, wanted=1).round(4).tolist()  # places: taken, then 1/2, then never
    [0.5]
    """
    m = np.arange(marked, dtype=np.float64)
    with np.errstate(divide="ignore"):  # wanted = 0: the walk ends before it begins
        ratio = np.log(wanted + m) - np.log(m + 1) + np.log(marked - m) - np.log(size - 1 - wanted - m)
    mass = np.concatenate([[0.0], np.cumsum(ratio)])  # log of the terms, up to a constant
    mass = np.exp(mass - mass.max())
    beyond: Float = np.cumsum(mass[::-1])[::-1][1:] / mass.sum()
    return beyond
