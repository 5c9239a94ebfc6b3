"""Somebody deletes a queue's project in Label Studio, or another project has its id."""

from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import QueueTask
from db.repositories import queues as queue_rows
from db.session import TransactionMaker
from plugin.services import queues
from plugin.services.tidying import tidy
from tests.fakes.label_studio import FakeLabelStudio
from tests.integration.queues.conftest import INSTANCE, NOW, music, planned, publish_all, refresh


@pytest.fixture
def server(pool: None, transaction: TransactionMaker) -> FakeLabelStudio:
    server = FakeLabelStudio()
    refresh(transaction, 1)
    publish_all(transaction, server)
    return server


def delete_project(session: Session, server: FakeLabelStudio) -> int:
    project_id = music(session).project_id
    assert project_id is not None
    del server.projects[project_id]
    return project_id


def test_a_deleted_project_is_made_anew_without_what_was_annotated(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    queue = music(session)
    task = session.scalars(select(QueueTask).where(QueueTask.queue_id == queue.id)).first()
    assert task is not None
    assert task.task_id is not None
    queue_rows.mark_annotated(session, queue.id, [task.task_id], NOW)
    deleted = delete_project(session, server)
    queue_rows.mark_dirty(session, INSTANCE, "en-US")
    publish_all(transaction, server)
    project = server.project(music(session).project_id or 0)
    assert music(session).project_id != deleted
    assert {shown["data"]["utterance_id"] for shown in project.tasks.values()} == set(planned(session, "music")) - {
        task.utterance_id
    }
    assert len(server.projects) == 3


def test_tidying_finds_a_deleted_project_and_has_the_queue_published(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    queue_id = music(session).id
    delete_project(session, server)
    assert tidy(transaction, server.client(), INSTANCE, queue_id) == 0
    session.expire_all()
    assert music(session).project_id is None
    assert queues.dirty(session, INSTANCE) == [queue_id]
    publish_all(transaction, server)
    assert len(server.project(music(session).project_id or 0).tasks) == len(planned(session, "music"))


def test_a_project_that_is_not_ours_is_left_alone(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    """ASSAY_LABEL_STUDIO_URL has changed, ASSAY_LABEL_STUDIO_INSTANCE has not."""
    project_id = music(session).project_id
    assert project_id is not None
    theirs = {"title": "Somebody else's", "label_config": "<View/>", "created_at": "2020-01-01T00:00:00Z"}
    server.project(project_id).settings.update(theirs)
    with pytest.raises(LookupError, match="ASSAY_LABEL_STUDIO_INSTANCE"):
        queues.publish(transaction, server.client(), INSTANCE, music(session).id, NOW)
    with pytest.raises(LookupError, match="ASSAY_LABEL_STUDIO_INSTANCE"):
        tidy(transaction, server.client(), INSTANCE, music(session).id)
    assert server.project(project_id).settings["title"] == "Somebody else's"
