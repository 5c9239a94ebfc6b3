"""How wrong a system's hypotheses are: SEMER, F-SEMER, IRER, DCER, ICER, slot F1, exact match, calibration.

Every rate is a ratio of two sums over utterances. `count_errors` compares each utterance once; what it
returns holds the terms of those sums, so that pooling, a breakdown by domain and a bootstrap are sums over
arrays (see `plugin.quality.inference`). Axis: N utterances.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plugin.records import Hypothesis

Float = NDArray[np.float64]
Int = NDArray[np.int64]
DomainPolicy = Literal["intent", "all"]
SlotPolicy = Literal["paired", "name"]
Metric = Literal["semer", "f_semer", "irer", "dcer", "icer", "slot_f1", "exact_match"]

METRICS: tuple[Metric, ...] = ("semer", "f_semer", "irer", "dcer", "icer", "slot_f1", "exact_match")
# Metrics where more is better; all others are error rates.
HIGHER_IS_BETTER: frozenset[Metric] = frozenset({"slot_f1", "exact_match"})


@dataclass(frozen=True, slots=True)
class ErrorCounts:
    """What went wrong in each utterance; every field but `domains` is (N,) int64.

    domains        (N,) str, the reference domain
    domain_error   1 where the domain is wrong
    intent_error   1 where the intent is wrong, which it is under a wrong domain too
    reference      slots of the reference
    hypothesis     slots of the hypothesis
    matched        slots equal in label and span, whatever the domain
    substitutions, deletions, insertions   slot errors, under the options of `count_errors`
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

    def by_domain(self) -> dict[str, ErrorCounts]:
        """The counts of each reference domain, sorted by name."""
        return {str(name): self.where(self.domains == name) for name in np.unique(self.domains)}

    def where(self, rows: NDArray[np.bool_]) -> ErrorCounts:
        """The counts of the utterances that a mask (N,) picks."""
        return ErrorCounts(*(getattr(self, field.name)[rows] for field in fields(self)))


def count_errors(
    reference: Sequence[Hypothesis],
    hypothesis: Sequence[Hypothesis | None],
    *,
    domain_policy: DomainPolicy = "intent",
    slot_policy: SlotPolicy = "paired",
) -> ErrorCounts:
    r"""Compare hypotheses with what is true, utterance by utterance.

    Slots match by label and span. Of those left over, u in the reference and v in the hypothesis,
    `paired` makes min(u, v) substitutions, hence max(u, v) errors; `name` makes a substitution only of two
    slots with the same label, the others being deletions and insertions. A wrong domain makes the intent
    wrong, both together one error; under `all` it makes every slot wrong as well. No hypothesis (None) is
    an intent error and the deletion of every slot.

    With E errors, N utterances, S slots, the metrics of the result are

    .. math::
        \mathrm{SEMER} = \frac{E}{N + S_{ref}} \quad
        \mathrm{F\text{-}SEMER} = \frac{2 E}{2 N + S_{ref} + S_{hyp}} \quad
        \mathrm{IRER} = \frac{\#\{\text{any error}\}}{N} \quad
        \mathrm{F1}_{slot} = \frac{2 C}{S_{ref} + S_{hyp}}

    and DCER, ICER the shares of wrong domains and intents. Rates are 0 at best; SEMER can exceed 1.

    Args:
        reference: N labels, gold.
        hypothesis: N labels or None, of the same utterances in the same order.
        domain_policy: "intent" or "all".
        slot_policy: "paired" or "name".

    Returns:
        The counts of N utterances.

    Raises:
        ValueError: sequences of different lengths, or an unknown option.

    Source: SEMER and F-SEMER as in arXiv 2311.16298; exact match as in MASSIVE (arXiv 2204.08582).

    >>> from plugin.records import Slot
    >>> gold = [Hypothesis("weather", "query", (Slot(0, 5, "date"), Slot(9, 14, "city")))]
    >>> said = [Hypothesis("weather", "query", (Slot(0, 5, "date"), Slot(6, 14, "city")))]
    >>> counts = count_errors(gold, said)
    >>> round(counts.rate("semer"), 4), counts.rate("slot_f1"), counts.rate("icer")
    (0.3333, 0.5, 0.0)
    """
    if len(reference) != len(hypothesis):
        raise ValueError(f"{len(reference)} references but {len(hypothesis)} hypotheses: they must pair up")
    if domain_policy not in ("intent", "all"):
        raise ValueError(f"domain_policy must be 'intent' or 'all', not {domain_policy!r}")
    if slot_policy not in ("paired", "name"):
        raise ValueError(f"slot_policy must be 'paired' or 'name', not {slot_policy!r}")
    table = np.zeros((len(reference), 8), dtype=np.int64)
    for row, (gold, said) in enumerate(zip(reference, hypothesis, strict=True)):
        table[row] = _compare(gold, said, spoils_slots=domain_policy == "all", by_name=slot_policy == "name")
    domains = np.array([gold.domain for gold in reference], dtype=np.str_)
    return ErrorCounts(domains, *table.T)


