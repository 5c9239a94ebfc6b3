"""Model versions are registered while others are scoring: neither may wait for, or kill, the other."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.models import Feature, Score
from db.repositories import models
from db.repositories import scores as score_rows
from db.session import TransactionMaker
from plugin.services import scoring
from tests import factories
from tests.fakes.scorer import FakeScorer

PATIENCE_S = 20


def register(transaction: TransactionMaker, name: str) -> int:
    with transaction() as session:
        return factories.champion(session, name=name).id


def test_a_version_is_registered_while_another_is_scoring(committing: TransactionMaker) -> None:
    with committing() as session:
        factories.utterances(session, 3)
        factories.champion(session)
    with committing() as session:
        [batch] = scoring.read_batches(session, 0, 2**62)
    scored = scoring.compute(batch, FakeScorer())
    registered: list[Future[int]] = []

    with ThreadPoolExecutor() as pool:

        def scores_after_the_other_has_registered() -> Iterator[tuple[Any, ...]]:
            """Asked for when the features are written and the scores are not."""
            registered.append(pool.submit(register, committing, "fake-2"))
            registered[0].result(timeout=PATIENCE_S)
            yield from scored.scores

        with committing() as session:
            assert score_rows.write(session, scores_after_the_other_has_registered(), scored.features) == 3
    with committing() as session:
        assert [version.name for version in models.versions(session)] == ["fake-1", "fake-2"]
        assert session.scalar(select(func.count()).select_from(Score)) == 3


def wait_for_waiters(transaction: TransactionMaker, count: int) -> None:
    waiting = text("SELECT count(DISTINCT pid) FROM pg_locks WHERE NOT granted")
    gone_by = threading.Event()
    timer = threading.Timer(PATIENCE_S, gone_by.set)
    timer.start()
    while not gone_by.is_set():
        with transaction() as session:
            if session.scalar(waiting) == count:
                timer.cancel()
                return
    raise AssertionError(f"never saw {count} connections that wait for a lock")


def test_two_versions_are_registered_at_once(committing: TransactionMaker) -> None:
    with ThreadPoolExecutor() as pool:
        with committing() as session:
            session.execute(text("LOCK TABLE features, scores IN SHARE UPDATE EXCLUSIVE MODE"))
            both = [pool.submit(register, committing, name) for name in ("one", "two")]
            wait_for_waiters(committing, 2)
        assert len({future.result(timeout=PATIENCE_S) for future in both}) == 2


def test_partitions_are_made_once_and_hold_only_their_version(session: Session) -> None:
    [row] = factories.utterances(session, 1)
    version = factories.champion(session)
    models.create_partitions(session, version.id)
    for table in (Score, Feature):
        name = f"{table.__tablename__}_of_{version.id}"
        keys = session.scalars(
            text("SELECT contype::text FROM pg_constraint WHERE conrelid = CAST(:name AS regclass)"), {"name": name}
        ).all()
        assert sorted(key for key in keys if key in "pf") == ["f", "f", "p"]
    with pytest.raises(IntegrityError, match="partition"):
        session.execute(
            text(f"INSERT INTO features_of_{version.id} VALUES (:other, :id, 1, '', '', '', '')"),
            {"other": version.id + 1, "id": row.id},
        )
