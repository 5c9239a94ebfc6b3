"""A round: control, suspected label errors, the strategy's items, their queues and inclusion probabilities."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from plugin.quality.selection.frame import Float, Frame, Int, canonical, factorize
from plugin.quality.selection.interleaving import interleave
from plugin.quality.selection.ranking import Hardness, hardness_of, needs
from plugin.quality.selection.sampling import Lots, apportion, reach
from plugin.records import Allocation, Arm, Policy, Strategy

Bool = NDArray[np.bool_]
Composition = Literal["hard", "easy", "random"]

# More digits than any estimate needs, fewer than different mathematical libraries agree on.
PROBABILITY_DECIMALS = 12

# The score column that says how suspected a record's label is.
LABEL_ERROR = "label_error"

# The parts of a queue whose shares every prefix keeps; an item of several arms belongs to the control, then to noise.
CONTROL, HARD, OTHER, NOISE = range(4)
PARTS = 4


@dataclass(frozen=True, slots=True)
class SelectedItem:
    """An utterance of a round.

    rank                   1, 2, ... within the queue of its domain
    arms                   sorted; several when the control draw, the noise arm and the strategy met
    composition            the part of the strategy that took it; None where the strategy did not
    inclusion_probability  of being in the round at all, in (0, 1]
    score                  what the strategy ranks or weighs by; None when it does neither
    """

    utterance_id: int
    domain: str
    rank: int
    arms: tuple[Arm, ...]
    composition: Composition | None
    inclusion_probability: float
    score: float | None


@dataclass(frozen=True, slots=True)
class _Quotas:
    """What each group (a domain, or the whole locale as one) may give to the strategy.

    group   (N,) in [0, G)
    count   (G,) rows of each group
    noise   (N,) whether a row is in the noise arm, which the strategy's uniform draws leave out
    places  (G,) places of each, of which hard (G,) go to the first of the strategy's ranking
    """

    group: Int
    count: Int
    noise: Bool
    places: Int
    hard: Int


@dataclass(frozen=True, slots=True)
class _Plan:
    """What the strategy would do, blind to the control.

    walk         row numbers in the order in which it takes them, each at most once
    hard         (N,) whether a row, if taken, is taken for its place in the strategy's ranking
    probability  (N,) that it takes a row which the control does not hold
    """

    walk: Int
    hard: Bool
    probability: Float


def select(frame: Frame, policy: Policy) -> list[SelectedItem]:
    r"""Choose the items of a round, ordered for the annotators.

    The round holds M = min(budget, N) distinct utterances, of which c = round(M * control_share) are the
    **control** arm: a simple random sample of the whole frame, drawn first and blind to all else. The
    **noise** arm is the z = round(M * noise_share) rows of the whole frame with the highest `label_error`,
    equal ones in random order; fewer where fewer are above 0, or where the control leaves fewer places. The
    **strategy** then walks an order of its own over the whole frame, blind to the control, until the round
    holds M utterances; those it meets on its way that another arm holds are in both. Its order begins with
    M - c - z places, divided over domains (`allocation`; `global` treats the locale as one domain), of which
    `hard_share` go to the hardest and the others to a uniform draw from the rest, suspects of the noise arm
    left out; places that another arm had taken already are made good locale-wide by the next hardest if
    `hard_share` is 1, else by a uniform draw. Hardest means the highest scores, equal ones in random order, or,
    of a strategy that compares utterances with each other, the first of its greedy order (`hardness_of`).

    Inclusion probability, with :math:`\pi_s` = P(strategy takes it | control does not):

    .. math:: \pi = 1 - (1 - c/N) (1 - \pi_s)

    It is exact, given the ranking (which a greedy order may draw with the seed): hard places have
    :math:`\pi_s = 1`, a uniform draw its share, and the places made good the probability that the walk gets
    there (`reach`). The noise arm, given its ties, is certain: :math:`\pi = 1`.

    Within a queue every prefix keeps the shares of control, noise, hard and easy, an item of several arms
    counting as the first of these, to within one item (`interleave`): control and easy in random order, the
    hard by falling hardness, the noise arm by falling suspicion.

    Args:
        frame: N eligible rows, in any order.
        policy: strategy, budget, allocation, the three shares and seed are used.

    Returns:
        M items by (domain, rank). Equal frames and policies give equal lists, on every machine.

    Raises:
        ValueError: a malformed frame, a row without the finite score or the features that the strategy needs, no
            `label_error` in [0, 1] under a noise share, or a strategy that is yet to be resolved (`bandit`).

    >>> frame = Frame(np.arange(4), np.array(["music"] * 4), {"entropy": np.array([0.1, 0.9, 0.5, 0.7])})
    >>> [(i.utterance_id, i.rank) for i in select(frame, Policy(Strategy.ENTROPY, budget=2, control_share=0.0))]
    [(1, 1), (3, 2)]
    """
    needs(policy.strategy)  # refuses what cannot choose, of an empty frame too
    rows = canonical(frame)
    size = rows.ids.size
    if size == 0:
        return []
    lots = Lots(rows.ids, policy.seed)
    names, domain = factorize(rows.domains)
    places = min(policy.budget, size)
    n_control = _round(places * policy.control_share)
    suspicion = _suspicion(rows, policy)
    noise = _most_suspected(suspicion, min(_round(places * policy.noise_share), places - n_control), lots)
    n_noise = int(noise.sum())
    quotas = _quotas(domain, noise, policy, places - n_control - n_noise)
    further = n_control + n_noise if policy.hard_share == 1.0 else 0
    ranking = hardness_of(rows, policy.strategy, quotas.group, quotas.hard, further, lots)

    control = np.zeros(size, dtype=np.bool_)
    control[np.argsort(lots.draw("control"))[:n_control]] = True
    plan = _plan(ranking, quotas, policy, lots, n_control)
    held = control | noise
    strategy = _walk(plan.walk, held, places - int(held.sum()))
    arms = ((Arm.CONTROL, control), (Arm.NOISE, noise), (Arm.STRATEGY, strategy))
    missed = (1.0 - n_control / size) * (1.0 - plan.probability)
    probability = np.round(1.0 - missed, PROBABILITY_DECIMALS)

    def item(row: int, rank: int) -> SelectedItem:
        by_strategy = bool(strategy[row])
        return SelectedItem(
            utterance_id=int(rows.ids[row]),
            domain=names[domain[row]],
            rank=rank,
            arms=tuple(arm for arm, members in arms if members[row]),
            composition=_composition(ranking, hard=bool(plan.hard[row])) if by_strategy else None,
            inclusion_probability=float(probability[row]),
            score=None if ranking is None or ranking.score is None else float(ranking.score[row]),
        )

    part = np.where(control, CONTROL, np.where(noise, NOISE, np.where(plan.hard, HARD, OTHER)))
    chosen = np.flatnonzero(held | strategy)
    chosen = chosen[_queue_order(chosen, domain, part, _falling(part, ranking, suspicion), lots)]
    queues = (chosen[domain[chosen] == index] for index in range(len(names)))
    return [item(row, rank) for queue in queues for rank, row in enumerate(_interleaved(queue, part), start=1)]


def _suspicion(frame: Frame, policy: Policy) -> Float:
    """(N,), 0 where nothing is suspected and where the policy does not ask."""
    if policy.noise_share == 0.0:
        return np.zeros(frame.ids.size)
    if LABEL_ERROR not in frame.scores:
        raise ValueError(f"noise_share looks at {LABEL_ERROR!r}, which the frame lacks: {list(frame.scores)}")
    suspicion: Float = np.nan_to_num(frame.scores[LABEL_ERROR], nan=0.0)
    bad = np.flatnonzero((suspicion < 0.0) | (suspicion > 1.0))
    if bad.size:
        raise ValueError(f"utterance {frame.ids[bad[0]]} has {LABEL_ERROR!r} {suspicion[bad[0]]}: must lie in [0, 1]")
    return suspicion


def _most_suspected(suspicion: Float, most: int, lots: Lots) -> Bool:
    """(N,): the `most` highest above 0, equal ones at random."""
    order = np.lexsort((lots.draw("noise"), -suspicion))[:most]
    among = np.zeros(suspicion.size, dtype=np.bool_)
    among[order[suspicion[order] > 0.0]] = True
    return among


def _quotas(domain: Int, noise: Bool, policy: Policy, n_strategy: int) -> _Quotas:
    group = np.zeros_like(domain) if policy.allocation is Allocation.GLOBAL else domain
    hard_share = 0.0 if policy.strategy is Strategy.RANDOM else policy.hard_share
    count = np.bincount(group)  # (G,)
    weight = np.ones_like(count) if policy.allocation is Allocation.EQUAL else count
    free = count - np.bincount(group[noise], minlength=count.size)
    places = apportion(n_strategy, weight.tolist(), free.tolist())
    hard = apportion(_round(n_strategy * hard_share), places, places)
    return _Quotas(group, count, noise, np.array(places), np.array(hard))


def _plan(ranking: Hardness | None, quotas: _Quotas, policy: Policy, lots: Lots, n_control: int) -> _Plan:
    group, noise, quota, hard_quota = quotas.group, quotas.noise, quotas.places, quotas.hard
    size, n_walked = group.size, int(noise.sum() + quota.sum())
    ranked = np.lexsort((lots.draw("ties"), np.zeros(size) if ranking is None else -ranking.hardness))

    hard = _first(ranked, group, hard_quota)
    # The hard, then as many as there is room for.
    head = _first(np.lexsort((lots.draw("easy"), noise, ~hard)), group, quota)
    by_score = ranking is not None and policy.hard_share == 1.0
    order = ranked if by_score else np.argsort(lots.draw("reserve"))
    tail = order[~head[order] & (by_score | ~noise[order])]
    walk = np.concatenate([np.flatnonzero(head), tail])
    if size == n_control + n_walked:
        return _Plan(walk, hard | by_score, np.ones(size))

    # Outside the noise arm the walk takes just what it would if it began with that arm: certain, and blind to the
    # control. `owed` of its head lie in that arm, and so many of the tail are certain in their place.
    tail = tail[~noise[tail]]
    owed = int((noise & head).sum())
    further = reach(size, n_control, n_walked)  # (c,)
    if by_score:
        probability = (head | noise).astype(np.float64)
        probability[tail[:owed]] = 1.0
        probability[tail[owed : owed + n_control]] = further
    else:
        drawn_from = quotas.count - np.bincount(group[hard | noise], minlength=quota.size)  # (G,)
        easy = ((quota - hard_quota) / np.maximum(drawn_from, 1))[group]  # (G,) -> (N,)
        later = (owed + further.sum()) / tail.size  # every place of the tail is equally likely
        probability = np.where(hard | noise, 1.0, easy + (1.0 - easy) * later)
    return _Plan(walk, hard | by_score, probability)


def _first(order: Int, group: Int, quota: Int) -> Bool:
    """(N,): whether a row is among the first `quota[g]` of its group g in `order`."""
    by_group = order[np.argsort(group[order], kind="stable")]
    start = np.cumsum(np.bincount(group)) - np.bincount(group)  # (G,)
    member = group[by_group]
    among = np.zeros(group.size, dtype=np.bool_)
    among[by_group] = np.arange(group.size) - start[member] < quota[member]
    return among


def _walk(walk: Int, held: Bool, wanted: int) -> Bool:
    """(N,): the rows met before `wanted` rows that no other arm holds have been met."""
    fresh = ~held[walk]
    taken = np.zeros(held.size, dtype=np.bool_)
    taken[walk] = np.cumsum(fresh) - fresh < wanted
    return taken


def _falling(part: Int, ranking: Hardness | None, suspicion: Float) -> Float:
    """(N,), ascending in the order of a queue: the hard by falling hardness, the noise arm by falling suspicion."""
    falling: Float = np.where(part == NOISE, -suspicion, 0.0)
    return falling if ranking is None else np.where(part == HARD, -ranking.hardness, falling)


def _queue_order(chosen: Int, domain: Int, part: Int, falling: Float, lots: Lots) -> Int:
    """By domain, then part; control, easy and equal scores at random."""
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


def _composition(ranking: Hardness | None, *, hard: bool) -> Composition:
    if ranking is None:
        return "random"
    return "hard" if hard else "easy"


def _round(value: float) -> int:
    """To the nearest integer, halves up: Python's `round` would send them to the even neighbour."""
    return math.floor(value + 0.5)
