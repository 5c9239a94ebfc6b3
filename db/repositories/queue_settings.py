"""How the projects of queues were set up, and when each was last compared with that."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from sqlalchemy import func, or_, select, update
from sqlalchemy.orm import Session

from db.models import Queue
from db.repositories.queues import DIRTY


def remember(session: Session, queue_id: int, settings: Mapping[str, Any]) -> None:
    """Adds to what is remembered."""
    known = session.scalar(select(Queue.settings).where(Queue.id == queue_id)) or {}
    session.execute(update(Queue).where(Queue.id == queue_id).values(settings={**known, **settings}))


def forget(session: Session, queue_id: int) -> None:
    session.execute(update(Queue).where(Queue.id == queue_id).values(settings=None, settings_seen_at=None))


def seen(session: Session, queue_id: int) -> None:
    session.execute(update(Queue).where(Queue.id == queue_id).values(settings_seen_at=func.clock_timestamp()))


def order_anew(session: Session, queue_id: int) -> None:
    """The predictions that made the order are gone: the queue is published as if none had been sent."""
    values = {"order_id": None, "importing_since": func.clock_timestamp(), **DIRTY}
    session.execute(update(Queue).where(Queue.id == queue_id).values(values))


def is_due(session: Session, queue_id: int, every: timedelta) -> bool:
    """Whether the project was set up, and has not been looked at for a while."""
    before = func.clock_timestamp() - every
    query = select(Queue.id).where(Queue.id == queue_id, Queue.settings.is_not(None), Queue.state == "active")
    return (
        session.scalar(query.where(or_(Queue.settings_seen_at.is_(None), Queue.settings_seen_at < before))) is not None
    )
