"""The inbox of webhooks: a row is work until `handled_at` is set."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import WebhookEventRow


def receive(session: Session, dedup_key: str, action: str, payload: dict[str, Any]) -> int | None:
    """The new event's id; None when the same event is here already."""
    statement = insert(WebhookEventRow).values(dedup_key=dedup_key, action=action, payload=payload)
    return session.scalar(statement.on_conflict_do_nothing(index_elements=["dedup_key"]).returning(WebhookEventRow.id))


def take(session: Session, event_id: int) -> WebhookEventRow | None:
    """The event, if nobody has handled it or does so now."""
    return session.scalars(
        select(WebhookEventRow)
        .where(WebhookEventRow.id == event_id, WebhookEventRow.handled_at.is_(None))
        .with_for_update(skip_locked=True)
    ).one_or_none()


def take_unhandled(session: Session, limit: int) -> Sequence[WebhookEventRow]:
    """The oldest unhandled events that nobody else has taken."""
    return session.scalars(
        select(WebhookEventRow)
        .where(WebhookEventRow.handled_at.is_(None))
        .order_by(WebhookEventRow.id)
        .limit(limit)
        .with_for_update(skip_locked=True)
    ).all()


def mark_handled(session: Session, event_id: int, error: str | None = None) -> None:
    """`error` says why nothing came of it."""
    session.execute(
        update(WebhookEventRow)
        .where(WebhookEventRow.id == event_id)
        .values(handled_at=func.clock_timestamp(), error=error)
    )


def mark_project_handled(session: Session, project_id: int, until: datetime, error: str | None = None) -> None:
    """Everything about the project that came in before `until`."""
    session.execute(
        update(WebhookEventRow)
        .where(_is_open(project_id), WebhookEventRow.received_at <= until)
        .values(handled_at=func.clock_timestamp(), error=error)
    )


def set_project_error(session: Session, project_id: int, error: str) -> None:
    """What keeps the project's events from being handled; they stay open."""
    session.execute(update(WebhookEventRow).where(_is_open(project_id)).values(error=error))


def has_open(session: Session, project_id: int) -> bool:
    return session.scalar(select(WebhookEventRow.id).where(_is_open(project_id)).limit(1)) is not None


def backlog(session: Session) -> int:
    query = select(func.count()).select_from(WebhookEventRow).where(WebhookEventRow.handled_at.is_(None))
    return session.scalar(query) or 0


def _is_open(project_id: int) -> ColumnElement[bool]:
    project = WebhookEventRow.payload["project_id"].astext.cast(BigInteger)
    return and_(WebhookEventRow.handled_at.is_(None), project == project_id)
