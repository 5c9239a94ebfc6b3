"""Comparing hypotheses with what is true: which slots are the same, and what becomes of those left over.

Axes: N utterances, M entries (an utterance and a label that it has on either side).
"""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Sequence
from typing import Literal

import numpy as np

from plugin.quality.metrics.counts import ErrorCounts
from plugin.quality.metrics.slot_counts import Int, SlotCounts
from plugin.records import Hypothesis

DomainPolicy = Literal["intent", "all"]
SlotPolicy = Literal["paired", "name"]

# A slot as it is compared: what must be equal, its label last.
Key = tuple[Hashable, ...]


def count_errors(
    reference: Sequence[Hypothesis],
    hypothesis: Sequence[Hypothesis | None],
    *,
    domain_policy: DomainPolicy = "intent",
    slot_policy: SlotPolicy = "paired",
    texts: tuple[Sequence[str], Sequence[str]] | None = None,
) -> ErrorCounts:
    r"""Compare hypotheses with what is true, utterance by utterance.

    Slots match by label and span. Of those left over, u in the reference and v in the hypothesis,
    `paired` makes min(u, v) substitutions, hence max(u, v) errors; `name` makes a substitution only of two
    slots with the same label, the others being deletions and insertions. A wrong domain makes the intent
    wrong, both together one error; under `all` it makes every slot wrong as well. No hypothesis (None) is
    an intent error and the deletion of every slot.

    With E errors, N utterances, S slots, C of them matched, the metrics of the result are

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
        texts: N texts of the references and N of the hypotheses, where they differ, as recognised speech
            does: slots then match by label and the text that they cover, and spans do not matter.

    Returns:
        The counts of N utterances.

    Raises:
        ValueError: sequences of different lengths, or an unknown option.

    Source: SEMER and F-SEMER as in arXiv 2311.16298, section 3.2; exact match as in MASSIVE (arXiv
    2204.08582). What they leave open is decided in docs/metrics.md.

    >>> from plugin.records import Slot
    >>> gold = [Hypothesis("weather", "query", (Slot(0, 5, "date"), Slot(9, 14, "city")))]
    >>> said = [Hypothesis("weather", "query", (Slot(0, 5, "date"), Slot(6, 14, "city")))]
    >>> counts = count_errors(gold, said)
    >>> round(counts.rate("semer"), 4), counts.rate("slot_f1"), counts.rate("icer")
    (0.3333, 0.5, 0.0)
    >>> {label: slots.rate("recall") for label, slots in counts.slots.by_label().items()}
    {'city': 0.0, 'date': 1.0}
    """
    if len(reference) != len(hypothesis):
        raise ValueError(f"{len(reference)} references but {len(hypothesis)} hypotheses: they must pair up")
    if domain_policy not in ("intent", "all"):
        raise ValueError(f"domain_policy must be 'intent' or 'all', not {domain_policy!r}")
    if slot_policy not in ("paired", "name"):
        raise ValueError(f"slot_policy must be 'paired' or 'name', not {slot_policy!r}")
    gold_texts, said_texts = texts or (None, None)
    keys = _slot_keys(reference, gold_texts), _slot_keys(hypothesis, said_texts)
    slots = _count_slots(keys, (_slot_rows(reference), _slot_rows(hypothesis)), len(reference))
    pairs = list(zip(reference, hypothesis, strict=True))
    domain_error = _ones_where([said is None or said.domain != gold.domain for gold, said in pairs])
    other_intent = _ones_where([said is None or said.intent != gold.intent for gold, said in pairs])
    spoiled = domain_error if domain_policy == "all" else np.zeros_like(domain_error)
    substitutions, deletions, insertions = _slot_errors(slots, spoiled, by_name=slot_policy == "name")
    return ErrorCounts(
        domains=np.array([gold.domain for gold in reference], dtype=np.str_),
        domain_error=domain_error,
        intent_error=domain_error | other_intent,
        reference=slots.per_utterance(slots.reference),
        hypothesis=slots.per_utterance(slots.hypothesis),
        matched=slots.per_utterance(slots.matched),
        substitutions=substitutions,
        deletions=deletions,
        insertions=insertions,
        slots=slots,
    )


def _slot_errors(slots: SlotCounts, spoiled: Int, *, by_name: bool) -> tuple[Int, Int, Int]:
    """Substitutions, deletions and insertions (N,); where `spoiled` (N,) is 1, slots that match are wrong too."""
    right = slots.matched * (1 - spoiled[slots.rows])  # (M,)
    missed, extra = slots.reference - right, slots.hypothesis - right
    u, v = slots.per_utterance(missed), slots.per_utterance(extra)
    paired = slots.per_utterance(np.minimum(missed, extra)) if by_name else np.minimum(u, v)
    return paired, u - paired, v - paired


def _slot_keys(labels: Sequence[Hypothesis | None], texts: Sequence[str] | None) -> list[Key]:
    """The slots of all utterances, one after the other, as what they are compared by."""
    if texts is None:
        return [(slot.start, slot.end, slot.label) for label in labels if label for slot in label.slots]
    if len(texts) != len(labels):
        raise ValueError(f"{len(texts)} texts for {len(labels)} labels: one each")
    both = [(label.slots, text) for label, text in zip(labels, texts, strict=True) if label]
    return [(text[slot.start : slot.end], slot.label) for slots, text in both for slot in slots]


def _slot_rows(labels: Sequence[Hypothesis | None]) -> Int:
    """The utterance that each of those slots is in."""
    return np.repeat(np.arange(len(labels)), [len(label.slots) if label else 0 for label in labels])


def _count_slots(keys: tuple[list[Key], list[Key]], rows: tuple[Int, Int], size: int) -> SlotCounts:
    """Intersect the multisets of slots of every utterance, all at once, and sum them up by label.

    Numbers stand for slots: K different keys, L labels, and as a cell an utterance with one of its keys.
    """
    codes = {key: code for code, key in enumerate(dict.fromkeys(itertools.chain(*keys)))}
    names = sorted({str(key[-1]) for key in codes})
    number = {name: label for label, name in enumerate(names)}
    label_of = np.array([number[str(key[-1])] for key in codes], dtype=np.int64)  # (K,)

    width = max(len(codes), 1)
    sides = [
        row * width + np.fromiter(map(codes.__getitem__, side), np.int64, len(side))
        for row, side in zip(rows, keys, strict=True)
    ]
    cells, cell = np.unique(np.concatenate(sides), return_inverse=True)
    reference = np.bincount(cell[: sides[0].size], minlength=cells.size)
    hypothesis = np.bincount(cell[sides[0].size :], minlength=cells.size)
    columns = reference, hypothesis, np.minimum(reference, hypothesis)

    row, code = np.divmod(cells, width)
    height = max(len(names), 1)
    entries, entry = np.unique(row * height + label_of[code], return_inverse=True)  # (M,), cells -> M
    sums = (np.bincount(entry, weights=column, minlength=entries.size).astype(np.int64) for column in columns)
    return SlotCounts(size, tuple(names), *np.divmod(entries, height), *sums)


def _ones_where(conditions: list[bool]) -> Int:
    return np.array(conditions, dtype=np.int64)
