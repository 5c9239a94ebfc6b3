from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Queue
from db.repositories import queues as queue_rows
from db.repositories import selections
from db.session import TransactionMaker
from plugin.services import policies, queues, scoring, selection
from tests import factories
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.scorer import FakeScorer

NOW = datetime.now(UTC)
INSTANCE = "main"


@pytest.fixture
def transaction(session: Session) -> TransactionMaker:
    """Every block is a savepoint of the test's transaction."""

    @contextmanager
    def make() -> Iterator[Session]:
        with session.begin_nested():
            yield session
        session.expire_all()

    return make


@pytest.fixture
def pool(session: Session) -> None:
    fill_pool(session)


def fill_pool(session: Session) -> None:
    """Thirty utterances of each of three domains, scored."""
    factories.utterances(session, 90, nlu_score=0.5)
    factories.champion(session)
    [batch] = scoring.read_batches(session, 0, 2**62)
    scoring.write(session, scoring.compute(batch, FakeScorer()))
    policies.change(session, "en-US", "*", {"budget": 30, "blind_share": 0.0}, changed_by="test", comment="")


def refresh(transaction: TransactionMaker, seed: int, instance: str = INSTANCE) -> None:
    row, _ = selection.refresh(transaction, "en-US", NOW, instance, seed=seed)
    assert row is not None


def publish_all(
    transaction: TransactionMaker, server: FakeLabelStudio, instance: str = INSTANCE
) -> list[queues.Published]:
    with transaction() as session:
        dirty = queue_rows.dirty_ids(session, instance)
    now = datetime.now(UTC)
    published = [queues.publish(transaction, server.client(), instance, queue_id, now) for queue_id in dirty]
    return [one for one in published if one is not None]


def music(session: Session) -> Queue:
    return session.scalars(select(Queue).where(Queue.domain == "music")).one()


def planned(session: Session, domain: str) -> list[int]:
    current = selections.current(session, "en-US")
    assert current is not None
    return [item.utterance_id for item in selections.items(session, current.id, domain)]


def served(server: FakeLabelStudio, project_id: int, people: int = 1) -> list[int]:
    """What people who draw in turn are given, until nothing is left."""
    clients = [server.client(f"person{number}@example.org") for number in range(people)]
    drawn: list[int] = []
    while True:
        tasks = [client.next_task(project_id) for client in clients]
        found = [task.utterance_id for task in tasks if task is not None and task.utterance_id is not None]
        fresh = [utterance_id for utterance_id in found if utterance_id not in drawn]
        if not fresh:
            return drawn
        drawn += fresh
        for client, task in zip(clients, tasks, strict=True):
            if task is not None:
                client.submit_annotation(task.task_id, [])
