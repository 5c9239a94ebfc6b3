"""Worlds and what trials choose of them, with real networks on a small corpus."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.corpora.split import text_key
from plugin.experiment import choosing
from plugin.experiment.analysis import results_from
from plugin.experiment.choosing import Chosen, choose, in_half, measure_memory, places
from plugin.experiment.grid import OUTSIDE, REVIEWED, WEAK, WHOLE, WINDOW, Extra, Trial, WorldKey
from plugin.experiment.laboratory import Laboratory, signals_of
from plugin.experiment.trials import run_trial
from plugin.experiment.world import World, WorldError, make_world, mislabelled, parallel_id
from plugin.quality.bandit import CANDIDATES, Outcome, Play
from plugin.quality.metrics import count_errors
from plugin.quality.selection import near_duplicates, needs
from plugin.quality.selection.sampling import Lots
from plugin.records import Hypothesis, Policy, Slot, Strategy
from tests.fakes.scorer import FakeScorer
from tests.unit.experiment.corpora import KEY, LOCALES, SETUP, utterances


class NoTrainer:
    """Gives a scorer that says of everything the same."""

    def train(self, examples: object, dev: object, **_: object) -> FakeScorer:
        return FakeScorer()


def trial(
    arm: str, pool: str = WHOLE, labels: str = REVIEWED, budget: float = 10.0, noise: float = 0.0, extra: Extra = ()
) -> Trial:
    return Trial(*KEY, pool, labels, noise, budget, arm, extra)


def same(one: World, other: World) -> bool:
    return one.pool == other.pool and all(
        np.array_equal(one.labelled.scores[name], other.labelled.scores[name]) for name in one.labelled.scores
    )


def test_a_world_is_the_same_for_the_same_seed_and_another_for_another(laboratory: Laboratory, world: World) -> None:
    again = make_world(utterances(LOCALES[0]), SETUP, KEY.seed, laboratory.seed_trainer())
    assert same(world, again)
    other = laboratory.world(KEY._replace(seed=1))
    assert {row.id for row in other.trusted} != {row.id for row in world.trusted}
    assert other.evaluation == world.evaluation


def test_no_text_is_in_two_parts(world: World) -> None:
    parts = [world.trusted, world.dev, world.evaluation, world.pool.truth]
    texts = Counter(key for part in parts for key in {text_key(row.text) for row in part})
    assert max(texts.values()) == 1
    assert len(world.trusted) == SETUP.trusted


def test_scores_are_those_of_the_formula(world: World) -> None:
    """EL2N by its three lines (data_diet), entropy by its sum, on the labels that the log has."""
    early = np.asarray(world.prediction.early_domain_probs, dtype=np.float64)
    onehot = np.array(
        [[name == row.domain for name in world.vocabulary.domains] for row in world.labelled.hypotheses], dtype=float
    )
    el2n = np.sqrt(((early - onehot) ** 2).sum(axis=2)).mean(axis=0)
    np.testing.assert_allclose(world.labelled.scores["el2n"], el2n, rtol=1e-5)
    mean = np.asarray(world.prediction.domain_probs, dtype=np.float64).mean(axis=0)
    np.testing.assert_allclose(world.labelled.scores["entropy"], -(mean * np.log(mean)).sum(axis=1), rtol=1e-5)


def test_the_window_is_that_of_a_policy(world: World) -> None:
    low, high = Policy().nlu_band
    rows = world.pool.utterances
    inside = [row.nlu_score is not None and low <= row.nlu_score <= high for row in rows]
    clean = [not row.defect for row in rows]
    distinct = {kind: set(np.flatnonzero(world.eligible(kind))) for kind in (WHOLE, WINDOW, OUTSIDE)}
    assert distinct[WINDOW] <= {row for row in range(len(rows)) if inside[row] and clean[row]}
    assert distinct[OUTSIDE] <= {row for row in range(len(rows)) if not inside[row] and clean[row]}
    assert distinct[WINDOW]
    assert distinct[OUTSIDE]


@pytest.mark.parametrize("pool", [WHOLE, WINDOW, OUTSIDE])
def test_nothing_that_may_enter_is_nearly_the_same_as_another_or_as_what_is_trusted(world: World, pool: str) -> None:
    texts = [world.pool.truth[row].text for row in np.flatnonzero(world.eligible(pool))]
    assert not near_duplicates(texts, [row.text for row in world.trusted]).any()


def test_a_frame_holds_what_the_strategy_looks_at_and_no_more(world: World) -> None:
    rows = world.eligible(WHOLE)
    by_entropy = world.frame(world.labelled, rows, Strategy.ENTROPY)
    assert (set(by_entropy.scores), set(by_entropy.features)) == ({"entropy"}, set())
    diverse = world.frame(world.labelled, rows, Strategy.K_CENTER)
    assert set(diverse.features) == set(needs(Strategy.K_CENTER).features)
    assert diverse.features
    assert all(len(matrix) == diverse.ids.size == rows.sum() for matrix in diverse.features.values())


def test_development_never_touches_test_and_is_parallel() -> None:
    ids = {}
    for locale in LOCALES:
        rows = utterances(locale)
        world = make_world(rows, replace(SETUP, evaluate_on="dev"), 0, NoTrainer())
        test = {row.id for row in rows if row.partition == "test"}
        used = [*world.trusted, *world.dev, *world.evaluation, *world.pool.truth]
        assert not test & {row.id for row in used}
        dev = {row.id for row in rows if row.partition == "dev"}
        assert dev < {row.id for row in world.evaluation}
        assert len(world.evaluation) == len(dev) + SETUP.extra
        ids[locale] = {parallel_id(row) for row in world.evaluation}
    assert ids[LOCALES[0]] == ids[LOCALES[1]]


def test_development_needs_partitions() -> None:
    with pytest.raises(WorldError, match="partitions"):
        make_world(utterances(LOCALES[0], partitioned=False), replace(SETUP, evaluate_on="dev"), 0, NoTrainer())


labels = st.lists(
    st.builds(Hypothesis, st.sampled_from("abc"), st.sampled_from("xy"), st.just((Slot(0, 1, "s"),))), min_size=1
)


@given(labels, st.integers(0, 10), st.integers(0, 5))
def test_noise_changes_that_share_of_the_labels_and_keeps_their_slots(
    clean: list[Hypothesis], tenths: int, seed: int
) -> None:
    noisy = mislabelled(clean, tenths / 10, seed)
    changed = {place for place, (one, other) in enumerate(zip(clean, noisy, strict=True)) if one != other}
    if len({(label.domain, label.intent) for label in clean}) > 1:
        assert len(changed) == round(tenths / 10 * len(clean))
    assert all(one.slots == other.slots for one, other in zip(clean, noisy, strict=True))
    more = mislabelled(clean, 1.0, seed)
    assert all(noisy[place] == more[place] for place in changed)


def test_noise_in_the_hypotheses_reaches_el2n_and_no_score_without_labels(world: World) -> None:
    noisy = world.with_noise(20.0)
    moved = np.array(
        [one.domain != other.domain for one, other in zip(world.labelled.hypotheses, noisy.hypotheses, strict=True)]
    )
    assert moved.any()
    assert (noisy.scores["el2n"] != world.labelled.scores["el2n"]).tolist() == moved.tolist()
    np.testing.assert_array_equal(noisy.scores["entropy"], world.labelled.scores["entropy"])


@pytest.mark.parametrize("pool", [WHOLE, WINDOW])
@pytest.mark.parametrize("arm", ["random", "entropy", "el2n-10-90", "k-means", "default", "entropy@equal"])
def test_an_arm_takes_its_budget_of_what_may_enter(laboratory: Laboratory, world: World, arm: str, pool: str) -> None:
    chosen = choose(laboratory, trial(arm, pool, budget=20.0))
    may_enter = np.flatnonzero(world.eligible(pool))
    assert len(set(chosen.rows)) == chosen.rows.size == len(chosen.labels) == places(may_enter.size, 20.0)
    assert set(chosen.rows) <= set(may_enter)
    assert chosen.pool_size == may_enter.size


def test_entropy_takes_the_highest(laboratory: Laboratory, world: World) -> None:
    chosen = choose(laboratory, trial("entropy"))
    entropy, may_enter = world.labelled.scores["entropy"], np.flatnonzero(world.eligible(WHOLE))
    left = set(may_enter) - set(chosen.rows)
    assert entropy[chosen.rows].min() >= max(entropy[row] for row in left)


def test_weak_and_reviewed_differ_in_the_labels_alone(laboratory: Laboratory, world: World) -> None:
    weak, reviewed = (choose(laboratory, trial("entropy", labels=kind)) for kind in (WEAK, REVIEWED))
    assert weak.rows.tolist() == reviewed.rows.tolist()
    assert reviewed.labels == [world.pool.truth[row].label for row in reviewed.rows]
    assert weak.labels == [world.pool.utterances[row].hypothesis for row in weak.rows]
    assert weak.labels != reviewed.labels


def test_annotators_err_after_the_selection(laboratory: Laboratory) -> None:
    clean = choose(laboratory, trial("el2n-hard", budget=50.0))
    erring = choose(laboratory, trial("el2n-hard", budget=50.0, noise=20.0))
    assert clean.rows.tolist() == erring.rows.tolist()
    assert clean.labels != erring.labels


def test_random_draws_differ(laboratory: Laboratory) -> None:
    drawn = [choose(laboratory, trial(arm)).rows.tolist() for arm in ("random", "random-2", "random-3")]
    assert drawn[0] != drawn[1] != drawn[2] != drawn[0]


def test_the_ends(laboratory: Laboratory, world: World) -> None:
    assert not choose(laboratory, trial("nothing", budget=0.0)).rows.size
    everything = choose(laboratory, trial("everything", WINDOW, budget=100.0))
    assert everything.rows.tolist() == np.flatnonzero(world.eligible(WINDOW)).tolist()


def test_one_round_is_no_rounds_and_three_train_in_between(laboratory: Laboratory, world: World) -> None:
    def chosen(*extra: tuple[str, int]) -> Chosen:
        return choose(laboratory, trial("entropy", budget=30.0, extra=extra))

    plain, three = chosen(), chosen(("rounds", 3))
    assert chosen(("rounds", 1)).rows.tolist() == plain.rows.tolist()
    assert len(set(three.rows)) == three.rows.size == plain.rows.size
    assert three.rows.tolist() != plain.rows.tolist()
    by_entropy = sorted(plain.rows, key=lambda row: -world.labelled.scores["entropy"][row])
    assert set(by_entropy[: plain.rows.size // 3]) <= set(three.rows)


def test_a_bandit_plays_a_strategy_in_each_round_by_what_the_ones_before_found(
    laboratory: Laboratory, world: World
) -> None:
    def chosen(labels: str = REVIEWED, arm: str = "bandit", rounds: int = 3) -> Chosen:
        return choose(laboratory, trial(arm, labels=labels, budget=30.0, extra=(("rounds", rounds),)))

    three = chosen()
    assert len(three.played) == 3
    assert set(three.played) <= {strategy.value for strategy in CANDIDATES}
    assert three.rows.size == len(set(three.rows)) == chosen(arm="random").rows.size
    assert (three.played, three.rows.tolist()) == (chosen().played, chosen().rows.tolist())
    assert not chosen(arm="entropy").played
    # Its first round is that of the strategy that it plays, and knows no reviews; nobody reviews weak labels.
    first = chosen(rounds=1)
    assert first.rows.tolist() == chosen(arm=first.played[0], rounds=1).rows.tolist()
    assert first.played[0] == three.played[0] == chosen(WEAK).played[0]


def test_what_a_bandit_goes_by_are_the_wrong_hypotheses_of_its_rounds(
    laboratory: Laboratory, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[list[Outcome]] = []
    hypotheses = world.labelled.hypotheses

    def entropy_then_random(outcomes: list[Outcome], candidates: tuple[Strategy, ...], lots: Lots) -> Play:
        told.append(list(outcomes))
        return Play(Strategy.ENTROPY if len(told) % 2 else Strategy.RANDOM, {})

    # The networks of these tests are nearly always wrong: let annotators accept every other hypothesis.
    said = [one if row % 2 else other for row, (one, other) in enumerate(zip(world.gold, hypotheses, strict=True))]
    monkeypatch.setattr(choosing, "labels_of", lambda *_: said)
    monkeypatch.setattr(choosing, "play", entropy_then_random)
    rows = choose(laboratory, trial("bandit", budget=30.0, extra=(("rounds", 2),))).rows
    may_enter = np.flatnonzero(world.eligible(WHOLE))
    highest = sorted(may_enter, key=lambda row: -world.labelled.scores["entropy"][row])[: rows.size // 2]
    wrong = sum(said[row] != hypotheses[row] for row in highest)
    assert 0 < wrong < len(highest)
    assert told == [[], [Outcome(Strategy.ENTROPY, len(highest), wrong)]]
    told.clear()
    choose(laboratory, trial("bandit", labels=WEAK, budget=30.0, extra=(("rounds", 2),)))
    assert [(outcome.reviewed, outcome.fixed) for outcome in told[1]] == [(0, 0)]


@pytest.mark.parametrize("extra", [("replicates", 1), ("el2n_epoch", 4), ("el2n_in_sample_epochs", 1)])
def test_a_satellite_scores_the_pool_by_another_model(laboratory: Laboratory, extra: tuple[str, int]) -> None:
    plain = choose(laboratory, trial("el2n-hard", budget=30.0))
    other = choose(laboratory, trial("el2n-hard", budget=30.0, extra=(extra,)))
    assert other.rows.size == plain.rows.size
    assert other.rows.tolist() != plain.rows.tolist()


def test_as_many_replicates_and_epochs_as_the_core_give_its_scores(laboratory: Laboratory, world: World) -> None:
    for labelled in (laboratory.with_replicates(KEY, 2), laboratory.at_epoch(KEY, 1)):
        np.testing.assert_array_equal(labelled.scores["el2n"], world.labelled.scores["el2n"])


def test_scores_travel_between_locales_by_id(laboratory: Laboratory, world: World) -> None:
    labelled, common = laboratory.transferred(KEY, LOCALES[1])
    there = laboratory.world(WorldKey(KEY.corpus, LOCALES[1], KEY.seed))
    scores = {
        parallel_id(row): score
        for row, score in zip(there.pool.truth, there.labelled.scores["entropy"], strict=True)
    }  # fmt: skip
    for row in range(world.size):
        assert common[row] == (parallel_id(world.pool.truth[row]) in scores)
        if common[row]:
            assert labelled.scores["entropy"][row] == scores[parallel_id(world.pool.truth[row])]
    assert not common.all()
    for arm in ("entropy", "random"):
        chosen = choose(laboratory, trial(arm, extra=(("scores_from", LOCALES[1]),)))
        assert common[chosen.rows].all()
        assert chosen.pool_size == (common & world.eligible(WHOLE)).sum()


def test_halves_divide_the_domains(laboratory: Laboratory, world: World) -> None:
    hypotheses = world.labelled.hypotheses
    first, second = in_half(world, 1), in_half(world, 2)
    assert (first ^ second).all()
    domains = [{hypotheses[row].domain for row in np.flatnonzero(half)} for half in (first, second)]
    assert not domains[0] & domains[1]
    # Another seed predicts other domains, and has the same halves.
    assert laboratory.world(KEY._replace(seed=1)).domains == world.domains
    assert domains[0] <= set(sorted({row.label.domain for row in utterances(LOCALES[0])})[::2])
    assert first[choose(laboratory, trial("random", extra=(("domains_half", 1),))).rows].all()


def test_memory_of_selecting_is_measured_once_for_each_arm(laboratory: Laboratory) -> None:
    arm = trial("random-9")
    first = measure_memory(laboratory, arm)
    assert first is not None
    assert first > 0.0
    assert measure_memory(laboratory, arm) is None
    assert measure_memory(laboratory, trial("nothing")) is None


def test_strategies_say_what_the_seed_model_must_give() -> None:
    assert signals_of(["random", "entropy", "nothing", "bandit"]) == {}
    assert set(signals_of(["dropout-bald", "forgetting@equal"])) == {"dropout_passes", "snapshots"}


def test_a_strategy_that_needs_more_of_the_seed_model_gets_it_and_the_world_stays(
    laboratory: Laboratory, world: World
) -> None:
    fuller = Laboratory(laboratory.setup, laboratory.sources, signals_of(["variability", "dropout-bald"]))
    assert fuller.world(KEY).pool == world.pool
    for name, scores in world.labelled.scores.items():
        np.testing.assert_array_equal(fuller.world(KEY).labelled.scores[name], scores)
    for arm in ("variability", "dropout-bald"):
        assert choose(fuller, trial(arm)).rows.size


@pytest.fixture(scope="module")
def result(laboratory: Laboratory) -> dict[str, Any]:
    return run_trial(laboratory, trial("entropy", labels=WEAK, budget=30.0))


def test_a_result_counts_what_the_model_gets_wrong(
    laboratory: Laboratory, world: World, result: dict[str, Any]
) -> None:
    chosen = choose(laboratory, trial("entropy", labels=WEAK, budget=30.0))
    added = [replace(world.pool.truth[row], label=label) for row, label in zip(chosen.rows, chosen.labels, strict=True)]
    model = laboratory.trainer().train([*added, *world.trusted], [], seed=KEY.seed)
    said = model.predict([row.text for row in world.evaluation], [row.locale for row in world.evaluation]).hypotheses
    counts = count_errors([row.label for row in world.evaluation], said)
    for metric, parts in result["errors"].items():
        over, under = parts["*"]
        assert over / under == pytest.approx(counts.rate(metric))
    assert result["size"] == len(added)


def test_domains_add_up_to_the_whole(world: World, result: dict[str, Any]) -> None:
    for parts in result["errors"].values():
        by_domain = [terms for domain, terms in parts.items() if domain != "*"]
        assert [sum(column) for column in zip(*by_domain, strict=True)] == parts["*"]
    wrong, utterances_ = result["errors"]["irer"]["*"]
    assert utterances_ == len(world.evaluation)
    assert wrong + result["errors"]["exact_match"]["*"][0] == utterances_


def test_a_result_describes_what_was_selected(world: World, laboratory: Laboratory, result: dict[str, Any]) -> None:
    rows = choose(laboratory, trial("entropy", labels=WEAK, budget=30.0)).rows
    pairs = [(world.pool.truth[row].label, world.pool.utterances[row].hypothesis) for row in rows]
    wrong = sum(true != said for true, said in pairs) / len(pairs)
    assert result["selected"]["wrong_share"] == pytest.approx(wrong, abs=1e-4)
    assert sum(result["selected"]["domains"].values()) == result["size"]
    assert set(result["seconds"]) == {"select", "score", "train", "evaluate"}
    assert result["peak_rss_mb"] > 0


def test_the_analysis_reads_what_a_trial_measured(result: dict[str, Any]) -> None:
    (read,) = results_from([result]).trials
    assert result["select_peak_mb"] > 0
    assert set(result["dropped"]) == {"dev", "train"}
    assert (read.peak_rss_mb, read.select_peak_mb) == (result["peak_rss_mb"], result["select_peak_mb"])
