"""Every strategy as one order over the frame: how hard each utterance is, whatever the strategy looks at."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from plugin.quality.selection.diversity import DIVERSE, diverse_order
from plugin.quality.selection.frame import Float, Frame, Int
from plugin.quality.selection.sampling import Lots
from plugin.records import CONCRETE, Strategy

# The score column of each strategy that ranks by one, and whether its high end (+1) or its low end (-1) is hard.
RANKED_BY: Mapping[Strategy, tuple[str, int]] = {
    Strategy.ENTROPY: ("entropy", +1),
    Strategy.EL2N: ("el2n", +1),
    Strategy.MARGIN: ("margin", -1),
    Strategy.LEAST_CONFIDENCE: ("least_confidence", +1),
    Strategy.BALD: ("mutual_information", +1),
    Strategy.DROPOUT_BALD: ("dropout_mutual_information", +1),
    # The sum, not the mean: one utterance costs one review however long, and slot errors are counted, not averaged.
    Strategy.TOKEN_ENTROPY: ("token_entropy_sum", +1),
    Strategy.SEQUENCE_MARGIN: ("sequence_margin", -1),
    Strategy.JOINT: ("joint_uncertainty", +1),
    Strategy.VARIABILITY: ("variability", +1),
    Strategy.FORGETTING: ("forgetting", +1),
}


ROUNDING = 1e-6  # what a score stored in float32 may lie below zero
EMBEDDING = "embedding"  # the one feature that is no probability and may be negative


@dataclass(frozen=True, slots=True)
class Needs:
    """What a strategy reads of the frame: at most one score column, and features."""

    score: str | None
    features: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Hardness:
    """hardness (N,), high is hard; score (N,), what is shown beside an item, None where nothing weighs it."""

    hardness: Float
    score: Float | None


def needs(strategy: Strategy) -> Needs:
    """What a frame must hold for a strategy.

    >>> needs(Strategy.MARGIN)
    Needs(score='margin', features=())
    >>> needs(Strategy.K_MEANS)
    Needs(score='confidence', features=('domain_probs', 'intent_probs', 'slot_mass'))

    Raises:
        ValueError: `bandit`, which is none that can choose.
    """
    if strategy not in CONCRETE:
        raise ValueError(f"strategy {strategy} plays others and chooses nothing itself: resolve it before the round")
    if strategy in RANKED_BY:
        return Needs(RANKED_BY[strategy][0], ())
    if strategy in DIVERSE:
        return Needs(DIVERSE[strategy].score, DIVERSE[strategy].features)
    return Needs(None, ())


def hardness_of(frame: Frame, strategy: Strategy, group: Int, quota: Int, further: int, lots: Lots) -> Hardness | None:
    """How hard each row is; None for the strategy that does not rank.

    Args:
        frame: N canonical rows.
        strategy: any.
        group: (N,) in [0, G), and `quota` (G,): a greedy order takes so many of each group first.
        quota: see `group`; a strategy that ranks by a score has no use for it.
        further: places after those of the quota, from any group.
        lots: where a greedy order draws from.

    Raises:
        ValueError: the frame lacks a column or a feature that the strategy needs, or a row lacks its value.

    >>> frame = Frame(np.arange(2), np.full(2, "a"), {"margin": np.array([0.2, 0.7])})
    >>> ranking = hardness_of(frame, Strategy.MARGIN, np.zeros(2), np.array([1]), 0, Lots(frame.ids, 0))
    >>> ranking.hardness.tolist(), ranking.score.tolist()
    ([-0.2, -0.7], [0.2, 0.7])
    """
    if strategy is Strategy.RANDOM:
        return None
    wanted = needs(strategy)
    score = None if wanted.score is None else _score(frame, strategy, wanted.score)
    if strategy in RANKED_BY:
        assert score is not None
        return Hardness(RANKED_BY[strategy][1] * score, score)
    if score is not None:
        _refuse(score < -ROUNDING, "a negative", frame, strategy, wanted.score)
    for name in wanted.features:
        _check_feature(frame, strategy, name)
    order = diverse_order(strategy, frame, group, quota, further, lots)
    hardness = np.empty(order.size)
    hardness[order] = np.arange(order.size, 0, -1)
    return Hardness(hardness, score)


def _score(frame: Frame, strategy: Strategy, column: str) -> Float:
    if column not in frame.scores:
        verb = "ranks" if strategy in RANKED_BY else "weighs"
        raise ValueError(f"strategy {strategy} {verb} by {column!r}, which the frame lacks: {list(frame.scores)}")
    score = frame.scores[column].astype(np.float64)
    _refuse(~np.isfinite(score), "no finite", frame, strategy, column)
    return score


def _check_feature(frame: Frame, strategy: Strategy, name: str) -> None:
    if name not in frame.features:
        raise ValueError(f"strategy {strategy} compares by {name!r}, which the frame lacks: {list(frame.features)}")
    values = frame.features[name]
    _refuse(~np.all(np.isfinite(values), axis=1), "no finite", frame, strategy, name)
    if name != EMBEDDING:
        _refuse(np.any(values < 0.0, axis=1), "a negative", frame, strategy, name)


def _refuse(bad: NDArray[np.bool_], what: str, frame: Frame, strategy: Strategy, name: str | None) -> None:
    rows = np.flatnonzero(bad)
    if rows.size:
        raise ValueError(
            f"utterance {frame.ids[rows[0]]} has {what} {name!r} ({rows.size} such rows): "
            f"score it first, or leave it out of the frame of strategy {strategy}"
        )
