"""COPY into PostgreSQL: the fast way in, used wherever rows come by the thousand."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from psycopg import Cursor, sql
from psycopg.types.json import Jsonb
from sqlalchemy.orm import Session


def copy_rows(session: Session, table: str, columns: Sequence[str], types: Sequence[str], rows: Iterable[Any]) -> None:
    """Binary COPY within the session's transaction. `types` are PostgreSQL type names, one per column."""
    json = {number for number, name in enumerate(types) if name == "jsonb"}
    statement = sql.SQL("COPY {} ({}) FROM STDIN (FORMAT BINARY)").format(
        sql.Identifier(table), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    with _cursor(session) as cursor, cursor.copy(statement) as copy:
        copy.set_types(types)
        for row in rows:
            if json:
                row = [Jsonb(cell) if i in json and cell is not None else cell for i, cell in enumerate(row)]
            copy.write_row(row)


def _cursor(session: Session) -> Cursor[Any]:
    connection = session.connection().connection.driver_connection
    assert connection is not None
    cursor: Cursor[Any] = connection.cursor()
    return cursor
