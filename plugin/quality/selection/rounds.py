"""A round: the control arm, the strategy's items, their queues and their inclusion probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plugin.quality.selection.frame import Float, Frame, Int, canonical, factorize
from plugin.quality.selection.interleaving import interleave
from plugin.quality.selection.sampling import Lots, apportion, reach
from plugin.records import Allocation, Arm, Policy, Strategy

Bool = NDArray[np.bool_]
Composition = Literal["hard", "easy", "random"]

# The score column of each strategy that ranks, and whether its high end (+1) or its low end (-1) is hard.
# A strategy that is not here draws at random.
RANKED_BY: Mapping[Strategy, tuple[str, int]] = {
    Strategy.ENTROPY: ("entropy", +1),
    Strategy.EL2N: ("el2n", +1),
}

# More digits than any estimate needs, fewer than different mathematical libraries agree on.
PROBABILITY_DECIMALS = 12

# The parts of a queue whose shares every prefix keeps; an item of both arms belongs to the control.
CONTROL, HARD, OTHER = range(3)
PARTS = 3


@dataclass(frozen=True, slots=True)
class SelectedItem:
    """An utterance of a round.

    rank                   1, 2, ... within the queue of its domain
    arms                   sorted; both when the control draw and the strategy met
    composition            the part of the strategy that took it; None for control alone
    inclusion_probability  of being in the round at all, in (0, 1]
    score                  what the strategy ranks by; None when it does not rank
    """

    utterance_id: int
    domain: str
    rank: int
    arms: tuple[Arm, ...]
    composition: Composition | None
    inclusion_probability: float
    score: float | None


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the strategy would do, blind to the control.

    walk         (N,) row numbers in the order in which it takes them
    hard         (N,) whether a row, if taken, is taken for its score
    probability  (N,) that it takes a row which the control does not hold
    """

    walk: Int
    hard: Bool
    probability: Float


def select(frame: Frame, policy: Policy) -> list[SelectedItem]:
    r"""Choose the items of a round, ordered for the annotators.

    The round holds M = min(budget, N) distinct utterances, of which c = round(M * control_share) are the
    **control** arm: a simple random sample of the whole frame, drawn first. The **strategy** then walks an
    order of its own over the whole frame, blind to the control, until it has met M - c utterances that
    the control does not hold; those it meets on its way that the control does hold are in both arms. Its
    order begins with each domain's places (`allocation`; `global` treats the locale as one domain), of
    which `hard_share` go to the highest scores and the others to a uniform draw from the rest; places that
    the control had taken already are made good locale-wide by the next highest scores if `hard_share` is
    1, else by a uniform draw. Equal scores are put in random order.

    Inclusion probability, with :math:`\pi_s` = P(strategy takes it | control does not):

    .. math:: \pi = 1 - (1 - c/N) (1 - \pi_s)

    It is exact, given the ranking: hard places have :math:`\pi_s = 1`, a uniform draw its share, and the
    places made good the probability that the walk gets there (`reach`).

    Within a queue every prefix keeps the shares of control (with both-arm items), hard and easy to within
    one item (`interleave`): control and easy in random order, hard by falling score.

    Args:
        frame: N eligible rows, in any order.
        policy: strategy, budget, allocation, control_share, hard_share and seed are used.

    Returns:
        M items by (domain, rank). Equal frames and policies give equal lists, on every machine.

    Raises:
        ValueError: a malformed frame, or a row without a finite score in the column that ranks.

    >>> frame = Frame(np.arange(4), np.array(["music"] * 4), {"entropy": np.array([0.1, 0.9, 0.5, 0.7])})
    >>> [(i.utterance_id, i.rank) for i in select(frame, Policy(budget=2, control_share=0.0))]
    [(1, 1), (3, 2)]
    """
    rows = canonical(frame)
    size = rows.ids.size
    if size == 0:
        return []
    hardness = _hardness(rows, policy.strategy)
    lots = Lots(rows.ids, policy.seed)
    names, domain = factorize(rows.domains)
    places = min(policy.budget, size)
    n_control = _round(places * policy.control_share)

    control = np.zeros(size, dtype=np.bool_)
    control[np.argsort(lots.draw("control"))[:n_control]] = True
    plan = _plan(hardness, domain, policy, lots, n_control, places - n_control)
    strategy = _walk(plan.walk, control, places - n_control)
    missed = (1.0 - n_control / size) * (1.0 - plan.probability)
    probability = np.round(1.0 - missed, PROBABILITY_DECIMALS)

    def item(row: int, rank: int) -> SelectedItem:
        by_strategy = bool(strategy[row])
        return SelectedItem(
            utterance_id=int(rows.ids[row]),
            domain=names[domain[row]],
            rank=rank,
            arms=tuple(arm for arm, held in ((Arm.CONTROL, control[row]), (Arm.STRATEGY, by_strategy)) if held),
            composition=_composition(policy.strategy, hard=bool(plan.hard[row])) if by_strategy else None,
            inclusion_probability=float(probability[row]),
            score=_score(rows, policy.strategy, row),
        )

    part = np.where(control, CONTROL, np.where(plan.hard, HARD, OTHER))
    chosen = np.flatnonzero(control | strategy)
    chosen = chosen[_queue_order(chosen, domain, part, hardness, lots)]
    queues = (chosen[domain[chosen] == index] for index in range(len(names)))
    return [item(row, rank) for queue in queues for rank, row in enumerate(_interleaved(queue, part), start=1)]


