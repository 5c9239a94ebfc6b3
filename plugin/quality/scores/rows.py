"""Scores of one distribution: how undecided is it?  Axes: N utterances, K classes."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from plugin.quality.scores.arrays import Float, cut, probabilities, row_entropy


def entropy(probs: ArrayLike) -> Float:
    r"""Shannon entropy of each row, :math:`H(p) = -\sum_k p_k \ln p_k` with :math:`0 \ln 0 = 0`.

    Args:
        probs: (N, K), rows sum to 1.

    Returns:
        (N,) in [0, ln K] nats. High means uncertain: a one-hot row gives 0, a uniform row ln K.

    Raises:
        ValueError: wrong shape, or a row that is negative, not finite, or does not sum to 1.

    Source: Shannon 1948; as an uncertainty score Settles 2009, section 3.1.

    >>> entropy([[1.0, 0.0], [0.5, 0.5]]).round(4).tolist()
    [0.0, 0.6931]
    """
    return row_entropy(probabilities(probs, "probs"))


def margin(probs: ArrayLike) -> Float:
    r"""Lead of the first class over the second, :math:`p_{(1)} - p_{(2)}`.

    Args:
        probs: (N, K), rows sum to 1. With K = 1 the second class has probability 0.

    Returns:
        (N,) in [0, 1]. High means *certain*, the opposite direction of the other scores.

    Raises:
        ValueError: as `entropy`.

    Source: Scheffer et al. 2001; Settles 2009, section 3.1.

    >>> margin([[0.75, 0.25, 0.0], [0.5, 0.5, 0.0]]).tolist()
    [0.5, 0.0]
    """
    p = probabilities(probs, "probs")
    if p.shape[1] == 1:
        return cut(p[:, 0], 0.0, 1.0)
    top = np.partition(p, p.shape[1] - 2, axis=1)[:, -2:]  # (N, K) -> (N, 2), ascending
    return cut(top[:, 1] - top[:, 0], 0.0, 1.0)


def least_confidence(probs: ArrayLike) -> Float:
    r"""What the most probable class leaves over, :math:`1 - p_{(1)}`.

    Args:
        probs: (N, K), rows sum to 1.

    Returns:
        (N,) in [0, 1 - 1/K]. High means uncertain.

    Raises:
        ValueError: as `entropy`.

    Source: Culotta and McCallum 2005; Settles 2009, section 3.1.

    >>> least_confidence([[0.75, 0.25], [0.5, 0.5]]).tolist()
    [0.25, 0.5]
    """
    p = probabilities(probs, "probs")
    return cut(1.0 - p.max(axis=1), 0.0, 1.0 - 1.0 / p.shape[1])
