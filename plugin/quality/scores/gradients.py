"""Gradient embeddings (BADGE): what an utterance would teach the last layer, if the model is right about it.

Axes: N utterances, M of them to measure from, K classes, E hidden units.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from plugin.quality.scores.arrays import Float, integers, probabilities


@dataclass(frozen=True, slots=True)
class GradientEmbedding:
    """N vectors of K * E numbers, kept as the two factors whose outer product each of them is.

    residual  (N, K), p - onehot(argmax p)
    hidden    (N, E)

    Lengths and distances follow from the factors: no vector of K * E numbers is made for them.
    Of several heads, add up their squared distances: those of the vectors put end to end.
    """

    residual: Float
    hidden: Float

    def squared_norms(self) -> Float:
        """(N,): 0 for an utterance that the model is sure of, so BADGE begins with the largest."""
        norms: Float = np.einsum("nk,nk->n", self.residual, self.residual)
        norms *= np.einsum("ne,ne->n", self.hidden, self.hidden)
        return norms

    def squared_distances(self, rows: ArrayLike) -> Float:
        """(N, M): from every utterance to each of those at `rows` (M,).

        |a_n|^2 |h_n|^2 + |a_m|^2 |h_m|^2 - 2 (a_n . a_m) (h_n . h_m), cut at 0, which is what an utterance has to
        itself. Next to two long vectors a distance below 1e-8 of them is lost in rounding.
        """
        to = integers(rows, "rows")
        norms = self.squared_norms()
        common = (self.residual @ self.residual[to].T) * (self.hidden @ self.hidden[to].T)  # (N, M)
        squared: Float = np.maximum(norms[:, None] + norms[to] - 2.0 * common, 0.0)
        squared[to, np.arange(to.size)] = 0.0
        return squared

    def dense(self) -> Float:
        """(N, K * E), row-major in (class, unit). For small N: 20 classes of 128 units are 20 KB an utterance."""
        outer: Float = self.residual[:, :, None] * self.hidden[:, None, :]
        return outer.reshape(len(outer), -1)


def gradient_embedding(probs: ArrayLike, hidden: ArrayLike) -> GradientEmbedding:
    r"""Gradient of the cross-entropy by the last layer's weights, :math:`(p - \mathrm{onehot}(\arg\max p)) \otimes h`.

    Args:
        probs: (N, K), rows sum to 1: softmax of the last layer, of the domain or the intent head. Among equals
            the first class is taken for the label.
        hidden: (N, E), what that layer reads. Of an ensemble: mean probabilities and mean representations, which
            is the gradient of no one network.

    Returns:
        The N embeddings; each long in [0, sqrt 2 |h|]. Long means uncertain, close together means alike: a batch
        that is spread out covers both.

    Raises:
        ValueError: as `entropy`; `hidden` of another shape, or not finite.

    Source: Ash et al. 2020 (arXiv 1906.03671), equation 1.

    >>> found = gradient_embedding([[0.75, 0.25], [1.0, 0.0]], [[2.0, 0.0], [0.0, 1.0]])
    >>> found.dense().tolist()
    [[-0.5, -0.0, 0.5, 0.0], [0.0, 0.0, 0.0, 0.0]]
    >>> found.squared_distances([1]).tolist()
    [[0.5], [0.0]]
    """
    p = probabilities(probs, "probs")
    h = np.asarray(hidden, dtype=np.float64)
    if h.ndim != 2 or len(h) != len(p):
        raise ValueError(f"hidden must have shape ({len(p)}, E), not {h.shape}")
    if not np.isfinite(h).all():
        raise ValueError("hidden holds a value that is not finite")
    residual = p.copy()
    residual[np.arange(len(p)), p.argmax(axis=1)] -= 1.0
    return GradientEmbedding(residual, h)
