"""What every score asks of its input, and what none of them may leave: its range."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import xlogy

from plugin.records import SUM_TOLERANCE

Float = NDArray[np.float64]
Int = NDArray[np.int64]

UNKNOWN_LABEL = -1
EL2N_MAX = float(np.sqrt(2.0))


def cut(values: Float, low: float, high: float) -> Float:
    """What SUM_TOLERANCE and rounding let over the edge of a score's range goes back onto it.

    >>> cut(np.array([-1e-9, 0.5]), 0.0, 1.0).tolist()
    [0.0, 0.5]
    """
    within: Float = np.clip(values, low, high)
    return within


def row_entropy(p: Float) -> Float:
    """Entropy of rows that are checked already, (..., K) -> (...), cut to [0, ln K].

    >>> row_entropy(np.array([0.5, 0.5])).round(4).item()
    0.6931
    """
    nats = 0.0 - xlogy(p, p).sum(axis=-1)  # so that a one-hot row gives 0.0, not -0.0
    return cut(nats, 0.0, np.log(p.shape[-1]))


def stack_of(values: ArrayLike, name: str, one: str, axes: str = "(R, N, K)") -> Float:
    """Probabilities with a leading axis that must hold at least `one`.

    Raises:
        ValueError: as `probabilities`, or the first axis is empty.

    >>> stack_of([[[0.5, 0.5]]], "replicate_probs", "replicate").shape
    (1, 1, 2)
    """
    p = probabilities(values, name, axes)
    if p.shape[0] == 0:
        raise ValueError(f"{name} holds no {one}: at least one is needed")
    return p


def probabilities(values: ArrayLike, name: str, axes: str = "(N, K)", *, tolerance: float = SUM_TOLERANCE) -> Float:
    """`values` as float64 of the given axes, the last of which sums to 1 within `tolerance`.

    Raises:
        ValueError: another shape, or a row that is negative, not finite, or does not sum to 1.

    >>> probabilities([[0.5, 0.4]], "probs")
    Traceback (most recent call last):
    ValueError: probs[0] sums to 0.9, not to 1: pass probabilities, not logits (1 such rows)
    """
    p = np.asarray(values, dtype=np.float64)
    if p.ndim != axes.count(",") + 1:
        raise ValueError(f"{name} must have shape {axes}, not {p.shape}")
    if p.shape[-1] == 0:
        raise ValueError(f"{name} has no class: shape {p.shape}")
    _refuse_rows(~np.isfinite(p), name, "holds a value that is not finite")
    _refuse_rows(p < 0.0, name, "holds a negative probability")
    total = p.sum(axis=-1, keepdims=True)
    off = np.abs(total - 1.0) > tolerance
    if off.any():
        _refuse_rows(off, name, f"sums to {total[off][0]:.6g}, not to 1: pass probabilities, not logits")
    return p


def class_numbers(labels: ArrayLike, *, n: int, k: int) -> Int:
    """(N,) labels in [0, K), or -1 for one outside the vocabulary.

    Raises:
        ValueError: labels not integer, of another length, or outside [-1, K).

    >>> class_numbers([0, -1], n=2, k=3).tolist()
    [0, -1]
    """
    y = integers(labels, "labels")
    if y.size != n:
        raise ValueError(f"labels has {y.size} entries for {n} utterances")
    bad = np.flatnonzero((y < UNKNOWN_LABEL) | (y >= k))
    if bad.size:
        raise ValueError(f"labels[{bad[0]}] is {y[bad[0]]}: must lie in [0, {k}), or be -1 outside the vocabulary")
    return y


def token_lengths(lengths: ArrayLike, tokens: int) -> Int:
    """(N,) tokens of each utterance, which sum to `tokens`.

    Raises:
        ValueError: lengths not integer, negative, or of another sum.

    >>> token_lengths([2, 0, 1], 3).tolist()
    [2, 0, 1]
    """
    size = integers(lengths, "lengths")
    if (size < 0).any() or size.sum() != tokens:
        raise ValueError(f"lengths must be non-negative and sum to the {tokens} rows of token_probs")
    return size


def integers(values: ArrayLike, name: str) -> Int:
    """`values` as (N,) int64.

    Raises:
        ValueError: another shape, or numbers that are not integers.

    >>> integers([1, 2], "labels").dtype.name
    'int64'
    """
    array = np.asarray(values)
    if array.ndim != 1:
        raise ValueError(f"{name} must have shape (N,), not {array.shape}")
    if array.size and array.dtype.kind not in "iu":
        raise ValueError(f"{name} must be integers, not {array.dtype}")
    return array.astype(np.int64)


def _refuse_rows(bad: NDArray[np.bool_], name: str, problem: str) -> None:
    """`bad` (..., K) marks the wrong cells, or (..., 1) the wrong rows."""
    if bad.any():
        rows = np.argwhere(bad.any(axis=-1))
        where = ", ".join(str(index) for index in rows[0])
        raise ValueError(f"{name}[{where}] {problem} ({len(rows)} such rows)")
