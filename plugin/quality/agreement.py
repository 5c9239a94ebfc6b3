r"""How far people agree who labelled the same utterances independently of each other.

Chance-corrected for what is one name (domain, intent), F1 for slots, which have no fixed number of units. Everything
is of pairs of answers: a first and a second person's. To reject an utterance is a name of its own.

Axes: N utterances with two answers each, K names.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from plugin.quality.inference import Interval, Statistic, ratio_interval, sums_interval
from plugin.quality.proportions import share_interval
from plugin.records import Hypothesis

Float = NDArray[np.float64]
Int = NDArray[np.int64]
Answer = Hypothesis | None  # None: rejected

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Agreement:
    """Of `n` utterances; each with its 95 % interval, NaN where it is not defined.

    whole   share of utterances with the same answer in everything, in [0, 1]
    domain  chance-corrected agreement on the domain, at most 1; 0 is what chance would give
    intent  the same of the intent; those of different domains are different
    slots   F1 of the slots of those that both have labelled, in [0, 1]; the same label and the same span
    """

    n: int
    whole: Interval
    domain: Interval
    intent: Interval
    slots: Interval


def agreement(one: Sequence[Answer], other: Sequence[Answer], *, by_rater: bool = False) -> Agreement:
    """How far two answers to the same utterances agree.

    Args:
        one, other: N answers each, of the same utterances in the same order.
        by_rater: `one` is all of one person: then Cohen's kappa, which keeps what is this person's habit apart from
            the others'. Else Krippendorff's alpha, for which it does not matter who said what.

    Raises:
        ValueError: not the same number of answers.

    >>> music, video = Hypothesis("music", "play"), Hypothesis("video", "play")
    >>> found = agreement([music, video, video, None], [music, video, music, None])
    >>> found.n, found.whole.value, round(found.domain.value, 3)
    (4, 0.75, 0.667)
    """
    if len(one) != len(other):
        raise ValueError(f"two answers to each utterance: there are {len(one)} and {len(other)}")
    corrected = cohen_kappa if by_rater else krippendorff_alpha
    same = [left == right for left, right in zip(one, other, strict=True)]
    return Agreement(
        n=len(one),
        whole=share_interval(sum(same), len(same)),
        domain=corrected([_domain(answer) for answer in one], [_domain(answer) for answer in other]),
        intent=corrected([_intent(answer) for answer in one], [_intent(answer) for answer in other]),
        slots=slot_f1(one, other),
    )


def krippendorff_alpha(one: Sequence[Hashable], other: Sequence[Hashable]) -> Interval:
    r"""Krippendorff's alpha for names, of units with two values each.

    .. math::
        \alpha = 1 - \frac{D_o}{D_e}, \quad
        D_o = \frac{\#\{i : a_i \ne b_i\}}{N}, \quad
        D_e = 1 - \sum_c \frac{n_c (n_c - 1)}{2 N (2 N - 1)}

    with n_c the times that c was said by either. Who said what does not matter.

    Args:
        one, other: N names each.

    Returns:
        At most 1; 0 is what chance would give, below it people disagree systematically. The interval is a bootstrap's
        over the units. Where nobody disagreed a bootstrap knows no disagreement either: there the lower end takes
        Wilson's bound on :math:`D_o`. NaN when only one name was said: then there is nothing to agree on.

    Source: Krippendorff 2011, Computing Krippendorff's alpha-reliability.

    >>> krippendorff_alpha("0100000010", "1110010000").value  # its section A
    0.09523809523809523
    """
    first, second, names = _coded(one, other)
    counts = np.eye(names)[first] + np.eye(names)[second]  # (N, K)

    def alpha(sums: Float) -> Float:  # (..., 1 + K) -> (...)
        said = sums[..., 1:]
        n = said.sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            expected = 1.0 - (said * (said - 1.0)).sum(axis=-1) / (n * (n - 1.0))
            return _one_less(2.0 * sums[..., 0] / n, expected)

    return _corrected(first != second, counts, alpha)


def cohen_kappa(one: Sequence[Hashable], other: Sequence[Hashable]) -> Interval:
    r"""Cohen's kappa of two raters.

    .. math::
        \kappa = 1 - \frac{D_o}{D_e}, \quad
        D_o = \frac{\#\{i : a_i \ne b_i\}}{N}, \quad
        D_e = 1 - \sum_c \frac{\#\{a_i = c\}}{N} \frac{\#\{b_i = c\}}{N}

    Args:
        one, other: N names each, of the one rater and of the other.

    Returns:
        In [-1, 1], and its interval, as `krippendorff_alpha`.

    Source: Cohen 1960.

    >>> cohen_kappa("aabb", "aaba").value
    0.5
    """
    first, second, names = _coded(one, other)
    counts = np.hstack([np.eye(names)[first], np.eye(names)[second]])  # (N, 2 K)

    def kappa(sums: Float) -> Float:  # (..., 1 + 2 K) -> (...)
        left, right = sums[..., 1 : 1 + names], sums[..., 1 + names :]
        n = left.sum(axis=-1)
        with np.errstate(divide="ignore", invalid="ignore"):
            return _one_less(sums[..., 0] / n, 1.0 - (left * right).sum(axis=-1) / n**2)

    return _corrected(first != second, counts, kappa)


def slot_f1(one: Sequence[Answer], other: Sequence[Answer]) -> Interval:
    r"""F1 between the slots of two people, :math:`2 C / (S_a + S_b)`, where both have labelled the utterance.

    Symmetric: neither is the reference. Slots are the same with the same label and span.

    Returns:
        In [0, 1], its bootstrap interval over the utterances, Wilson's where all slots are the same, or none.
        `n` counts the utterances that both labelled. NaN when there is no slot.

    Source: Hripcsak and Rothschild 2005, Agreement, the F-measure, and reliability in information retrieval.

    >>> from plugin.records import Slot
    >>> one = Hypothesis("music", "play", (Slot(5, 10, "artist"), Slot(14, 18, "song")))
    >>> round(slot_f1([one], [replace(one, slots=one.slots[:1])]).value, 3)
    0.667
    """
    both = [(left, right) for left, right in zip(one, other, strict=True) if left is not None and right is not None]
    matched = np.array([2 * len(set(left.slots) & set(right.slots)) for left, right in both], dtype=np.float64)
    slots = np.array([len(set(left.slots)) + len(set(right.slots)) for left, right in both], dtype=np.float64)
    found = ratio_interval(matched, slots, level=LEVEL)
    if found.value not in (0.0, 1.0):
        return found
    pairs = max(1, int(slots.sum()) // 2)  # all the same, or none of them: a share of so many
    bound = share_interval(pairs if found.value else 0, pairs)
    return replace(found, low=bound.low, high=bound.high)


def _domain(answer: Answer) -> Hashable:
    return None if answer is None else answer.domain


def _intent(answer: Answer) -> Hashable:
    return None if answer is None else (answer.domain, answer.intent)


def _coded(one: Sequence[Hashable], other: Sequence[Hashable]) -> tuple[Int, Int, int]:
    """Names as numbers, (N,) each, and how many there are."""
    if len(one) != len(other):
        raise ValueError(f"two names for each unit: there are {len(one)} and {len(other)}")
    numbers = {name: number for number, name in enumerate(dict.fromkeys([*one, *other]))}
    first, second = (np.array([numbers[name] for name in names], dtype=np.int64) for names in (one, other))
    return first, second, len(numbers)


def _one_less(observed: Float, expected: Float) -> Float:
    """1 - D_o / D_e; NaN where no disagreement can be expected."""
    corrected: Float = 1.0 - observed / np.where(expected > 0.0, expected, np.nan)
    return corrected


def _corrected(differ: NDArray[np.bool_], counts: Float, statistic: Statistic) -> Interval:
    """The statistic of sums (1 + K,): disagreements, then how often each name was said."""
    columns = np.column_stack([differ, counts]).T
    if not differ.size:
        return Interval(math.nan, math.nan, math.nan, LEVEL, 0)
    found = sums_interval(list(columns), statistic, level=LEVEL)
    if found.value != 1.0:
        return found
    sums = columns.sum(axis=1)
    sums[0] = share_interval(0, differ.size).high * differ.size  # as many as may have been missed
    return replace(found, low=float(statistic(sums)))
