"""What went wrong, utterance by utterance, and the rates that are sums over it. Axis: N utterances."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plugin.quality.metrics.slot_counts import Float, Int, SlotCounts, as_mask

Metric = Literal["semer", "f_semer", "irer", "dcer", "icer", "slot_f1", "exact_match"]

METRICS: tuple[Metric, ...] = ("semer", "f_semer", "irer", "dcer", "icer", "slot_f1", "exact_match")
# By which strategies are judged and chosen, named before anything is measured: what they change most beside its noise
# (docs/benchmark.md).
PRIMARY: Metric = "dcer"
# Metrics where more is better; all others are error rates.
HIGHER_IS_BETTER: frozenset[Metric] = frozenset({"slot_f1", "exact_match"})


class Name(Hashable, Protocol):
    """What a slice may be called: anything that hashes and sorts, such as a string, a number or a tuple of them."""

    def __lt__(self, other: Any, /) -> bool: ...


K = TypeVar("K", bound=Name)


@dataclass(frozen=True, slots=True, eq=False)  # two arrays are not simply equal or not
class ErrorCounts:
    """What went wrong in each utterance; every field but `domains` and `slots` is (N,) int64.

    domains        (N,) str, the reference domain
    domain_error   1 where the domain is wrong
    intent_error   1 where the intent is wrong, which it is under a wrong domain too
    reference      slots of the reference
    hypothesis     slots of the hypothesis
    matched        slots that are equal in both, whatever the domain
    substitutions, deletions, insertions   slot errors, under the options of `count_errors`
    slots          `reference`, `hypothesis` and `matched` by label
    """

    domains: NDArray[np.str_]
    domain_error: Int
    intent_error: Int
    reference: Int
    hypothesis: Int
    matched: Int
    substitutions: Int
    deletions: Int
    insertions: Int
    slots: SlotCounts

    def __len__(self) -> int:
        return int(self.domain_error.size)

    @property
    def slot_errors(self) -> Int:
        return self.substitutions + self.deletions + self.insertions

    @property
    def errors(self) -> Int:
        """Intent errors and slot errors; a wrong domain and the wrong intent that follows are one."""
        return self.intent_error + self.slot_errors

    def terms(self, metric: Metric) -> tuple[Float, Float]:
        """Numerator and denominator of a metric per utterance, (N,) each: the metric is sum over sum.

        Raises:
            ValueError: an unknown metric.
        """
        one = np.ones(len(self), dtype=np.int64)
        wrong = (self.errors > 0).astype(np.int64)
        pairs: Mapping[str, tuple[Int, Int]] = {
            "semer": (self.errors, one + self.reference),
            "f_semer": (2 * self.errors, 2 * one + self.reference + self.hypothesis),
            "irer": (wrong, one),
            "dcer": (self.domain_error, one),
            "icer": (self.intent_error, one),
            "slot_f1": (2 * self.matched, self.reference + self.hypothesis),
            "exact_match": (one - wrong, one),
        }
        if metric not in pairs:
            raise ValueError(f"unknown metric {metric!r}: one of {', '.join(METRICS)}")
        numerator, denominator = pairs[metric]
        return numerator.astype(np.float64), denominator.astype(np.float64)

    def rate(self, metric: Metric) -> float:
        """The metric pooled over all utterances; NaN when its denominator is 0 (no utterance, no slot)."""
        numerator, denominator = self.terms(metric)
        return float(numerator.sum() / denominator.sum()) if denominator.sum() else math.nan

    def rates(self) -> dict[Metric, float]:
        return {metric: self.rate(metric) for metric in METRICS}

    def by(self, values: Iterable[K]) -> dict[K, ErrorCounts]:
        """The counts of the utterances of each value, sorted by it: locales, test sets, `length_buckets`, pairs.

        Each utterance is in one slice, so the terms of all slices sum to those of the whole.

        Args:
            values: N, one per utterance in the order of `count_errors`; strings, numbers or tuples of them.

        Raises:
            ValueError: not N values, or NaN among them.
            TypeError: values that do not hash, or do not sort (None among strings).
        """
        given = list(values.tolist() if isinstance(values, np.ndarray) else values)
        if len(given) != len(self):
            raise ValueError(f"{len(given)} values for {len(self)} utterances: one each")
        slices = dict.fromkeys(given)  # in the order in which they come
        if any(value != value for value in slices):
            raise ValueError("NaN names no slice: give the utterances without a value one of their own")
        names = sorted(slices)
        number = {value: at for at, value in enumerate(names)}
        owner = np.fromiter((number[value] for value in given), np.int64, len(given))  # (N,)
        order = np.argsort(owner, kind="stable")  # slice after slice, rows ascending within each
        sizes = np.bincount(owner, minlength=len(names))
        ends = np.cumsum(sizes)
        ordered = self._take(order)
        return {
            value: ordered._cut(int(start), int(end))
            for value, start, end in zip(names, ends - sizes, ends, strict=True)
        }

    def by_domain(self) -> dict[str, ErrorCounts]:
        """The counts of each reference domain, sorted by name."""
        return self.by(self.domains)

    def where(self, rows: ArrayLike) -> ErrorCounts:
        """The counts of the utterances that a boolean mask (N,) picks.

        Raises:
            ValueError: not N booleans.
        """
        mask = as_mask(rows, len(self))
        return self._rows(mask, self.slots.where(mask))

    def _take(self, order: Int) -> ErrorCounts:
        """The utterances in another order, (N,) row numbers, each once."""
        return self._rows(order, self.slots.reordered(order))

    def _cut(self, start: int, end: int) -> ErrorCounts:
        """The utterances from `start` to before `end`."""
        return self._rows(slice(start, end), self.slots.cut(start, end))

    def _rows(self, rows: NDArray[np.bool_] | Int | slice, slots: SlotCounts) -> ErrorCounts:
        return ErrorCounts(
            domains=self.domains[rows],
            domain_error=self.domain_error[rows],
            intent_error=self.intent_error[rows],
            reference=self.reference[rows],
            hypothesis=self.hypothesis[rows],
            matched=self.matched[rows],
            substitutions=self.substitutions[rows],
            deletions=self.deletions[rows],
            insertions=self.insertions[rows],
            slots=slots,
        )
