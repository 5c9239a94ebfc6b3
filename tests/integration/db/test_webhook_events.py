from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import WebhookEventRow
from db.repositories import overview, polls, webhook_events


def receive(session: Session, key: str, project_id: int | None = 7) -> int | None:
    return webhook_events.receive(session, key, "ANNOTATION_CREATED", {"project_id": project_id})


def test_the_same_event_is_kept_once(session: Session) -> None:
    first = receive(session, "a")
    assert first is not None
    assert receive(session, "a") is None
    assert receive(session, "b") is not None
    assert overview.unhandled_webhooks(session) == 2


def test_an_event_is_work_until_it_is_handled(session: Session) -> None:
    event_id = receive(session, "a")
    assert event_id is not None
    assert webhook_events.take(session, event_id) is not None
    webhook_events.mark_handled(session, event_id, "no queue has the project 7")
    assert webhook_events.take(session, event_id) is None
    assert webhook_events.take(session, 10**9) is None
    assert webhook_events.unhandled_projects(session) == set()
    session.expire_all()
    assert session.scalars(select(WebhookEventRow.error)).one() == "no queue has the project 7"


def test_a_projects_events_are_handled_together_but_not_those_that_came_later(session: Session) -> None:
    receive(session, "a")
    receive(session, "of another", 8)
    receive(session, "of none", None)
    now = polls.clock(session)
    receive(session, "later")
    assert webhook_events.unhandled_projects(session) == {7, 8, None}
    webhook_events.set_project_error(session, 7, "away")
    assert webhook_events.has_open(session, 7)
    webhook_events.mark_project_handled(session, 7, now)
    handled = select(WebhookEventRow.dedup_key).where(WebhookEventRow.handled_at.is_not(None))
    assert session.scalars(handled).all() == ["a"]
    failed = select(WebhookEventRow.dedup_key).where(WebhookEventRow.error.is_not(None))
    assert session.scalars(failed).all() == ["later"]
    webhook_events.mark_project_handled(session, 7, polls.clock(session))
    assert not webhook_events.has_open(session, 7)
    assert webhook_events.has_open(session, 8)
    webhook_events.mark_project_handled(session, None, polls.clock(session), "no queue")
    assert webhook_events.unhandled_projects(session) == {8}
