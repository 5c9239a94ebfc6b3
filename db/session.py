"""Engines and transactions: the only place that commits."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from sqlalchemy import Engine, create_engine, func, select
from sqlalchemy.engine import URL, make_url
from sqlalchemy.orm import Session

CONNECT_SECONDS = 5

TransactionMaker = Callable[[], AbstractContextManager[Session]]


def psycopg_url(url: str) -> URL:
    """Accept what PostgreSQL tools write (`postgresql://`, `postgres://`) and use psycopg 3 for it."""
    parsed = make_url(url)
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ValueError(f"Assay needs a PostgreSQL URL, not {parsed.get_backend_name()}://")
    return parsed.set(drivername="postgresql+psycopg")


def make_engine(url: str, *, pool_size: int = 5) -> Engine:
    patience = {"connect_timeout": CONNECT_SECONDS}
    return create_engine(psycopg_url(url), pool_size=pool_size, pool_pre_ping=True, connect_args=patience)


@contextmanager
def advisory_lock(engine: Engine, name: str, *, wait: bool) -> Iterator[bool]:
    """Whether this process holds the lock `name` within the block; freed when the process dies.

    Held by a connection of its own and outside any transaction, so that it may last as long as the work does.
    """
    key = func.hashtextextended(name, 0)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        if wait:
            connection.execute(select(func.pg_advisory_lock(key)))
        held = wait or bool(connection.scalar(select(func.pg_try_advisory_lock(key))))
        try:
            yield held
        finally:
            if held:
                connection.execute(select(func.pg_advisory_unlock(key)))


def transaction_maker(engine: Engine) -> TransactionMaker:
    """`with transaction() as session:` commits at the end of the block, rolls back on an exception."""

    @contextmanager
    def transaction() -> Iterator[Session]:
        with Session(engine, expire_on_commit=False) as session, session.begin():
            yield session

    return transaction
