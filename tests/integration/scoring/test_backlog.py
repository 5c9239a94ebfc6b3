"""How much is left to score, as `assay status` and `assay scoring backfill` show it."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Connection, event
from sqlalchemy.orm import Session

from plugin.cli import scoring as cli
from plugin.services.status import status
from tasks import scoring as celery_tasks
from tests import factories
from tests.integration.scoring.conftest import FakeWiring

NOW = datetime(2026, 11, 1, tzinfo=UTC)


@pytest.fixture
def fetched(connection: Connection) -> list[int]:
    """The size of every answer of the database."""
    sizes: list[int] = []

    def see(_connection: Any, cursor: Any, *_: Any) -> None:
        sizes.append(cursor.rowcount)

    event.listen(connection, "after_cursor_execute", see)
    return sizes


def test_the_backlog_is_counted_by_the_database(session: Session, wiring: FakeWiring, fetched: list[int]) -> None:
    rows = factories.utterances(session, 7)
    factories.utterances(session, 2, source="gold", partition="test")
    factories.utterances(session, 2, source="swahili", locale="sw-KE")
    version = factories.champion(session)
    celery_tasks.score_batch(rows[0].id, rows[1].id)
    fetched.clear()
    assert cli.pending(SimpleNamespace(transaction=wiring.transaction), version) == 5  # type: ignore[arg-type]
    assert max(fetched) == 1
    assert status(session, NOW)["models"][0]["unscored"] == 5
