"""What the rows tell the doctor."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import ColumnElement, and_, func, select
from sqlalchemy.orm import Session, aliased

from db.models import AnnotationRow, Queue, QueueTask, SelectionRow, WebhookEventRow
from db.repositories.webhook_events import PROJECT_ID


class Served(NamedTuple):
    """A task that was annotated: when, its place in the order, and since when it can have been in the queue."""

    at: datetime
    rank_code: float
    planned_at: datetime


def served_lately(session: Session, queue_id: int, limit: int) -> list[Served]:
    """The latest annotations of the order that a queue serves now, the first of them first."""
    order = aliased(SelectionRow)
    first = func.min(AnnotationRow.created_at)
    query = (
        select(first, QueueTask.rank_code, SelectionRow.created_at)
        .select_from(QueueTask)
        .join(Queue, Queue.id == QueueTask.queue_id)
        .join(order, order.id == Queue.order_id)
        .join(SelectionRow, SelectionRow.id == QueueTask.selection_id)
        .join(
            AnnotationRow,
            and_(AnnotationRow.instance == Queue.instance, AnnotationRow.task_id == QueueTask.task_id),
        )
        .where(QueueTask.queue_id == queue_id, AnnotationRow.created_at > order.created_at)
        .group_by(QueueTask.id, SelectionRow.created_at)
        .order_by(first.desc())
        .limit(limit)
    )
    return [Served._make(row) for row in session.execute(query)][::-1]


def last_poll(session: Session, instance: str) -> datetime | None:
    """When a queue was last polled or, before that, published; None when no queue has a project."""
    ours = (Queue.instance == instance, Queue.project_id.is_not(None), Queue.state == "active")
    return session.scalar(select(func.max(func.coalesce(Queue.polled_at, Queue.published_at))).where(*ours))


def oldest_event(session: Session) -> datetime | None:
    """When the webhook that has waited longest came in."""
    return session.scalar(select(func.min(WebhookEventRow.received_at)).where(WebhookEventRow.handled_at.is_(None)))


def waiting_queues(session: Session, instance: str, patience: timedelta) -> list[Queue]:
    """Those whose round, or extension of one, was chosen long ago and is not published."""
    newest = (
        select(func.max(SelectionRow.created_at))
        .where(SelectionRow.locale == Queue.locale)
        .correlate(Queue)
        .scalar_subquery()
    )
    query = select(Queue).where(Queue.instance == instance, Queue.dirty, Queue.state == "active", _is_of_reviews())
    return list(session.scalars(query.where(newest < func.clock_timestamp() - patience).order_by(Queue.id)))


def has_event(session: Session, project_id: int, since: datetime) -> bool:
    query = select(WebhookEventRow.id).where(project_id == PROJECT_ID, WebhookEventRow.received_at >= since)
    return session.scalar(query.limit(1)) is not None


def _is_of_reviews() -> ColumnElement[bool]:
    return Queue.kind == "review"