def _hardness(rows: Frame, strategy: Strategy) -> Float | None:
    """(N,), high is hard; None for a strategy that does not rank."""
    if strategy not in RANKED_BY:
        return None
    column, direction = RANKED_BY[strategy]
    if column not in rows.scores:
        raise ValueError(f"strategy {strategy} ranks by {column!r}, which the frame lacks: {list(rows.scores)}")
    score = rows.scores[column].astype(np.float64)
    bad = np.flatnonzero(~np.isfinite(score))
    if bad.size:
        raise ValueError(
            f"utterance {rows.ids[bad[0]]} has no finite {column!r} ({bad.size} such rows): "
            f"score it first, or leave it out of the frame of strategy {strategy}"
        )
    return direction * score


def _plan(hardness: Float | None, domain: Int, policy: Policy, lots: Lots, n_control: int, n_strategy: int) -> _Plan:
    size = domain.size
    group = np.zeros_like(domain) if policy.allocation is Allocation.GLOBAL else domain
    ranked = np.lexsort((lots.draw("ties"), np.zeros(size) if hardness is None else -hardness))
    hard_share = 0.0 if hardness is None else policy.hard_share

    count = np.bincount(group)  # (G,)
    weight = np.ones_like(count) if policy.allocation is Allocation.EQUAL else count
    quota = np.array(apportion(n_strategy, weight.tolist(), count.tolist()))
    n_hard = _round(n_strategy * hard_share)
    hard_quota = np.array(apportion(n_hard, quota.tolist(), quota.tolist()))

    hard = _first(ranked, group, hard_quota)
    head = _first(np.lexsort((lots.draw("easy"), ~hard)), group, quota)  # the hard, then as many as there is room for
    by_score = hardness is not None and hard_share == 1.0
    order = ranked if by_score else np.argsort(lots.draw("reserve"))
    tail = order[~head[order]]
    walk = np.concatenate([np.flatnonzero(head), tail])
    if size == n_control + n_strategy:
        return _Plan(walk, hard | by_score, np.ones(size))

    further = reach(size, n_control, n_strategy)  # (c,)
    if by_score:
        probability = head.astype(np.float64)
        probability[tail[:n_control]] = further
    else:
        easy = ((quota - hard_quota) / np.maximum(count - hard_quota, 1))[group]  # (G,) -> (N,)
        later = further.sum() / (size - n_strategy)  # every place of the tail is equally likely
        probability = np.where(hard, 1.0, easy + (1.0 - easy) * later)
    return _Plan(walk, hard | by_score, probability)


def _first(order: Int, group: Int, quota: Int) -> Bool:
    """(N,): whether a row is among the first `quota[g]` of its group g in `order`."""
    by_group = order[np.argsort(group[order], kind="stable")]
    start = np.cumsum(np.bincount(group)) - np.bincount(group)  # (G,)
    member = group[by_group]
    among = np.zeros(group.size, dtype=np.bool_)
    among[by_group] = np.arange(group.size) - start[member] < quota[member]
    return among


def _walk(walk: Int, control: Bool, wanted: int) -> Bool:
    """(N,): the rows met before `wanted` rows that the control does not hold have been met."""
    fresh = ~control[walk]
    taken = np.zeros(walk.size, dtype=np.bool_)
    taken[walk] = np.cumsum(fresh) - fresh < wanted
    return taken


def _queue_order(chosen: Int, domain: Int, part: Int, hardness: Float | None, lots: Lots) -> Int:
    """By domain, then part; the hard by falling score, all others and equal scores at random."""
    falling = np.zeros(domain.size) if hardness is None else np.where(part == HARD, -hardness, 0.0)
    keys = (lots.draw("order"), falling, part, domain)
    order: Int = np.lexsort(tuple(key[chosen] for key in keys))
    return order


def _interleaved(queue: Int, part: Int) -> Iterator[int]:
    """The rows of a queue, which lie part after part, with the parts merged."""
    sizes = np.bincount(part[queue], minlength=PARTS)
    following = (np.cumsum(sizes) - sizes).tolist()
    for merged in interleave(sizes.tolist()):
        yield int(queue[following[merged]])
        following[merged] += 1


def _composition(strategy: Strategy, *, hard: bool) -> Composition:
    if strategy not in RANKED_BY:
        return "random"
    return "hard" if hard else "easy"


def _score(rows: Frame, strategy: Strategy, row: int) -> float | None:
    return float(rows.scores[RANKED_BY[strategy][0]][row]) if strategy in RANKED_BY else None


def _round(value: float) -> int:
    """To the nearest integer, halves up: Python's `round` would send them to the even neighbour."""
    return math.floor(value + 0.5)
