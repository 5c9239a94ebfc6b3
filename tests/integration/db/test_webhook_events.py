from __future__ import annotations

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import WebhookEventRow
from db.repositories import polls, webhook_events
from db.session import make_engine, transaction_maker


def receive(session: Session, key: str, project_id: int | None = 7) -> int | None:
    return webhook_events.receive(session, key, "ANNOTATION_CREATED", {"project_id": project_id})


def test_the_same_event_is_kept_once(session: Session) -> None:
    first = receive(session, "a")
    assert first is not None
    assert receive(session, "a") is None
    assert receive(session, "b") is not None
    assert webhook_events.backlog(session) == 2


def test_an_event_is_work_until_it_is_handled(session: Session) -> None:
    event_id = receive(session, "a")
    assert event_id is not None
    assert webhook_events.take(session, event_id) is not None
    webhook_events.mark_handled(session, event_id, "no queue has the project 7")
    assert webhook_events.take(session, event_id) is None
    assert webhook_events.take(session, 10**9) is None
    assert webhook_events.take_unhandled(session, 10) == []
    session.expire_all()
    assert session.scalars(select(WebhookEventRow.error)).one() == "no queue has the project 7"


def test_a_projects_events_are_handled_together_but_not_those_that_came_later(session: Session) -> None:
    receive(session, "a")
    receive(session, "of another", 8)
    receive(session, "of none", None)
    now = polls.clock(session)
    receive(session, "later")
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


def test_two_sweeps_never_take_the_same_event(clean_database_url: str) -> None:
    engine = make_engine(clean_database_url)
    transaction = transaction_maker(engine)
    with transaction() as session:
        for number in range(4):
            receive(session, str(number))
    with transaction() as one, transaction() as other:
        mine = {event.id for event in webhook_events.take_unhandled(one, 3)}
        others = {event.id for event in webhook_events.take_unhandled(other, 3)}
        assert len(mine) == 3
        assert len(others) == 1
        assert not mine & others
    with transaction() as session:
        assert session.scalar(select(func.count()).select_from(WebhookEventRow)) == 4
    engine.dispose()
