"""The inbox of webhooks: a row is work until `handled_at` is set."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import WebhookEventRow

PROJECT_ID = WebhookEventRow.payload["project_id"].astext.cast(BigInteger)


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


def project_of(session: Session, event_id: int) -> int | None:
    """The project that an unhandled event is about."""
    return session.scalar(
        select(PROJECT_ID).where(WebhookEventRow.id == event_id, WebhookEventRow.handled_at.is_(None))
    )


def unhandled_projects(session: Session) -> set[int | None]:
    """The projects that unhandled events name; None stands for those that name none."""
    return set(session.scalars(select(PROJECT_ID).where(WebhookEventRow.handled_at.is_(None)).distinct()))


def mark_handled(session: Session, event_id: int, error: str | None = None) -> None:
    """`error` says why nothing came of it."""
    session.execute(
        update(WebhookEventRow)
        .where(WebhookEventRow.id == event_id)
        .values(handled_at=func.clock_timestamp(), error=error)
    )


def mark_project_handled(session: Session, project_id: int | None, until: datetime, error: str | None = None) -> None:
    """Everything about the project (None: about no project) that came in before `until`."""
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


def _is_open(project_id: int | None) -> ColumnElement[bool]:
    return and_(WebhookEventRow.handled_at.is_(None), PROJECT_ID.is_not_distinct_from(project_id))
