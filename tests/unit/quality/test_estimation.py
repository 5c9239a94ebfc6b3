"""Estimates from what was selected: against glide-py, and against the truth of rounds that were cut off."""

from __future__ import annotations

import importlib
import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit

from plugin.quality.estimation import Estimated, reached_probabilities, reached_shares, selected_mean
from plugin.quality.selection import Frame, SelectedItem, select
from plugin.records import Arm, Policy, Strategy

Float = NDArray[np.float64]
ROWS = 1500


class Drawn(NamedTuple):
    """N rows, of which `seen` were drawn with probability `pi`; `guess` is a prediction of `truth`."""

    truth: Float
    guess: Float
    pi: Float
    seen: NDArray[np.bool_]


def drawn() -> Drawn:
    rng = np.random.default_rng(5)
    pi, guess = np.round(rng.uniform(0.1, 0.9, 60), 2), np.round(rng.random(60), 2)
    truth = (rng.random(60) < guess).astype(np.float64)
    return Drawn(truth, guess, pi, rng.random(60) < pi)


def ours(data: Drawn, *, predicted: bool) -> Estimated:
    guesses = data.guess[:, None] if predicted else np.zeros((data.guess.size, 0))
    return selected_mean(data.truth[data.seen], data.pi[data.seen], guesses[data.seen], guesses)


def test_it_is_glide_s_active_inference_and_its_inverse_probability_weighting() -> None:
    """What glide-py 0.11.0 said of the same data, which needs a later Python than Assay does."""
    weighted, predicted = ours(drawn(), predicted=False), ours(drawn(), predicted=True)
    assert (weighted.value, weighted.std_error) == pytest.approx((0.516963726463374, 0.11435002269847945))
    assert (predicted.value, predicted.std_error) == pytest.approx((0.534169352149721, 0.08112541283841221))
    assert predicted.effective > weighted.effective


def test_it_is_what_glide_says_where_there_is_one() -> None:
    pytest.importorskip("glide", reason="glide-py needs Python 3.12")
    estimators: Any = importlib.import_module("glide.estimators")
    data = drawn()
    labels = np.where(data.seen, data.truth, np.nan)
    theirs = estimators.ASIMeanEstimator().estimate(labels, data.guess, data.pi).confidence_interval
    found = ours(data, predicted=True)
    assert (found.value, found.std_error) == pytest.approx((theirs.mean, theirs.std))


class Found(NamedTuple):
    estimate: Estimated
    truth: float
    naive: float


def reviewed_round(seed: int, policy: Policy, *, rarely: bool) -> Found:
    """A round whose queues people left somewhere, each elsewhere; the harder a row the likelier it is wrong."""
    rng = np.random.default_rng(seed)
    domains = rng.choice(["audio", "music", "news", "weather"], ROWS, p=[0.5, 0.3, 0.15, 0.05])
    score = rng.gamma(1.0, 0.5, ROWS)
    chance = expit((-3.5 if rarely else -1.5) + 1.5 * (score - 0.5))
    wrong = (rng.random(ROWS) < chance).astype(np.float64)
    guess = np.clip(chance + rng.normal(0.0, 0.1, ROWS), 0.0, 1.0)
    items = select(Frame(np.arange(ROWS), domains, {"entropy": score}), policy)
    reached: set[int] = set()
    for domain in sorted(set(domains)):
        queue = [item for item in items if item.domain == domain]
        reached |= {item.utterance_id for item in queue if item.rank <= max(1, len(queue) * rng.uniform(0.3, 1.0))}
    control = round(policy.budget * policy.control_share) / ROWS
    probabilities = reached_probabilities(items, reached, control)
    covered = [domain for domain, share in reached_shares(items, reached).items() if share > 0.0]
    frame = np.isin(domains, covered)
    ids = [id_ for id_ in sorted(probabilities) if frame[id_]]
    predictions = np.stack([np.ones(ROWS), guess], axis=1)
    pi = [probabilities[id_] for id_ in ids]
    found = selected_mean(wrong[ids], pi, predictions[ids], predictions[frame], queues=len(covered))
    return Found(found, float(wrong[frame].mean()), float(wrong[ids].mean()))


POLICIES = [
    Policy(Strategy.ENTROPY, budget=200),
    Policy(Strategy.ENTROPY, budget=200, hard_share=0.1),
    Policy(Strategy.ENTROPY, budget=500),
    Policy(Strategy.ENTROPY, budget=200, control_share=0.5),
    Policy(Strategy.RANDOM, budget=200),
]


