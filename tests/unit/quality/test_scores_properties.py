"""What must hold for every distribution: range, direction, permutation, batching."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from plugin.quality import scores
from plugin.quality.scores import Float, Int

Score = Callable[[Any], Float]
SINGLE: list[Score] = [scores.entropy, scores.margin, scores.least_confidence]
single = pytest.mark.parametrize("score", SINGLE)
weight = st.one_of(st.just(0.0), st.floats(1e-12, 1.0))


@st.composite
def distributions(draw: st.DrawFn, replicates: int | None = None) -> Float:
    """(N, K), or (R, N, K): exact zeros, one-hot and uniform rows are all likely."""
    k = draw(st.integers(1, 8))
    n = draw(st.integers(1, 6))
    size = n * (replicates or 1)
    cells = draw(st.lists(weight, min_size=size * k, max_size=size * k))
    table = np.array(cells).reshape(size, k)
    table[table.sum(axis=1) == 0.0] = 1.0
    table /= table.sum(axis=1, keepdims=True)
    return table if replicates is None else table.reshape(replicates, n, k)


@st.composite
def labelled(draw: st.DrawFn) -> tuple[Float, Int]:
    stack = draw(distributions(replicates=draw(st.integers(1, 4))))
    _, n, k = stack.shape
    labels = draw(st.lists(st.integers(-1, k - 1), min_size=n, max_size=n))
    return stack, np.array(labels, dtype=np.int64)


@given(probs=distributions())
def test_ranges(probs: Float) -> None:
    k = probs.shape[1]
    for values, high in (
        (scores.entropy(probs), math.log(k)),
        (scores.margin(probs), 1.0),
        (scores.least_confidence(probs), 1.0 - 1.0 / k),
    ):
        assert np.isfinite(values).all()
        assert (values >= 0.0).all()
        assert (values <= high).all()


@given(pair=labelled())
def test_replicate_ranges(pair: tuple[Float, Int]) -> None:
    stack, labels = pair
    spread = scores.el2n_replicates(stack, labels)
    assert spread.shape == stack.shape[:2]
    assert ((spread >= 0.0) & (spread <= math.sqrt(2.0))).all()
    mean = scores.el2n(stack, labels)
    assert (mean <= spread.max(axis=0) + 1e-15).all()
    assert (mean >= spread.min(axis=0) - 1e-15).all()
    shared = scores.mutual_information(stack)
    # At most ln K classes can be told apart, by at most R replicates.
    assert ((shared >= 0.0) & (shared <= math.log(min(stack.shape[0], stack.shape[2])) + 1e-9)).all()


@single
@given(data=st.data())
def test_class_order_does_not_matter(score: Score, data: st.DataObject) -> None:
    probs = data.draw(distributions())
    order = data.draw(st.permutations(range(probs.shape[1])))
    np.testing.assert_allclose(score(probs[:, order]), score(probs), rtol=1e-12, atol=1e-12)


@single
@given(data=st.data())
def test_row_order_is_kept(score: Score, data: st.DataObject) -> None:
    probs = data.draw(distributions())
    order = data.draw(st.permutations(range(probs.shape[0])))
    np.testing.assert_array_equal(score(probs[order]), score(probs)[order])


@single
@given(data=st.data())
def test_a_batch_is_the_concatenation_of_its_parts(score: Score, data: st.DataObject) -> None:
    probs = data.draw(distributions())
    cut = data.draw(st.integers(0, probs.shape[0]))
    np.testing.assert_array_equal(np.concatenate([score(probs[:cut]), score(probs[cut:])]), score(probs))


@given(pair=labelled(), data=st.data())
def test_el2n_permutes_with_classes_rows_and_replicates(pair: tuple[Float, Int], data: st.DataObject) -> None:
    stack, labels = pair
    r, n, k = stack.shape
    expected = scores.el2n(stack, labels)
    classes = np.array(data.draw(st.permutations(range(k))))
    position = np.append(np.argsort(classes), -1)  # the last entry answers for label -1
    np.testing.assert_allclose(scores.el2n(stack[:, :, classes], position[labels]), expected, atol=1e-12)
    row_order = np.array(data.draw(st.permutations(range(n))))
    np.testing.assert_array_equal(scores.el2n(stack[:, row_order], labels[row_order]), expected[row_order])
    replicate_order = np.array(data.draw(st.permutations(range(r))))
    np.testing.assert_allclose(scores.el2n(stack[replicate_order], labels), expected, atol=1e-12)


@given(pair=labelled(), data=st.data())
def test_el2n_batches_concatenate(pair: tuple[Float, Int], data: st.DataObject) -> None:
    stack, labels = pair
    cut = data.draw(st.integers(0, stack.shape[1]))
    parts = [scores.el2n(stack[:, :cut], labels[:cut]), scores.el2n(stack[:, cut:], labels[cut:])]
    np.testing.assert_array_equal(np.concatenate(parts), scores.el2n(stack, labels))


@given(probs=distributions(), copies=st.integers(1, 5))
def test_replicates_that_agree_share_nothing(probs: Float, copies: int) -> None:
    stack = np.repeat(probs[None], copies, axis=0)
    np.testing.assert_allclose(scores.mutual_information(stack), 0.0, atol=1e-12)


@settings(max_examples=50)
@given(probs=distributions())
def test_el2n_of_ones_own_argmax_only_repeats_the_confidence(probs: Float) -> None:
    """The bounds that make `labels = argmax` useless: (1-c) sqrt(K/(K-1)) <= EL2N <= sqrt(2) (1-c)."""
    k = probs.shape[1]
    found = scores.el2n(probs[None], probs.argmax(axis=1))
    doubt = scores.least_confidence(probs)
    assert (found <= math.sqrt(2.0) * doubt + 1e-9).all()
    if k > 1:
        assert (found >= doubt * math.sqrt(k / (k - 1)) - 1e-9).all()


@given(probs=distributions())
def test_mixing_with_uniform_never_lowers_uncertainty(probs: Float) -> None:
    mixed = 0.5 * probs + 0.5 / probs.shape[1]
    assert (scores.entropy(mixed) >= scores.entropy(probs) - 1e-12).all()
    assert (scores.least_confidence(mixed) >= scores.least_confidence(probs) - 1e-12).all()
    assert (scores.margin(mixed) <= scores.margin(probs) + 1e-12).all()
