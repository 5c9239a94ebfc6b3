"""Scores against other people's implementations, against their definitions, and against bad input."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest
import scipy.stats
from cleanlab.internal.label_quality_utils import get_normalized_entropy
from cleanlab.rank import get_normalized_margin_for_each_label, get_self_confidence_for_each_label
from skactiveml.pool import uncertainty_scores

from plugin.quality import scores
from plugin.quality.scores import Float

Score = Callable[[Any], Float]
LN2 = math.log(2.0)
SINGLE: list[Score] = [scores.entropy, scores.margin, scores.least_confidence]


def softmax(logits: Float) -> Float:
    shifted = np.exp(logits - logits.max(axis=-1, keepdims=True))
    normal: Float = shifted / shifted.sum(axis=-1, keepdims=True)
    return normal


def random_rows(seed: int, n: int, k: int, spread: float) -> Float:
    return softmax(np.random.default_rng(seed).normal(scale=spread, size=(n, k)))


# Random rows from nearly uniform to nearly one-hot, and the corners of the simplex.
ROWS: dict[str, Float] = {
    "nearly-uniform": random_rows(0, 300, 7, 0.01),
    "usual": random_rows(1, 300, 18, 1.0),
    "confident": random_rows(2, 300, 60, 6.0),
    "nearly-one-hot": random_rows(3, 300, 5, 200.0),
    "two-classes": random_rows(4, 300, 2, 2.0),
    "one-hot": np.eye(6),
    "uniform": np.full((3, 11), 1 / 11),
    "tiny-mass": np.array([[1.0 - 2e-300, 1e-300, 1e-300], [1.0 - 5e-324, 5e-324, 0.0]]),
    "ties": np.array([[0.4, 0.4, 0.2], [0.25, 0.5, 0.25]]),
}
rows = pytest.mark.parametrize("probs", ROWS.values(), ids=ROWS.keys())


@rows
def test_entropy_agrees_with_scipy(probs: Float) -> None:
    np.testing.assert_allclose(scores.entropy(probs), scipy.stats.entropy(probs, axis=1), rtol=1e-12, atol=1e-14)


@rows
def test_entropy_agrees_with_cleanlab(probs: Float) -> None:
    # cleanlab clips probabilities away from 0 and divides by ln K.
    expected = get_normalized_entropy(probs) * math.log(probs.shape[1])
    np.testing.assert_allclose(scores.entropy(probs), expected, rtol=1e-9, atol=1e-9)


@rows
@pytest.mark.parametrize(
    ("ours", "method"),
    [
        (scores.entropy, "entropy"),
        (scores.least_confidence, "least_confident"),
        (lambda probs: 1.0 - scores.margin(probs), "margin_sampling"),
    ],
    ids=["entropy", "least-confidence", "margin"],
)
def test_agrees_with_scikit_activeml(probs: Float, ours: Score, method: str) -> None:
    np.testing.assert_allclose(ours(probs), uncertainty_scores(probs, method=method), rtol=1e-12, atol=1e-14)


@rows
def test_margin_and_confidence_agree_with_cleanlab(probs: Float) -> None:
    first = probs.argmax(axis=1)
    # cleanlab moves the margin from [-1, 1] to [0, 1].
    margin = 2.0 * get_normalized_margin_for_each_label(first, probs) - 1.0
    np.testing.assert_allclose(scores.margin(probs), margin, rtol=1e-12, atol=1e-14)
    confidence = get_self_confidence_for_each_label(first, probs)
    np.testing.assert_allclose(scores.least_confidence(probs), 1.0 - confidence, rtol=1e-12, atol=1e-14)


def el2n_by_definition(replicate_probs: Float, labels: Sequence[int]) -> list[list[float]]:
    """|| p - onehot(y) ||, in plain float64 loops; an unknown label is a class that no replicate knows."""
    table = []
    for replicate in replicate_probs.tolist():
        line = []
        for row, label in zip(replicate, labels, strict=True):
            extended = [*row, 0.0]
            target = [0.0] * len(extended)
            target[label] = 1.0  # -1 is the added class
            line.append(math.sqrt(math.fsum((p - t) ** 2 for p, t in zip(extended, target, strict=True))))
        table.append(line)
    return table


@rows
@pytest.mark.parametrize("replicates", [1, 2, 5])
def test_el2n_agrees_with_its_definition(probs: Float, replicates: int) -> None:
    n, k = probs.shape
    rng = np.random.default_rng(5)
    stack = np.stack([probs[rng.permutation(n)] for _ in range(replicates)])
    labels = rng.integers(-1, k, size=n)
    expected = np.array(el2n_by_definition(stack, labels.tolist())).clip(max=math.sqrt(2.0))
    np.testing.assert_allclose(scores.el2n_replicates(stack, labels), expected, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(scores.el2n(stack, labels), expected.mean(axis=0), rtol=1e-12, atol=1e-15)


def test_el2n_keeps_digits_where_the_expanded_square_loses_them() -> None:
    almost = np.array([[[1.0 - 1e-12, 1e-12]]])
    np.testing.assert_allclose(scores.el2n(almost, [0]), [math.sqrt(2.0) * 1e-12], rtol=1e-3)


@pytest.mark.parametrize(
    ("row", "label", "expected"),
    [
        ([1.0, 0.0], 0, 0.0),
        ([1.0, 0.0], 1, math.sqrt(2.0)),
        ([1.0, 0.0], -1, math.sqrt(2.0)),
        ([0.5, 0.5], 0, math.sqrt(0.5)),
        ([0.5, 0.5], -1, math.sqrt(1.5)),
        ([0.25] * 4, 2, math.sqrt(0.75)),
        ([1.0], 0, 0.0),
        ([1.0], -1, math.sqrt(2.0)),
    ],
)
def test_el2n_by_hand(row: list[float], label: int, expected: float) -> None:
    assert scores.el2n([[row]], [label])[0] == pytest.approx(expected, abs=1e-15)


@rows
def test_mutual_information_agrees_with_scipy(probs: Float) -> None:
    rng = np.random.default_rng(6)
    stack = np.stack([probs[rng.permutation(len(probs))] for _ in range(4)])
    within = scipy.stats.entropy(stack, axis=2).mean(axis=0)
    expected = scipy.stats.entropy(stack.mean(axis=0), axis=1) - within
    np.testing.assert_allclose(scores.mutual_information(stack), expected, rtol=1e-9, atol=1e-12)


def test_mutual_information_is_the_mean_divergence_from_the_ensemble() -> None:
    stack = np.stack([random_rows(seed, 50, 9, 2.0) for seed in range(5)])
    divergence = scipy.stats.entropy(stack, np.broadcast_to(stack.mean(axis=0), stack.shape), axis=2)
    np.testing.assert_allclose(scores.mutual_information(stack), divergence.mean(axis=0), rtol=1e-10)


def test_extremes_are_exact() -> None:
    assert scores.entropy(np.eye(4)).tolist() == [0.0] * 4
    assert scores.margin(np.eye(4)).tolist() == [1.0] * 4
    assert scores.least_confidence(np.eye(4)).tolist() == [0.0] * 4
    np.testing.assert_allclose(scores.entropy([[0.25] * 4]), [math.log(4)], rtol=1e-15)
    assert scores.margin([[0.25] * 4]).tolist() == [0.0]
    assert scores.least_confidence([[0.25] * 4]).tolist() == [0.75]


def test_one_class_is_certain() -> None:
    assert scores.entropy([[1.0]]).tolist() == [0.0]
    assert scores.margin([[1.0]]).tolist() == [1.0]
    assert scores.least_confidence([[1.0]]).tolist() == [0.0]
    assert scores.mutual_information([[[1.0]], [[1.0]]]).tolist() == [0.0]


@pytest.mark.parametrize("dtype", [np.float32, np.float16])
@pytest.mark.parametrize("score", SINGLE)
def test_low_precision_is_computed_in_float64(score: Score, dtype: type[np.floating[Any]]) -> None:
    low = np.array([[0.5, 0.25, 0.25], [0.125, 0.125, 0.75]], dtype=dtype)
    assert score(low).dtype == np.float64
    np.testing.assert_array_equal(score(low), score(low.astype(np.float64)))


def test_float32_softmax_passes_and_stays_in_range() -> None:
    probs = random_rows(7, 20_000, 60, 3.0).astype(np.float32)
    assert scores.entropy(probs).max() <= math.log(60)
    assert scores.el2n(probs[None], np.full(20_000, -1)).max() <= math.sqrt(2.0)


def test_sums_within_the_tolerance_stay_in_range() -> None:
    above, below = np.full((1, 4), 0.25 + 2e-5), np.array([[1.0 - 9e-5, 0.0, 0.0, 0.0]])
    assert scores.entropy(above)[0] == math.log(4)
    assert scores.margin(np.array([[1.0 + 9e-5, 0.0]]))[0] == 1.0
    assert scores.margin(np.array([[1.0 + 9e-5]]))[0] == 1.0
    assert scores.least_confidence(np.array([[1.0 + 9e-5, 0.0]]))[0] == 0.0
    assert scores.el2n([[[1.0 + 9e-5, 0.0]]], [1])[0] == math.sqrt(2.0)
    assert 0.0 <= scores.entropy(below)[0] < 1e-4


def test_input_is_left_alone() -> None:
    stack = np.array([[[0.5, 0.5]]])
    scores.el2n(stack, [0])
    assert stack.tolist() == [[[0.5, 0.5]]]


def test_no_utterances_give_no_scores() -> None:
    for score in SINGLE:
        assert score(np.empty((0, 3))).shape == (0,)
    assert scores.el2n(np.empty((5, 0, 3)), []).shape == (0,)
    assert scores.el2n_replicates(np.empty((5, 0, 3)), []).shape == (5, 0)
    assert scores.mutual_information(np.empty((5, 0, 3))).shape == (0,)
    assert scores.token_entropy(np.empty((0, 3)), []).mean.shape == (0,)


BAD_ROWS = [
    ([[0.5, 0.5], [0.5, 0.4]], r"probs\[1\] sums to 0.9, not to 1"),
    ([[0.5, 0.50011]], r"probs\[0\] sums to 1.00011"),
    ([[0.5, 0.5], [2.0, 3.0]], r"probs\[1\] sums to 5"),
    ([[0.5, math.nan]], r"probs\[0\] holds a value that is not finite"),
    ([[0.5, math.inf]], r"probs\[0\] holds a value that is not finite"),
    ([[1.1, -0.1]], r"probs\[0\] holds a negative probability"),
    ([0.5, 0.5], r"probs must have shape \(N, K\), not \(2,\)"),
    ([[[0.5, 0.5]]], r"probs must have shape \(N, K\), not \(1, 1, 2\)"),
    (np.empty((2, 0)), r"probs has no class"),
]


@pytest.mark.parametrize(("probs", "message"), BAD_ROWS)
@pytest.mark.parametrize("score", SINGLE)
def test_bad_rows_are_refused_by_name(score: Score, probs: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        score(probs)


@pytest.mark.parametrize("score", [scores.mutual_information, lambda stack: scores.el2n(stack, [0])])
def test_bad_replicates_are_refused_by_name(score: Score) -> None:
    with pytest.raises(ValueError, match=r"replicate_probs\[1, 0\] sums to 0.8"):
        score([[[0.5, 0.5]], [[0.5, 0.3]]])
    with pytest.raises(ValueError, match="holds no replicate"):
        score(np.empty((0, 1, 2)))
    with pytest.raises(ValueError, match=r"must have shape \(R, N, K\)"):
        score([[0.5, 0.5]])


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([0, 2], r"labels\[1\] is 2: must lie in \[0, 2\)"),
        ([-2, 0], r"labels\[0\] is -2"),
        ([0], "labels has 1 entries for 2 utterances"),
        ([0.0, 1.0], "labels must be integers, not float64"),
        ([[0, 1]], r"labels must have shape \(N,\)"),
    ],
)
def test_bad_labels_are_refused_by_name(labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scores.el2n([[[0.5, 0.5], [0.5, 0.5]]], labels)


def test_token_entropy_gathers_ragged_utterances() -> None:
    found = scores.token_entropy([[0.5, 0.5], [1.0, 0.0], [0.5, 0.5], [0.5, 0.5]], [2, 0, 1, 1])
    np.testing.assert_allclose(found.mean, [LN2 / 2, 0.0, LN2, LN2])
    np.testing.assert_allclose(found.sum, [LN2, 0.0, LN2, LN2])
    np.testing.assert_allclose(found.max, [LN2, 0.0, LN2, LN2])


def test_token_entropy_agrees_with_a_loop() -> None:
    lengths = np.random.default_rng(8).integers(0, 9, size=200)
    probs = random_rows(9, int(lengths.sum()), 12, 2.0)
    found = scores.token_entropy(probs, lengths)
    start = 0
    for index, length in enumerate(lengths.tolist()):
        tokens = scipy.stats.entropy(probs[start : start + length], axis=1)
        start += length
        assert found.sum[index] == pytest.approx(tokens.sum(), abs=1e-12)
        assert found.mean[index] == pytest.approx(tokens.mean() if length else 0.0, abs=1e-12)
        assert found.max[index] == pytest.approx(tokens.max() if length else 0.0, abs=1e-12)


@pytest.mark.parametrize("lengths", [[1], [3], [3, -1]])
def test_token_lengths_must_fit(lengths: list[int]) -> None:
    with pytest.raises(ValueError, match="non-negative and sum to the 2 rows"):
        scores.token_entropy([[0.5, 0.5], [0.5, 0.5]], lengths)
