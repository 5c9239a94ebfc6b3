"""What came in since a round last looked."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import REAL, Select, cast, exists, func, or_, select
from sqlalchemy.orm import Session

from db.models import (
    AnnotationRow,
    PolicyChange,
    Queue,
    QueueTask,
    Score,
    SelectionItemRow,
    SelectionRow,
    UtteranceRow,
)
from db.models.utterances import POOL
from db.repositories.ids import among
from db.repositories.selections import Candidate, to_candidate


def _scored_since(locale: str, version_id: int, since: datetime) -> Select[Any]:
    same = (Score.utterance_id == UtteranceRow.id) & (Score.revision == UtteranceRow.revision)
    return (
        select(UtteranceRow.id)
        .join(Score, same)
        .where(Score.model_version_id == version_id, Score.scored_at >= since)
        .where(UtteranceRow.partition == POOL, UtteranceRow.locale == locale, UtteranceRow.domain.is_not(None))
    )


def any_since(session: Session, locale: str, version_id: int, since: datetime) -> bool:
    """Whether anything was scored since that might enter the locale's queues."""
    return bool(session.scalar(select(_scored_since(locale, version_id, since).exists())))


def first_since(session: Session, locale: str, version_id: int, since: datetime) -> datetime | None:
    """When the first of what was scored since was scored."""
    return session.scalar(_scored_since(locale, version_id, since).with_only_columns(func.min(Score.scored_at)))


def candidates(
    session: Session,
    locale: str,
    version_id: int,
    nlu_band: tuple[float, float],
    columns: Sequence[str],
    since: datetime,
) -> list[Candidate]:
    """As `selections.candidates`, of those scored since; without what people labelled, and what a queue holds: a record
    that was revised waits for its old task to leave.
    """
    low, high = nlu_band
    labelled = exists().where(AnnotationRow.utterance_id == UtteranceRow.id, AnnotationRow.withdrawn_at.is_(None))
    held = exists().where(
        QueueTask.utterance_id == UtteranceRow.id,
        QueueTask.queue_id == Queue.id,
        Queue.kind == "review",
        QueueTask.state.in_(["published", "leaving", "annotated"]),
    )
    query = (
        _scored_since(locale, version_id, since)
        .with_only_columns(
            UtteranceRow.id, UtteranceRow.revision, UtteranceRow.domain, UtteranceRow.nlu_score, UtteranceRow.defect,
            UtteranceRow.text, *(getattr(Score, name) for name in columns),
        )
        .where(UtteranceRow.nlu_score.between(cast(low, REAL), cast(high, REAL)))
        .where(~labelled, ~held)
        .order_by(UtteranceRow.id)
    )  # fmt: skip
    return [to_candidate(row) for row in session.execute(query)]


def item_texts(session: Session, round_id: int) -> Sequence[str]:
    """What a round and its extensions ask about, of records that still read so."""
    same = (UtteranceRow.id == SelectionItemRow.utterance_id) & (UtteranceRow.revision == SelectionItemRow.revision)
    query = (
        select(UtteranceRow.text)
        .join(SelectionItemRow, same)
        .join(SelectionRow, SelectionRow.id == SelectionItemRow.selection_id)
        .where(or_(SelectionRow.id == round_id, SelectionRow.extends_id == round_id))
    )
    return session.scalars(query).all()


def first_scored_at(session: Session, version_id: int, utterance_ids: Collection[int]) -> datetime | None:
    """When the first of them got the score of its present revision."""
    same = (Score.utterance_id == UtteranceRow.id) & (Score.revision == UtteranceRow.revision)
    query = select(func.min(Score.scored_at)).join(UtteranceRow, same).where(Score.model_version_id == version_id)
    return session.scalar(query.where(among(Score.utterance_id, utterance_ids)))


def policy_changes(session: Session, locales: Sequence[str], since: datetime) -> Sequence[PolicyChange]:
    query = select(PolicyChange).where(PolicyChange.locale.in_(locales), PolicyChange.changed_at > since)
    return session.scalars(query.order_by(PolicyChange.id)).all()
