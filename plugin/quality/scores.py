"""How uncertain, hard or contested an utterance is, from class probabilities.

Axes: R replicates, N utterances, K classes, T tokens. All computed in float64, natural logarithm.

Every score checks its input once: the last axis must hold probabilities that sum to 1 within
`SUM_TOLERANCE`. Nothing is renormalised; what the tolerance lets through is cut back to the stated range.
A source's own scores, rounded or cut to a top-N list, become such a row by `complete_with_rest`.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from plugin.quality.domain_scores import complete_with_rest
from plugin.records import SUM_TOLERANCE

__all__ = [
    "TokenEntropy",
    "complete_with_rest",
    "el2n",
    "el2n_replicates",
    "entropy",
    "least_confidence",
    "margin",
    "mutual_information",
    "token_entropy",
]

Float = NDArray[np.float64]
Int = NDArray[np.int64]

UNKNOWN_LABEL = -1
EL2N_MAX = float(np.sqrt(2.0))


class TokenEntropy(NamedTuple):
    """Entropy over the tokens of each utterance, nats, each (N,). An utterance without tokens has 0."""

    mean: Float
    sum: Float
    max: Float


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
    return _entropy(_probabilities(probs, "probs", ndim=2))


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
    p = _probabilities(probs, "probs", ndim=2)
    if p.shape[1] == 1:
        return _cut(p[:, 0], 0.0, 1.0)
    top = np.partition(p, p.shape[1] - 2, axis=1)[:, -2:]  # (N, K) -> (N, 2), ascending
    return _cut(top[:, 1] - top[:, 0], 0.0, 1.0)


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
    p = _probabilities(probs, "probs", ndim=2)
    return _cut(1.0 - p.max(axis=1), 0.0, 1.0 - 1.0 / p.shape[1])


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
    p = _replicates(replicate_probs)  # (R, N, K)
    y = _labels(labels, n=p.shape[1], k=p.shape[2])  # (N,)
    error = p.copy()
    known = np.flatnonzero(y != UNKNOWN_LABEL)
    error[:, known, y[known]] -= 1.0
    squared = np.einsum("rnk,rnk->rn", error, error)  # (R, N, K) -> (R, N)
    squared += y == UNKNOWN_LABEL
    return _cut(np.sqrt(squared), 0.0, EL2N_MAX)


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
    p = _replicates(replicate_probs)
    between = _entropy(p.mean(axis=0)) - _entropy(p).mean(axis=0)  # (R, N, K) -> (N,)
    return _cut(between, 0.0, np.log(p.shape[2]))


def token_entropy(token_probs: ArrayLike, lengths: ArrayLike) -> TokenEntropy:
    r"""Entropy of the slot tags, gathered per utterance.

    Args:
        token_probs: (T, K), the tag probabilities of all tokens of all utterances, one after another.
        lengths: (N,) integer, tokens of each utterance; they sum to T. Zero is allowed.

    Returns:
        mean and max in [0, ln K], sum in [0, length * ln K], nats, each (N,). High means uncertain slots.

    Raises:
        ValueError: as `entropy`; lengths not integer, negative, or not summing to T.

    Source: token entropy and total token entropy of Settles and Craven 2008, section 3.1.

    >>> token_entropy([[1.0, 0.0], [0.5, 0.5]], [2, 0]).max.round(4).tolist()
    [0.6931, 0.0]
    """
    per_token = _entropy(_probabilities(token_probs, "token_probs", ndim=2))  # (T, K) -> (T,)
    size = _integers(lengths, "lengths")
    if (size < 0).any() or size.sum() != per_token.size:
        raise ValueError(f"lengths must be non-negative and sum to the {per_token.size} rows of token_probs")
    owner = np.repeat(np.arange(size.size), size)  # (T,)
    total = np.bincount(owner, weights=per_token, minlength=size.size).astype(np.float64)
    largest = np.zeros(size.size)
    np.maximum.at(largest, owner, per_token)
    return TokenEntropy(mean=total / np.maximum(size, 1), sum=total, max=largest)


def _cut(values: Float, low: float, high: float) -> Float:
    """What SUM_TOLERANCE and rounding let over the edge of a score's range goes back onto it."""
    cut: Float = np.clip(values, low, high)
    return cut


def _entropy(p: Float) -> Float:
    """(..., K) -> (...), cut to [0, ln K]."""
    nats = 0.0 - xlogy(p, p).sum(axis=-1)  # so that a one-hot row gives 0.0, not -0.0
    return _cut(nats, 0.0, np.log(p.shape[-1]))


def _replicates(replicate_probs: ArrayLike) -> Float:
    p = _probabilities(replicate_probs, "replicate_probs", ndim=3)
    if p.shape[0] == 0:
        raise ValueError("replicate_probs holds no replicate: at least one is needed")
    return p


def _probabilities(values: ArrayLike, name: str, *, ndim: int) -> Float:
    axes = "(N, K)" if ndim == 2 else "(R, N, K)"
    p = np.asarray(values, dtype=np.float64)
    if p.ndim != ndim:
        raise ValueError(f"{name} must have shape {axes}, not {p.shape}")
    if p.shape[-1] == 0:
        raise ValueError(f"{name} has no class: shape {p.shape}")
    _refuse_rows(~np.isfinite(p), name, "holds a value that is not finite")
    _refuse_rows(p < 0.0, name, "holds a negative probability")
    total = p.sum(axis=-1, keepdims=True)
    off = np.abs(total - 1.0) > SUM_TOLERANCE
    if off.any():
        _refuse_rows(off, name, f"sums to {total[off][0]:.6g}, not to 1: pass probabilities, not logits")
    return p


def _refuse_rows(bad: NDArray[np.bool_], name: str, problem: str) -> None:
    """`bad` (..., K) marks the wrong cells, or (..., 1) the wrong rows."""
    if bad.any():
        rows = np.argwhere(bad.any(axis=-1))
        where = ", ".join(str(index) for index in rows[0])
        raise ValueError(f"{name}[{where}] {problem} ({len(rows)} such rows)")


def _labels(labels: ArrayLike, *, n: int, k: int) -> Int:
    y = _integers(labels, "labels")
    if y.size != n:
        raise ValueError(f"labels has {y.size} entries for {n} utterances")
    bad = np.flatnonzero((y < UNKNOWN_LABEL) | (y >= k))
    if bad.size:
        raise ValueError(f"labels[{bad[0]}] is {y[bad[0]]}: must lie in [0, {k}), or be -1 outside the vocabulary")
    return y


def _integers(values: ArrayLike, name: str) -> Int:
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (N,), not {array.shape}")
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers, not {array.dtype}")
    return array.astype(np.int64)
