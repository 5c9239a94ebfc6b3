"""The labels that the people of a queue may choose among."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import AnnotationRow, ModelVersion, SelectionRow, UtteranceRow


def label_sets(session: Session, locale: str) -> tuple[set[tuple[str, str]], set[str]]:
    """({(domain, intent)}, {slot label}) that hypotheses, gold data or the models of the locale know."""
    intents: set[tuple[str, str]] = set()
    slots: set[str] = set()
    utterance_slots = func.jsonb_array_elements(UtteranceRow.slots).table_valued("value").render_derived()
    annotation_slots = func.jsonb_array_elements(AnnotationRow.slots).table_valued("value").render_derived()
    known = select(UtteranceRow.domain, UtteranceRow.intent).where(UtteranceRow.locale == locale).distinct()
    gold = (
        select(AnnotationRow.domain, AnnotationRow.intent)
        .join(UtteranceRow, UtteranceRow.id == AnnotationRow.utterance_id)
        .where(UtteranceRow.locale == locale)
        .distinct()
    )
    for query in (known, gold):
        intents.update((domain, intent) for domain, intent in session.execute(query) if domain and intent)
    slots.update(
        session.scalars(
            select(utterance_slots.c.value.op("->>")(2))
            .select_from(UtteranceRow)
            .join(utterance_slots, UtteranceRow.locale == locale)
            .distinct()
        )
    )
    slots.update(
        session.scalars(
            select(annotation_slots.c.value.op("->>")(2))
            .select_from(AnnotationRow)
            .join(UtteranceRow, UtteranceRow.id == AnnotationRow.utterance_id)
            .join(annotation_slots, UtteranceRow.locale == locale)
            .distinct()
        )
    )
    for version in session.scalars(select(ModelVersion).where(ModelVersion.locales.contains([locale]))):
        slots.update(version.vocabulary.get("slots", []))
        intents.update((domain, intent) for intent, domain in version.vocabulary.get("intent_domains", {}).items())
    return intents, slots


def round_labels(session: Session, selection: SelectionRow) -> tuple[set[tuple[str, str]], set[str]]:
    """`label_sets` as they were when the round's first queue was published, as they are read from the whole pool; and
    what its queues have shown since.
    """
    if selection.labels is None:
        put_round_labels(selection, *label_sets(session, selection.locale))
    assert selection.labels is not None
    return {(domain, intent) for domain, intent in selection.labels["intents"]}, set(selection.labels["slots"])


def put_round_labels(selection: SelectionRow, intents: Iterable[tuple[str, str]], slots: Iterable[str]) -> None:
    selection.labels = {"intents": sorted(map(list, intents)), "slots": sorted(slots)}
