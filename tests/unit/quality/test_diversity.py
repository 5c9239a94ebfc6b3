"""The strategies that compare utterances with each other, through `select` and below it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import scipy.stats

from plugin.quality.selection import Frame, needs, select
from plugin.quality.selection import diversity as diversity_module
from plugin.quality.selection.diversity import DIVERSE, candidates, diverse_order, gradients
from plugin.quality.selection.sampling import Lots
from plugin.records import Allocation, Arm, Policy, Strategy

SIZE = 300
COMPARING = pytest.mark.parametrize("strategy", DIVERSE)


def make_frame(size: int = SIZE, seed: int = 0) -> Frame:
    rng = np.random.default_rng(seed)
    widths = {"domain_probs": 6, "intent_probs": 9}
    return Frame(
        ids=rng.permutation(size * 3)[:size].astype(np.int64),
        domains=np.array(["music", "weather", "alarm"])[np.minimum(rng.geometric(0.6, size) - 1, 2)],
        scores={"joint_uncertainty": rng.random(size), "confidence": rng.random(size)},
        features={
            **{name: rng.dirichlet(np.full(width, 0.3), size).astype("<f2") for name, width in widths.items()},
            "slot_mass": rng.gamma(0.3, size=(size, 4)).astype("<f2"),
            "embedding": rng.normal(size=(size, 8)).astype("<f2"),
        },
    )


def order_of(strategy: Strategy, frame: Frame, wanted: int, seed: int = 0) -> list[int]:
    group = np.zeros(frame.ids.size, dtype=np.int64)
    order: list[int] = diverse_order(strategy, frame, group, np.array([wanted]), 0, Lots(frame.ids, seed)).tolist()
    return order


def chosen(frame: Frame, policy: Policy) -> list[int]:
    return [item.utterance_id for item in select(frame, policy)]


@COMPARING
def test_the_order_holds_every_row_once(strategy: Strategy) -> None:
    assert sorted(order_of(strategy, make_frame(), 40)) == list(range(SIZE))


@COMPARING
def test_a_larger_budget_extends_a_smaller_one(strategy: Strategy) -> None:
    frame = make_frame()
    assert order_of(strategy, frame, 80)[:30] == order_of(strategy, frame, 30)[:30]


@COMPARING
def test_what_the_greedy_does_not_reach_follows_by_weight(strategy: Strategy) -> None:
    frame = make_frame()
    rest = order_of(strategy, frame, 50)[50:]
    if DIVERSE[strategy].score:
        assert (np.diff(DIVERSE[strategy].weigh(frame)[rest]) <= 0).all()
    else:
        assert scipy.stats.spearmanr(rest, range(len(rest))).pvalue > 0.001


@COMPARING
def test_the_order_of_rows_and_of_coordinates_changes_nothing(strategy: Strategy) -> None:
    """Sums run in another order then: only exact ones agree to the last bit."""
    frame = make_frame()
    rng = np.random.default_rng(5)
    rows = rng.permutation(SIZE)
    other = Frame(
        frame.ids[rows],
        frame.domains[rows],
        {name: values[rows] for name, values in frame.scores.items()},
        {
            name: values[np.ix_(rows, rng.permutation(values.shape[1]))]
            for name, values in frame.features.items()
            if name in needs(strategy).features
        },
    )
    policy = Policy(strategy=strategy, budget=60)
    assert chosen(other, policy) == chosen(frame, policy)


@COMPARING
@pytest.mark.parametrize("allocation", Allocation)
@pytest.mark.parametrize("hard_share", [0.1, 0.5, 1.0])
def test_allocations_and_compositions_hold(strategy: Strategy, allocation: Allocation, hard_share: float) -> None:
    frame = make_frame()
    policy = Policy(strategy=strategy, budget=60, control_share=0.0, allocation=allocation, hard_share=hard_share)
    items = select(frame, policy)
    assert Counter(item.composition for item in items)["hard"] == round(60 * hard_share)
    assert {item.inclusion_probability for item in items if item.composition == "hard"} == {1.0}
    places = Counter(item.domain for item in items)
    if allocation is Allocation.EQUAL:
        assert set(places.values()) == {20}
    if allocation is Allocation.PROPORTIONAL:
        sizes = Counter(frame.domains.tolist())
        assert all(abs(places[name] - 60 * sizes[name] / SIZE) < 1 for name in sizes)


@COMPARING
def test_the_hard_come_in_greedy_order_beside_a_control_that_knows_nothing_of_it(strategy: Strategy) -> None:
    frame = make_frame()
    policy = Policy(strategy=strategy, budget=60, control_share=0.25)
    items = select(frame, policy)
    control = {item.utterance_id for item in items if Arm.CONTROL in item.arms}
    random = select(frame, replace(policy, strategy=Strategy.RANDOM))
    assert control == {item.utterance_id for item in random if Arm.CONTROL in item.arms}
    canonical = np.sort(frame.ids)
    by_id = np.argsort(frame.ids)
    sorted_frame = Frame(
        canonical,
        frame.domains[by_id],
        {name: values[by_id] for name, values in frame.scores.items()},
        {name: values[by_id] for name, values in frame.features.items()},
    )
    place = {int(canonical[row]): at for at, row in enumerate(order_of(strategy, sorted_frame, 60))}
    for domain in {item.domain for item in items}:
        hard = [place[i.utterance_id] for i in items if i.domain == domain and i.arms == (Arm.STRATEGY,)]
        assert hard == sorted(hard)
    strategy_arm = [place[item.utterance_id] for item in items if Arm.STRATEGY in item.arms]
    assert sorted(strategy_arm) == list(range(len(strategy_arm)))


def test_k_means_goes_where_the_uncertainty_is() -> None:
    frame = make_frame(2000)
    sure = np.where(np.arange(2000) < 200, 0.1, 0.9)
    uncertain = Frame(frame.ids, frame.domains, {"confidence": sure}, frame.features)
    drawn = set(order_of(Strategy.K_MEANS, uncertain, 100)[:100])
    assert len(drawn & set(range(200))) > 80


@COMPARING
def test_diverse_choices_reach_small_clusters(strategy: Strategy) -> None:
    """20 kinds of utterance, half of all of one kind: 20 places meet nearly every kind, a random draw does not."""
    rng = np.random.default_rng(7)
    kind = np.concatenate([np.zeros(400, dtype=np.int64), rng.integers(1, 20, 400)])
    centre = {"domain_probs": np.full((20, 20), 0.02), "slot_mass": rng.random((20, 5)), "embedding": np.eye(20)}
    centre["domain_probs"][np.arange(20), np.arange(20)] = 0.62
    centre["intent_probs"] = centre["domain_probs"]
    frame = Frame(
        np.arange(800),
        np.full(800, "a"),
        {"joint_uncertainty": np.ones(800), "confidence": np.full(800, 0.5)},
        {name: values[kind] + 1e-3 * rng.random((800, values.shape[1])) for name, values in centre.items()},
    )
    met = len(set(kind[order_of(strategy, frame, 20)[:20]].tolist()))
    by_chance = [len(set(kind[np.random.default_rng(seed).permutation(800)[:20]].tolist())) for seed in range(20)]
    assert met >= 18 > max(by_chance)


def test_badge_embeds_the_gradient_of_the_last_layers() -> None:
    """Against the gradients written out: (p - onehot) times the embedding, head below head."""
    frame = make_frame(40)
    blocks = []
    for head in ("domain_probs", "intent_probs"):
        probs = frame.features[head].astype(np.float64)
        error = probs - np.eye(probs.shape[1])[probs.argmax(axis=1)]
        blocks.append(np.einsum("nk,ne->nke", error, frame.features["embedding"].astype(np.float64)).reshape(40, -1))
    embedding = np.concatenate(blocks, axis=1)
    space = gradients(frame, np.arange(40))
    for row in (0, 13):
        exact = ((embedding - embedding[row]) ** 2).sum(axis=1)
        ours = space.squared_distances(np.array([row]))[:, 0].astype(np.float64)
        np.testing.assert_allclose(ours / ours.max(), exact / exact.max(), atol=2e-3)


def test_candidates_of_a_large_frame_are_drawn_by_weight() -> None:
    weights = np.repeat([1.0, 4.0, 200.0], [60, 35, 5])
    group = np.zeros(100, dtype=np.int64)
    drawn = np.zeros(100)
    rounds = 3000
    for seed in range(rounds):
        rows, _ = candidates(weights, group, np.array([10]), 0, Lots(np.arange(100), seed), limit=24)
        assert len(rows) == len(set(rows.tolist())) <= 24
        drawn[rows] += 1
    assert (drawn[95:] == rounds).all()  # each weighs more than a step: in for sure
    step = weights.sum() / 24
    for weight, share in ((1.0, drawn[:60]), (4.0, drawn[60:95])):
        expected = rounds * weight / step
        z = (share - expected) / np.sqrt(expected * (1 - weight / step))
        assert np.abs(z).max() < 4.5
        assert abs(share.mean() - expected) < 0.03 * expected


def test_candidates_follow_the_places_of_their_groups() -> None:
    group = np.repeat([0, 1, 2], [500, 300, 200])
    lots = Lots(np.arange(1000), seed=0)
    rows, _ = candidates(np.ones(1000), group, np.array([10, 10, 0]), 0, lots, limit=100)
    assert np.bincount(group[rows], minlength=3).tolist() == [50, 50, 0]
    rows, _ = candidates(np.ones(1000), group, np.array([0, 0, 0]), 0, lots, limit=100)
    assert np.bincount(group[rows]).tolist() == [50, 30, 20]
    rows, _ = candidates(np.ones(1000), group, np.array([0, 0, 5]), 0, lots, limit=400)
    assert np.bincount(group[rows], minlength=3).tolist() == [0, 0, 200]


def test_candidates_stand_for_the_whole_frame() -> None:
    """w / pi of the design: estimates of each group's weight, and of its number of rows, meet the truth on average."""
    rng = np.random.default_rng(3)
    weights, group = rng.gamma(0.5, size=200), np.repeat([0, 1], [150, 50])
    masses, sizes = [], []
    for seed in range(2000):
        rows, mass = candidates(weights, group, np.array([3, 3]), 0, Lots(np.arange(200), seed), limit=40)
        whole = mass / mass.max() * np.maximum(weights.max(), weights[group == 0].sum() / 20)  # from its own unit
        masses.append(np.bincount(group[rows], whole))
        sizes.append(np.bincount(group[rows], whole / weights[rows]))
    np.testing.assert_allclose(np.mean(masses, axis=0), np.bincount(group, weights), rtol=0.01)
    np.testing.assert_allclose(np.mean(sizes, axis=0), [150, 50], rtol=0.1)


