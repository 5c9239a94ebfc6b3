"""Schedules: rows that an admin edits, and that the tick finds when they are due."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import delete, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import Schedule, TrainingRun


def put(
    session: Session,
    name: str,
    *,
    locale: str,
    test_set: str,
    cron: str,
    next_due_at: datetime,
    on_drift: bool | None = None,
) -> Schedule:
    """Insert or change the schedule of this name. `on_drift`: None leaves it as it is."""
    values: dict[str, Any] = {
        "locale": locale, "test_set": test_set, "cron": cron, "next_due_at": next_due_at, "enabled": True,
    }  # fmt: skip
    if on_drift is not None:
        values["on_drift"] = on_drift
    statement = (
        insert(Schedule)
        .values(name=name, **values)
        .on_conflict_do_update(index_elements=["name"], set_=values)
        .returning(Schedule)
    )
    return session.scalars(statement, execution_options={"populate_existing": True}).one()


def every(session: Session) -> Sequence[Schedule]:
    return session.scalars(select(Schedule).order_by(Schedule.name)).all()


def remove(session: Session, name: str) -> bool:
    """Delete the schedule; its runs stay."""
    schedule = session.scalars(select(Schedule).where(Schedule.name == name).with_for_update()).one_or_none()
    if schedule is None:
        return False
    session.execute(update(TrainingRun).where(TrainingRun.schedule_id == schedule.id).values(schedule_id=None))
    session.execute(delete(Schedule).where(Schedule.id == schedule.id))
    return True


def lock_due(session: Session, now: datetime) -> Sequence[Schedule]:
    """Due rows that no other tick is working on, locked until the transaction ends."""
    return session.scalars(
        select(Schedule)
        .where(Schedule.enabled, Schedule.next_due_at <= now)
        .order_by(Schedule.next_due_at, Schedule.id)
        .with_for_update(skip_locked=True)
    ).all()


def lock_on_drift(session: Session, locale: str) -> Sequence[Schedule]:
    """Those of the locale that an alarm may start, locked until the transaction ends."""
    query = select(Schedule).where(Schedule.enabled, Schedule.on_drift, Schedule.locale == locale)
    return session.scalars(query.order_by(Schedule.id).with_for_update()).all()
