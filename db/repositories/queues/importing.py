"""Under which name a queue's order is served, and whether an import may have left in it what no row knows."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import func, update
from sqlalchemy.orm import Session

from db.models import Queue


def set_order(session: Session, queue_id: int, order_id: int, name: str) -> None:
    """What was begun is done."""
    values = {"order_id": order_id, "order_name": name, "begun_name": None, "begun_digest": None}
    session.execute(update(Queue).where(Queue.id == queue_id).values(values))


def begin_import(
    session: Session, queue_id: int, at: datetime, name: str | None = None, digest: str | None = None
) -> None:
    """To be committed before anything is sent: whoever is interrupted leaves this behind."""
    since = func.coalesce(Queue.importing_since, at)
    values = {"importing_since": since, "begun_name": name, "begun_digest": digest}
    session.execute(update(Queue).where(Queue.id == queue_id).values(values))


def doubt_import(session: Session, queue_id: int, at: datetime) -> None:
    """Of what was sent until now, something may come a second time."""
    session.execute(update(Queue).where(Queue.id == queue_id).values(importing_since=at))


def end_import(session: Session, queue_id: int) -> None:
    """All that was sent is in a row, and nothing else can come of it."""
    session.execute(update(Queue).where(Queue.id == queue_id).values(importing_since=None))


def end_old_import(session: Session, queue_id: int, before: datetime) -> None:
    """The same, of one that was in doubt so long ago. Not where the next is still to come: it has to look first."""
    session.execute(
        update(Queue)
        .where(Queue.id == queue_id, Queue.importing_since < before, ~Queue.dirty)
        .values(importing_since=None)
    )
