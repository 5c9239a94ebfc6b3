from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Connection, event, select

from db.models import WebhookEventRow
from db.repositories import overview
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.payloads import PayloadError, WebhookEvent
from plugin.services import ingest
from tests.integration.ingest.conftest import PLAY, Desk, Watched, reconcile, report, verdict


@contextmanager
def statements(connection: Connection) -> Iterator[list[str]]:
    """What is sent to the database within the block."""
    sent: list[str] = []

    def note(_: object, __: object, statement: str, *more: object) -> None:
        sent.append(statement)

    event.listen(connection, "before_cursor_execute", note)
    yield sent
    event.remove(connection, "before_cursor_execute", note)


def test_a_burst_of_webhooks_costs_one_listing(desk: Desk, watched: Watched) -> None:
    desk.publish(2)
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    events = [report(desk, str(number)) for number in range(20)]
    with desk.transaction() as session:
        asked = [ingest.handle_webhook_event(session, desk.instance, event or 0) for event in events]
    assert asked == [[desk.project_id]] * 20
    collected = [reconcile(desk, watched, force=False) for _ in asked]
    assert sum(found.new for found in collected) == 1
    assert len(watched.since) == 1
    with desk.transaction() as session:
        assert overview.unhandled_webhooks(session) == 0
        assert ingest.handle_webhook_event(session, desk.instance, events[0] or 0) == []


def test_an_event_during_the_listing_makes_it_look_again(desk: Desk, watched: Watched) -> None:
    desk.publish(2)
    report(desk, "first")

    def act() -> None:
        desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
        report(desk, "second")

    watched.meanwhile = act
    assert reconcile(desk, watched, force=False).new == 1
    assert len(watched.since) == 2


def test_a_project_is_polled_without_any_webhook(desk: Desk, watched: Watched) -> None:
    desk.publish(1)
    reconcile(desk, watched, force=False)
    with desk.transaction() as session:
        assert ingest.projects_to_reconcile(session, desk.instance) == []
    desk.make_unpolled()
    with desk.transaction() as session:
        assert ingest.projects_to_reconcile(session, desk.instance) == [desk.project_id]
        assert ingest.projects_to_reconcile(session, "another") == []
    reconcile(desk, watched, force=False)
    assert len(watched.since) == 2


def test_an_event_of_a_project_that_is_no_queue_is_put_aside(desk: Desk) -> None:
    desk.publish(1)
    reconcile(desk)
    ids = [report(desk, "other", project_id=10**9), report(desk, "none", project_id=None)]
    with desk.transaction() as session:
        assert ingest.projects_to_reconcile(session, desk.instance) == []
        found = session.scalars(select(WebhookEventRow).where(WebhookEventRow.id.in_(ids))).all()
    assert all(event.handled_at is not None and event.error for event in found)


def test_a_sweep_over_many_events_asks_the_database_as_often_as_over_few(desk: Desk, connection: Connection) -> None:
    def sweep(events: int) -> int:
        for number in range(events):
            report(desk, f"{events} {number}", project_id=(desk.project_id, 10**9, None)[number % 3])
        with desk.transaction() as session, statements(connection) as sent:
            assert ingest.projects_to_reconcile(session, desk.instance) == [desk.project_id]
        return len(sent)

    desk.publish(1)
    assert sweep(3) == sweep(60)


def test_while_label_studio_is_away_the_events_wait_and_say_why(desk: Desk, watched: Watched) -> None:
    desk.publish(1)
    report(desk)

    def fail() -> None:
        raise LabelStudioError("tasks of project 1", 502, "bad gateway")

    watched.meanwhile = fail
    with pytest.raises(LabelStudioError):
        reconcile(desk, watched)
    with desk.transaction() as session:
        event = session.scalars(select(WebhookEventRow)).one()
        assert (event.handled_at, "bad gateway" in (event.error or "")) == (None, True)
        assert ingest.projects_to_reconcile(session, desk.instance) == [desk.project_id]
    reconcile(desk, watched)
    with desk.transaction() as session:
        event = session.scalars(select(WebhookEventRow)).one()
        assert (event.handled_at is not None, event.error) == (True, None)


@pytest.mark.parametrize("changed", [{"project_id": 0}, {"project_id": 2**63}, {"project_id": -1}])
def test_what_no_database_takes_never_reaches_the_inbox(desk: Desk, changed: dict[str, Any]) -> None:
    desk.publish(1)
    with pytest.raises(PayloadError):
        report(desk, **changed)
    with desk.transaction() as session, pytest.raises(PayloadError):
        ingest.receive_webhook(session, WebhookEvent("A\x00", 1, (), (), "k"))