def _compare(gold: Hypothesis, said: Hypothesis | None, *, spoils_slots: bool, by_name: bool) -> tuple[int, ...]:
    """The fields of `ErrorCounts` after `domains`, for one utterance."""
    size = len(gold.slots)
    if said is None:
        return 1, 1, size, 0, 0, 0, size, 0
    wrong_domain = said.domain != gold.domain
    wrong_intent = wrong_domain or said.intent != gold.intent
    if said.slots == gold.slots and not (wrong_domain and spoils_slots):
        return wrong_domain, wrong_intent, size, size, size, 0, 0, 0
    left_gold, left_said = Counter(gold.slots), Counter(said.slots)
    common = left_gold & left_said
    if not (wrong_domain and spoils_slots):
        left_gold, left_said = left_gold - common, left_said - common
    missed, extra = left_gold.total(), left_said.total()
    if by_name:
        names = Counter(slot.label for slot in left_gold.elements())
        paired = (names & Counter(slot.label for slot in left_said.elements())).total()
    else:
        paired = min(missed, extra)
    matched = common.total()
    return wrong_domain, wrong_intent, size, len(said.slots), matched, paired, missed - paired, extra - paired


def calibration_error(confidence: ArrayLike, correct: ArrayLike, *, bins: int = 15) -> float:
    r"""Expected calibration error, :math:`\sum_b \frac{|B_b|}{N} |\mathrm{acc}(B_b) - \mathrm{conf}(B_b)|`.

    Bins of equal width, (low, high], the first one closed.

    Args:
        confidence: (N,) in [0, 1], the probability given to the class that was chosen.
        correct: (N,) boolean, or 0 and 1.
        bins: at least 1.

    Returns:
        In [0, 1]; 0 is best. NaN when N = 0.

    Raises:
        ValueError: shapes that differ, a confidence outside [0, 1], correct not boolean, bins below 1.

    Source: Guo et al. 2017 (arXiv 1706.04599), equation 3.

    >>> round(calibration_error([0.9, 0.9, 0.6, 0.6], [True, True, True, False]), 4)
    0.1
    """
    sure = np.asarray(confidence, dtype=np.float64)
    right = np.asarray(correct)
    if sure.ndim != 1 or sure.shape != right.shape:
        raise ValueError(f"confidence and correct must both be (N,), not {sure.shape} and {right.shape}")
    if not ((sure >= 0.0) & (sure <= 1.0)).all():
        raise ValueError("confidence must lie in [0, 1]")
    if not np.isin(right, (0, 1)).all():
        raise ValueError("correct must hold only true and false")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    if sure.size == 0:
        return math.nan
    # k / bins, as a person would write the edge: neither sure * bins nor linspace meets it exactly.
    edges = np.arange(1, bins) / bins
    index = np.searchsorted(edges, sure, side="left")  # (N,) in [0, bins)
    gap = np.bincount(index, weights=right.astype(np.float64) - sure, minlength=bins)  # |B| (acc - conf)
    return float(np.abs(gap).sum() / sure.size)
