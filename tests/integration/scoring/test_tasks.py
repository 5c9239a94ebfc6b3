"""The Celery tasks of scoring, called as functions on real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, select, text, update

from db.models import ModelVersion, Score, UtteranceRow
from db.session import TransactionMaker
from tasks import scoring as celery_tasks
from tests import factories
from tests.fakes.scorer import FakePrediction, FakeScorer
from tests.integration.scoring.conftest import EVERYTHING, FakeWiring, Scorers, count_scores


@pytest.fixture
def committing_wiring(committing: TransactionMaker, scorers: Scorers, monkeypatch: pytest.MonkeyPatch) -> FakeWiring:
    wiring = FakeWiring(committing)
    monkeypatch.setattr(celery_tasks, "get_wiring", lambda: wiring)
    return wiring


def pool(wiring: FakeWiring, count: int = 5, **changed: Any) -> list[int]:
    """Utterances that were ingested an hour ago."""
    with wiring.transaction() as session:
        ids = [row.id for row in factories.utterances(session, count, **changed)]
        session.execute(
            update(UtteranceRow)
            .where(UtteranceRow.id.in_(ids))
            .values(ingested_at=UtteranceRow.ingested_at - timedelta(hours=1))
        )
        return ids


def champion(wiring: FakeWiring, locale: str = "en-US", name: str = "fake-1", **changed: Any) -> int:
    with wiring.transaction() as session:
        version = factories.champion(session, locale, name=name)
        for column, value in changed.items():
            setattr(version, column, value)
        return version.id


def scored_locales(wiring: FakeWiring) -> set[str]:
    with wiring.transaction() as session:
        return set(session.scalars(select(UtteranceRow.locale).join(Score, Score.utterance_id == UtteranceRow.id)))


def breaks() -> FakeScorer:
    raise ValueError("the files are not those of the model")


def test_idempotent(wiring: FakeWiring, scorers: Scorers) -> None:
    pool(wiring, domain_scores={"music": 0.5})
    champion(wiring)
    for _ in range(2):
        celery_tasks.score_batch(*EVERYTHING)
        assert count_scores(wiring.transaction) == 10
    assert len(scorers.usual.texts_seen) == 5


def test_score_version_is_idempotent_and_needs_no_champion(wiring: FakeWiring, scorers: Scorers) -> None:
    ids = pool(wiring)
    version_id = champion(wiring, promoted_at=None)
    celery_tasks.score_batch(*EVERYTHING)
    assert count_scores(wiring.transaction) == 0
    for _ in range(2):
        celery_tasks.score_version(version_id, ids[0], ids[3])
        assert count_scores(wiring.transaction) == 4
    assert len(scorers.usual.texts_seen) == 4


class WatchingScorer(FakeScorer):
    """Counts, while it predicts, the transactions that are open in the database."""

    def __init__(self, engine: Engine) -> None:
        super().__init__()
        self.engine = engine
        self.open_transactions: list[int] = []

    def predict(self, *args: Any) -> FakePrediction:
        query = text(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
            " AND backend_type = 'client backend' AND pid <> pg_backend_pid() AND xact_start IS NOT NULL"
        )
        with self.engine.connect() as connection:
            self.open_transactions.append(connection.scalar(query) or 0)
        return super().predict(*args)


def test_no_transaction_is_open_during_the_forward_pass(
    committing_wiring: FakeWiring, scorers: Scorers, committing_engine: Engine
) -> None:
    wiring = committing_wiring
    ids = pool(wiring)
    version_id = champion(wiring)
    scorers.usual = watching = WatchingScorer(committing_engine)
    with wiring.transaction() as session:
        session.execute(text("SELECT 1"))
        watching.predict(["an open transaction is seen"], ["en-US"])
    celery_tasks.score_batch(ids[0], ids[2])
    celery_tasks.score_version(version_id, ids[3], ids[4])
    assert watching.open_transactions == [1, 0, 0]
    assert count_scores(wiring.transaction) == 5


def test_a_model_that_cannot_be_loaded_keeps_no_other_locale_from_its_scores(
    wiring: FakeWiring, scorers: Scorers, caplog: pytest.LogCaptureFixture
) -> None:
    pool(wiring)
    pool(wiring, locale="sw-KE", source="swahili")
    pool(wiring, locale="is-IS", source="icelandic", domain_scores={"music": 0.5})
    champion(wiring, uri="broken")
    champion(wiring, "sw-KE", name="healthy")
    scorers.at["broken"] = breaks
    with pytest.raises(ValueError, match="not those of the model"):
        celery_tasks.score_batch(*EVERYTHING)
    assert scored_locales(wiring) == {"sw-KE", "is-IS"}
    assert "5 utterances were not scored by fake-1" in caplog.text


@contextmanager
def statements(connection: Connection) -> Iterator[list[str]]:
    seen: list[str] = []

    def see(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        seen.append(statement)

    event.listen(connection, "before_cursor_execute", see)
    yield seen
    event.remove(connection, "before_cursor_execute", see)


def test_a_sources_own_scores_cost_as_many_statements_for_many_rows_as_for_one(
    wiring: FakeWiring, connection: Connection
) -> None:
    pool(wiring, 1, domain_scores={"music": 0.5})
    with statements(connection) as for_one:
        celery_tasks.score_batch(*EVERYTHING)
    assert any("model_versions" in statement and statement.startswith("INSERT") for statement in for_one)
    pool(wiring, 40, source="other", domain_scores={"music": 0.5})
    with statements(connection) as for_many:
        celery_tasks.score_batch(*EVERYTHING)
    assert count_scores(wiring.transaction) == 41
    assert len(for_many) == len(for_one)


def test_a_source_that_is_known_grows_by_a_locale_and_is_not_registered_again(
    wiring: FakeWiring, connection: Connection
) -> None:
    pool(wiring, 2, domain_scores={"music": 0.5})
    celery_tasks.score_batch(*EVERYTHING)
    pool(wiring, 1, domain_scores={"music": 0.5}, locale="sw-KE", external_id="swahili")
    with statements(connection) as seen:
        celery_tasks.score_batch(*EVERYTHING)
    assert not [statement for statement in seen if "LOCK TABLE" in statement or "ATTACH" in statement]
    with wiring.transaction() as session:
        [version] = session.scalars(select(ModelVersion))
    assert version.locales == ["en-US", "sw-KE"]
    assert count_scores(wiring.transaction) == 3


def test_backfill_sends_what_lacks_a_score_in_ranges(batches_of_two: FakeWiring) -> None:
    wiring = batches_of_two
    ids = pool(wiring)
    version_id = champion(wiring, promoted_at=None)
    celery_tasks.score_version(version_id, ids[0], ids[0])
    for _ in range(2):
        wiring.sent.clear()
        celery_tasks.backfill(version_id)
        assert wiring.sent == [
            ("scoring.score_version", version_id, ids[1], ids[2]),
            ("scoring.score_version", version_id, ids[3], ids[4]),
        ]


def test_sweep_sends_what_was_never_sent_until_it_is_scored(batches_of_two: FakeWiring) -> None:
    wiring = batches_of_two
    ids = pool(wiring, 3)
    champion(wiring)
    for _ in range(2):
        wiring.sent.clear()
        celery_tasks.sweep()
        assert wiring.sent == [("scoring.score_batch", ids[0], ids[1]), ("scoring.score_batch", ids[2], ids[2])]
    for _, *span in wiring.sent:
        celery_tasks.score_batch(*span)
    wiring.sent.clear()
    celery_tasks.sweep()
    assert wiring.sent == []
