"""How far each locale's queues keep up with what comes in."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import Refresh, SelectionRow


def get(session: Session, locale: str) -> Refresh | None:
    return session.get(Refresh, locale)


def locales(session: Session) -> Sequence[str]:
    """Those that have a round: the first is a person's to begin."""
    query = select(SelectionRow.locale).where(SelectionRow.superseded_at.is_(None), SelectionRow.extends_id.is_(None))
    return session.scalars(query.order_by(SelectionRow.locale)).all()


def put(
    session: Session,
    locale: str,
    began_at: datetime,
    *,
    looked_at: datetime | None = None,
    waiting: int = 0,
    waiting_since: datetime | None = None,
    problem: str | None = None,
) -> None:
    """`looked_at`: None leaves it as it is, since the look has failed."""
    values = {"began_at": began_at, "waiting": waiting, "waiting_since": waiting_since, "problem": problem}
    if looked_at is not None:
        values["looked_at"] = looked_at
    statement = insert(Refresh).values(locale=locale, **values)
    session.execute(statement.on_conflict_do_update(index_elements=["locale"], set_=values))


def begin(session: Session, locale: str, at: datetime) -> None:
    """What the last look found stands until this one has ended."""
    statement = insert(Refresh).values(locale=locale, began_at=at)
    session.execute(statement.on_conflict_do_update(index_elements=["locale"], set_={"began_at": at}))
