"""Alembic from code: the schema is built by migrations only, in tests as in production."""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory

from db.models import Base
from db.session import make_engine


def scripts_folder() -> Path:
    """In the wheel the migrations lie inside this package; in a checkout, beside it."""
    here = Path(__file__).parent
    inside = here / "_migrations"
    return inside if inside.is_dir() else here.parent / "migrations"


def alembic_config(url: str | None = None) -> Config:
    config = Config()
    config.set_main_option("script_location", str(scripts_folder()).replace("%", "%%"))
    config.attributes["url"] = url
    return config


def head_revision() -> str:
    head = ScriptDirectory.from_config(alembic_config()).get_current_head()
    assert head is not None
    return head


def current_revision(url: str) -> str | None:
    engine = make_engine(url)
    try:
        with engine.connect() as connection:
            return MigrationContext.configure(connection).get_current_revision()
    finally:
        engine.dispose()


def upgrade(url: str, revision: str = "head") -> None:
    command.upgrade(alembic_config(url), revision)


def downgrade(url: str, revision: str) -> None:
    command.downgrade(alembic_config(url), revision)


def is_drift_object(name: str | None, kind: str) -> bool:
    """Partitions made at run time are not part of the schema that migrations describe."""
    return not (kind == "table" and name is not None and name.startswith(("scores_of_", "features_of_")))


def drift(url: str) -> list[str]:
    """What the models say and the database does not, or the other way round; empty when they agree."""
    engine = make_engine(url)
    options = {
        "include_name": lambda name, kind, _parents: is_drift_object(name, kind),
        "compare_server_default": True,
    }
    try:
        with engine.connect() as connection:
            context = MigrationContext.configure(connection, opts=options)
            return [repr(difference) for difference in compare_metadata(context, Base.metadata)]
    finally:
        engine.dispose()