def test_candidates_of_a_small_frame_are_all_at_their_weight() -> None:
    weights = np.array([0.0, 0.3, 2.0])
    rows, mass = candidates(weights, np.zeros(3, dtype=np.int64), np.array([2]), 0, Lots(np.arange(3), 0), limit=3)
    assert rows.tolist() == [0, 1, 2]
    assert mass.tolist() == weights.tolist()


def test_fewer_candidates_leave_k_means_its_shares(monkeypatch: pytest.MonkeyPatch) -> None:
    """The doubted are as often chosen of a few candidates as of all: their weight counts once."""
    size, doubted = 3000, 400
    frame = make_frame(size)
    sure = np.where(np.arange(size) < doubted, 0.4, 0.85)
    frame = Frame(frame.ids, frame.domains, {"confidence": sure}, frame.features)

    def share() -> float:
        orders = [order_of(Strategy.K_MEANS, frame, 20, seed)[:20] for seed in range(40)]
        return float((np.array(orders) < doubted).mean())

    every = share()
    small = replace(DIVERSE[Strategy.K_MEANS], candidates=1000)
    monkeypatch.setattr(diversity_module, "DIVERSE", {**DIVERSE, Strategy.K_MEANS: small})
    few = share()
    assert 0.2 < every < 0.8
    assert abs(few - every) < 0.08  # weighed twice: 0.86 instead of 0.53


