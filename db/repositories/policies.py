"""Policies as rows of what is set; inheritance is the service's business."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import delete, func, or_, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import PolicyChange, PolicyRow

SETTABLE = (
    "strategy", "budget", "allocation", "control_share", "hard_share", "noise_share", "blind_share",
    "overlap_share", "nlu_low", "nlu_high", "exclude_defects", "train_on_weak", "seed",
)  # fmt: skip


def values(row: PolicyRow) -> dict[str, Any]:
    return {name: getattr(row, name) for name in SETTABLE if getattr(row, name) is not None}


def get(session: Session, locale: str, domain: str, *, lock: bool = False) -> PolicyRow | None:
    query = select(PolicyRow).where(PolicyRow.locale == locale, PolicyRow.domain == domain)
    return session.scalars(query.with_for_update() if lock else query).one_or_none()


def for_locale(session: Session, locale: str) -> Sequence[PolicyRow]:
    """The rows a locale's round depends on, the least particular first."""
    return session.scalars(
        select(PolicyRow)
        .where(or_(PolicyRow.locale == locale, PolicyRow.locale == "*"))
        .order_by(PolicyRow.locale != "*", PolicyRow.domain != "*", PolicyRow.domain)
    ).all()


def every(session: Session) -> Sequence[PolicyRow]:
    return session.scalars(select(PolicyRow).order_by(PolicyRow.locale, PolicyRow.domain)).all()


def put(session: Session, locale: str, domain: str, new: Mapping[str, Any], *, changed_by: str, comment: str) -> None:
    """Replace the row's values (none at all removes it) and keep who changed what."""
    row = get(session, locale, domain, lock=True)
    before = values(row) if row is not None else None
    if new:
        full = {name: new.get(name) for name in SETTABLE}
        statement = insert(PolicyRow).values(locale=locale, domain=domain, **full)
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["locale", "domain"], set_={**full, "updated_at": func.clock_timestamp()}
            )
        )
    else:
        session.execute(delete(PolicyRow).where(PolicyRow.locale == locale, PolicyRow.domain == domain))
    session.add(
        PolicyChange(
            locale=locale,
            domain=domain,
            changed_by=changed_by,
            before=before,
            after=dict(new) or None,
            comment=comment,
        )
    )
    session.flush()
    session.expire_all()


def changes(session: Session, locale: str, domain: str) -> Sequence[PolicyChange]:
    return session.scalars(
        select(PolicyChange)
        .where(PolicyChange.locale == locale, PolicyChange.domain == domain)
        .order_by(PolicyChange.id.desc())
    ).all()
