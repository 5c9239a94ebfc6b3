"""What a round holds, in which order, whatever the policy and the frame."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin.quality.selection import RANKED_BY, Frame, SelectedItem, frame_hash, needs, select
from plugin.records import CONCRETE, PRESETS, Allocation, Arm, Policy, Strategy

CONTROL, STRATEGY, BOTH = (Arm.CONTROL,), (Arm.STRATEGY,), (Arm.CONTROL, Arm.STRATEGY)
ENTROPY = Policy(strategy=Strategy.ENTROPY)
PAPER = Policy(strategy=Strategy.EL2N, hard_share=float(str(PRESETS["paper"]["hard_share"])))


def make_frame(size: int, domains: int = 4, seed: int = 0, *, tied: bool = False) -> Frame:
    rng = np.random.default_rng(seed)
    names = np.array([f"domain-{number}" for number in range(domains)])
    columns = sorted({score for strategy in CONCRETE if (score := needs(strategy).score)})
    values = {name: rng.integers(0, 3, size) / 2 if tied else rng.random(size) for name in columns}
    widths = {"domain_probs": domains, "intent_probs": 7, "slot_mass": 3, "embedding": 5}
    return Frame(
        ids=rng.permutation(10 * size)[:size].astype(np.int64),
        domains=names[np.minimum(rng.geometric(0.4, size) - 1, domains - 1)],
        scores=values,
        features={name: rng.dirichlet(np.full(width, 0.3), size).astype("<f2") for name, width in widths.items()},
    )


def as_bytes(items: list[SelectedItem]) -> bytes:
    lines = [
        f"{i.utterance_id} {i.domain} {i.rank} {'+'.join(i.arms)} {i.composition} {i.inclusion_probability} {i.score}"
        for i in items
    ]
    return "\n".join(lines).encode()


def by_id(frame: Frame, column: str) -> dict[int, float]:
    return dict(zip(frame.ids.tolist(), frame.scores[column].tolist(), strict=True))


policies = st.builds(
    Policy,
    strategy=st.sampled_from(CONCRETE),
    budget=st.integers(1, 60),
    allocation=st.sampled_from(Allocation),
    control_share=st.one_of(st.sampled_from([0.0, 0.2, 1.0]), st.floats(0.0, 1.0)),
    hard_share=st.one_of(st.sampled_from([0.0, 0.1, 1.0]), st.floats(0.0, 1.0)),
    seed=st.integers(-5, 2**63),
)
frames = st.builds(
    make_frame,
    size=st.integers(0, 80),
    domains=st.integers(1, 6),
    seed=st.integers(0, 99),
    tied=st.booleans(),
)


@settings(max_examples=300)
@given(frame=frames, policy=policies)
def test_every_round_keeps_its_promises(frame: Frame, policy: Policy) -> None:
    items = select(frame, policy)
    places = min(policy.budget, frame.ids.size)
    n_control = int(places * policy.control_share + 0.5)
    assert len(items) == len({item.utterance_id for item in items}) == places
    assert sum(Arm.CONTROL in item.arms for item in items) == n_control
    assert all(item.arms in (CONTROL, STRATEGY, BOTH) for item in items)
    assert all((item.composition is None) == (item.arms == CONTROL) for item in items)
    floor = n_control / max(frame.ids.size, 1)
    assert all(0.0 < item.inclusion_probability <= 1.0 for item in items)
    assert all(item.inclusion_probability >= floor - 1e-12 for item in items)
    home = dict(zip(frame.ids.tolist(), frame.domains.tolist(), strict=True))
    assert all(item.domain == home[item.utterance_id] for item in items)
    assert items == sorted(items, key=lambda item: (item.domain, item.rank))
    for domain, count in Counter(item.domain for item in items).items():
        assert [item.rank for item in items if item.domain == domain] == list(range(1, count + 1))


@settings(max_examples=200)
@given(frame=frames, policy=policies)
def test_every_prefix_of_every_queue_keeps_the_shares(frame: Frame, policy: Policy) -> None:
    items = select(frame, policy)
    for domain in {item.domain for item in items}:
        parts = ["control" if Arm.CONTROL in i.arms else i.composition for i in items if i.domain == domain]
        whole = Counter(parts)
        for length in range(1, len(parts) + 1):
            prefix = Counter(parts[:length])
            for part, size in whole.items():
                assert abs(prefix[part] - length * size / len(parts)) < 1.0


@settings(max_examples=100)
@given(frame=frames, policy=policies, data=st.data())
def test_the_order_of_the_rows_changes_nothing(frame: Frame, policy: Policy, data: st.DataObject) -> None:
    order = np.array(data.draw(st.permutations(range(frame.ids.size))), dtype=np.int64)
    columns = {name: frame.scores[name][order] for name in reversed(list(frame.scores))}
    features = {name: frame.features[name][order] for name in reversed(list(frame.features))}
    shuffled = Frame(frame.ids[order], frame.domains[order], columns, features)
    assert as_bytes(select(shuffled, policy)) == as_bytes(select(frame, policy))
    assert frame_hash(shuffled) == frame_hash(frame)


@settings(max_examples=40)
@given(frame=frames, policy=policies)
def test_the_control_arm_knows_nothing_of_the_strategy(frame: Frame, policy: Policy) -> None:
    def control(some: Policy) -> set[int]:
        return {item.utterance_id for item in select(frame, some) if Arm.CONTROL in item.arms}

    others = [replace(policy, strategy=s, allocation=a, hard_share=0.3) for s in CONCRETE for a in Allocation]
    assert all(control(other) == control(policy) for other in others)


def test_two_runs_give_identical_bytes() -> None:
    frame = make_frame(3000)
    policy = replace(PAPER, budget=300)
    assert as_bytes(select(frame, policy)) == as_bytes(select(frame, policy))
    assert as_bytes(select(frame, policy)) != as_bytes(select(frame, replace(policy, seed=1)))


def test_a_round_is_pinned_for_ever() -> None:
    """A stored selection must replay under every later version: this digest may never change."""
    ids = np.arange(200, dtype=np.int64)
    frame = Frame(ids, np.array(["music", "weather"])[ids % 2], {"el2n": (ids * 37 % 200) / 200})
    digest = hashlib.sha256(as_bytes(select(frame, replace(PAPER, budget=50)))).hexdigest()
    assert digest == "c74f4a49402d8ab353155b720318332fa5f069baca7a4cc8e4f19c2d0c1f052b"
    assert frame_hash(frame) == "39f87e04863335f790a2a83786e13fa66e3808e4a8c4fabf1a0564c336f5a84d"


@pytest.mark.parametrize("strategy", RANKED_BY)
def test_hard_items_are_the_hard_end_of_the_score_hardest_first(strategy: Strategy) -> None:
    frame = make_frame(500)
    items = select(frame, Policy(strategy=strategy, budget=100, control_share=0.0))
    sign = -1 if "margin" in strategy else 1  # a wide margin is an easy one
    score = by_id(frame, RANKED_BY[strategy][0])
    assert {item.utterance_id for item in items} == set(sorted(score, key=lambda i: -sign * score[i])[:100])
    assert all((i.composition, i.inclusion_probability, i.arms) == ("hard", 1.0, STRATEGY) for i in items)
    for domain in {item.domain for item in items}:
        scores = [item.score for item in items if item.domain == domain]
        assert scores == sorted(scores, key=lambda value: -sign * (value or 0.0))
        assert all(item.score == score[item.utterance_id] for item in items)


def test_the_walk_goes_on_where_the_control_was_first() -> None:
    """With all places hard, the round is the control plus the highest scores among the others."""
    frame = make_frame(200)
    items = select(frame, replace(ENTROPY, budget=100, control_share=0.4))
    entropy = by_id(frame, "entropy")
    control = {item.utterance_id for item in items if Arm.CONTROL in item.arms}
    others = sorted((i for i in entropy if i not in control), key=lambda i: -entropy[i])
    assert {item.utterance_id for item in items} == control | set(others[:60])
    lowest = entropy[others[59]]
    both = {item.utterance_id for item in items if item.arms == BOTH}
    assert both == {i for i in control if entropy[i] > lowest}
    assert len(both) > 5


def test_the_paper_composition() -> None:
    frame = make_frame(5000)
    items = select(frame, replace(PAPER, budget=1000, control_share=0.0))
    el2n = by_id(frame, "el2n")
    hard = {item.utterance_id for item in items if item.composition == "hard"}
    easy = [item for item in items if item.composition == "easy"]
    assert hard == set(sorted(el2n, key=lambda i: -el2n[i])[:100])
    assert len(easy) == 900
    assert {item.inclusion_probability for item in easy} == {round(900 / 4900, 12)}
    # Drawn from all of the rest, not from its easy end.
    assert np.mean([item.score for item in easy if item.score]) == pytest.approx(0.49, abs=0.03)


def test_random_has_no_score_and_one_probability() -> None:
    items = select(make_frame(400), Policy(strategy=Strategy.RANDOM, budget=100))
    assert {item.composition for item in items} == {"random", None}
    assert {item.score for item in items} == {None}
    assert {item.inclusion_probability for item in items} == {0.25}


@pytest.mark.parametrize(
    ("allocation", "places"), [(Allocation.PROPORTIONAL, [28, 8, 4]), (Allocation.EQUAL, [18, 17, 5])]
)
def test_quotas_per_domain(allocation: Allocation, places: list[int]) -> None:
    counts = [70, 20, 10] if allocation is Allocation.PROPORTIONAL else [70, 25, 5]
    domains = np.repeat(["a", "b", "c"], counts)
    score = np.linspace(0.0, 1.0, 100)  # all of the highest scores lie in c
    frame = Frame(np.arange(100), domains, {"entropy": score})
    items = select(frame, replace(ENTROPY, budget=40, control_share=0.0, allocation=allocation))
    assert [sum(item.domain == name for item in items) for name in "abc"] == places
    for name, quota in zip("abc", places, strict=True):
        best = sorted(frame.ids[domains == name].tolist(), reverse=True)[:quota]
        assert [item.utterance_id for item in items if item.domain == name] == best


def test_quotas_hold_for_hard_places_too() -> None:
    frame = Frame(np.arange(300), np.repeat(["a", "b", "c"], 100), {"el2n": np.linspace(0.0, 1.0, 300)})
    policy = replace(PAPER, budget=60, control_share=0.0, hard_share=0.5, allocation=Allocation.EQUAL)
    parts = Counter((item.domain, item.composition) for item in select(frame, policy))
    assert parts == {(name, part): 10 for name in "abc" for part in ("hard", "easy")}


def test_global_goes_where_the_scores_are() -> None:
    frame = Frame(np.arange(100), np.repeat(["a", "b"], 50), {"entropy": np.linspace(0.0, 1.0, 100)})
    assert {item.domain for item in select(frame, replace(ENTROPY, budget=40, control_share=0.0))} == {"b"}


def test_ties_are_not_broken_by_id() -> None:
    frame = Frame(np.arange(1000), np.full(1000, "a"), {"entropy": np.full(1000, 0.5)})
    chosen = np.array([[i.utterance_id for i in select(frame, replace(ENTROPY, budget=100, seed=s))] for s in (0, 1)])
    assert chosen.mean(axis=1).min() > 400
    assert chosen.mean(axis=1).max() < 600
    assert len(set(chosen[0].tolist()) & set(chosen[1].tolist())) < 30


@pytest.mark.parametrize("strategy", CONCRETE)
@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_a_budget_above_the_frame_takes_all(strategy: Strategy, share: float) -> None:
    items = select(make_frame(30), Policy(strategy=strategy, budget=500, control_share=share, hard_share=0.2))
    assert len(items) == 30
    assert {item.inclusion_probability for item in items} == {1.0}
    assert sum(Arm.CONTROL in item.arms for item in items) == round(30 * share)


def test_one_item() -> None:
    assert [item.arms for item in select(make_frame(9), Policy(budget=1))] == [STRATEGY]
    assert [item.arms for item in select(make_frame(9), Policy(budget=1, control_share=0.5))] == [CONTROL]


@pytest.mark.parametrize("size", [0, 9])
def test_a_strategy_that_plays_others_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="strategy bandit plays others and chooses nothing itself: resolve it"):
        select(make_frame(size), Policy(strategy=Strategy.BANDIT))


def test_an_empty_frame_gives_an_empty_round() -> None:
    assert select(make_frame(0), Policy()) == []
    assert len(frame_hash(make_frame(0))) == 64


def test_domains_in_any_script() -> None:
    names = np.array(["muziki", "天気", "الطقس", ""])
    items = select(Frame(np.arange(4), names, {"entropy": np.arange(4.0)}), replace(ENTROPY, budget=4))
    assert {item.domain for item in items} == set(names.tolist())


ids, one_domain, score = np.arange(3), np.full(3, "a"), np.arange(3.0)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        (Frame(np.array([1, 2, 1]), one_domain, {"entropy": score}), "holds id 1 twice"),
        (Frame(ids, one_domain[:2], {"entropy": score}), r"domains has shape \(2,\), ids have \(3,\)"),
        (Frame(ids, one_domain, {"entropy": score[:2]}), r"scores\['entropy'\] has shape \(2,\)"),
        (Frame(ids, one_domain, {"el2n": score}), r"ranks by 'entropy', which the frame lacks: \['el2n'\]"),
        (Frame(ids, one_domain, {"entropy": np.array([0.0, np.nan, 1.0])}), "utterance 1 has no finite 'entropy'"),
        (Frame(ids, one_domain, {"entropy": np.array([0.0, 1.0, np.inf])}), "utterance 2 has no finite 'entropy'"),
        (Frame(score, one_domain, {"entropy": score}), "ids must be integers"),  # type: ignore[arg-type]
    ],
)
def test_malformed_frames_are_refused(frame: Frame, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        select(frame, ENTROPY)


def test_gaps_in_columns_that_do_not_rank_are_allowed() -> None:
    frame = Frame(ids, one_domain, {"entropy": score, "el2n": np.array([np.nan, 0.5, 1.0])})
    assert len(select(frame, replace(ENTROPY, budget=2))) == 2


def test_the_frame_hash_sees_every_cell() -> None:
    base = Frame(ids, np.array(["a", "b", "c"]), {"entropy": score})
    changed = [
        Frame(ids + 1, base.domains, base.scores),
        Frame(ids, np.array(["a", "b", "d"]), base.scores),
        Frame(ids, np.array(["a", "c", "b"]), base.scores),
        Frame(ids, base.domains, {"el2n": score}),
        Frame(ids, base.domains, {"entropy": score + np.array([0.0, 0.0, 1e-15])}),
        Frame(ids, base.domains, {"entropy": np.array([0.0, np.nan, 2.0])}),
        Frame(ids, base.domains, {}),
        Frame(ids, base.domains, base.scores, {"embedding": np.zeros((3, 2))}),
        Frame(ids, base.domains, base.scores, {"embedding": np.zeros((3, 3))}),
        Frame(ids, base.domains, base.scores, {"slot_mass": np.zeros((3, 2))}),
        Frame(ids, base.domains, base.scores, {"embedding": np.full((3, 2), np.nan)}),
    ]
    assert len({frame_hash(frame) for frame in [base, *changed]}) == len(changed) + 1


def test_a_large_frame_is_quick() -> None:
    frame = make_frame(200_000, domains=18)
    assert len(select(frame, replace(PAPER, budget=5000))) == 5000
