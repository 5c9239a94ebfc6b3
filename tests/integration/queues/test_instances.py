"""Assay moved to another Label Studio: what was in the old one is neither touched nor in the way."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.models import Queue, QueueTask
from db.repositories import queues as queue_rows
from db.session import TransactionMaker
from plugin.services import queues
from plugin.services.tidying import tidy
from tests.fakes.label_studio import FakeLabelStudio
from tests.integration.queues.conftest import INSTANCE, NOW, publish_all, refresh

MOVED = "moved"


@pytest.fixture
def old(pool: None, transaction: TransactionMaker) -> FakeLabelStudio:
    server = FakeLabelStudio()
    refresh(transaction, 1)
    publish_all(transaction, server)
    return server


def test_the_new_label_studio_gets_the_whole_round(transaction: TransactionMaker, old: FakeLabelStudio) -> None:
    new = FakeLabelStudio()
    refresh(transaction, 1, MOVED)
    publish_all(transaction, new, MOVED)
    assert sum(len(project.tasks) for project in new.projects.values()) == 30
    assert sum(len(project.tasks) for project in old.projects.values()) == 30


@pytest.mark.usefixtures("old")
def test_queues_of_the_old_one_are_not_found_and_not_taken(session: Session, transaction: TransactionMaker) -> None:
    new = FakeLabelStudio()
    session.execute(update(QueueTask).values(state="leaving", state_since=NOW - timedelta(days=1)))
    queue_rows.mark_dirty(session, INSTANCE, "en-US")
    assert queue_rows.dirty_ids(session, MOVED) == []
    assert queue_rows.untidy_ids(session, MOVED, NOW) == []
    assert queue_rows.every(session, MOVED) == []
    assert len(queue_rows.dirty_ids(session, INSTANCE)) == 3
    assert len(queue_rows.untidy_ids(session, INSTANCE, NOW)) == 3
    stranger = new.client().create_project({"title": "Somebody else's"})
    [queue] = session.scalars(select(Queue).where(Queue.project_id == stranger))
    for act in (
        lambda: queues.publish(transaction, new.client(), MOVED, queue.id, NOW),
        lambda: tidy(transaction, new.client(), MOVED, queue.id),
    ):
        with pytest.raises(LookupError, match="'main', not 'moved'"):
            act()
    assert new.project(stranger).settings["title"] == "Somebody else's"