@COMPARING
def test_a_frame_above_the_candidates_still_fills_its_round(
    strategy: Strategy, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = replace(DIVERSE[strategy], candidates=50)
    monkeypatch.setattr(diversity_module, "DIVERSE", {**DIVERSE, strategy: small})
    frame = make_frame()
    for budget in (20, 100):
        items = select(frame, Policy(strategy=strategy, budget=budget, allocation=Allocation.EQUAL))
        assert len(items) == budget
        again = select(frame, Policy(strategy=strategy, budget=budget, allocation=Allocation.EQUAL))
        assert items == again


ids, domain = np.arange(3), np.full(3, "a")
sure = {"confidence": np.full(3, 0.5)}
features = {"domain_probs": np.ones((3, 1)), "intent_probs": np.ones((3, 1)), "slot_mass": np.ones((3, 1))}


@pytest.mark.parametrize(
    ("scores", "given", "message"),
    [
        ({}, features, r"strategy k-means weighs by 'confidence', which the frame lacks: \[\]"),
        (sure, {}, r"strategy k-means compares by 'domain_probs', which the frame lacks: \[\]"),
        (sure, {**features, "slot_mass": np.full((3, 1), np.nan)}, "utterance 0 has no finite 'slot_mass' .3 such"),
        (sure, {**features, "slot_mass": np.full((3, 1), -0.1)}, "utterance 0 has a negative 'slot_mass'"),
        ({"confidence": np.array([1.0, -0.5, 1.0])}, features, "utterance 1 has a negative 'confidence'"),
        (sure, {**features, "slot_mass": np.ones(3)}, r"features\['slot_mass'\] must be floats of shape \(3, F\)"),
        (sure, {**features, "slot_mass": np.ones((2, 1))}, r"not float64 of shape \(2, 1\)"),
        (sure, {**features, "slot_mass": np.ones((3, 1), dtype=int)}, "not int64"),
    ],
)
def test_a_frame_without_what_the_strategy_needs_is_refused(
    scores: dict[str, np.ndarray[tuple[int], np.dtype[np.float64]]],
    given: dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]],
    message: str,
) -> None:
    with pytest.raises(ValueError, match=message):
        select(Frame(ids, domain, scores, given), Policy(strategy=Strategy.K_MEANS, budget=1))


