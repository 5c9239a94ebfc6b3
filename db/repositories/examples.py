"""What models are trained and tested on: gold data, reviewed annotations, selected weak labels, frozen test sets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Select, case, cast, exists, func, or_, select
from sqlalchemy.dialects.postgresql import ARRAY, TEXT, insert
from sqlalchemy.orm import Session, aliased

from db.models import (
    AnnotationRow,
    SelectionItemRow,
    SelectionRow,
    TestSet,
    TestSetItem,
    UtteranceRevision,
    UtteranceRow,
)
from db.models.utterances import POOL
from db.repositories import words


class Labelled(NamedTuple):
    """An utterance with its label. `annotation_id` is our row's id, None for a weak label; `revision` the text's."""

    utterance_id: int
    annotation_id: int | None
    source: str
    external_id: str
    locale: str
    text: str
    domain: str
    intent: str
    slots: list[list[Any]]
    revision: int = 1


def _annotated(locale: str) -> Select[Any]:
    """The text is that of the annotated revision: a later one may have moved the spans."""
    seen = func.coalesce(UtteranceRevision.content["text"].astext, UtteranceRow.text)
    return (
        select(
            UtteranceRow.id, AnnotationRow.id, UtteranceRow.source, UtteranceRow.external_id, UtteranceRow.locale,
            seen, AnnotationRow.domain, AnnotationRow.intent, AnnotationRow.slots, AnnotationRow.revision,
        )
        .join(AnnotationRow, AnnotationRow.utterance_id == UtteranceRow.id)
        .outerjoin(
            UtteranceRevision,
            (UtteranceRevision.utterance_id == UtteranceRow.id)
            & (UtteranceRevision.revision == AnnotationRow.revision),
        )
        .where(UtteranceRow.locale == locale, AnnotationRow.withdrawn_at.is_(None))
    )  # fmt: skip


def gold(session: Session, locale: str, partition: str) -> list[Labelled]:
    """What was ingested as gold data into a partition, in the order of the utterances."""
    query = _gold(locale).where(UtteranceRow.partition == partition)
    return [Labelled._make(row) for row in session.execute(query)]


def _gold(locale: str) -> Select[Any]:
    return (
        _annotated(locale)
        .where(AnnotationRow.annotation_id.is_(None), AnnotationRow.verdict != "reject")
        .order_by(UtteranceRow.id)
    )


def reviewed(session: Session, locale: str) -> list[Labelled]:
    """The last word of Label Studio's annotators on each utterance (`words`), unless it was reject."""
    query = (
        _annotated(locale)
        .add_columns(AnnotationRow.verdict)
        .where(AnnotationRow.annotation_id.is_not(None))
        .order_by(UtteranceRow.id, *words.BEST_FIRST)
    )
    last: dict[int, Any] = {}
    for row in session.execute(query):
        last.setdefault(row[0], row)
    return [Labelled._make(row[:-1]) for row in last.values() if row[-1] != "reject"]


def selected_weak(session: Session, locale: str) -> list[Labelled]:
    """The hypotheses of the current round's items that nobody has annotated."""
    annotated = exists().where(AnnotationRow.utterance_id == UtteranceRow.id, AnnotationRow.withdrawn_at.is_(None))
    query = (
        select(
            UtteranceRow.id, UtteranceRow.source, UtteranceRow.external_id, UtteranceRow.locale, UtteranceRow.text,
            UtteranceRow.domain, UtteranceRow.intent, UtteranceRow.slots, UtteranceRow.revision,
        )
        .join(SelectionItemRow, SelectionItemRow.utterance_id == UtteranceRow.id)
        .join(SelectionRow, SelectionRow.id == SelectionItemRow.selection_id)
        .where(SelectionRow.locale == locale, SelectionRow.superseded_at.is_(None))
        .where(SelectionItemRow.dropped_by.is_(None))
        .where(UtteranceRow.locale == locale, UtteranceRow.partition == POOL)
        .where(UtteranceRow.domain.is_not(None), ~annotated)
        .order_by(UtteranceRow.id)
    )  # fmt: skip
    rows = {row[0]: row for row in session.execute(query)}  # of two revisions an extension may have taken the later
    return [Labelled(row[0], None, *row[1:]) for row in rows.values()]


class Asked(NamedTuple):
    """For which round an utterance was reviewed: the last that held it at the revision that was reviewed.

    part      of the round: the domain that had one of its own, or * for the others
    strategy  that the part played; None: the round does not say
    arms      that the utterance was in
    """

    part: str
    strategy: str | None
    arms: list[str]


