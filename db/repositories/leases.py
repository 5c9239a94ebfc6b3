"""Leases: who does a long piece of work. The database's clock decides, so that machines need not agree on the time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import delete, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import Lease


def take(session: Session, name: str, holder: str, ttl: timedelta) -> bool:
    """True when the lease is the holder's now: it was free, had expired, or was the holder's already."""
    expires_at = func.clock_timestamp() + ttl
    statement = (
        insert(Lease)
        .values(name=name, holder=holder, expires_at=expires_at)
        .on_conflict_do_update(
            index_elements=["name"],
            set_={"holder": holder, "expires_at": expires_at},
            where=or_(Lease.expires_at < func.clock_timestamp(), Lease.holder == holder),
        )
        .returning(Lease.name)
    )
    return session.scalar(statement) is not None


def renew(session: Session, name: str, holder: str, ttl: timedelta) -> bool:
    """False when the lease was lost. Someone else may hold it now."""
    statement = (
        update(Lease)
        .where(Lease.name == name, Lease.holder == holder)
        .values(expires_at=func.clock_timestamp() + ttl)
        .returning(Lease.name)
    )
    return session.scalar(statement) is not None


def hold(session: Session, name: str, holder: str) -> bool:
    """Whether the lease is still the holder's; if so nobody takes it until this transaction ends."""
    query = select(Lease.name).where(Lease.name == name, Lease.holder == holder).with_for_update()
    return session.scalar(query) is not None


def release(session: Session, name: str, holder: str) -> None:
    session.execute(delete(Lease).where(Lease.name == name, Lease.holder == holder))


def live(session: Session, name: str) -> Lease | None:
    return session.scalars(
        select(Lease).where(Lease.name == name, Lease.expires_at >= func.clock_timestamp())
    ).one_or_none()


def live_names(session: Session, prefix: str) -> Sequence[str]:
    return session.scalars(
        select(Lease.name).where(
            Lease.name.startswith(prefix, autoescape=True), Lease.expires_at >= func.clock_timestamp()
        )
    ).all()
