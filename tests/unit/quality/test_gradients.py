"""BADGE's gradient embeddings, as rounds use them, against torch's autograd and against scikit-activeml."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist
from skactiveml.base import SkactivemlClassifier
from skactiveml.pool import Badge

from plugin.quality.selection import Frame
from plugin.quality.selection.diversity import gradients
from plugin.quality.selection.points import OuterProducts
from tests.unit.quality.test_scores_of_training import random_rows

GRID = 2e-3  # what the grid of whole numbers costs, of the longest distance


def make_frame(domain: Any, intent: Any, hidden: Any) -> Frame:
    features = {"domain_probs": domain, "intent_probs": intent, "embedding": hidden}
    return Frame(np.arange(len(domain)), np.full(len(domain), "a"), {}, features)


def shares(space: OuterProducts, rows: Any) -> tuple[Any, Any]:
    """Squared norms (N,) and squared distances (N, B), as shares of the largest norm: without the grid's unit."""
    longest = float(space.norms.max())
    return space.norms / longest, space.squared_distances(np.asarray(rows)) / longest


def test_the_embedding_is_the_gradient_of_the_last_layers() -> None:
    """By torch's own differentiation of the cross-entropies with the predicted labels, both heads at once."""
    rng = np.random.default_rng(0)
    hidden = rng.normal(size=(12, 6))
    heads = [torch.tensor(rng.normal(size=(classes, 6)), requires_grad=True) for classes in (4, 5)]  # (K, E)
    logits = [torch.tensor(hidden) @ head.T for head in heads]
    exact = []
    for number in range(12):
        losses = [torch.nn.functional.cross_entropy(of[number], of[number].argmax()) for of in logits]
        found = torch.autograd.grad(torch.stack(losses).sum(), heads, retain_graph=True)
        exact.append(np.concatenate([gradient.numpy().ravel() for gradient in found]))
    dense = np.array(exact)  # (N, (D + I) E)
    domain, intent = (of.softmax(1).detach().numpy() for of in logits)
    space = gradients(make_frame(domain, intent, hidden), np.arange(12))
    norms, distances = shares(space, np.arange(12))
    longest = (dense**2).sum(1).max()
    np.testing.assert_allclose(norms, (dense**2).sum(1) / longest, atol=GRID)
    np.testing.assert_allclose(distances, cdist(dense, dense, "sqeuclidean") / longest, atol=GRID)


@given(seed=st.integers(0, 1000), n=st.integers(2, 8), k=st.integers(2, 5), width=st.integers(1, 5))
def test_distances_from_the_factors_are_those_of_the_vectors(seed: int, n: int, k: int, width: int) -> None:
    probs, hidden = random_rows(seed, n, k), np.random.default_rng(seed).normal(size=(n, width))
    residual = probs - np.eye(k)[probs.argmax(axis=1)]
    dense = (residual[:, :, None] * hidden[:, None, :]).reshape(n, -1)
    bound = float((residual**2).sum(1).max() * (hidden**2).sum(1).max())  # the grid is that of the longest factors
    rows = np.arange(0, n, 2)
    space = gradients(make_frame(probs, np.ones((n, 1)), hidden), np.arange(n))
    measured = space.squared_distances(rows)
    scale = cdist(dense, dense, "sqeuclidean").max() / max(int(space.squared_distances(np.arange(n)).max()), 1)
    np.testing.assert_allclose(measured * scale, cdist(dense, dense[rows], "sqeuclidean"), atol=4 * GRID * bound)
    assert (measured[rows, np.arange(rows.size)] == 0).all()


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
    # Its BADGE knows one head: an intent that is always the same has no gradient.
    norms, distances = shares(gradients(make_frame(probs, np.ones((n, 1)), hidden), np.arange(n)), chosen[:2])
    assert chosen[0] == norms.argmax()
    # scikit-activeml counts the zero vector as a centre too.
    nearest = np.minimum(distances.min(axis=1), norms)
    left = np.setdiff1d(np.arange(n), chosen[:2])
    np.testing.assert_allclose(
        utilities[2][left], (nearest / nearest.sum())[left], atol=GRID * utilities[2][left].max()
    )
