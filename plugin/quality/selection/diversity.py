"""The strategies that compare utterances with each other: what each measures, weighs and picks by.

Every number to tune is here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from plugin.quality.selection.frame import Float, Frame, Int
from plugin.quality.selection.greedy import (
    MASS_BITS,
    Places,
    facility_location,
    k_center,
    k_means_plus_plus,
    whole_weights,
)
from plugin.quality.selection.points import OuterProducts, Points
from plugin.quality.selection.sampling import Lots, apportion
from plugin.records import Strategy

# Blocks of coordinates side by side: the square root of each feature, times a factor. Between square roots of
# probabilities the squared distance is twice the squared Hellinger distance.
BLOCKS: Mapping[str, float] = {"domain_probs": 1.0, "intent_probs": 1.0, "slot_mass": 0.5}
TRIALS = 8  # rows that k-means draws for each place, to take the best of
BADGE_HEADS = ("domain_probs", "intent_probs")  # whose gradients at the last layer are compared

# Of a larger frame, so many rows compete at most, drawn at random: it bounds time and memory. Facility location
# looks at pairs of rows.
CANDIDATES = 65_536
FACILITY_CANDIDATES = 8_192


@dataclass(frozen=True, slots=True)
class Diversity:
    """A strategy that compares utterances with each other.

    features    the frame's features that it reads
    pick        the greedy: of the rows given, with their weights
    score       the score column that its weights are made of; None: all utterances weigh the same
    weigh       (N,) weights of a frame, none negative
    candidates  the most rows that compete
    by_weight   whether they are drawn by weight, and weighed by what each then stands for; else each row has the
                same chance and keeps its weight
    """

    features: tuple[str, ...]
    pick: Callable[[Frame, Int, Float, Places, Lots], Int]
    score: str | None = None
    weigh: Callable[[Frame], Float] = lambda frame: np.ones(frame.ids.size)
    candidates: int = CANDIDATES
    by_weight: bool = True


def roots(frame: Frame, rows: Int) -> Points:
    """BLOCKS of the rows, as points.

    >>> frame = Frame(np.arange(1), np.array(["a"]), {},
    ...               {name: np.array([[0.25, 0.75]]) for name in BLOCKS})
    >>> (roots(frame, frame.ids).coordinates / roots(frame, frame.ids).unit).round(2)
    array([[0.5 , 0.87, 0.5 , 0.87, 0.25, 0.43]], dtype=float32)
    """
    parts = [np.sqrt(frame.features[name][rows].astype(np.float64)) * scale for name, scale in BLOCKS.items()]
    return Points(np.concatenate(parts, axis=1))


def gradients(frame: Frame, rows: Int) -> OuterProducts:
    r"""Of the loss at the last layer of each head, if its most likely class were true: BADGE's embedding.

    .. math:: g = (p - e_{\hat y}) h^T \text{ for each head, one below the other}

    >>> probs = np.array([[1.0, 0.0], [0.5, 0.5]])
    >>> frame = Frame(np.arange(2), np.full(2, "a"), {},
    ...               {"domain_probs": probs, "intent_probs": probs, "embedding": np.ones((2, 3))})
    >>> gradients(frame, frame.ids).norms.tolist()[0]  # where the model is sure there is no gradient
    0
    """
    parts = []
    for name in BADGE_HEADS:
        probs = frame.features[name][rows].astype(np.float64)
        probs[np.arange(rows.size), probs.argmax(axis=1)] -= 1.0
        parts.append(probs)
    return OuterProducts(Points(np.concatenate(parts, axis=1)), Points(frame.features["embedding"][rows]))


def error_weight(frame: Frame) -> Float:
    r"""How much may be wrong: squared doubt about the whole, times the root of what the metrics count.

    .. math:: w = (1 - c^3)^2 \sqrt{1 + s}

    c is the model's confidence, the geometric mean of its domain, intent and slots. 1 - c^3 grows with the chance that
    one of them is wrong but is not that chance: the part of the slots is a mean over tokens, and the three do not err
    independently, as an intent implies its domain. s is the expected number of tokens in slots, so that 1 + s stands
    for what SEMER counts: an intent and its slots. Only products and roots, which every machine rounds alike.

    Returns:
        (N,), at least 0. High is worth more.

    >>> frame = Frame(np.arange(2), np.full(2, "a"), {"confidence": np.array([1.0, 0.5])},
    ...               {"slot_mass": np.array([[2.0], [3.0]])})
    >>> error_weight(frame).tolist()
    [0.0, 1.53125]
    """
    sure = np.clip(frame.scores["confidence"], 0.0, 1.0)
    wrong = 1.0 - sure * sure * sure
    mass = frame.features["slot_mass"].astype(np.float64).sum(axis=1)
    weights: Float = wrong * wrong * np.sqrt(1.0 + mass)
    return weights


def _joint_uncertainty(frame: Frame) -> Float:
    weights: Float = np.maximum(frame.scores["joint_uncertainty"], 0.0)
    return weights


def _k_means(frame: Frame, rows: Int, weights: Float, places: Places, lots: Lots) -> Int:
    return k_means_plus_plus(roots(frame, rows), weights, places, lots, trials=TRIALS)


def _badge(frame: Frame, rows: Int, weights: Float, places: Places, lots: Lots) -> Int:
    return k_means_plus_plus(gradients(frame, rows), weights, places, lots, long_first=True)


def _k_center(frame: Frame, rows: Int, _weights: Float, places: Places, lots: Lots) -> Int:
    return k_center(Points(frame.features["embedding"][rows]), places, lots)


def _facility_location(frame: Frame, rows: Int, weights: Float, places: Places, lots: Lots) -> Int:
    return facility_location(roots(frame, rows), weights, places, lots)


DIVERSE: Mapping[Strategy, Diversity] = {
    Strategy.K_MEANS: Diversity(tuple(BLOCKS), _k_means, "confidence", error_weight),
    Strategy.BADGE: Diversity((*BADGE_HEADS, "embedding"), _badge),
    Strategy.K_CENTER: Diversity(("embedding",), _k_center),
    # Its candidates are also what has to be stood for: a uniform draw stands for the frame, one by weight does not.
    Strategy.FACILITY_LOCATION: Diversity(
        tuple(BLOCKS), _facility_location, "joint_uncertainty", _joint_uncertainty, FACILITY_CANDIDATES, by_weight=False
    ),
}


def diverse_order(strategy: Strategy, frame: Frame, group: Int, quota: Int, further: int, lots: Lots) -> Int:
    """The order of a strategy that compares utterances: greedy as far as a round can look, then by weight.

    Args:
        strategy: a key of DIVERSE.
        frame: N canonical rows with its features, and its weight if it has one, all finite and not negative.
        group: (N,) in [0, G).
        quota: (G,) places of each group among the first.
        further: places after them, from any group.
        lots: where the draws come from.

    Returns:
        (N,) row numbers: the greedy's `quota.sum() + further` rows (fewer where no more differ), then all
        others by falling weight, equal weights at random.

    >>> probs = np.array([[1.0, 0.0], [1.0, 0.0], [0.5, 0.5], [0.0, 1.0]])
    >>> frame = Frame(np.arange(4), np.full(4, "a"), {"confidence": np.array([0.5, 0.6, 0.1, 0.9])},
    ...               {"domain_probs": probs, "intent_probs": probs, "slot_mass": probs[:, :1]})
    >>> lots = Lots(frame.ids, seed=1)
    >>> diverse_order(Strategy.K_MEANS, frame, np.zeros(4, dtype=int), np.array([3]), 0, lots).tolist()
    [0, 2, 3, 1]
    """
    diversity = DIVERSE[strategy]
    weights = diversity.weigh(frame)
    chance = weights if diversity.by_weight else np.ones_like(weights)
    rows, stood_for = candidates(chance, group, quota, further, lots, diversity.candidates)
    mass = stood_for if diversity.by_weight else weights[rows]
    picked = diversity.pick(frame, rows, mass, Places(group[rows], quota, further), lots.of(rows))
    first = rows[picked]
    rest = np.lexsort((lots.draw("ties"), -weights))
    reached = np.zeros(weights.size, dtype=np.bool_)
    reached[first] = True
    return np.concatenate([first, rest[~reached[rest]]])


def candidates(weights: Float, group: Int, quota: Int, further: int, lots: Lots, limit: int) -> tuple[Int, Float]:
    r"""The rows that compete: all of them, or of a larger frame about `limit`, drawn by weight.

    Each group gets its part of the limit by its places (`further` places count for all groups, by size), and
    gives rows by systematic sampling: in random order, at equal steps of the summed weight. A row's chance is
    proportional to its weight; one that weighs more than a step is in for sure.

    A greedy that weighed the drawn by w again would count it twice. Each stands for

    .. math:: w_i / \pi_i = \max(w_i, W_g / n_g)

    where W_g is the weight of its group and n_g the rows wanted of it: sums over the drawn are then unbiased for sums
    over the frame.

    Returns:
        Ascending row numbers, (C,), at most `limit`; fewer where rows weigh more than a step. (C,) what each stands
        for, up to one factor for all; where every row competes, its weight.

    Source: Madow 1949, systematic sampling with probability proportional to size; Horvitz and Thompson 1952.

    >>> lots = Lots(np.arange(6), seed=0)
    >>> rows, mass = candidates(np.array([9.0, 1, 1, 1, 1, 1]), np.zeros(6, dtype=int), np.array([1]), 0, lots, limit=3)
    >>> rows.size, (mass / mass.max()).round(2).tolist()
    (2, [1.0, 0.52])
    """
    if weights.size <= limit:
        return np.arange(weights.size), weights
    count = np.bincount(group, minlength=quota.size)
    share = quota + further * count // weights.size
    if not share.any():
        share = count
    part = apportion(min(limit, int(count[share > 0].sum())), share.tolist(), count.tolist())
    whole = whole_weights(weights, MASS_BITS - weights.size.bit_length())
    lot = lots.draw("candidates")
    taken, stood_for = [], []
    for number, wanted in enumerate(part):
        if not wanted:
            continue
        members = np.flatnonzero(group == number)
        members = members[np.argsort(lot[members])]
        upto = np.cumsum(whole[members])
        total = int(upto[-1])
        start = lots.number("candidates", number, total)
        marks = np.array([(start + step * total) // wanted for step in range(wanted)], dtype=np.int64)
        rows = members[np.unique(np.searchsorted(upto, marks, side="right"))]
        taken.append(rows)
        stood_for.append(np.maximum(whole[rows].astype(np.float64), total / wanted))
    drawn = np.concatenate(taken)
    ascending = np.argsort(drawn)
    return drawn[ascending], np.concatenate(stood_for)[ascending]
