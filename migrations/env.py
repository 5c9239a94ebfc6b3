"""Run migrations against `-x url=...` or the URL that `db.migrate` gives."""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from db.migrate import is_drift_object
from db.models import Base
from db.session import make_engine

# Any two migrating processes take turns: PostgreSQL's own lock, freed when the connection ends.
ADVISORY_LOCK = 0x4153_5341_59


def run() -> None:
    url = context.config.attributes.get("url") or context.get_x_argument(as_dictionary=True).get("url")
    if not url:
        raise SystemExit("no database: give alembic `-x url=postgresql://...`, or use `assay db upgrade`")
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            # Before the timeouts: whoever comes second waits for as long as the first one migrates.
            connection.execute(text("SELECT pg_advisory_lock(:key)"), {"key": ADVISORY_LOCK})
            connection.execute(text("SET lock_timeout = '4s'"))
            connection.execute(text("SET statement_timeout = '10min'"))
            connection.commit()
            context.configure(
                connection=connection,
                target_metadata=Base.metadata,
                include_name=lambda name, kind, _parents: is_drift_object(name, kind),
                compare_server_default=True,
                transaction_per_migration=True,
            )
            with context.begin_transaction():
                context.run_migrations()
            connection.commit()
    finally:
        engine.dispose()


run()
