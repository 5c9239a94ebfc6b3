"""Which labels a person may choose."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable

from sqlalchemy.orm import Session

from db.repositories import queues
from plugin.label_studio.screen import LabelSet, domain_problem, name_problem


def label_set(session: Session, locale: str) -> LabelSet:
    """All that a person may choose in this locale: what hypotheses, gold data and models know, and can be shown."""
    return to_label_set(*queues.label_sets(session, locale))


def to_label_set(pairs: Iterable[tuple[str, str]], slots: Iterable[str]) -> LabelSet:
    intents: dict[str, list[str]] = defaultdict(list)
    for domain, intent in sorted(pairs):
        if not domain_problem(domain) and not name_problem(intent):
            intents[domain].append(intent)
    return LabelSet(intents=dict(intents), slots=sorted(slot for slot in slots if not name_problem(slot)))
