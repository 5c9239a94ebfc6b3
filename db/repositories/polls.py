"""Which queues of Label Studio are to be looked at, and what is known of their tasks."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import exists, func, or_, select, update
from sqlalchemy.orm import Session

from db.models import AnnotationRow, Queue, QueueTask
from db.repositories.ids import among

LAST_CODE = 1.0
IN_LABEL_STUDIO = ("published", "leaving", "annotated")


class TaskPlace(NamedTuple):
    utterance_id: int
    revision: int


def clock(session: Session) -> datetime:
    """The database's time, by which events are received and queues are polled."""
    now = session.scalar(select(func.clock_timestamp()))
    assert isinstance(now, datetime)
    return now


def project_ids(session: Session, instance: str, *, not_polled_for: timedelta = timedelta(0)) -> list[int]:
    """The projects of the instance's queues, the longest unpolled first."""
    polled_before = func.clock_timestamp() - not_polled_for
    query = (
        select(Queue.project_id)
        .where(Queue.instance == instance, Queue.project_id.is_not(None))
        .where(or_(Queue.polled_at.is_(None), Queue.polled_at <= polled_before))
        .order_by(Queue.polled_at.nulls_first(), Queue.id)
    )
    return [project_id for project_id in session.scalars(query) if project_id is not None]


def set_polled(session: Session, queue_id: int, at: datetime) -> None:
    session.execute(update(Queue).where(Queue.id == queue_id).values(polled_at=at))


def set_surplus(session: Session, queue_id: int, surplus: int) -> None:
    session.execute(update(Queue).where(Queue.id == queue_id).values(surplus=surplus))


def live_task_ids(session: Session, queue_id: int) -> set[int]:
    """The tasks that are in Label Studio as far as we know."""
    query = select(QueueTask.task_id).where(QueueTask.queue_id == queue_id, QueueTask.state.in_(IN_LABEL_STUDIO))
    return {task_id for task_id in session.scalars(query) if task_id is not None}


def places(session: Session, queue_id: int, task_ids: Sequence[int]) -> dict[int, TaskPlace]:
    """What each of the tasks shows."""
    query = select(QueueTask.task_id, QueueTask.utterance_id, QueueTask.revision).where(
        QueueTask.queue_id == queue_id, among(QueueTask.task_id, task_ids)
    )
    return {
        task_id: TaskPlace(utterance_id, revision)
        for task_id, utterance_id, revision in session.execute(query)
        if task_id is not None
    }


def reopen(session: Session, queue_id: int, instance: str, task_ids: Sequence[int]) -> int:
    """Those of the tasks that have lost their last annotation are open again, behind all others: their order may have
    changed meanwhile, and Label Studio serves what has no place in it last.
    """
    stands = exists().where(
        AnnotationRow.instance == instance,
        AnnotationRow.utterance_id == QueueTask.utterance_id,
        AnnotationRow.task_id == QueueTask.task_id,
        AnnotationRow.withdrawn_at.is_(None),
    )
    result = session.execute(
        update(QueueTask)
        .where(QueueTask.queue_id == queue_id, among(QueueTask.task_id, task_ids))
        .where(QueueTask.state == "annotated", ~stands)
        .values(state="published", rank_code=LAST_CODE, state_since=func.clock_timestamp())
    )
    return int(result.rowcount)  # type: ignore[attr-defined]
