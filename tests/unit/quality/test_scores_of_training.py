"""Dataset cartography and forgetting, against plain loops."""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.quality import scores
from plugin.quality.scores import Float, Int


def random_rows(seed: int, *shape: int) -> Float:
    return np.random.default_rng(seed).dirichlet(np.full(shape[-1], 0.5), size=shape[:-1])


@st.composite
def snapshots(draw: st.DrawFn) -> tuple[Float, Int]:
    s, n, k = draw(st.integers(1, 6)), draw(st.integers(1, 4)), draw(st.integers(1, 4))
    table = np.array(draw(st.lists(st.sampled_from([0.0, 0.5, 1.0]), min_size=s * n * k, max_size=s * n * k)))
    rows = table.reshape(s * n, k)
    rows[rows.sum(axis=1) == 0.0] = 1.0
    rows /= rows.sum(axis=1, keepdims=True)
    labels = draw(st.lists(st.integers(-1, k - 1), min_size=n, max_size=n))
    return rows.reshape(s, n, k), np.array(labels)


def forgetting_by_definition(rows: list[list[float]], label: int) -> int:
    """One utterance's snapshots, one after another."""
    accuracy = [int(row.index(max(row)) == label) for row in rows]
    if 1 not in accuracy:
        return len(accuracy)
    return sum(before > after for before, after in pairwise(accuracy))


@given(drawn=snapshots())
def test_cartography_and_forgetting_agree_with_their_definitions(drawn: tuple[Float, Int]) -> None:
    stack, labels = drawn
    found, forgotten = scores.cartography(stack, labels), scores.forgetting(stack, labels)
    for n, label in enumerate(labels.tolist()):
        rows = stack[:, n].tolist()
        of_label = [row[label] if label >= 0 else 0.0 for row in rows]
        assert found.confidence[n] == pytest.approx(statistics.fmean(of_label), abs=1e-12)
        assert found.variability[n] == pytest.approx(statistics.pstdev(of_label), abs=1e-12)
        assert forgotten[n] == forgetting_by_definition(rows, label)


@given(drawn=snapshots())
def test_ranges(drawn: tuple[Float, Int]) -> None:
    stack, labels = drawn
    found, forgotten = scores.cartography(stack, labels), scores.forgetting(stack, labels)
    assert ((found.confidence >= 0.0) & (found.confidence <= 1.0)).all()
    assert ((found.variability >= 0.0) & (found.variability <= 0.5)).all()
    assert set(forgotten.tolist()) <= {*range(len(stack) // 2 + 1), len(stack)}
    unknown = labels == scores.UNKNOWN_LABEL
    assert (found.confidence[unknown] == 0.0).all()
    assert (forgotten[unknown] == len(stack)).all()


def test_what_the_snapshots_cannot_decide_on_is_ambiguous_not_hard() -> None:
    right, wrong = [1.0, 0.0], [0.0, 1.0]
    easy, torn, hard = [right] * 4, [right, wrong, right, wrong], [wrong] * 4
    stack = np.array([easy, torn, hard]).transpose(1, 0, 2)  # (S, N, K)
    found = scores.cartography(stack, [0, 0, 0])
    assert found.confidence.tolist() == [1.0, 0.5, 0.0]
    assert found.variability.tolist() == [0.0, 0.5, 0.0]
    assert scores.forgetting(stack, [0, 0, 0]).tolist() == [0, 2, 4]


@pytest.mark.parametrize("score", [scores.cartography, scores.forgetting])
def test_bad_snapshots_are_refused(score: Any) -> None:
    with pytest.raises(ValueError, match="snapshot_probs holds no snapshot"):
        score(np.empty((0, 1, 2)), [0])
    with pytest.raises(ValueError, match=r"must have shape \(S, N, K\)"):
        score([[0.5, 0.5]], [0])
    with pytest.raises(ValueError, match=r"labels\[0\] is 2"):
        score([[[0.5, 0.5]]], [2])