def test_embeddings_may_be_negative() -> None:
    frame = Frame(ids, domain, {}, {"embedding": -np.eye(3)})
    assert len(select(frame, Policy(strategy=Strategy.K_CENTER, budget=2))) == 2


REPLAY = """
import hashlib
import numpy as np
from plugin.quality.selection import Frame, select
from plugin.quality.selection.diversity import DIVERSE
from plugin.records import Policy

ids = np.arange(3000)
widths = {"domain_probs": 18, "intent_probs": 60, "slot_mass": 55, "embedding": 100}
features = {name: (ids[:, None] * np.arange(3, 3 + width) ** 3 % 1009 / 1024) ** 4 for name, width in widths.items()}
scores = {name: ids * 37 % 1000 / 1000 for name in ("joint_uncertainty", "confidence")}
frame = Frame(ids, np.array(["music", "weather"])[ids % 2], scores, features)
for strategy in DIVERSE:
    items = select(frame, Policy(strategy=strategy, budget=100))
    print(strategy, hashlib.sha256(repr(items).encode()).hexdigest())
"""


def test_another_processor_and_other_threads_choose_the_same_bytes() -> None:
    """OpenBLAS adds in another order under each of these; where numpy has another BLAS, all are alike anyway."""
    kernels: tuple[dict[str, str], ...] = (
        {},
        {"OPENBLAS_CORETYPE": "Prescott"},
        {"OPENBLAS_CORETYPE": "Haswell", "OPENBLAS_NUM_THREADS": "2"},
    )
    said = {
        subprocess.run(
            [sys.executable, "-c", REPLAY], env=os.environ | kernel, capture_output=True, text=True, check=True
        ).stdout
        for kernel in kernels
    }
    assert len(said) == 1
    assert said.pop().count("\n") == len(DIVERSE)
