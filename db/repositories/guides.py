"""Examples of what people have labelled, for those who label next."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from sqlalchemy import Integer, Select, cast, func, select
from sqlalchemy.orm import Session

from db.models import AnnotationRow, UtteranceRow


def _labelled(locale: str, domain: str, partitions: tuple[str, ...]) -> Select[Any]:
    """Of the current revision. What a test set asks is nobody's example."""
    same = (UtteranceRow.id == AnnotationRow.utterance_id) & (UtteranceRow.revision == AnnotationRow.revision)
    return (
        select(UtteranceRow.id, UtteranceRow.text, AnnotationRow.intent, AnnotationRow.slots)
        .select_from(AnnotationRow)
        .join(UtteranceRow, same)
        .where(UtteranceRow.locale == locale, UtteranceRow.partition.in_(partitions))
        .where(AnnotationRow.domain == domain, AnnotationRow.withdrawn_at.is_(None))
    )


def utterances_of_intents(
    session: Session, locale: str, domain: str, partitions: tuple[str, ...], most: int
) -> dict[str, list[str]]:
    """The first few texts of each intent, the oldest utterance first."""
    labelled = _labelled(locale, domain, partitions).subquery()
    texts = (
        select(labelled.c.intent, labelled.c.text, func.min(labelled.c.id).label("first"))
        .group_by(labelled.c.intent, labelled.c.text)
        .subquery()
    )
    return _first(session, texts.c.intent, texts.c.text, texts.c.first, most)


def values_of_slots(
    session: Session, locale: str, domain: str, partitions: tuple[str, ...], most: int
) -> dict[str, list[str]]:
    """The first few words that each slot covers; spans count code points, as the database counts characters."""
    labelled = _labelled(locale, domain, partitions).subquery()
    slots = func.jsonb_array_elements(labelled.c.slots).table_valued("value").render_derived()
    start, end = (cast(slots.c.value.op("->>")(place), Integer) for place in (0, 1))
    words = (
        select(
            slots.c.value.op("->>")(2).label("label"),
            func.substr(labelled.c.text, start + 1, end - start).label("words"),
            func.min(labelled.c.id).label("first"),
        )
        .select_from(labelled)
        .join(slots, func.jsonb_array_length(labelled.c.slots) > 0)
        .group_by("label", "words")
        .subquery()
    )
    return _first(session, words.c.label, words.c.words, words.c.first, most)


def _first(session: Session, name: Any, text: Any, first: Any, most: int) -> dict[str, list[str]]:
    place = func.row_number().over(partition_by=name, order_by=(first, text)).label("place")
    ranked = select(name.label("name"), text.label("text"), place).subquery()
    found: dict[str, list[str]] = defaultdict(list)
    query = select(ranked.c.name, ranked.c.text).where(ranked.c.place <= most).order_by(ranked.c.name, ranked.c.place)
    for label, words in session.execute(query):
        found[label].append(words)
    return dict(found)
