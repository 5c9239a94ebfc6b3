"""Confident learning against cleanlab and against the paper's formulas written out; replicate agreement by counting."""

from __future__ import annotations

from collections import Counter
from typing import Any

import cleanlab.count
import cleanlab.filter
import cleanlab.rank
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from plugin.quality.noise import confident_joint, confident_thresholds, replicate_agreement, suspicion

Float = NDArray[np.float64]
Int = NDArray[np.int64]


def noisy(seed: int, n: int = 300, k: int = 4, noise: float = 0.2, concentration: float = 1.5) -> tuple[Float, Int]:
    """Probabilities that lean to a true class, and labels of which a part is wrong; every class is claimed."""
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, k, n)
    alpha = np.full((n, k), 0.5)
    alpha[np.arange(n), truth] += concentration * rng.uniform(0.2, 3.0, n)
    gamma = rng.gamma(alpha)
    labels = np.where(rng.random(n) < noise, rng.integers(0, k, n), truth)
    labels[:k] = np.arange(k)
    return gamma / gamma.sum(axis=1, keepdims=True), labels


def by_hand(probs: Float, labels: Int) -> tuple[list[list[int]], list[bool]]:
    """Equations 1 and 2 of the paper, row by row; suspected only where the label is not the first choice."""
    n, k = probs.shape
    own = [[probs[i, c] for i in range(n) if labels[i] == c] for c in range(k)]
    thresholds = [float(np.mean(mine)) if mine else float("inf") for mine in own]
    joint = [[0] * k for _ in range(k)]
    suspects = []
    for row, label in zip(probs.tolist(), labels.tolist(), strict=True):
        reached = [c for c in range(k) if row[c] >= thresholds[c] - 1e-6]
        guess = max(reached, key=lambda c: row[c]) if reached and label >= 0 else None
        if guess is not None:
            joint[label][guess] += 1
        suspects.append(guess is not None and guess != label and row[label] < max(row))
    return joint, suspects


problems = st.builds(
    noisy,
    seed=st.integers(0, 10_000),
    n=st.integers(6, 60),
    k=st.integers(2, 6),
    noise=st.sampled_from([0.0, 0.2, 0.6]),
    concentration=st.sampled_from([0.0, 1.0, 5.0]),
)
RANKS = pytest.mark.parametrize("by", ["margin", "self_confidence"])


@given(problem=problems, unknown=st.integers(0, 5), missing=st.booleans())
def test_as_the_paper_has_it(problem: tuple[Float, Int], unknown: int, missing: bool) -> None:
    probs, labels = problem
    labels = labels.copy()
    labels[:unknown] = -1
    if missing:
        labels[labels == 1] = 0
    joint, suspects = by_hand(probs, labels)
    assert confident_joint(probs, labels).tolist() == joint
    for by in ("margin", "self_confidence"):
        found = suspicion(probs, labels, by=by)
        assert (found > 0.0).tolist() == suspects
        assert ((found >= 0.0) & (found <= 1.0)).all()


@pytest.mark.parametrize("seed", range(20))
def test_thresholds_and_suspects_are_cleanlabs(seed: int) -> None:
    """Where several classes reach their threshold and the first choice is none of them, cleanlab takes it all the same;
    such rows, few, are left out of the comparison.
    """
    probs, labels = noisy(seed, k=3 + seed % 4, concentration=1.0 + seed % 5)
    thresholds = confident_thresholds(probs, labels)
    np.testing.assert_allclose(thresholds, cleanlab.count.get_confident_thresholds(labels, probs), rtol=1e-12)
    reached = probs >= thresholds - 1e-6
    same = (reached.sum(axis=1) < 2) | reached[np.arange(len(probs)), probs.argmax(axis=1)]
    assert same.mean() > 0.9
    theirs = cleanlab.filter.find_label_issues(labels, probs, filter_by="confident_learning", n_jobs=1)
    ours = suspicion(probs, labels) > 0.0
    np.testing.assert_array_equal(ours[same], theirs[same])
    assert 5 < ours.sum() < len(ours) / 2


@pytest.mark.parametrize("seed", range(5))
def test_the_joint_is_cleanlabs(seed: int) -> None:
    probs, labels = noisy(seed, n=2000, concentration=8.0)  # sure: no first choice lies below its threshold alone
    reached = probs >= confident_thresholds(probs, labels) - 1e-6
    kept = (reached.sum(axis=1) < 2) | reached[np.arange(len(probs)), probs.argmax(axis=1)]
    assert kept.all()
    theirs = cleanlab.count.compute_confident_joint(labels, probs, calibrate=False)
    np.testing.assert_array_equal(confident_joint(probs, labels), theirs)