def covered(found: Sequence[Found]) -> float:
    return float(np.mean([one.estimate.low <= one.truth <= one.estimate.high for one in found]))


def test_the_interval_covers_the_truth_of_the_frame() -> None:
    found = [
        reviewed_round(seed, policy, rarely=rarely)
        for policy in POLICIES
        for rarely in (False, True)
        for seed in range(20)
    ]
    assert covered(found) >= 0.93


@pytest.mark.full
@pytest.mark.parametrize("rarely", [False, True])
@pytest.mark.parametrize(
    "policy", POLICIES, ids=lambda policy: f"{policy.strategy} {policy.budget} {policy.hard_share}"
)
def test_the_interval_covers_the_truth_under_every_policy(policy: Policy, rarely: bool) -> None:
    found = [reviewed_round(seed, policy, rarely=rarely) for seed in range(600)]
    assert covered(found) >= 0.93
    assert np.mean([one.estimate.value - one.truth for one in found]) == pytest.approx(0.0, abs=0.006)


def test_what_was_chosen_for_being_hard_is_no_mean_of_the_log() -> None:
    found = [reviewed_round(seed, POLICIES[0], rarely=False) for seed in range(40)]
    truth, naive = (float(np.mean([getattr(one, name) for one in found])) for name in ("truth", "naive"))
    assert naive > 2 * truth
    assert np.mean([one.estimate.value for one in found]) == pytest.approx(truth, abs=0.02)


def item(number: int, arms: tuple[Arm, ...], composition: Any, probability: float, score: float) -> SelectedItem:
    return SelectedItem(number, "music", number, arms, composition, probability, score)


def test_how_likely_an_item_was_to_be_reached() -> None:
    control, strategy, noise = Arm.CONTROL, Arm.STRATEGY, Arm.NOISE
    queue = [
        item(1, (noise,), None, 1.0, 0.1),
        item(2, (control,), None, 0.2, 0.3),
        item(3, (strategy,), "hard", 1.0, 0.9),
        item(4, (control, strategy), "hard", 1.0, 0.95),
        item(5, (strategy,), "hard", 1.0, 0.7),
        item(6, (control, strategy), "hard", 1.0, 0.6),
        item(7, (control,), None, 0.2, 0.2),
    ]
    # Half of the control; of the ranked, those down to 0.9.
    assert reached_probabilities(queue, {1, 2, 3, 4}, 0.2) == {1: 0.9, 2: 0.1, 3: 0.9, 4: 0.9}
    # What only the control brought so early.
    assert reached_probabilities(queue, {1, 2, 3, 6}, 0.2)[6] == 0.1
    assert reached_probabilities(queue, set(range(1, 8)), 0.2) == {
        1: 1.0,
        2: 0.2,
        3: 1.0,
        4: 1.0,
        5: 1.0,
        6: 1.0,
        7: 0.2,
    }
    assert reached_shares(queue, {1, 2, 3, 4}) == {"music": 0.5}


def test_whole_frames_and_no_reviews() -> None:
    ones = np.ones((4, 1))
    everything = selected_mean([1.0, 0.0, 0.0, 1.0], [1.0] * 4, ones, ones)
    assert (everything.value, everything.low, everything.high) == (0.5, 0.5, 0.5)
    nothing = selected_mean([], [], np.zeros((0, 1)), ones)
    assert math.isnan(nothing.value)
    assert nothing.n == 0


def test_no_error_seen_is_not_no_error() -> None:
    ones = np.ones((1000, 1))
    found = selected_mean([0.0] * 20, [0.02] * 20, ones[:20], ones)
    assert (found.value, found.low) == (0.0, 0.0)
    assert 0.1 < found.high < 0.25


@pytest.mark.parametrize(
    ("values", "pi", "size"),
    [([2.0], [0.5], 3), ([1.0], [0.0], 3), ([1.0, 1.0], [0.5], 3), ([1.0, 1.0], [0.5, 0.5], 1)],
)
def test_what_cannot_be_is_refused(values: list[float], pi: list[float], size: int) -> None:
    with pytest.raises(ValueError):
        selected_mean(values, pi, np.ones((len(values), 1)), np.ones((size, 1)))
