"""Ingest: a file of JSON Lines into `utterances`, against COPY of the very rows that come of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import Cursor
from sqlalchemy import Connection, Engine, text

from db.session import transaction_maker
from tests.benchmarks import data
from tests.benchmarks.data import Site


@dataclass(frozen=True)
class Ingest:
    """`rows` are all columns of the ingested file in PostgreSQL's own binary format: nothing of Python is in them."""

    site: Site
    log: Path
    rows: bytes
    name: str = "ingest"
    against: str = "raw COPY"

    @property
    def size(self) -> int:
        return self.site.size

    @contextmanager
    def ours(self) -> Iterator[Callable[[], None]]:
        with data.database(self.site.server, self.site.template) as engine:
            yield lambda: take(engine, self.log)
            assert count(engine, "utterances") == self.size

    @contextmanager
    def reference(self) -> Iterator[Callable[[], None]]:
        """No index, no constraint, no second look: what PostgreSQL needs to have the rows at all."""
        with data.database(self.site.server, self.site.template) as engine:
            with engine.begin() as connection:
                connection.execute(text("CREATE TABLE bare AS TABLE utterances WITH NO DATA"))
            yield lambda: copy_in(engine, self.rows)
            assert count(engine, "bare") == self.size


@contextmanager
def prepared(site: Site) -> Iterator[Ingest]:
    log = data.write_log(site.folder / "log.jsonl", data.records(data.corpus(site.size), site.size))
    with data.database(site.server, site.template) as engine:
        take(engine, log)
        rows = copy_out(engine)
    yield Ingest(site, log, rows)


def take(engine: Engine, log: Path) -> None:
    data.take_log(transaction_maker(engine), log)


def copy_out(engine: Engine) -> bytes:
    with (
        engine.connect() as connection,
        cursor_of(connection) as cursor,
        cursor.copy("COPY utterances TO STDOUT (FORMAT BINARY)") as copy,
    ):
        return b"".join(copy)


def copy_in(engine: Engine, rows: bytes) -> None:
    with (
        engine.begin() as connection,
        cursor_of(connection) as cursor,
        cursor.copy("COPY bare FROM STDIN (FORMAT BINARY)") as copy,
    ):
        copy.write(rows)


def cursor_of(connection: Connection) -> Cursor[Any]:
    driver = connection.connection.driver_connection
    assert driver is not None
    cursor: Cursor[Any] = driver.cursor()
    return cursor


def count(engine: Engine, table: str) -> int:
    with engine.connect() as connection:
        return int(connection.execute(text(f"SELECT count(*) FROM {table}")).scalar_one())
