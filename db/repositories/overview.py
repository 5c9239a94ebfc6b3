"""Counts over everything, for people who ask how it stands."""

from __future__ import annotations

from typing import NamedTuple

from sqlalchemy import exists, func, select
from sqlalchemy.orm import Session

from db.models import AnnotationRow, Score, UtteranceRow, WebhookEventRow
from db.models.utterances import GONE, POOL


class PoolCounts(NamedTuple):
    locale: str
    ingested: int
    scored: int


def pool(session: Session) -> list[PoolCounts]:
    """Per locale: utterances of the pool, and those whose current revision some model version has scored."""
    scored = exists().where(Score.utterance_id == UtteranceRow.id, Score.revision == UtteranceRow.revision)
    query = (
        select(UtteranceRow.locale, func.count(), func.count().filter(scored))
        .where(UtteranceRow.partition == POOL)
        .group_by(UtteranceRow.locale)
        .order_by(UtteranceRow.locale)
    )
    return [PoolCounts._make(row) for row in session.execute(query)]


def partitions(session: Session) -> list[tuple[str, int]]:
    """Gold utterances per partition."""
    query = (
        select(UtteranceRow.partition, func.count())
        .where(UtteranceRow.partition.not_in([POOL, GONE]))
        .group_by(UtteranceRow.partition)
        .order_by(UtteranceRow.partition)
    )
    return [(partition, count) for partition, count in session.execute(query)]


def verdicts(session: Session) -> dict[str, int]:
    """How many reviews of Label Studio say what; what a second person said of the same is not one more."""
    query = (
        select(AnnotationRow.verdict, func.count())
        .where(AnnotationRow.kind == "review")
        .where(AnnotationRow.annotation_id.is_not(None), AnnotationRow.withdrawn_at.is_(None))
        .group_by(AnnotationRow.verdict)
    )
    return {"accept": 0, "fix": 0, "reject": 0} | dict(session.execute(query).all())


def unhandled_webhooks(session: Session) -> int:
    query = select(func.count()).select_from(WebhookEventRow).where(WebhookEventRow.handled_at.is_(None))
    return session.scalar(query) or 0
