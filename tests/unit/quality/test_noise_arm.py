"""The arm `noise` of a round: the most suspected, certain, and in nobody else's way."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin.quality.selection import LABEL_ERROR, Frame, SelectedItem, select
from plugin.records import Allocation, Arm, Policy, Strategy

ENTROPY = Policy(strategy=Strategy.ENTROPY)
STRATEGIES = (Strategy.ENTROPY, Strategy.EL2N, Strategy.RANDOM, Strategy.FACILITY_LOCATION)


def make_frame(size: int, domains: int = 3, seed: int = 0, suspects: float = 0.3, *, tied: bool = False) -> Frame:
    rng = np.random.default_rng(seed)
    suspicion = np.where(rng.random(size) < suspects, rng.integers(1, 3, size) / 2 if tied else rng.random(size), 0.0)
    suspicion[rng.random(size) < 0.1] = np.nan
    return Frame(
        ids=rng.permutation(10 * size)[:size].astype(np.int64),
        domains=np.array([f"domain-{number}" for number in rng.integers(0, domains, size)], dtype=np.str_),
        scores={name: rng.random(size) for name in ("entropy", "el2n", "confidence", "joint_uncertainty")}
        | {LABEL_ERROR: suspicion},
        features={name: rng.dirichlet(np.ones(4), size) for name in ("domain_probs", "intent_probs", "slot_mass")},
    )


def members(items: list[SelectedItem], arm: Arm) -> set[int]:
    return {item.utterance_id for item in items if arm in item.arms}


def by_id(frame: Frame, column: str) -> dict[int, float]:
    return dict(zip(frame.ids.tolist(), frame.scores[column].tolist(), strict=True))


shares = st.one_of(st.sampled_from([0.0, 0.2, 1.0]), st.floats(0.0, 1.0))
policies = st.builds(
    Policy,
    strategy=st.sampled_from(STRATEGIES),
    budget=st.integers(1, 60),
    allocation=st.sampled_from(Allocation),
    control_share=shares,
    hard_share=shares,
    noise_share=st.one_of(st.sampled_from([0.1, 0.5]), st.floats(0.0, 0.5)),
    seed=st.integers(0, 2**40),
)
frames = st.builds(
    make_frame,
    size=st.integers(0, 80),
    domains=st.integers(1, 5),
    seed=st.integers(0, 99),
    suspects=st.sampled_from([0.0, 0.3, 1.0]),
    tied=st.booleans(),
)


@settings(max_examples=200)
@given(frame=frames, policy=policies)
def test_every_round_with_a_noise_arm_keeps_its_promises(frame: Frame, policy: Policy) -> None:
    items = select(frame, policy)
    places = min(policy.budget, frame.ids.size)
    suspicion = {id_: value for id_, value in by_id(frame, LABEL_ERROR).items() if value > 0.0}
    n_control = int(places * policy.control_share + 0.5)
    n_noise = min(int(places * policy.noise_share + 0.5), places - n_control, len(suspicion))
    assert len(items) == len({item.utterance_id for item in items}) == places
    noise = members(items, Arm.NOISE)
    assert len(noise) == n_noise
    lowest = min((suspicion[id_] for id_ in noise), default=1.0)
    assert all(value <= lowest for id_, value in suspicion.items() if id_ not in noise)
    for item in items:
        assert 0.0 < item.inclusion_probability <= 1.0
        assert item.arms == tuple(sorted(set(item.arms)))
        assert (item.composition is None) == (Arm.STRATEGY not in item.arms)
        if Arm.NOISE in item.arms:
            assert item.inclusion_probability == 1.0


@settings(max_examples=100)
@given(frame=frames, policy=policies)
def test_the_control_knows_nothing_of_the_noise_arm(frame: Frame, policy: Policy) -> None:
    control = members(select(frame, policy), Arm.CONTROL)
    assert control == members(select(frame, replace(policy, noise_share=0.0)), Arm.CONTROL)


@settings(max_examples=100)
@given(frame=frames, policy=policies)
def test_without_a_share_suspicion_changes_nothing(frame: Frame, policy: Policy) -> None:
    off = replace(policy, noise_share=0.0)
    bare = Frame(frame.ids, frame.domains, {k: v for k, v in frame.scores.items() if k != LABEL_ERROR}, frame.features)
    assert select(frame, off) == select(bare, off)
    unsuspected = replace(frame, scores={**frame.scores, LABEL_ERROR: np.full(frame.ids.size, np.nan)})
    assert select(unsuspected, policy) == select(bare, off)


@settings(max_examples=100)
@given(frame=frames, policy=policies)
def test_every_prefix_of_every_queue_keeps_the_shares_of_all_four_parts(frame: Frame, policy: Policy) -> None:
    items = select(frame, policy)
    for domain in {item.domain for item in items}:
        parts = [
            "control" if Arm.CONTROL in i.arms else "noise" if Arm.NOISE in i.arms else i.composition
            for i in items
            if i.domain == domain
        ]
        whole = Counter(parts)
        for length in range(1, len(parts) + 1):
            prefix = Counter(parts[:length])
            for part, size in whole.items():
                assert abs(prefix[part] - length * size / len(parts)) < 1.0


@settings(max_examples=50)
@given(frame=frames, policy=policies, data=st.data())
def test_the_order_of_the_rows_changes_nothing(frame: Frame, policy: Policy, data: st.DataObject) -> None:
    order = np.array(data.draw(st.permutations(range(frame.ids.size))), dtype=np.int64)
    shuffled = Frame(
        frame.ids[order],
        frame.domains[order],
        {name: values[order] for name, values in frame.scores.items()},
        {name: values[order] for name, values in frame.features.items()},
    )
    assert select(shuffled, policy) == select(frame, policy)


@pytest.mark.parametrize("seed", range(10))
def test_the_walk_goes_on_where_another_arm_was_first(seed: int) -> None:
    """With all places hard: the hardest rows, one after another, until the round is full."""
    frame = make_frame(200, seed=seed)
    items = select(frame, replace(ENTROPY, budget=100, control_share=0.3, noise_share=0.2, seed=seed))
    control, noise = members(items, Arm.CONTROL), members(items, Arm.NOISE)
    held = control | noise
    met: set[int] = set()
    entropy = by_id(frame, "entropy")
    for id_ in sorted(entropy, key=lambda id_: -entropy[id_]):
        if len(held | met) == 100:
            break
        met.add(id_)
    assert members(items, Arm.STRATEGY) == met
    assert {item.utterance_id for item in items} == held | met
    assert len(met & noise) > 2
    assert len(control & noise) > 0


def test_the_most_suspected_come_first_of_their_part() -> None:
    frame = make_frame(300, suspects=1.0)
    items = select(frame, replace(ENTROPY, budget=120, noise_share=0.3))
    suspicion = by_id(frame, LABEL_ERROR)
    for domain in {item.domain for item in items}:
        queue = [item for item in items if item.domain == domain and Arm.NOISE in item.arms]
        values = [suspicion[item.utterance_id] for item in queue if Arm.CONTROL not in item.arms]
        assert len(values) > 3
        assert values == sorted(values, reverse=True)


def test_equal_suspicion_is_drawn_with_the_seed_not_by_id() -> None:
    frame = Frame(np.arange(400), np.full(400, "a"), {"entropy": np.linspace(0, 1, 400), LABEL_ERROR: np.ones(400)})
    policy = replace(ENTROPY, budget=100, noise_share=0.5, control_share=0.0)
    drawn = [members(select(frame, replace(policy, seed=seed)), Arm.NOISE) for seed in (0, 1)]
    assert all(150 < np.mean(list(ids)) < 250 for ids in drawn)
    assert len(drawn[0] & drawn[1]) < 20


def test_random_draws_leave_the_suspects_of_the_noise_arm_to_it() -> None:
    frame = make_frame(300, suspects=0.5)
    items = select(frame, Policy(strategy=Strategy.RANDOM, budget=150, noise_share=0.3))
    assert not members(items, Arm.NOISE) & members(items, Arm.STRATEGY)


def test_the_control_goes_first_where_both_do_not_fit() -> None:
    frame = make_frame(50, suspects=1.0)
    items = select(frame, replace(ENTROPY, budget=20, control_share=0.8, noise_share=0.5))
    assert len(members(items, Arm.CONTROL)) == 16
    assert len(members(items, Arm.NOISE)) == 4


@pytest.mark.parametrize("value", [-0.1, 1.1, np.inf])
def test_suspicion_out_of_range_is_refused(value: float) -> None:
    frame = Frame(np.arange(3), np.full(3, "a"), {"entropy": np.arange(3.0), LABEL_ERROR: np.array([0.0, value, 0.0])})
    with pytest.raises(ValueError, match=r"utterance 1 has 'label_error' .*: must lie in \[0, 1\]"):
        select(frame, replace(ENTROPY, noise_share=0.1))


def test_a_frame_without_suspicion_is_refused() -> None:
    frame = Frame(np.arange(3), np.full(3, "a"), {"entropy": np.arange(3.0)})
    with pytest.raises(ValueError, match=r"noise_share looks at 'label_error', which the frame lacks: \['entropy'\]"):
        select(frame, replace(ENTROPY, noise_share=0.1))


@pytest.mark.parametrize("share", [-0.01, 0.51, float("nan")])
def test_a_policy_refuses_a_share_out_of_range(share: float) -> None:
    with pytest.raises(ValueError, match=r"noise_share must lie in \[0, 0.5\]"):
        Policy(noise_share=share)


SIZE = 60
EL2N = Policy(strategy=Strategy.EL2N, budget=25, control_share=0.4, noise_share=0.2)
DESIGNS = {
    "hard": replace(ENTROPY, budget=25, control_share=0.4, noise_share=0.2),
    "hard-equal": replace(ENTROPY, budget=25, control_share=0.4, noise_share=0.2, allocation=Allocation.EQUAL),
    "10-90": replace(EL2N, hard_share=0.1),
    "half-equal": replace(EL2N, hard_share=0.5, allocation=Allocation.EQUAL),
    "half-proportional": replace(EL2N, hard_share=0.5, allocation=Allocation.PROPORTIONAL),
    "random": Policy(strategy=Strategy.RANDOM, budget=25, control_share=0.3, noise_share=0.3),
    "facility-location": Policy(
        strategy=Strategy.FACILITY_LOCATION, budget=25, control_share=0.4, noise_share=0.2, hard_share=0.5
    ),
    "no-control": replace(EL2N, hard_share=0.3, control_share=0.0, noise_share=0.5),
}


@pytest.mark.parametrize("policy", DESIGNS.values(), ids=DESIGNS.keys())
def test_frequencies_match_the_stored_probabilities(policy: Policy) -> None:
    frame = replace(make_frame(SIZE, suspects=1.0, seed=4), ids=np.arange(SIZE))
    frame.scores[LABEL_ERROR][:] = np.where(np.isnan(frame.scores[LABEL_ERROR]), 0.0, frame.scores[LABEL_ERROR])
    seeds, stored, count = 400, np.full(SIZE, np.nan), np.zeros(SIZE)
    for seed in range(seeds):
        items = select(frame, replace(policy, seed=seed))
        rows = np.array([item.utterance_id for item in items])
        pi = np.array([item.inclusion_probability for item in items])
        known = ~np.isnan(stored[rows])
        np.testing.assert_array_equal(stored[rows][known], pi[known])  # of the design, not of the draw
        stored[rows] = pi
        count[rows] += 1
    open_rows = stored < 1.0
    assert (count[stored == 1.0] == seeds).all()
    # The probabilities of all rows sum to the size of the round.
    assert np.nansum(stored) == pytest.approx(25.0, abs=1e-8)
    if open_rows.any():
        p = stored[open_rows]
        z = (count[open_rows] - seeds * p) / np.sqrt(seeds * p * (1.0 - p))
        assert np.abs(z).max() < 4.0
        assert scipy.stats.chi2.sf((z**2).sum(), open_rows.sum()) > 0.001
