"""Suspected label errors: confident learning, and replicates that agree against the record's label.

Rounds use the first (`suspicion`). The second needs what each replicate says, and only the mean is stored: nothing in
production calls it, it is for those who predict themselves.

Both need *out-of-sample* probabilities: a model that was trained on a label repeats it. Wrong labels are found where
the model is as sure of another class as it is, on average, of that class's own records.

Axes: R replicates, N utterances, K classes.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plugin.quality.scores.arrays import UNKNOWN_LABEL, Float, Int, class_numbers, cut, probabilities, stack_of
from plugin.records import SUM_TOLERANCE

RankBy = Literal["margin", "self_confidence"]

# A stored feature is float16, whose every entry is off by up to 2^-11 of itself.
HALF_TOLERANCE = 1e-3
# What rounding may take from a mean of equal numbers.
ROUNDING = 1e-6
NO_CLASS = -1


def confident_thresholds(probs: ArrayLike, labels: ArrayLike) -> Float:
    r"""How sure the model is of each class where a record claims it, the mean self-confidence.

    .. math:: t_k = \frac{1}{|\{n : y_n = k\}|} \sum_{n : y_n = k} p_{n,k}

    Args:
        probs: (N, K), rows sum to 1, out of sample; the mean over replicates. Of float16 input all sums are exact in
            float64 (multiples of 2^-24), so equal input gives equal thresholds on every machine.
        labels: (N,) integer, the record's class in [0, K), or -1 outside the vocabulary, which counts nowhere.

    Returns:
        (K,) in [0, 1], or infinity for a class that no record claims. High means that the model knows the class well.

    Raises:
        ValueError: as `suspicion`.

    Source: Northcutt, Jiang and Chuang 2021 (arXiv 1911.00068), equation 2.

    >>> confident_thresholds([[0.75, 0.25, 0.0], [0.25, 0.75, 0.0]], [0, 0]).tolist()
    [0.5, inf, inf]
    """
    p, y = _checked(probs, labels)
    return _thresholds(p, y)


def confident_joint(probs: ArrayLike, labels: ArrayLike) -> Int:
    r"""How often a record claims class i where the model confidently says class j.

    .. math:: C_{ij} = |\{n : y_n = i,\ j = \arg\max_{k : p_{n,k} \ge t_k} p_{n,k}\}|

    A row where no class reaches its threshold is counted nowhere, nor is one with label -1.

    Args:
        probs: (N, K), as `confident_thresholds`.
        labels: (N,), as `confident_thresholds`.

    Returns:
        (K, K) counts, at most N in all; off the diagonal lie the suspects.

    Raises:
        ValueError: as `suspicion`.

    Source: Northcutt, Jiang and Chuang 2021 (arXiv 1911.00068), equation 1, not calibrated.

    >>> confident_joint([[0.9, 0.1], [0.7, 0.3], [0.1, 0.9], [0.05, 0.95]], [0, 0, 1, 0]).tolist()
    [[2, 1], [0, 1]]
    """
    p, y = _checked(probs, labels)
    k = p.shape[1]
    confident = _confident_class(p, _thresholds(p, y))  # (N,)
    counted = (confident != NO_CLASS) & (y != UNKNOWN_LABEL)
    joint: Int = np.bincount(y[counted] * k + confident[counted], minlength=k * k).reshape(k, k)
    return joint


def suspicion(probs: ArrayLike, labels: ArrayLike, *, by: RankBy = "margin") -> Float:
    r"""How likely each label is wrong: 0 unless confident learning suspects it.

    Suspected is a record off the diagonal of the confident joint whose label is not the model's own first choice
    either. Suspects are ranked by

    .. math:: \frac{1 + \max_{k \ne y_n} p_{n,k} - p_{n,y_n}}{2} \quad\text{or}\quad 1 - p_{n,y_n}

    the normalised margin (`margin`) or the self-confidence (`self_confidence`), turned so that high is suspicious.

    Args:
        probs: (N, K), rows sum to 1 within 1e-4 (float16 within 1e-3); the mean over replicates, of models that were
            not trained on these labels.
        labels: (N,) integer, the record's class in [0, K), or -1 outside the vocabulary: the model cannot judge it, so
            it is never suspected.
        by: what ranks the suspects.

    Returns:
        (N,) float64: 0 where nothing is suspected, else in (0, 1], by `margin` in (1/2, 1]. High means suspicious.

    Raises:
        ValueError: probabilities of another shape, negative, not finite, or of another sum; labels not integer, of
            another length, or outside [-1, K); an unknown `by`.

    Source: Northcutt, Jiang and Chuang 2021 (arXiv 1911.00068), sections 3.1 and 3.2. cleanlab's
    `find_label_issues(filter_by="confident_learning")` differs where several classes reach their threshold and the
    first choice is none of them: it takes the first choice all the same.

    >>> suspicion([[0.9, 0.1], [0.7, 0.3], [0.1, 0.9], [0.05, 0.95]], [0, 0, 1, 0]).round(3).tolist()
    [0.0, 0.0, 0.0, 0.95]
    """
    if by not in ("margin", "self_confidence"):
        raise ValueError(f"by must be 'margin' or 'self_confidence', not {by!r}")
    p, y = _checked(probs, labels)
    confident = _confident_class(p, _thresholds(p, y))  # (N,)
    rows = np.flatnonzero((confident != NO_CLASS) & (y != UNKNOWN_LABEL) & (confident != y))
    found = np.zeros(y.size)
    own = p[rows, y[rows]]
    other = p[rows].max(axis=1, initial=0.0)  # the label's own where it is the first choice, and then no suspect
    value = 1.0 - own if by == "self_confidence" else (1.0 + other - own) / 2.0
    found[rows] = np.where(other > own, cut(value, 0.0, 1.0), 0.0)
    return found


def replicate_agreement(replicate_probs: ArrayLike, labels: ArrayLike) -> Float:
    r"""The largest share of replicates that agree on one and the same class other than the record's.

    .. math:: \max_{k \ne y_n} \frac1R |\{r : \arg\max_j p_{r,n,j} = k\}|

    Replicates that contradict the record and each other say that the utterance is hard, not that the label is wrong.

    Args:
        replicate_probs: (R, N, K), rows sum to 1, R >= 1, out of sample; the first of equal classes is the argmax.
        labels: (N,) integer, the record's class in [0, K), or -1 outside the vocabulary: every class is then another.

    Returns:
        (N,) in [0, 1], multiples of 1/R. High means that the label is likely wrong; 0 that no replicate contradicts it.

    Raises:
        ValueError: as `suspicion`; no replicate.

    Source: the committee's vote of Brodley and Friedl 1999 (consensus filtering), as a share.

    >>> says = np.eye(3)[[[1, 1], [1, 2], [1, 0]]]  # three replicates, two utterances
    >>> replicate_agreement(says, [0, 0]).round(3).tolist()
    [1.0, 0.333]
    """
    p = stack_of(replicate_probs, "replicate_probs", "replicate")  # (R, N, K)
    y = class_numbers(labels, n=p.shape[1], k=p.shape[2])  # (N,)
    first = p.argmax(axis=2)  # (R, N, K) -> (R, N)
    votes = np.zeros(p.shape[1:])  # (N, K)
    for replicate in first:
        votes[np.arange(y.size), replicate] += 1.0
    known = np.flatnonzero(y != UNKNOWN_LABEL)
    votes[known, y[known]] = 0.0
    share: Float = votes.max(axis=1) / len(p)
    return share


def _checked(probs: ArrayLike, labels: ArrayLike) -> tuple[Float, Int]:
    half = getattr(probs, "dtype", None) == np.float16
    p = probabilities(probs, "probs", tolerance=HALF_TOLERANCE if half else SUM_TOLERANCE)
    return p, class_numbers(labels, n=p.shape[0], k=p.shape[1])


def _thresholds(p: Float, y: Int) -> Float:
    known = np.flatnonzero(y != UNKNOWN_LABEL)
    k = p.shape[1]
    count = np.bincount(y[known], minlength=k)  # (K,)
    total = np.bincount(y[known], weights=p[known, y[known]], minlength=k)  # (K,)
    thresholds: Float = np.full(k, np.inf)
    np.divide(total, count, out=thresholds, where=count > 0)
    return thresholds


def _confident_class(p: Float, thresholds: Float) -> NDArray[np.int64]:
    """(N,): the likeliest of the classes that reach their threshold, NO_CLASS where none does."""
    reached = p >= thresholds - ROUNDING  # (N, K)
    likeliest = np.where(reached, p, -1.0).argmax(axis=1)
    confident: Int = np.where(reached.any(axis=1), likeliest, NO_CLASS)
    return confident
