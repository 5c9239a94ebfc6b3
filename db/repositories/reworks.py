"""Answers that are none, so that their tasks are served again: skips, and second opinions of the first person."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import Queue, QueueTask, Rework
from db.repositories.ids import among

SKIPPED, SAME_PERSON = "skipped", "same person"


def of_utterances(session: Session, queue_id: int, utterance_ids: Collection[int]) -> Sequence[Rework]:
    query = select(Rework).where(Rework.queue_id == queue_id, among(Rework.utterance_id, utterance_ids))
    return session.scalars(query.order_by(Rework.id)).all()


def add(session: Session, rows: Sequence[Mapping[str, Any]]) -> int:
    """Twice is once; one that is there again has not been taken back."""
    if not rows:
        return 0
    statement = insert(Rework)
    statement = statement.on_conflict_do_update(
        index_elements=["queue_id", "annotation_id"], set_={"taken_back_at": None}, where=~Rework.stays
    )
    return len(session.execute(statement.returning(Rework.id), rows).all())


def count_skips(session: Session, queue_id: int) -> int:
    """How many there ever were."""
    query = select(func.count()).where(Rework.queue_id == queue_id, Rework.reason == SKIPPED)
    return session.scalars(query).one()


def move(session: Session, queue_id: int, codes: Mapping[int, float]) -> None:
    """Utterance -> its new place, where it is still open."""
    for utterance_id, code in codes.items():
        session.execute(
            update(QueueTask)
            .where(QueueTask.queue_id == queue_id, QueueTask.utterance_id == utterance_id)
            .where(QueueTask.state == "published")
            .values(rank_code=code)
        )


class OpenRework(NamedTuple):
    id: int
    reason: str
    task_id: int
    annotation_id: int
    rank_code: float
    state: str


def open_ones(session: Session, queue_id: int) -> list[OpenRework]:
    """What Label Studio is to be told, the oldest first."""
    query = (
        select(
            Rework.id, Rework.reason, Rework.task_id, Rework.annotation_id, QueueTask.rank_code, QueueTask.state
        )
        .join(QueueTask, (QueueTask.queue_id == Rework.queue_id) & (QueueTask.utterance_id == Rework.utterance_id))
        .where(Rework.queue_id == queue_id, Rework.taken_back_at.is_(None), ~Rework.stays)
        .order_by(Rework.id)
    )  # fmt: skip
    return [OpenRework._make(row) for row in session.execute(query)]


def set_taken_back(session: Session, rework_id: int) -> None:
    session.execute(update(Rework).where(Rework.id == rework_id).values(taken_back_at=func.clock_timestamp()))


def stuck(session: Session, instance: str) -> list[tuple[str, str, int]]:
    """(locale, annotator, open tasks) of those that a person has skipped for the last time."""
    query = (
        select(Queue.locale, Rework.annotator, func.count(Rework.utterance_id.distinct()))
        .join(Queue, Queue.id == Rework.queue_id)
        .join(QueueTask, (QueueTask.queue_id == Rework.queue_id) & (QueueTask.utterance_id == Rework.utterance_id))
        .where(Queue.instance == instance, Rework.stays, QueueTask.state == "published")
        .group_by(Queue.locale, Rework.annotator)
        .order_by(Queue.locale, Rework.annotator)
    )
    return [(locale, annotator, count) for locale, annotator, count in session.execute(query)]
