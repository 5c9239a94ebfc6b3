"""Slots by utterance and label, and their precision, recall and F1.

Axes: N utterances, L labels, M entries. An entry is an utterance and a label that it has in reference or
hypothesis; most utterances have one or none, so M is far below N L.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Float = NDArray[np.float64]
Int = NDArray[np.int64]
SlotMetric = Literal["precision", "recall", "f1"]

SLOT_METRICS: tuple[SlotMetric, ...] = ("precision", "recall", "f1")


@dataclass(frozen=True, slots=True, eq=False)  # two arrays are not simply equal or not
class SlotCounts:
    """Slots of reference and hypothesis, and how many of them are the same.

    size        N; utterances without slots count
    names       (L,) the labels, sorted
    rows        (M,) int64 in [0, N), ascending: the utterance of an entry
    labels      (M,) int64 in [0, L): its label
    reference   (M,) int64, slots of that label in the reference
    hypothesis  (M,) int64, slots of that label in the hypothesis
    matched     (M,) int64, those that are equal; a wrong domain or intent does not matter
    """

    size: int
    names: tuple[str, ...]
    rows: Int
    labels: Int
    reference: Int
    hypothesis: Int
    matched: Int

    def __len__(self) -> int:
        return self.size

    def per_utterance(self, entries: Int) -> Int:
        """Sums over the labels of each utterance, (M,) -> (N,)."""
        return np.bincount(self.rows, weights=entries, minlength=self.size).astype(np.int64)

    def terms(self, metric: SlotMetric) -> tuple[Float, Float]:
        r"""Numerator and denominator of a metric per utterance, (N,) each: the metric is sum over sum.

        .. math::
            \mathrm{precision} = \frac{C}{S_{hyp}} \quad
            \mathrm{recall} = \frac{C}{S_{ref}} \quad
            \mathrm{F1} = \frac{2 C}{S_{ref} + S_{hyp}}

        Raises:
            ValueError: an unknown metric.
        """
        pairs: Mapping[str, tuple[Int, Int]] = {
            "precision": (self.matched, self.hypothesis),
            "recall": (self.matched, self.reference),
            "f1": (2 * self.matched, self.reference + self.hypothesis),
        }
        if metric not in pairs:
            raise ValueError(f"unknown slot metric {metric!r}: one of {', '.join(SLOT_METRICS)}")
        numerator, denominator = (self.per_utterance(entries).astype(np.float64) for entries in pairs[metric])
        return numerator, denominator

    def rate(self, metric: SlotMetric) -> float:
        """The metric, pooled: micro-averaged where there are several labels. NaN when its denominator is 0."""
        numerator, denominator = self.terms(metric)
        return float(numerator.sum() / denominator.sum()) if denominator.sum() else math.nan

    def rates(self) -> dict[SlotMetric, float]:
        return {metric: self.rate(metric) for metric in SLOT_METRICS}

    def by_label(self) -> dict[str, SlotCounts]:
        """The counts of each label that occurs, sorted by name; each over the same N utterances."""
        return {self.names[label]: self._entries(self.labels == label) for label in np.unique(self.labels)}

    def where(self, rows: ArrayLike) -> SlotCounts:
        """The counts of the utterances that a boolean mask (N,) picks, numbered anew.

        Raises:
            ValueError: not N booleans.
        """
        mask = as_mask(rows, self.size)
        kept = self._entries(mask[self.rows])
        number = np.cumsum(mask) - 1  # (N,) -> where a kept utterance stands among those kept
        return SlotCounts(
            int(mask.sum()), self.names, number[kept.rows], kept.labels, kept.reference, kept.hypothesis, kept.matched
        )

    def reordered(self, order: Int) -> SlotCounts:
        """The counts of the utterances in another order: (N,) row numbers, each once."""
        place = np.empty_like(order)  # (N,) -> where an utterance stands in the new order
        place[order] = np.arange(order.size)
        moved = place[self.rows]
        entries = np.argsort(moved, kind="stable")
        ordered = self._entries(entries)
        return replace(ordered, rows=moved[entries])

    def cut(self, start: int, end: int) -> SlotCounts:
        """The counts of the utterances from `start` to before `end`, numbered anew; looks at no others."""
        first, last = np.searchsorted(self.rows, [start, end])
        kept = self._entries(slice(int(first), int(last)))
        return replace(kept, size=end - start, rows=kept.rows - start)

    def _entries(self, kept: NDArray[np.bool_] | Int | slice) -> SlotCounts:
        """Of M entries; N stays."""
        columns = (self.rows, self.labels, self.reference, self.hypothesis, self.matched)
        return SlotCounts(self.size, self.names, *(column[kept] for column in columns))


def as_mask(rows: ArrayLike, size: int) -> NDArray[np.bool_]:
    """A boolean mask (N,), checked: 0 and 1 would be taken for the numbers of rows.

    Raises:
        ValueError: not N booleans.

    >>> as_mask([True, False], 2)
    array([ True, False])
    """
    mask = np.asarray(rows)
    if mask.dtype != np.bool_ and mask.size:
        raise ValueError(f"rows must be a mask of booleans, not of {mask.dtype}")
    if mask.shape != (size,):
        raise ValueError(f"rows must be a mask of shape ({size},), not {mask.shape}")
    return mask.astype(np.bool_)
