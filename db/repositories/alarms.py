"""Alarms: raised once, seen again, resolved, sent; and the looks that find them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import Alarm, DriftLook, ModelVersion, TrainingRun

IS_OPEN = Alarm.resolved_at.is_(None)
UNSENT = and_(IS_OPEN, Alarm.raised_sent_at.is_(None))
# Who was never told of an alarm need not be told that it is over.
UNSENT_END = and_(~IS_OPEN, Alarm.raised_sent_at.is_not(None), Alarm.resolved_sent_at.is_(None))


def raise_or_see(
    session: Session, kind: str, locale: str, domain: str, *, value: float, threshold: float, sentence: str,
    details: Mapping[str, Any], at: datetime,
) -> tuple[Alarm, bool]:  # fmt: skip
    """The open alarm of this kind, with what is seen now; and whether it was raised by this."""
    seen = {"value": value, "threshold": threshold, "sentence": sentence, "details": dict(details), "seen_at": at}
    statement = (
        insert(Alarm)
        .values(kind=kind, locale=locale, domain=domain, raised_at=at, **seen)
        .on_conflict_do_update(
            index_elements=["kind", "locale", "domain"], index_where=Alarm.resolved_at.is_(None), set_=seen
        )
        .returning(Alarm)
    )
    alarm = session.scalars(statement, execution_options={"populate_existing": True}).one()
    return alarm, alarm.raised_at == at


def resolve(session: Session, kind: str, locale: str, domain: str, at: datetime) -> Alarm | None:
    """The alarm that was open. Its end is a message of its own, with tries of its own."""
    statement = (
        update(Alarm)
        .where(Alarm.kind == kind, Alarm.locale == locale, Alarm.domain == domain, IS_OPEN)
        .values(resolved_at=at, tries=0, next_try_at=None, send_problem=None)
        .returning(Alarm)
    )
    return session.scalars(statement, execution_options={"populate_existing": True}).one_or_none()


def get(session: Session, alarm_id: int) -> Alarm | None:
    return session.get(Alarm, alarm_id)


def listed(session: Session, *, locale: str | None = None, only_open: bool = True, limit: int = 100) -> Sequence[Alarm]:
    """The newest first."""
    query = select(Alarm).order_by(Alarm.raised_at.desc(), Alarm.id.desc()).limit(limit)
    if only_open:
        query = query.where(IS_OPEN)
    return session.scalars(query if locale is None else query.where(Alarm.locale == locale)).all()


def set_run(session: Session, alarm_id: int, run_id: int) -> None:
    session.execute(update(Alarm).where(Alarm.id == alarm_id).values(run_id=run_id))


def take_unsent(session: Session, now: datetime, *, most_tries: int, first_pause: timedelta) -> Sequence[Alarm]:
    """Those whose message is due, each taken for a while that doubles with every try: who takes one and dies has lost
    nothing.
    """
    due = or_(Alarm.next_try_at.is_(None), Alarm.next_try_at <= now)
    found = session.scalars(
        select(Alarm)
        .where(or_(UNSENT, UNSENT_END), due, Alarm.tries < most_tries)
        .order_by(Alarm.id)
        .with_for_update(skip_locked=True)
    ).all()
    for alarm in found:
        alarm.next_try_at = now + first_pause * 2**alarm.tries
        alarm.tries += 1
    session.flush()
    return found


def set_sent(session: Session, alarm_id: int, at: datetime, *, end: bool) -> None:
    sent = {"resolved_sent_at": at} if end else {"raised_sent_at": at}
    session.execute(
        update(Alarm).where(Alarm.id == alarm_id).values(**sent, tries=0, next_try_at=None, send_problem=None)
    )


def set_problem(session: Session, alarm_id: int, problem: str, *, tries: int | None = None) -> None:
    """`tries`: as many are enough."""
    values: dict[str, Any] = {"send_problem": problem} | ({} if tries is None else {"tries": tries})
    session.execute(update(Alarm).where(Alarm.id == alarm_id).values(values))


def due_locales(session: Session, not_looked_since: datetime) -> list[str]:
    """Locales of models that were not looked at since, the longest ago first."""
    locales = select(func.unnest(ModelVersion.locales).label("locale")).where(ModelVersion.promoted_at.is_not(None))
    known = locales.distinct().subquery()
    query = (
        select(known.c.locale)
        .outerjoin(DriftLook, DriftLook.locale == known.c.locale)
        .where(or_(DriftLook.looked_at.is_(None), DriftLook.looked_at <= not_looked_since))
        .order_by(DriftLook.looked_at.nulls_first(), known.c.locale)
    )
    return list(session.scalars(query))


def put_look(session: Session, locale: str, at: datetime, seen: Sequence[Mapping[str, Any]]) -> None:
    values = {"looked_at": at, "seen": [dict(one) for one in seen]}
    statement = insert(DriftLook).values(locale=locale, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["locale"], set_=values))


def looks(session: Session, locale: str | None = None) -> Sequence[DriftLook]:
    query = select(DriftLook).order_by(DriftLook.locale)
    return session.scalars(query if locale is None else query.where(DriftLook.locale == locale)).all()


def runs_since(session: Session, locale: str, trigger: str, since: datetime) -> bool:
    """Whether a run of the locale was asked for by this trigger since."""
    query = select(TrainingRun.id).where(
        TrainingRun.locale == locale, TrainingRun.trigger == trigger, TrainingRun.created_at >= since
    )
    return session.scalar(query.limit(1)) is not None
