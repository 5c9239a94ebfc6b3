"""A round that is stretched keeps its budget, its shares and its order."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.quality.selection import (
    Frame,
    Standing,
    Stretch,
    extension_policy,
    interleave,
    least_places,
    leave,
    merge,
    select,
    stretched,
)
from plugin.quality.selection.extending import CONTROL, HARD, NOISE, OTHER
from plugin.records import Arm, Policy, Strategy

PARTS = (CONTROL, NOISE, HARD, OTHER)
arrivals = st.lists(st.integers(0, 400), max_size=12)


def queue(sizes: list[int], depths: list[float]) -> list[Standing]:
    """A queue that keeps its shares, its ranked parts in order."""
    ranked = sorted(depths, reverse=True)
    return [Standing(PARTS[part], ranked.pop() if PARTS[part] in (HARD, OTHER) else 0.0) for part in interleave(sizes)]


@st.composite
def queues(draw: st.DrawFn) -> tuple[list[Standing], list[Standing]]:
    """What is there, and what comes in, of any composition."""
    made = []
    for _ in range(2):
        sizes = draw(st.lists(st.integers(0, 12), min_size=4, max_size=4))
        depths = draw(st.lists(st.floats(-1, 1), min_size=sum(sizes), max_size=sum(sizes)))
        made.append(queue(sizes, depths))
    return made[0], made[1]


@given(queues())
def test_nothing_moves_and_ranked_parts_stay_ranked(given_: tuple[list[Standing], list[Standing]]) -> None:
    order, new = given_
    merged = merge(order, new)
    assert sorted(merged) == list(range(len(order) + len(new)))
    assert [at for at in merged if at < len(order)] == list(range(len(order)))
    items = [*order, *new]
    assert [at for at in merged if at >= len(order)] == list(range(len(order), len(items)))
    ranked = HARD if any(item.part == HARD for item in items) else OTHER
    depths = [items[at].depth for at in merged if items[at].part == ranked]
    assert depths == sorted(depths)


@given(
    shares=st.lists(st.integers(0, 4), min_size=4, max_size=4).filter(any),
    there=st.integers(1, 8),
    coming=st.integers(1, 8),
    seed=st.integers(0, 2**32 - 1),
)
def test_every_prefix_keeps_shares_that_both_have(shares: list[int], there: int, coming: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    order, new = (
        queue([share * times for share in shares], rng.random(sum(shares) * times).tolist())
        for times in (there, coming)
    )
    items = [*order, *new]
    merged = [items[at].part for at in merge(order, new)]
    counts: Counter[str] = Counter()
    for length, part in enumerate(merged, start=1):
        counts[part] += 1
        for name, share in zip(PARTS, shares, strict=True):
            assert abs(counts[name] - length * share / sum(shares)) < 2


def test_what_was_served_counts_towards_the_shares() -> None:
    order = [Standing(HARD, 0.1), Standing(HARD, 0.2)]
    assert merge(order, [Standing(CONTROL), Standing(HARD, 0.3)], {HARD: 4}) == [2, 0, 1, 3]
    assert merge(order, [Standing(CONTROL), Standing(HARD, 0.3)], {CONTROL: 4}) == [0, 1, 2, 3]
    assert merge([], []) == []


@given(arrivals, st.integers(1, 300), st.integers(1, 500))
def test_arrivals_get_the_places_that_they_are_due(counts: list[int], budget: int, frame: int) -> None:
    stretch = Stretch(frame)
    for count in counts:
        longer = stretched(stretch, budget, count)
        assert longer.frame == stretch.frame + count
        assert 0 <= longer.places - stretch.places <= count
        stretch = longer
    assert stretch.frame == frame + sum(counts)
    assert stretch.places <= stretch.due + 0.5
    assert stretch.places >= stretch.due - 1


def test_arrivals_that_fit_into_the_budget_all_get_a_place() -> None:
    assert stretched(Stretch(10), budget=50, arrivals=20).places == 20


@given(
    st.builds(
        Policy,
        strategy=st.just(Strategy.ENTROPY),
        control_share=st.floats(0, 0.5),
        noise_share=st.floats(0, 0.5),
        hard_share=st.floats(0, 1),
    ),
    st.lists(st.integers(1, 40), min_size=1, max_size=15),
)
def test_small_extensions_together_keep_the_shares(policy: Policy, sizes: list[int]) -> None:
    before, control, noise = 0, 0, 0
    for places in sizes:
        part = extension_policy(policy, before, places)
        assert part.budget == places
        control += round(part.control_share * places)
        noise += round(part.noise_share * places)
        before += places
        assert abs(control - policy.control_share * before) <= 0.5 + 1e-6
        assert noise <= policy.noise_share * before + 0.5 + 1e-6


@given(st.floats(0.01, 0.5), st.integers(0, 100), st.integers(0, 30))
def test_every_extension_has_a_control(share: float, before: int, more: int) -> None:
    policy = Policy(strategy=Strategy.ENTROPY, control_share=share)
    places = least_places(policy) + more
    part = extension_policy(policy, before, places)
    size = 3 * places
    frame = Frame(np.arange(size), np.full(size, "music"), {"entropy": np.linspace(0, 1, size)})
    items = select(frame, part)
    assert len(items) == places
    assert sum(Arm.CONTROL in item.arms for item in items) == round(part.control_share * places) >= 1


orders = st.dictionaries(st.sampled_from("abcd"), st.lists(st.booleans(), max_size=15), max_size=4)


@given(orders, st.integers(-1, 40))
def test_the_last_leave_in_proportion_and_only_the_open(orders: dict[str, list[bool]], excess: int) -> None:
    left = leave(orders, excess)
    is_open = {name: [at for at, item in enumerate(order) if item] for name, order in orders.items()}
    assert sum(map(len, left.values())) == min(max(excess, 0), sum(map(len, is_open.values())))
    for name, places in left.items():
        assert places == is_open[name][-len(places) :]
    kept = [
        (at + 1) / len(orders[name])
        for name, places in is_open.items()
        for at in places[: len(places) - len(left.get(name, ()))]
    ]
    gone = [(at + 1) / len(orders[name]) for name, places in left.items() for at in places]
    assert not kept or not gone or max(kept) <= min(gone) + 1e-9


@pytest.mark.parametrize("rounds", [1, 2, 5])
def test_a_stream_keeps_the_shares_of_the_queue(rounds: int) -> None:
    """Extension after extension, with people at work in between: what is served keeps the shares, nearly."""
    rng = np.random.default_rng(rounds)
    open_items = queue([20, 0, 80, 0], rng.random(80).tolist())
    served: list[Standing] = []
    for _ in range(rounds):
        served, open_items = [*served, *open_items[:30]], open_items[30:]
        new = queue([6, 0, 24, 0], rng.random(24).tolist())
        both = [*open_items, *new]
        open_items = [both[at] for at in merge(open_items, new, Counter(item.part for item in served))]
    parts = [item.part for item in (*served, *open_items)]
    prefix = np.cumsum([part == CONTROL for part in parts]) - 0.2 * np.arange(1, len(parts) + 1)
    assert np.abs(prefix).max() < 2
    depths = [item.depth for item in open_items if item.part == HARD]
    assert depths == sorted(depths)
