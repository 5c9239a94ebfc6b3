"""Somebody edits a queue's project in Label Studio: it is put back, and told."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session

from db.models import Queue, QueueTask, UtteranceRow
from db.repositories import queues as queue_rows
from db.session import TransactionMaker
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.queues import BY_IMPORT, BY_SCORE
from plugin.services import queues, watching
from plugin.services.tidying import tidy
from tests.fakes.label_studio import FakeClient, FakeLabelStudio
from tests.integration.queues.conftest import INSTANCE, NOW, music, planned, publish_all, refresh, served

BY_HAND = [
    ("sampling", "Uniform sampling"),
    ("maximum_annotations", 3),
    ("show_collab_predictions", False),
    ("skip_queue", "REQUEUE_FOR_ME"),
]


@pytest.fixture
def server(pool: None, transaction: TransactionMaker) -> FakeLabelStudio:
    server = FakeLabelStudio()
    refresh(transaction, 1)
    publish_all(transaction, server)
    return server


def project_of(session: Session, server: FakeLabelStudio) -> dict[str, Any]:
    return server.project(music(session).project_id or 0).settings


def watch(session: Session, transaction: TransactionMaker, server: FakeLabelStudio) -> list[str]:
    found = watching.watch(transaction, server.client(), INSTANCE, music(session).id)
    return [str(change) for change in found]


def test_what_was_not_edited_is_left_alone(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(FakeClient, "update_project", lambda *_, **__: pytest.fail("nothing differs"))
    assert watch(session, transaction, server) == []


@pytest.mark.parametrize(("name", "value"), BY_HAND)
def test_an_edited_setting_is_put_back_and_told(
    session: Session,
    transaction: TransactionMaker,
    server: FakeLabelStudio,
    caplog: pytest.LogCaptureFixture,
    name: str,
    value: object,
) -> None:
    before = dict(project_of(session, server))
    server.client().update_project(music(session).project_id or 0, **{name: value})
    with caplog.at_level(logging.WARNING, logger="plugin.services.watching"):
        told = watch(session, transaction, server)
    assert project_of(session, server) == before
    assert f"{name} is {value!r}, not {before[name]!r}" in told
    assert (
        f"queue en-US music: {name} is {value!r}, not {before[name]!r} in Label Studio; it is put back" in caplog.text
    )
    assert watch(session, transaction, server) == []


def test_publishing_sends_the_settings_that_are_new_and_no_others(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[dict[str, Any]] = []
    accept = FakeClient.update_project

    def note(client: FakeClient, project_id: int, **changes: Any) -> None:
        sent.append(changes)
        accept(client, project_id, **changes)

    refresh(transaction, 2)
    monkeypatch.setattr(FakeClient, "update_project", note)
    publish_all(transaction, server)
    assert [name for changes in sent for name in changes if name not in ("description", "expert_instruction")] == [
        "model_version"
    ] * 3


def test_a_title_and_a_description_may_be_worded_by_hand(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    project_of(session, server).update(title="Music, first", description="Ask Ann.")
    assert watch(session, transaction, server) == []
    assert project_of(session, server)["title"] == "Music, first"


@pytest.mark.parametrize("first", ["publish", "tidy"])
def test_a_screen_without_our_marker_is_ours_by_its_birthday(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio, first: str
) -> None:
    """Who meets it first neither fails nor takes it for somebody else's."""
    screen = project_of(session, server)["label_config"]
    project_of(session, server).update(label_config="<View/>")
    if first == "tidy":
        tidy(transaction, server.client(), INSTANCE, music(session).id)
    else:
        queues.publish(transaction, server.client(), INSTANCE, music(session).id, NOW)
    assert watch(session, transaction, server) == ["label_config was edited"]
    assert project_of(session, server)["label_config"] == screen


def test_what_label_studio_refuses_keeps_nothing_else_from_being_put_back(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A screen without a label that somebody has used meanwhile, for one."""
    project_of(session, server).update(label_config="<View/>", sampling="Uniform sampling")
    accept = FakeClient.update_project

    def refuse_screens(client: FakeClient, project_id: int, **changes: Any) -> None:
        if "label_config" in changes:
            raise LabelStudioError("update project", 400, "These labels still exist in annotations")
        accept(client, project_id, **changes)

    monkeypatch.setattr(FakeClient, "update_project", refuse_screens)
    watch(session, transaction, server)
    assert project_of(session, server)["sampling"] == BY_SCORE
    refresh(transaction, 2)
    assert len(publish_all(transaction, server)) == 3


def test_predictions_that_somebody_deleted_are_sent_again(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    """Label Studio takes the model version away with them, and refuses it without."""
    project = server.project(music(session).project_id or 0)
    for task in project.tasks.values():
        task["predictions"].clear()
    project.settings["model_version"] = None
    watch(session, transaction, server)
    assert queues.dirty(session, INSTANCE) == [music(session).id]
    publish_all(transaction, server)
    assert watch(session, transaction, server) == []
    assert served(server, music(session).project_id or 0) == planned(session, "music")


def test_a_round_without_anything_for_a_domain_orders_nothing(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    """Label Studio refuses a model version that no prediction has."""
    for task in server.project(music(session).project_id or 0).tasks:
        server.client().submit_annotation(task, [])
    session.execute(update(QueueTask).where(QueueTask.queue_id == music(session).id).values(state="annotated"))
    session.execute(update(UtteranceRow).where(UtteranceRow.domain == "music").values(nlu_score=0.99))
    refresh(transaction, 2)
    publish_all(transaction, server)
    assert queues.dirty(session, INSTANCE) == []
    assert watch(session, transaction, server) == []


def test_a_deleted_project_is_not_watched_and_its_settings_are_forgotten(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    del server.projects[music(session).project_id or 0]
    assert watch(session, transaction, server) == []
    tidy(transaction, server.client(), INSTANCE, music(session).id)
    session.expire_all()
    assert music(session).settings is None
    assert watching.due(session, INSTANCE, 10**6) is None


def test_a_project_is_looked_at_now_and_then(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    queue = music(session)
    watch(session, transaction, server)
    assert watching.due(session, INSTANCE, queue.project_id or 0) is None
    assert watching.due(session, INSTANCE, queue.project_id or 0, force=True) == queue.id
    session.execute(update(Queue).values(settings_seen_at=NOW - watching.WATCH_EVERY * 2))
    assert watching.due(session, INSTANCE, queue.project_id or 0) == queue.id
    watch(session, transaction, server)
    assert watching.due(session, INSTANCE, queue.project_id or 0) is None


@pytest.mark.usefixtures("pool")
def test_a_queue_in_fallback_mode_serves_the_planned_order(session: Session, transaction: TransactionMaker) -> None:
    server = FakeLabelStudio()
    server.ignores_scores = True
    refresh(transaction, 1)
    with transaction() as inner:
        dirty = queue_rows.dirty_ids(inner, INSTANCE)
    for queue_id in dirty:
        queues.publish(transaction, server.client(), INSTANCE, queue_id, NOW, sampling=BY_IMPORT)
    assert project_of(session, server)["sampling"] == BY_IMPORT
    assert served(server, music(session).project_id or 0, people=3) == planned(session, "music")
