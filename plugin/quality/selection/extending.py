"""A round that goes on while utterances come in: what they get of its budget, where they stand, who leaves for them.

A round chose B of N utterances. When n more are eligible, it is *stretched* over all of them: they get as many places
as they would have had in it on average, and as many of the last ones leave, so that the budget is kept. Each such
*extension* is chosen by `select` from the arrivals alone: a stratum with its own frame and inclusion probabilities.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from plugin.records import MAX_NOISE_SHARE, Policy

CONTROL, NOISE, HARD, OTHER = "control", "noise", "hard", "other"


@dataclass(frozen=True, slots=True)
class Stretch:
    """How far a round has been stretched: the frame with all arrivals so far, the places that they were due, as a
    fraction, and those that they got.
    """

    frame: int
    due: float = 0.0
    places: int = 0


@dataclass(frozen=True, slots=True)
class Standing:
    """Where an item belongs in a queue.

    part   of the queue whose share every prefix keeps
    depth  how far back in the ranked part, ascending: the negated hardness where items of different strata compare by
           it, else the relative rank within the part and stratum
    """

    part: str
    depth: float = 0.0


def stretched(stretch: Stretch, budget: int, arrivals: int) -> Stretch:
    r"""The stretch with n arrivals more. They are due

    .. math:: \min(B, N + n) \frac{n}{N + n}

    places. Fractions add up over extensions, so that rounding favours nobody.

    >>> stretched(Stretch(frame=90), budget=10, arrivals=9)
    Stretch(frame=99, due=0.9090909090909091, places=1)
    >>> stretched(stretched(Stretch(frame=90), 10, 4), 10, 5)
    Stretch(frame=99, due=0.9305824199441222, places=1)
    """
    frame = stretch.frame + arrivals
    due = stretch.due + min(budget, frame) * arrivals / frame if arrivals else stretch.due
    places = max(stretch.places, min(_round(due), stretch.places + arrivals))
    return Stretch(frame, due, places)


def least_places(policy: Policy) -> int:
    """The fewest that an extension is made for: of fewer, none would be of the control, and what no chance has chosen
    no estimate can stand for.

    >>> least_places(Policy(control_share=0.2)), least_places(Policy(control_share=0.0))
    (5, 1)
    """
    return math.ceil(round(1.0 / policy.control_share, 9)) if policy.control_share else 1


def extension_policy(policy: Policy, before: int, places: int) -> Policy:
    """The round's policy for an extension of so many places, after extensions of `before` places in all.

    Its shares are whole numbers of items, which over all extensions add up to the round's shares to within one half.

    >>> parts = [extension_policy(Policy(control_share=0.2), before, 7).control_share * 7 for before in (0, 7, 14)]
    >>> [round(part) for part in parts]
    [1, 2, 1]
    """

    def part(share: float, start: int, size: int) -> int:
        return min(_round(share * (start + size)) - _round(share * start), size)

    control = part(policy.control_share, before, places)
    noise = min(part(policy.noise_share, before, places), int(places * MAX_NOISE_SHARE), places - control)
    taken = _round(policy.control_share * before) + _round(policy.noise_share * before)
    rest = places - control - noise
    hard = part(policy.hard_share, max(before - taken, 0), rest)
    return replace(
        policy,
        budget=places,
        control_share=control / places,
        noise_share=noise / places,
        hard_share=hard / rest if rest else policy.hard_share,
    )


def merge(order: Sequence[Standing], new: Sequence[Standing], done: Mapping[str, int] | None = None) -> list[int]:
    """Where new items stand in an order in which nothing moves; they keep their own order too.

    One part is ranked: the hard, or the other items where a round has no hard ones. What is new in it stands before the
    first that is further back; what is of another part goes where that part is most behind, on the way. If each of the
    two keeps its shares to within one item in every prefix, and these shares are the same, so does any merger, to
    within two: the deviations of two prefixes add up.

    Args:
        order: what is to be served, first to last.
        new: what comes in, first to last.
        done: how many items of each part were served before.

    Returns:
        numbers of items in their merged order: those of `order`, then those of `new` counting on.

    >>> merge([Standing(HARD, -0.9), Standing(HARD, -0.5)], [Standing(HARD, -0.7), Standing(CONTROL)])
    [0, 2, 3, 1]
    """
    taken = Counter(done or {})
    sizes = Counter(item.part for item in (*order, *new)) + taken
    whole, count = sizes.total(), taken.total()
    ranked = HARD if sizes[HARD] else OTHER
    of_order, of_new = _ahead(order, ranked), _ahead(new, ranked)
    merged: list[int] = []
    old, coming = 0, 0
    while coming < len(new):
        count += 1
        is_due = of_new[coming] < of_order[old] or old == len(order)
        if not is_due and new[coming].part != ranked:  # it may come, or wait
            own, other = (count * sizes[part] - taken[part] * whole for part in (order[old].part, new[coming].part))
            is_due = other > own
        if is_due:
            taken[new[coming].part] += 1
            merged.append(len(order) + coming)
            coming += 1
        else:
            taken[order[old].part] += 1
            merged.append(old)
            old += 1
    return [*merged, *range(old, len(order))]


def leave(orders: Mapping[str, Sequence[bool]], excess: int) -> dict[str, list[int]]:
    """Who leaves so that a round keeps its budget: of all queues, the open items that are relatively furthest back.

    Args:
        orders: of each queue, first to last, whether an item is open; what is begun or done stays.
        excess: how many are too many.

    Returns:
        their places, ascending, of each queue that loses some. Fewer than `excess` where fewer are open.

    >>> leave({"music": [False, True, True, True], "news": [True, True]}, 2)
    {'music': [3], 'news': [1]}
    """
    places = [
        ((at + 1) / len(order), len(order), name, at)
        for name, order in orders.items()
        for at, is_open in enumerate(order)
        if is_open
    ]
    last = sorted(places, key=lambda place: (-place[0], -place[1], place[2]))[: max(excess, 0)]
    found: dict[str, list[int]] = {}
    for _, _, name, at in sorted(last, key=lambda place: (place[2], place[3])):
        found.setdefault(name, []).append(at)
    return found


def _ahead(order: Sequence[Standing], ranked: str) -> list[float]:
    """For each place, and the end, the depth of the next ranked item."""
    depths = [math.inf]
    for item in reversed(order):
        depths.append(item.depth if item.part == ranked else depths[-1])
    return depths[::-1]


def _round(value: float) -> int:
    return math.floor(value + 0.5)
