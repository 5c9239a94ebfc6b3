from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import select

import tasks.ingest
from db.models import AnnotationRow
from db.repositories import overview
from db.session import advisory_lock
from plugin.label_studio.payloads import WebhookEvent
from plugin.services import ingest
from tests.integration.ingest.conftest import PLAY, Desk, Recorder, verdict


@pytest.fixture
def wiring(clean_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    recorder = Recorder(clean_database_url)
    monkeypatch.setattr("tasks.ingest.get_wiring", lambda: recorder)
    yield recorder
    recorder.engine.dispose()


@pytest.fixture
def desk(wiring: Recorder) -> Desk:
    """A queue with one review, and an event that tells of it."""
    desk = Desk(wiring.transaction)
    wiring.use(desk.client)
    desk.publish(2)
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    return desk


def receive(desk: Desk, key: str = "k") -> int:
    with desk.transaction() as session:
        event_id = ingest.receive_webhook(session, WebhookEvent("ANNOTATION_CREATED", desk.project_id, (), (), key))
    assert event_id is not None
    return event_id


def reviews(desk: Desk) -> int:
    with desk.transaction() as session:
        return len(session.scalars(select(AnnotationRow)).all())


def backlog(desk: Desk) -> int:
    with desk.transaction() as session:
        return overview.unhandled_webhooks(session)


def test_idempotent_webhook_event(desk: Desk, wiring: Recorder) -> None:
    event_id = receive(desk)
    tasks.ingest.webhook_event(event_id)
    tasks.ingest.webhook_event(event_id)
    assert wiring.sent == [("ingest.reconcile", desk.project_id)] * 2
    assert backlog(desk) == 1
    for _, project_id in wiring.sent:
        tasks.ingest.reconcile(project_id)
    assert (reviews(desk), backlog(desk)) == (1, 0)
    wiring.sent.clear()
    tasks.ingest.webhook_event(event_id)
    assert wiring.sent == []


def test_idempotent_reconcile(desk: Desk) -> None:
    for _ in range(3):
        tasks.ingest.reconcile(desk.project_id)
        desk.make_unpolled()
    assert reviews(desk) == 1


def test_idempotent_sweep(desk: Desk, wiring: Recorder) -> None:
    receive(desk)
    tasks.ingest.sweep()
    tasks.ingest.sweep()
    assert wiring.sent == [("ingest.reconcile", desk.project_id)] * 2
    tasks.ingest.reconcile(desk.project_id)
    wiring.sent.clear()
    tasks.ingest.sweep()
    assert (wiring.sent, backlog(desk)) == ([], 0)


def test_a_second_reconciliation_leaves_it_to_the_first(desk: Desk, wiring: Recorder) -> None:
    with advisory_lock(wiring.engine, f"reconcile:{desk.project_id}", wait=True):
        tasks.ingest.reconcile(desk.project_id)
        assert reviews(desk) == 0
    tasks.ingest.reconcile(desk.project_id)
    assert reviews(desk) == 1
