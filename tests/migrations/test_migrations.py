"""The schema: one head, equal to the models; every revision goes up, down and up again to the same schema."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, inspect, text
from sqlalchemy.orm import Session

from db import migrate
from db.models import Base
from db.repositories import models
from tests import factories

SCRIPTS = ScriptDirectory.from_config(migrate.alembic_config())
REVISIONS = [script.revision for script in reversed(list(SCRIPTS.walk_revisions()))]

# A revision that changes rows names here a function (url_before -> check_after), which fills rows and checks them.
DATA_TESTERS: dict[str, object] = {}


def schema(url: str) -> str:
    """The schema as PostgreSQL's own catalogue tells it, without what a downgrade may leave: Alembic's own table."""
    engine = create_engine(url)
    query = """
        SELECT 'column', table_name, column_name, data_type, is_nullable, coalesce(column_default, '')
          FROM information_schema.columns WHERE table_schema = 'public' AND table_name <> 'alembic_version'
        UNION ALL
        SELECT 'constraint', conrelid::regclass::text, conname, pg_get_constraintdef(oid), '', ''
          FROM pg_constraint WHERE connamespace = 'public'::regnamespace
           AND conrelid::regclass::text <> 'alembic_version' AND contype <> 'n'
        UNION ALL
        SELECT 'index', tablename, indexname, indexdef, '', ''
          FROM pg_indexes WHERE schemaname = 'public' AND tablename <> 'alembic_version'
        ORDER BY 1, 2, 3
    """
    with engine.connect() as connection:
        lines = ["\t".join(map(str, row)) for row in connection.execute(text(query))]
    engine.dispose()
    return "\n".join(lines)


def test_there_is_one_head() -> None:
    assert len(SCRIPTS.get_heads()) == 1


def test_head_equals_the_models(database_url: str) -> None:
    assert migrate.drift(database_url) == []


def test_drift_is_seen(empty_database_url: str) -> None:
    migrate.upgrade(empty_database_url)
    engine = create_engine(empty_database_url)
    with engine.begin() as connection:
        connection.execute(text("ALTER TABLE queues DROP COLUMN dirty"))
    engine.dispose()
    assert any("dirty" in difference for difference in migrate.drift(empty_database_url))


@pytest.mark.parametrize("revision", REVISIONS)
def test_up_down_up_leaves_the_same_schema(empty_database_url: str, revision: str) -> None:
    script = SCRIPTS.get_revision(revision)
    before = script.down_revision or "base"
    assert isinstance(before, str)
    if before != "base":
        migrate.upgrade(empty_database_url, before)
    without = schema(empty_database_url)
    migrate.upgrade(empty_database_url, revision)
    once = schema(empty_database_url)
    assert once != without
    migrate.downgrade(empty_database_url, before)
    assert schema(empty_database_url) == without
    migrate.upgrade(empty_database_url, revision)
    assert schema(empty_database_url) == once


def test_every_revision_that_changes_rows_has_a_tester() -> None:
    for script in SCRIPTS.walk_revisions():
        source = Path(script.path).read_text()
        changes_rows = any(word in source for word in ("UPDATE ", "INSERT ", "DELETE FROM", "bulk_insert"))
        assert not changes_rows or script.revision in DATA_TESTERS, f"{script.revision} changes rows, untested"


def test_partitions_made_at_run_time_are_no_drift(clean_database_url: str) -> None:
    engine = create_engine(clean_database_url)
    with Session(engine, expire_on_commit=False) as session, session.begin():
        version = factories.champion(session)
        models.create_partitions(session, version.id)
    names = inspect(engine).get_table_names()
    engine.dispose()
    assert f"scores_of_{version.id}" in names
    assert migrate.drift(clean_database_url) == []


def test_a_second_migration_waits_for_the_first(empty_database_url: str) -> None:
    """Longer than `lock_timeout`, which is for locks on tables that others use."""
    engine = create_engine(empty_database_url)
    with ThreadPoolExecutor() as pool:
        with engine.connect() as first:
            first.execute(text("SELECT pg_advisory_lock(:key)"), {"key": 0x4153_5341_59})
            second = pool.submit(migrate.upgrade, empty_database_url)
            with pytest.raises(TimeoutError):
                second.result(timeout=5)
            first.execute(text("SELECT pg_advisory_unlock(:key)"), {"key": 0x4153_5341_59})
        second.result(timeout=60)
    engine.dispose()
    assert migrate.drift(empty_database_url) == []


def test_constraint_names_follow_the_convention() -> None:
    for table in Base.metadata.tables.values():
        for constraint in table.constraints:
            assert constraint.name is not None, f"{table.name} has a nameless constraint"


def test_the_generated_script_prints_the_rules(tmp_path: Path, database_url: str) -> None:
    config = migrate.alembic_config(database_url)
    config.set_main_option("version_locations", f"{migrate.scripts_folder() / 'versions'} {tmp_path}")
    config.set_main_option("path_separator", "space")
    command.revision(config, "a test", version_path=str(tmp_path))
    [written] = tmp_path.glob("*.py")
    assert "Rules for a running system" in written.read_text()
