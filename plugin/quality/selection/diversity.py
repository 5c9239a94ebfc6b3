"""What the strategies that compare utterances with each other measure: their blocks, weights and limits.

Every number to tune is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from plugin.quality.selection.frame import Float, Frame, Int
from plugin.quality.selection.greedy import MASS_BITS, Places, k_means_plus_plus, whole_weights
from plugin.quality.selection.points import Points, Space
from plugin.quality.selection.sampling import Lots, apportion
from plugin.records import Strategy

# Blocks of coordinates side by side: the square root of each feature, times a factor. Between square roots of
# probabilities the squared distance is twice the squared Hellinger distance.
K_MEANS_BLOCKS: Mapping[str, float] = {"domain_probs": 1.0, "intent_probs": 1.0, "slot_mass": 0.5}
K_MEANS_WEIGHT = "joint_uncertainty"
K_MEANS_POWER = 2  # a whole number: powers are products then, the same on every machine

# More rows than this never compete: those that do are drawn by weight, at random. It bounds time and memory.
CANDIDATES = 65_536


@dataclass(frozen=True, slots=True)
class Diversity:
    """A strategy that compares utterances with each other.

    features  the frame's features that it reads
    weight    the score column that weighs the utterances, to the power `power`; None: all weigh the same
    space     builds where distances are measured, of the rows given
    """

    features: tuple[str, ...]
    weight: str | None
    power: int
    space: Callable[[Frame, Int], Space]


def _roots(blocks: Mapping[str, float]) -> Callable[[Frame, Int], Points]:
    def space(frame: Frame, rows: Int) -> Points:
        parts = [np.sqrt(frame.features[name][rows].astype(np.float64)) * scale for name, scale in blocks.items()]
        return Points(np.concatenate(parts, axis=1))

    return space


DIVERSE: Mapping[Strategy, Diversity] = {
    Strategy.K_MEANS: Diversity(tuple(K_MEANS_BLOCKS), K_MEANS_WEIGHT, K_MEANS_POWER, _roots(K_MEANS_BLOCKS)),
}


def diverse_order(strategy: Strategy, frame: Frame, group: Int, quota: Int, further: int, lots: Lots) -> Int:
    """The order of a strategy that compares utterances: greedy as far as a round can look, then by weight.

    Args:
        strategy: a key of DIVERSE.
        frame: N canonical rows with its features, and its weight if it has one, all finite.
        group: (N,) in [0, G).
        quota: (G,) places of each group among the first.
        further: places after them, from any group.
        lots: where the draws come from.

    Returns:
        (N,) row numbers: the greedy's `quota.sum() + further` rows, then all others by falling weight, equal
        weights at random.

    >>> probs = np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    >>> frame = Frame(np.arange(4), np.full(4, "a"), {"joint_uncertainty": np.array([0.5, 0.4, 0.9, 0.1])},
    ...               {"domain_probs": probs, "intent_probs": probs, "slot_mass": probs[:, :1]})
    >>> lots = Lots(frame.ids, seed=1)
    >>> diverse_order(Strategy.K_MEANS, frame, np.zeros(4, dtype=int), np.array([3]), 0, lots).tolist()
    [0, 2, 3, 1]
    """
    diversity = DIVERSE[strategy]
    weights = weights_of(diversity, frame)
    rows = candidates(weights, group, quota, further, lots)
    places = Places(group[rows], quota, further)
    first = rows[k_means_plus_plus(diversity.space(frame, rows), weights[rows], places, lots)]
    rest = np.lexsort((lots.draw("ties"), -weights))
    reached = np.zeros(weights.size, dtype=np.bool_)
    reached[first] = True
    return np.concatenate([first, rest[~reached[rest]]])


def weights_of(diversity: Diversity, frame: Frame) -> Float:
    """(N,) non-negative.

    >>> frame = Frame(np.arange(2), np.full(2, "a"), {"joint_uncertainty": np.array([0.5, 2.0])})
    >>> weights_of(DIVERSE[Strategy.K_MEANS], frame).tolist()
    [0.25, 4.0]
    """
    weights = np.ones(frame.ids.size)
    if diversity.weight is None:
        return weights
    for _ in range(diversity.power):
        weights = weights * frame.scores[diversity.weight]
    return weights


def candidates(weights: Float, group: Int, quota: Int, further: int, lots: Lots, limit: int = CANDIDATES) -> Int:
    """The rows that compete: all of them, or of a larger frame about `limit`, drawn by weight.

    Each group gets its part of the limit by its places (`further` places count for all groups alike, by size),
    and gives rows by systematic sampling: in random order, at equal steps of the summed weight. A row's chance
    is proportional to its weight; one that weighs more than a step is in for sure.

    Returns:
        Ascending row numbers, at most `limit`, or fewer where rows weigh more than a step.

    Source: Madow 1949, systematic sampling with probability proportional to size.

    >>> lots = Lots(np.arange(6), seed=0)
    >>> candidates(np.array([9.0, 1, 1, 1, 1, 1]), np.zeros(6, dtype=int), np.array([1]), 0, lots, limit=2).size
    2
    """
    if weights.size <= limit:
        return np.arange(weights.size)
    count = np.bincount(group, minlength=quota.size)
    share = (quota + (further * count) // weights.size).tolist()
    part = apportion(limit, share if sum(share) else count.tolist(), count.tolist())
    whole = whole_weights(weights, MASS_BITS - weights.size.bit_length())
    lot = lots.draw("candidates")
    taken = []
    for number, wanted in enumerate(part):
        members = np.flatnonzero(group == number)
        if not wanted:
            continue
        members = members[np.argsort(lot[members])]
        upto = np.cumsum(whole[members])
        total = int(upto[-1])
        start = lots.number("candidates", number, total)
        marks = np.array([(start + step * total) // wanted for step in range(wanted)], dtype=np.int64)
        taken.append(members[np.unique(np.searchsorted(upto, marks, side="right"))])
    return np.sort(np.concatenate(taken))
