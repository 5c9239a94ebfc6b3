"""Scores of a training's course: the probabilities of one utterance at successive checkpoints.

Axes: S snapshots in the order of training, N utterances, K classes.

The sources follow examples that are trained on. The pool is not: here "forgotten" means that a later checkpoint
no longer agrees with the record's label, and "never learned" that none ever did, out of sample.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from plugin.quality.scores.arrays import UNKNOWN_LABEL, Float, Int, class_numbers, cut, stack_of


class Cartography(NamedTuple):
    """Mean and standard deviation of the probability that the snapshots give the label, each (N,)."""

    confidence: Float
    variability: Float


def cartography(snapshot_probs: ArrayLike, labels: ArrayLike) -> Cartography:
    r"""Mean and standard deviation over the snapshots of the probability of the label, :math:`p_{s,n}(y_n)`.

    Args:
        snapshot_probs: (S, N, K), rows sum to 1; the mean over the replicates where there are several. S >= 1.
        labels: (N,) integer, the record's hypothesised class in [0, K), or -1 outside the vocabulary, to which
            every snapshot gives probability 0.

    Returns:
        confidence (N,) in [0, 1]: low means hard to learn, or mislabelled. variability (N,) in [0, 0.5]: high
        means ambiguous, the snapshots cannot make up their mind; 0 with one snapshot.

    Raises:
        ValueError: as `entropy`; no snapshot; labels not integer, of another length, or outside [-1, K).

    Source: Swayamdipta et al. 2020 (arXiv 2009.10795), section 2.

    >>> found = cartography([[[0.25, 0.75], [1.0, 0.0]], [[0.75, 0.25], [1.0, 0.0]]], [0, 0])
    >>> found.confidence.tolist(), found.variability.tolist()
    ([0.5, 1.0], [0.25, 0.0])
    """
    p = stack_of(snapshot_probs, "snapshot_probs", "snapshot", "(S, N, K)")
    y = class_numbers(labels, n=p.shape[1], k=p.shape[2])
    of_label = np.where(y == UNKNOWN_LABEL, 0.0, p[:, np.arange(y.size), y])  # (S, N, K) -> (S, N); -1 reads any cell
    return Cartography(cut(of_label.mean(axis=0), 0.0, 1.0), cut(of_label.std(axis=0), 0.0, 0.5))


def forgetting(snapshot_probs: ArrayLike, labels: ArrayLike) -> Int:
    r"""How often a snapshot that was right is followed by one that is wrong; S for an utterance never right.

    Right is :math:`\arg\max_k p_{s,n,k} = y_n`, the first class among equals.

    Args:
        snapshot_probs: (S, N, K), rows sum to 1; the mean over the replicates where there are several. S >= 1.
        labels: (N,) integer, the record's hypothesised class in [0, K), or -1 outside the vocabulary, which no
            snapshot ever gets right.

    Returns:
        (N,) integer in {0, ..., S // 2} or S. High means hard, or mislabelled; 0 is learned for good.

    Raises:
        ValueError: as `cartography`.

    Source: Toneva et al. 2019 (arXiv 1812.05159), definition 2.1; like their code, which ranks what was never
    learned above all that was forgotten.

    >>> right, wrong = [0.75, 0.25], [0.25, 0.75]
    >>> forgetting([[right, wrong], [wrong, wrong], [right, wrong]], [0, 0]).tolist()
    [1, 3]
    """
    p = stack_of(snapshot_probs, "snapshot_probs", "snapshot", "(S, N, K)")
    y = class_numbers(labels, n=p.shape[1], k=p.shape[2])
    right = p.argmax(axis=2) == y  # (S, N, K) -> (S, N)
    flips = (right[:-1] & ~right[1:]).sum(axis=0)
    return np.where(right.any(axis=0), flips, len(p)).astype(np.int64)
