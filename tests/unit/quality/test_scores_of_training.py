"""Dataset cartography, forgetting and gradient embeddings, against plain loops and against scikit-activeml."""

from __future__ import annotations

import statistics
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from skactiveml.base import SkactivemlClassifier
from skactiveml.pool import Badge

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


def test_the_gradient_embedding_is_the_gradient_of_the_last_layer() -> None:
    """By torch's own differentiation of the cross-entropy with the predicted label."""
    rng = np.random.default_rng(0)
    weights = torch.tensor(rng.normal(size=(4, 6)), requires_grad=True)  # (K, E)
    hidden = rng.normal(size=(5, 6))
    logits = torch.tensor(hidden) @ weights.T
    found = scores.gradient_embedding(logits.softmax(1).detach().numpy(), hidden).dense()
    for number in range(5):
        loss = torch.nn.functional.cross_entropy(logits[number], logits[number].argmax())
        [gradient] = torch.autograd.grad(loss, weights, retain_graph=True)
        np.testing.assert_allclose(found[number], gradient.numpy().ravel(), atol=1e-12)


@given(seed=st.integers(0, 1000), n=st.integers(1, 8), k=st.integers(1, 5), width=st.integers(1, 5))
def test_distances_from_the_factors_are_those_of_the_vectors(seed: int, n: int, k: int, width: int) -> None:
    embedding = scores.gradient_embedding(random_rows(seed, n, k), np.random.default_rng(seed).normal(size=(n, width)))
    rows = np.arange(0, n, 2)
    dense = embedding.dense()
    expected = cdist(dense, dense[rows], "sqeuclidean")
    np.testing.assert_allclose(embedding.squared_distances(rows), expected, atol=1e-12)
    np.testing.assert_allclose(embedding.squared_norms(), (dense**2).sum(axis=1), atol=1e-12)
    assert (embedding.squared_distances(rows)[rows, np.arange(rows.size)] == 0.0).all()


class Known(SkactivemlClassifier):  # type: ignore[misc]  # it carries no types
    """A classifier that gives out the probabilities it was made with, for rows known by their number."""

    def __init__(self, probs: Any = None, hidden: Any = None, classes: Any = None) -> None:
        super().__init__(classes=classes)
        self.probs = probs
        self.hidden = hidden

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Known:  # noqa: N803
        return self

    def predict_proba(self, X: Any, return_embeddings: bool = False) -> Any:  # noqa: N803
        rows = np.asarray(X)[:, 0].astype(int)
        return (self.probs[rows], self.hidden[rows]) if return_embeddings else self.probs[rows]


def test_badge_of_scikit_activeml_weighs_by_the_same_distances() -> None:
    n, k = 40, 5
    probs, hidden = random_rows(3, n, k), np.random.default_rng(3).normal(size=(n, 7))
    chosen, utilities = Badge(
        random_state=0, clf_embedding_flag_name={"return_embeddings": True}
    ).query(
        np.arange(n)[:, None], np.full(n, np.nan), Known(probs, hidden, list(range(k))), fit_clf=False, batch_size=3,
        return_utilities=True,
    )  # fmt: skip
    embedding = scores.gradient_embedding(probs, hidden)
    assert chosen[0] == embedding.squared_norms().argmax()
    # scikit-activeml counts the zero vector as a centre too.
    nearest = np.minimum(embedding.squared_distances(chosen[:2]).min(axis=1), embedding.squared_norms())
    left = np.setdiff1d(np.arange(n), chosen[:2])
    np.testing.assert_allclose(utilities[2][left], (nearest / nearest.sum())[left], rtol=1e-9)


@pytest.mark.parametrize(
    ("hidden", "message"),
    [
        ([[1.0]], r"hidden must have shape \(2, E\)"),
        ([1.0, 2.0], "hidden must have"),
        ([[1.0], [np.nan]], "not finite"),
    ],
)
def test_bad_representations_are_refused(hidden: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scores.gradient_embedding([[0.5, 0.5], [1.0, 0.0]], hidden)