def asked(session: Session, locale: str, others: str) -> dict[int, Asked]:
    """Of every utterance whose label comes from a review that a round asked for; `others` is the part of the rest."""
    labels = (
        select(AnnotationRow.utterance_id, AnnotationRow.revision, words.PLACE.label("place"))
        .join(UtteranceRow, UtteranceRow.id == AnnotationRow.utterance_id)
        .where(UtteranceRow.locale == locale)
        .where(AnnotationRow.annotation_id.is_not(None), AnnotationRow.withdrawn_at.is_(None))
        .subquery()
    )
    part = case((SelectionRow.policy.has_key(SelectionItemRow.domain), SelectionItemRow.domain), else_=others)
    query = (
        select(labels.c.utterance_id, part, SelectionRow.policy[part]["strategy"].astext, SelectionItemRow.arms)
        .join(
            SelectionItemRow,
            (SelectionItemRow.utterance_id == labels.c.utterance_id) & (SelectionItemRow.revision == labels.c.revision),
        )
        .join(SelectionRow, SelectionRow.id == SelectionItemRow.selection_id)
        .where(labels.c.place == 1)
        .order_by(labels.c.utterance_id, SelectionItemRow.selection_id)
    )
    return {utterance_id: Asked(*row) for utterance_id, *row in session.execute(query)}


def texts_as_they_were(
    session: Session, ids: Sequence[int], revisions: Sequence[int]
) -> dict[tuple[int, int], tuple[str, str, str, str]]:
    """(id, revision) -> (source, external id, locale, text at that revision); without those that are no more."""
    wanted = (
        func.unnest(cast(list(ids), ARRAY(BigInteger)), cast(list(revisions), ARRAY(BigInteger)))
        .table_valued("id", "revision", name="wanted")
        .render_derived()
    )
    replaced = UtteranceRevision.content["text"].astext
    query = (
        select(
            wanted.c.id, wanted.c.revision, UtteranceRow.source, UtteranceRow.external_id, UtteranceRow.locale,
            func.coalesce(replaced, UtteranceRow.text),
        )
        .join(UtteranceRow, UtteranceRow.id == wanted.c.id)
        .outerjoin(
            UtteranceRevision,
            (UtteranceRevision.utterance_id == wanted.c.id) & (UtteranceRevision.revision == wanted.c.revision),
        )
        .where(or_(replaced.is_not(None), UtteranceRow.revision == wanted.c.revision))
    )  # fmt: skip
    return {(row[0], row[1]): (row[2], row[3], row[4], row[5]) for row in session.execute(query)}


def texts_of_the_log(session: Session, locale: str, texts: Sequence[str]) -> list[tuple[str, int]]:
    """(text, how often) of the pool's utterances that say one of these, whatever their case and white space."""
    plain = func.btrim(func.regexp_replace(func.lower(func.normalize(UtteranceRow.text)), r"\s+", " ", "g"))
    query = (
        select(UtteranceRow.text, func.count())
        .where(UtteranceRow.locale == locale, UtteranceRow.partition == POOL)
        .where(plain.in_(select(func.unnest(cast(list(texts), ARRAY(TEXT))))))
        .group_by(UtteranceRow.text)
    )
    return [(text, count) for text, count in session.execute(query)]


def partitions(session: Session, locale: str) -> Sequence[str]:
    """The partitions of the locale that hold gold data."""
    return session.scalars(
        select(UtteranceRow.partition)
        .join(AnnotationRow, AnnotationRow.utterance_id == UtteranceRow.id)
        .where(UtteranceRow.locale == locale, AnnotationRow.annotation_id.is_(None))
        .distinct()
        .order_by(UtteranceRow.partition)
    ).all()


def gold_locales(session: Session) -> Sequence[str]:
    return session.scalars(
        select(UtteranceRow.locale)
        .join(AnnotationRow, AnnotationRow.utterance_id == UtteranceRow.id)
        .where(AnnotationRow.annotation_id.is_(None))
        .distinct()
        .order_by(UtteranceRow.locale)
    ).all()


def freeze(session: Session, name: str, locale: str, content_hash: str, rows: Sequence[Labelled]) -> TestSet:
    """The frozen set of this content, made if it is new; safe to call twice at once."""
    key = {"name": name, "locale": locale, "content_hash": content_hash}
    session.execute(insert(TestSet).values(**key, size=len(rows)).on_conflict_do_nothing())
    test_set = session.scalars(select(TestSet).filter_by(**key)).one()
    items = [
        {"test_set_id": test_set.id, "utterance_id": row.utterance_id, "annotation_id": row.annotation_id}
        for row in rows
    ]
    session.execute(insert(TestSetItem).on_conflict_do_nothing(), items)
    return test_set


def test_set(session: Session, test_set_id: int) -> TestSet | None:
    return session.get(TestSet, test_set_id)


def set_before(session: Session, test_set_id: int) -> TestSet | None:
    """The set of the same name and locale that was frozen before this one."""
    this = aliased(TestSet)
    return session.scalars(
        select(TestSet)
        .join(this, (this.name == TestSet.name) & (this.locale == TestSet.locale))
        .where(this.id == test_set_id, TestSet.id < this.id)
        .order_by(TestSet.id.desc())
        .limit(1)
    ).one_or_none()
