"""Scores of several distributions of each utterance: of replicates, or of passes with dropout.

Axes: R replicates, N utterances, K classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from plugin.quality.scores.arrays import EL2N_MAX, UNKNOWN_LABEL, Float, class_numbers, cut, row_entropy, stack_of


def el2n_replicates(replicate_probs: ArrayLike, labels: ArrayLike) -> Float:
    r"""Error L2 norm of each replicate, :math:`\lVert p_{r,n} - \mathrm{onehot}(y_n) \rVert_2`.

    A label outside the vocabulary is given as -1: its one-hot lies in a class of its own, to which every
    replicate gives probability 0, hence :math:`\sqrt{1 + \lVert p \rVert^2}`.

    Args:
        replicate_probs: (R, N, K), rows sum to 1; from an early checkpoint, R >= 1.
        labels: (N,) integer, the record's hypothesised class in [0, K), or -1. Never the argmax of the
            same replicates: the score would then only repeat their confidence.

    Returns:
        (R, N) in [0, sqrt 2]. High means hard, or mislabelled.

    Raises:
        ValueError: as `entropy`; no replicate; labels not integer, of another length, or outside [-1, K).

    Source: Paul, Ganguli and Dziugaite 2021 (arXiv 2107.07075), definition 2.2.

    >>> el2n_replicates([[[1.0, 0.0], [0.5, 0.5]]], [0, 1]).round(4).tolist()
    [[0.0, 0.7071]]
    """
    p = stack_of(replicate_probs, "replicate_probs", "replicate")  # (R, N, K)
    y = class_numbers(labels, n=p.shape[1], k=p.shape[2])  # (N,)
    error = p.copy()
    known = np.flatnonzero(y != UNKNOWN_LABEL)
    error[:, known, y[known]] -= 1.0
    squared = np.einsum("rnk,rnk->rn", error, error)  # (R, N, K) -> (R, N)
    squared += y == UNKNOWN_LABEL
    return cut(np.sqrt(squared), 0.0, EL2N_MAX)


def el2n(replicate_probs: ArrayLike, labels: ArrayLike) -> Float:
    r"""Mean error L2 norm, :math:`\frac1R \sum_r \lVert p_{r,n} - \mathrm{onehot}(y_n) \rVert_2`.

    Args:
        replicate_probs: (R, N, K), rows sum to 1; from an early checkpoint, R >= 1.
        labels: (N,) integer, the record's hypothesised class in [0, K), or -1 outside the vocabulary.

    Returns:
        (N,) in [0, sqrt 2]. High means hard, or mislabelled.

    Raises:
        ValueError: as `el2n_replicates`.

    Source: Paul, Ganguli and Dziugaite 2021 (arXiv 2107.07075), definition 2.2.

    >>> el2n([[[1.0, 0.0]], [[0.0, 1.0]]], [0]).round(4).tolist()
    [0.7071]
    """
    scores: Float = el2n_replicates(replicate_probs, labels).mean(axis=0)  # (R, N) -> (N,)
    return scores


def mutual_information(replicate_probs: ArrayLike) -> Float:
    r"""Disagreement of the replicates (BALD), :math:`H(\frac1R \sum_r p_r) - \frac1R \sum_r H(p_r)`.

    Args:
        replicate_probs: (R, N, K), rows sum to 1, R >= 1.

    Returns:
        (N,) in [0, ln K] nats. High means that confident replicates contradict each other; 0 when all
        agree, however uncertain they are.

    Raises:
        ValueError: as `entropy`; no replicate.

    Source: Houlsby et al. 2011 (arXiv 1112.5745), equation 2.

    >>> mutual_information([[[1.0, 0.0], [0.5, 0.5]], [[0.0, 1.0], [0.5, 0.5]]]).round(4).tolist()
    [0.6931, 0.0]
    """
    p = stack_of(replicate_probs, "replicate_probs", "replicate")
    between = row_entropy(p.mean(axis=0)) - row_entropy(p).mean(axis=0)  # (R, N, K) -> (N,)
    return cut(between, 0.0, np.log(p.shape[2]))
