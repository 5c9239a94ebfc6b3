"""Slot-level scores against brute force over every tag sequence, and against scipy."""

from __future__ import annotations

from itertools import product
from math import prod

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from plugin.quality import scores
from plugin.quality.scores import Float


def allowed(tags: tuple[int, ...]) -> bool:
    """Every continuation (even, not 0) follows its own beginning or continuation."""
    return all(
        tag % 2 == 1 or tag == 0 or before in (tag, tag - 1) for before, tag in zip((0, *tags), tags, strict=False)
    )


def probability(table: Float, tags: tuple[int, ...]) -> float:
    return prod(float(row[tag]) for row, tag in zip(table, tags, strict=True))


def margin_by_brute_force(table: Float) -> float:
    """Over every sequence that BIO allows; `table` is (T, K)."""
    sequences = filter(allowed, product(range(table.shape[1]), repeat=len(table)))
    best = sorted(probability(table, tags) for tags in sequences)[-2:]
    return best[-1] - (best[0] if len(best) == 2 else 0.0)


@st.composite
def utterances(draw: st.DrawFn) -> tuple[Float, list[int]]:
    """(T, K) tag probabilities, often 0 or equal to one another, and lengths that sum to T."""
    tags = 2 * draw(st.integers(0, 2)) + 1
    lengths = draw(st.lists(st.integers(0, 4), min_size=1, max_size=4))
    weight = st.one_of(st.just(0.0), st.just(1.0), st.floats(1e-6, 1.0))
    cells = draw(st.lists(weight, min_size=sum(lengths) * tags, max_size=sum(lengths) * tags))
    table = np.array(cells).reshape(-1, tags)
    table[table.sum(axis=1) == 0.0] = 1.0
    return table / table.sum(axis=1, keepdims=True), lengths


@given(drawn=utterances())
def test_the_margin_is_that_of_the_two_best_sequences(drawn: tuple[Float, list[int]]) -> None:
    table, lengths = drawn
    parts = np.split(table, np.cumsum(lengths)[:-1])
    expected = [margin_by_brute_force(part) for part in parts]
    np.testing.assert_allclose(scores.sequence_margin(table, lengths), expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("seed", range(6))
def test_the_margin_of_many_labels_is_that_of_the_two_best_sequences(seed: int) -> None:
    rng = np.random.default_rng(seed)
    for tags in (7, 9, 11, 13):  # halving them leaves every remainder
        table = rng.dirichlet(np.full(tags, 0.3), size=3)
        expected = margin_by_brute_force(table)
        np.testing.assert_allclose(scores.sequence_margin(table, [3]), [expected], rtol=1e-9, atol=1e-12)


def test_the_margin_does_not_depend_on_the_other_utterances() -> None:
    rng = np.random.default_rng(0)
    lengths = rng.integers(0, 12, size=60)
    table = rng.dirichlet(np.full(9, 0.5), size=int(lengths.sum()))
    together = scores.sequence_margin(table, lengths)
    for part, length, found in zip(np.split(table, np.cumsum(lengths)[:-1]), lengths, together, strict=True):
        assert scores.sequence_margin(part, [length]) == pytest.approx([found], abs=1e-15)


def test_a_sequence_that_bio_forbids_is_no_rival() -> None:
    # Best is outside, outside. "outside, continue" has 0.4 too, but a slot must begin first.
    table = [[1.0, 0.0, 0.0], [0.5, 0.1, 0.4]]
    assert scores.sequence_margin(table, [2]) == pytest.approx([0.4])


def test_margins_of_sure_and_of_torn_tags() -> None:
    assert scores.sequence_margin([[1.0, 0.0, 0.0]], [1]).tolist() == [1.0]
    assert scores.sequence_margin([[0.5, 0.5, 0.0]], [1]).tolist() == [0.0]
    assert scores.sequence_margin([[1.0], [1.0]], [2, 0]).tolist() == [1.0, 1.0]
    assert scores.sequence_margin(np.empty((0, 3)), []).shape == (0,)
    assert scores.sequence_margin(np.array([[1.0 + 9e-5, 0.0, 0.0]]), [1]).tolist() == [1.0]


def test_the_longest_utterance_underflows_to_no_margin_rather_than_to_nonsense() -> None:
    table = np.full((3000, 5), 0.2)
    assert scores.sequence_margin(table, [3000]).tolist() == [0.0]


@pytest.mark.parametrize(
    ("table", "lengths", "message"),
    [
        ([[0.5, 0.5]], [1], "token_probs has 2 tags: must be odd"),
        ([[0.5, 0.5, 0.0]], [2], "sum to the 1 rows of token_probs"),
        ([[0.5, 0.4, 0.0]], [1], r"token_probs\[0\] sums to 0.9"),
    ],
)
def test_bad_tags_are_refused(table: list[list[float]], lengths: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scores.sequence_margin(table, lengths)


def test_joint_uncertainty_is_the_entropy_of_the_joint_distribution() -> None:
    rng = np.random.default_rng(1)
    domain, intent, tags = (rng.dirichlet(np.ones(k), size=n) for k, n in ((3, 1), (4, 1), (5, 3)))
    joint = np.einsum("d,i,a,b,c->diabc", domain[0], intent[0], *tags)  # every interpretation of three tokens
    of_slots = scores.token_entropy(tags, [3]).sum
    assert scores.joint_uncertainty(domain, intent, of_slots) == pytest.approx([scipy.stats.entropy(joint.ravel())])


def test_joint_uncertainty_of_the_mean_token_does_not_grow_with_the_utterance() -> None:
    rows = np.full((4, 3), 1 / 3)
    of_slots = scores.token_entropy(rows, [1, 3])
    one = [[1.0]] * 2
    total = scores.joint_uncertainty(one, one, of_slots.sum)
    assert total[1] == pytest.approx(3 * total[0])
    per_token = scores.joint_uncertainty(one, one, of_slots.mean)
    assert per_token[1] == pytest.approx(per_token[0])


@pytest.mark.parametrize(
    ("token_entropy", "message"),
    [([0.1, 0.2], "must hold the same utterances"), ([-0.1], "negative or not finite"), ([np.nan], "not finite")],
)
def test_a_bad_token_entropy_is_refused(token_entropy: list[float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scores.joint_uncertainty([[1.0]], [[1.0]], token_entropy)
