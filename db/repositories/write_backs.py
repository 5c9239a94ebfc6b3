"""Which reviews are to be written back to the tasks their utterances came from, and what was written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import Select, and_, func, select, true, tuple_, update
from sqlalchemy.orm import Session

from db.models import AnnotationRow, SourceRow, SourceTaskRow, UtteranceRevision, UtteranceRow
from db.repositories.ids import among
from db.repositories.words import BEST_FIRST

# No review was made then: whoever begins to write sets it, so that the task is due until somebody has ended.
BEGUN = datetime(1970, 1, 1, tzinfo=UTC)


class Due(NamedTuple):
    """A source task whose utterance was reviewed since it was last dealt with, or whose review was taken back.

    The review is None when none stands for the text as it is now. `written` is what the task carries of ours;
    `is_begun`: something was being written when somebody died.
    """

    task_id: int
    text: str
    written: dict[str, Any] | None
    annotation_id: int | None
    writes: int
    is_begun: bool
    review_id: int | None
    review_at: datetime | None
    verdict: str | None
    domain: str | None
    intent: str | None
    slots: list[list[Any]] | None


class Dealt(NamedTuple):
    """What was done about a `Due`: `written` is what the task carries now, if `is_new`; else it is as it was.

    problem  why nothing could be written
    """

    task_id: int
    review_id: int | None
    review_at: datetime | None
    written: dict[str, Any] | None
    annotation_id: int | None
    writes: int
    problem: str | None = None
    is_new: bool = True


def due(session: Session, source_id: int, limit: int, after: int = 0, *, only_begun: bool = False) -> list[Due]:
    """By task id."""
    query = _due().where(SourceTaskRow.source_id == source_id, SourceTaskRow.task_id > after)
    if only_begun:
        query = query.where(SourceTaskRow.review_at == BEGUN)
    return [Due._make(row) for row in session.execute(query.order_by(SourceTaskRow.task_id).limit(limit))]


def sources_with_due(session: Session, instance: str) -> list[int]:
    """Those that something is to be written to, and those that something was left in."""
    attached = (SourceRow.instance == instance, SourceRow.state == "attached")
    query = (
        _due()
        .join(SourceRow, SourceRow.id == SourceTaskRow.source_id)
        .where(*attached, SourceRow.write_back != "none")
        .with_only_columns(SourceTaskRow.source_id)
        .distinct()
    )
    left = select(SourceRow.id).where(*attached, SourceRow.our_versions != [])
    return sorted({*session.scalars(query), *session.scalars(left)})


def problems(session: Session, source_id: int) -> list[tuple[int, str]]:
    """(task id, why its review could not be written)."""
    query = select(SourceTaskRow.task_id, SourceTaskRow.write_problem).where(
        SourceTaskRow.source_id == source_id, SourceTaskRow.write_problem.is_not(None), SourceTaskRow.state == "live"
    )
    return [(row.task_id, row.write_problem) for row in session.execute(query.order_by(SourceTaskRow.task_id))]


def count_due(session: Session, source_id: int) -> int:
    query = _due().where(SourceTaskRow.source_id == source_id).with_only_columns(func.count())
    return session.scalar(query) or 0


def begin(session: Session, source_id: int, task_ids: Sequence[int]) -> None:
    session.execute(
        update(SourceTaskRow)
        .where(SourceTaskRow.source_id == source_id, among(SourceTaskRow.task_id, task_ids))
        .values(review_id=None, review_at=BEGUN)
    )


def note_versions(session: Session, source_id: int, versions: Collection[str]) -> None:
    """Predictions of these versions are about to be sent, or are there."""
    known = our_versions(session, source_id)
    if not set(versions) <= set(known):
        whole = sorted({*known, *versions})
        session.execute(update(SourceRow).where(SourceRow.id == source_id).values(our_versions=whole))


def forget_version(session: Session, source_id: int, version: str) -> None:
    """Its predictions are deleted."""
    others = func.array_remove(SourceRow.our_versions, version)
    session.execute(update(SourceRow).where(SourceRow.id == source_id).values(our_versions=others))


def our_versions(session: Session, source_id: int) -> list[str]:
    return sorted(session.scalars(select(SourceRow.our_versions).where(SourceRow.id == source_id)).one())


def record(session: Session, source_id: int, dealt: Sequence[Dealt]) -> None:
    for row in dealt:
        values: dict[str, Any] = {
            "review_id": row.review_id, "review_at": row.review_at, "write_problem": row.problem, "writes": row.writes,
            "annotation_id": row.annotation_id,
        }  # fmt: skip
        if row.is_new:
            at = None if row.written is None else func.clock_timestamp()
            values.update(written=row.written, written_at=at)
        session.execute(
            update(SourceTaskRow)
            .where(SourceTaskRow.source_id == source_id, SourceTaskRow.task_id == row.task_id)
            .values(**values)
        )


def _due() -> Select[Any]:
    reviewed = select(AnnotationRow.utterance_id).where(AnnotationRow.annotation_id.is_not(None)).distinct().subquery()
    then = func.coalesce(UtteranceRevision.content["text"].astext, UtteranceRow.text)
    word = (
        select(
            AnnotationRow.id, AnnotationRow.updated_at, AnnotationRow.verdict, AnnotationRow.domain,
            AnnotationRow.intent, AnnotationRow.slots,
        )
        .outerjoin(
            UtteranceRevision,
            and_(
                UtteranceRevision.utterance_id == AnnotationRow.utterance_id,
                UtteranceRevision.revision == AnnotationRow.revision,
            ),
        )
        .where(AnnotationRow.utterance_id == UtteranceRow.id, AnnotationRow.annotation_id.is_not(None))
        .where(AnnotationRow.withdrawn_at.is_(None), then == UtteranceRow.text)
        .order_by(*BEST_FIRST)
        .limit(1)
        .correlate(UtteranceRow)
        .lateral("word")
    )  # fmt: skip
    seen = tuple_(SourceTaskRow.review_id, SourceTaskRow.review_at)
    return (
        select(
            SourceTaskRow.task_id, UtteranceRow.text, SourceTaskRow.written, SourceTaskRow.annotation_id,
            SourceTaskRow.writes, SourceTaskRow.review_at.is_not_distinct_from(BEGUN), word,
        )
        .join(reviewed, reviewed.c.utterance_id == SourceTaskRow.utterance_id)
        .join(UtteranceRow, UtteranceRow.id == SourceTaskRow.utterance_id)
        .outerjoin(word, true())
        .where(SourceTaskRow.state == "live")
        .where(seen.is_distinct_from(tuple_(word.c.id, word.c.updated_at)))
    )  # fmt: skip
