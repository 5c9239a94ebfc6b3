"""Queues themselves: which there are, and what is known of each."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import Queue, QueueTask, Rework, SelectionRow

REVIEW = "review"
# Counted: who publishes sees whether it became dirty once more in between.
DIRTY: dict[str, Any] = {"dirty": True, "changes": Queue.changes + 1}
IN_ORDER = (Queue.locale, Queue.kind != REVIEW, Queue.kind.desc(), Queue.domain)


def ensure(session: Session, instance: str, locale: str, domains: Iterable[str]) -> Sequence[Queue]:
    """The review queues of these domains, made where they lack, and marked dirty."""
    rows = [{"instance": instance, "locale": locale, "domain": domain} for domain in sorted(domains)]
    if rows:
        statement = insert(Queue).values(rows)
        unique = ["instance", "locale", "kind", "domain"]
        session.execute(statement.on_conflict_do_update(index_elements=unique, set_=DIRTY))
    return of_locale(session, instance, locale)


def mark_dirty(session: Session, instance: str, locale: str) -> None:
    of_reviews = (Queue.instance == instance, Queue.locale == locale, Queue.kind == REVIEW)
    session.execute(update(Queue).where(*of_reviews).values(DIRTY))


def of_locale(session: Session, instance: str, locale: str) -> Sequence[Queue]:
    """Its review queues."""
    of_reviews = (Queue.instance == instance, Queue.locale == locale, Queue.kind == REVIEW)
    return session.scalars(select(Queue).where(*of_reviews).order_by(Queue.domain)).all()


def every(session: Session, instance: str) -> Sequence[Queue]:
    return session.scalars(select(Queue).where(Queue.instance == instance).order_by(*IN_ORDER)).all()


def instances(session: Session) -> Sequence[str]:
    return session.scalars(select(Queue.instance).distinct().order_by(Queue.instance)).all()


def get(session: Session, queue_id: int) -> Queue | None:
    return session.get(Queue, queue_id)


def by_project(session: Session, instance: str, project_id: int) -> Queue | None:
    return session.scalars(
        select(Queue).where(Queue.instance == instance, Queue.project_id == project_id)
    ).one_or_none()


def dirty_ids(session: Session, instance: str) -> list[int]:
    query = select(Queue.id).where(Queue.instance == instance, Queue.dirty, Queue.state == "active")
    return list(session.scalars(query.order_by(Queue.id)))


def untidy_ids(session: Session, instance: str, published_since: datetime) -> list[int]:
    """Queues with tasks that leave, or are to be served again, and those into which an import may still be going on."""
    leaving = exists().where(QueueTask.queue_id == Queue.id, QueueTask.state == "leaving")
    again = exists().where(Rework.queue_id == Queue.id, Rework.taken_back_at.is_(None), ~Rework.stays)
    doubt = Queue.importing_since.is_not(None)
    query = select(Queue.id).where(Queue.instance == instance, Queue.project_id.is_not(None))
    return list(
        session.scalars(
            query.where(leaving | again | doubt | (Queue.published_at > published_since)).order_by(Queue.id)
        )
    )


def set_dirty(session: Session, queue_id: int) -> None:
    session.execute(update(Queue).where(Queue.id == queue_id).values(DIRTY))


def set_project(session: Session, queue_id: int, project_id: int) -> None:
    session.execute(update(Queue).where(Queue.id == queue_id).values(project_id=project_id))


def forget_project(session: Session, queue_id: int) -> None:
    """The project was deleted: what was annotated stays so, the rest is open to be published again."""
    gone = ("project_id", "order_id", "order_name", "begun_name", "begun_digest", "importing_since", "collected_until")
    session.execute(update(Queue).where(Queue.id == queue_id).values({**dict.fromkeys(gone), **DIRTY}))
    session.execute(
        update(QueueTask)
        .where(QueueTask.queue_id == queue_id, QueueTask.state != "annotated")
        .values(state="removed", task_id=None, state_since=func.clock_timestamp())
    )


def set_collected_until(session: Session, queue_id: int, until: datetime) -> None:
    session.execute(
        update(Queue)
        .where(Queue.id == queue_id)
        .values(collected_until=func.greatest(func.coalesce(Queue.collected_until, until), until))
    )


def set_published(session: Session, queue_id: int, selection_id: int, changes: int, at: datetime) -> None:
    """The queue shows this selection; it stays dirty when it changed after so many `changes`, or a newer round came."""
    newest = (
        select(func.max(SelectionRow.id)).where(SelectionRow.locale == Queue.locale).correlate(Queue).scalar_subquery()
    )
    session.execute(
        update(Queue)
        .where(Queue.id == queue_id)
        .values(selection_id=selection_id, published_at=at, dirty=(newest != selection_id) | (Queue.changes != changes))
    )


class QueueCounts(NamedTuple):
    queue: Queue
    published: int
    annotated: int
    leaving: int


def counts(session: Session) -> list[QueueCounts]:
    """Per queue: tasks that wait or are annotated, those that are annotated, and those that go as soon as they may."""
    published = func.count().filter(QueueTask.state.in_(["published", "annotated"]))
    done = func.count().filter(QueueTask.state == "annotated")
    leaving = func.count().filter(QueueTask.state == "leaving")
    query = (
        select(Queue, published, done, leaving)
        .outerjoin(QueueTask, QueueTask.queue_id == Queue.id)
        .group_by(Queue.id)
        .order_by(*IN_ORDER)
    )
    return [QueueCounts(*row) for row in session.execute(query)]