@pytest.mark.parametrize("seed", range(5))
def test_suspects_hold_those_that_both_ways_of_pruning_find(seed: int) -> None:
    """cleanlab's `both` is the strictest: what it finds at the top of its order, confident learning suspects too."""
    probs, labels = noisy(seed, n=2000, concentration=5.0)
    both = cleanlab.filter.find_label_issues(
        labels, probs, filter_by="both", return_indices_ranked_by="normalized_margin", n_jobs=1
    )
    found = suspicion(probs, labels)
    assert len(both) > 100
    assert (found[both[: len(both) // 2]] > 0.0).all()


@pytest.mark.parametrize(("by", "method"), [("margin", "normalized_margin"), ("self_confidence", "self_confidence")])
def test_ranks_are_cleanlabs(by: Any, method: str) -> None:
    probs, labels = noisy(3)
    found = suspicion(probs, labels, by=by)
    quality = cleanlab.rank.get_label_quality_scores(labels, probs, method=method)
    np.testing.assert_allclose(found[found > 0.0], 1.0 - quality[found > 0.0], atol=1e-12)
    assert (found > 0.0).sum() > 20


@pytest.mark.parametrize("seed", range(5))
def test_wrong_labels_are_found_and_right_ones_are_not(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 5, 1000)
    wrong = rng.random(1000) < 0.1
    labels = np.where(wrong, (truth + rng.integers(1, 5, 1000)) % 5, truth)
    probs = np.full((1000, 5), 0.02)
    probs[np.arange(1000), truth] = 0.92
    found = suspicion(probs, labels) > 0.0
    np.testing.assert_array_equal(found, wrong)


@RANKS
@given(problem=problems, data=st.data())
def test_rows_and_classes_in_another_order_change_nothing(
    by: Any, problem: tuple[Float, Int], data: st.DataObject
) -> None:
    probs, labels = problem
    rows = np.array(data.draw(st.permutations(range(len(probs)))))
    classes = np.array(data.draw(st.permutations(range(probs.shape[1]))))
    number = np.argsort(classes)
    np.testing.assert_allclose(
        suspicion(probs[rows][:, classes], number[labels[rows]], by=by), suspicion(probs, labels, by=by)[rows]
    )


@given(problem=problems, order=st.randoms(use_true_random=False))
def test_of_half_precision_not_one_bit_depends_on_the_order(problem: tuple[Float, Int], order: Any) -> None:
    probs, labels = problem[0].astype(np.float16), problem[1]
    rows = list(range(len(probs)))
    order.shuffle(rows)
    assert suspicion(probs[rows], labels[rows]).tobytes() == suspicion(probs, labels)[rows].tobytes()
    again = confident_thresholds(probs[rows], labels[rows])
    assert again.tobytes() == confident_thresholds(probs, labels).tobytes()


@RANKS
def test_the_models_own_labels_are_never_suspected(by: Any) -> None:
    probs, _ = noisy(0)
    assert not suspicion(probs, probs.argmax(axis=1), by=by).any()


def test_labels_outside_the_vocabulary_are_neither_suspected_nor_counted() -> None:
    probs, labels = noisy(1)
    some = np.flatnonzero(suspicion(probs, labels))[:10]
    masked = labels.copy()
    masked[some] = -1
    assert not suspicion(probs, masked)[some].any()
    rest = np.delete(np.arange(len(labels)), some)
    np.testing.assert_array_equal(confident_thresholds(probs, masked), confident_thresholds(probs[rest], labels[rest]))
    assert not suspicion(probs, np.full(len(probs), -1)).any()


def test_of_nothing_comes_nothing() -> None:
    assert suspicion(np.empty((0, 3)), np.empty(0, dtype=int)).shape == (0,)
    assert confident_joint(np.empty((0, 3)), np.empty(0, dtype=int)).tolist() == [[0] * 3] * 3
    assert replicate_agreement(np.empty((2, 0, 3)), np.empty(0, dtype=int)).shape == (0,)
    assert suspicion([[1.0]], [0]).tolist() == [0.0]


@given(
    votes=st.lists(st.lists(st.integers(0, 3), min_size=4, max_size=4), min_size=1, max_size=9),
    labels=st.lists(st.integers(-1, 3), min_size=4, max_size=4),
)
def test_agreement_counts_votes(votes: list[list[int]], labels: list[int]) -> None:
    found = replicate_agreement(np.eye(4)[votes], labels)
    for column, label in enumerate(labels):
        others = Counter(row[column] for row in votes if row[column] != label)
        assert found[column] == pytest.approx(max(others.values(), default=0) / len(votes))


@pytest.mark.parametrize(
    ("probs", "labels", "message"),
    [
        ([[0.5, 0.6]], [0], r"probs\[0\] sums to 1.1"),
        ([[1.5, -0.5]], [0], "negative"),
        ([[np.nan, 1.0]], [0], "not finite"),
        ([0.5, 0.5], [0, 1], r"shape \(N, K\)"),
        ([[0.5, 0.5]], [2], r"labels\[0\] is 2"),
        ([[0.5, 0.5]], [-2], r"labels\[0\] is -2"),
        ([[0.5, 0.5]], [0, 1], "2 entries for 1"),
        ([[0.5, 0.5]], [0.0], "must be integers"),
        (np.array([[0.5, 0.49]], dtype=np.float16), [0], "sums to"),
    ],
)
def test_malformed_input_is_refused(probs: Any, labels: Any, message: str) -> None:
    for function in (suspicion, confident_joint, confident_thresholds):
        with pytest.raises(ValueError, match=message):
            function(probs, labels)


def test_half_precision_may_be_off_by_its_own_rounding() -> None:
    rng = np.random.default_rng(0)
    probs = rng.dirichlet(np.full(60, 0.3), 5000)
    half = probs.astype(np.float16)
    assert np.abs(half.astype(np.float64).sum(axis=1) - 1.0).max() > 1e-4
    labels = rng.integers(0, 60, 5000)
    both = (suspicion(half, labels) > 0.0) == (suspicion(probs, labels) > 0.0)
    assert both.mean() > 0.99
    with pytest.raises(ValueError, match="sums to"):
        suspicion(half.astype(np.float64), labels)


def test_other_ranks_and_no_replicate_are_refused() -> None:
    with pytest.raises(ValueError, match="by must be 'margin' or 'self_confidence', not 'entropy'"):
        suspicion([[1.0]], [0], by="entropy")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="no replicate"):
        replicate_agreement(np.empty((0, 1, 2)), [0])
