from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection, event, select

from db.models import AnnotationRow, Queue, UtteranceRow, WebhookEventRow
from db.repositories import overview
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.payloads import Glance, PayloadError, TaskState, WebhookEvent
from plugin.label_studio.queues import region
from plugin.services import ingest
from plugin.services.ingest import Collected
from tests.fakes.label_studio import FakeClient
from tests.integration.ingest.conftest import PLAY, STOP, Desk, verdict

OVERLAP = timedelta(minutes=5)


@contextmanager
def statements(connection: Connection) -> Iterator[list[str]]:
    """What is sent to the database within the block."""
    sent: list[str] = []

    def note(_: object, __: object, statement: str, *more: object) -> None:
        sent.append(statement)

    event.listen(connection, "before_cursor_execute", note)
    yield sent
    event.remove(connection, "before_cursor_execute", note)


class Watched(FakeClient):
    """Notes the requests, and lets something happen while the tasks are being listed."""

    def __init__(self, client: FakeClient) -> None:
        super().__init__(client._server, client._email)
        self.since: list[datetime | None] = []
        self.requests: list[str] = []
        self.meanwhile: Any = None

    def list_tasks(self, project_id: int, updated_since: datetime | None = None) -> Iterator[TaskState]:
        self.requests.append("list_tasks")
        self.since.append(updated_since)
        found = list(super().list_tasks(project_id, updated_since))
        if self.meanwhile:
            act, self.meanwhile = self.meanwhile, None
            act()
        return iter(found)

    def task_ids(self, project_id: int) -> dict[int, int | None]:
        self.requests.append("task_ids")
        return super().task_ids(project_id)

    def glance(self, project_id: int) -> Glance:
        self.requests.append("glance")
        return super().glance(project_id)


@pytest.fixture
def watched(desk: Desk) -> Watched:
    return Watched(desk.client)


def reconcile(desk: Desk, client: FakeClient | None = None, *, force: bool = True) -> Collected:
    return ingest.reconcile(
        desk.transaction, client or desk.client, desk.instance, desk.project_id, overlap=OVERLAP, force=force
    )


def rows(desk: Desk) -> list[AnnotationRow]:
    with desk.transaction() as session:
        return list(session.scalars(select(AnnotationRow).order_by(AnnotationRow.annotation_id)))


def report(desk: Desk, key: str = "k", **changed: Any) -> int | None:
    values = {"project_id": desk.project_id, "task_ids": (1,), "annotation_ids": (2,), **changed}
    with desk.transaction() as session:
        return ingest.receive_webhook(session, WebhookEvent(action="ANNOTATION_CREATED", dedup_key=key, **values))


def test_reviews_arrive_with_the_revision_that_was_shown(desk: Desk) -> None:
    desk.publish(3)
    with desk.transaction() as session:
        session.query(UtteranceRow).filter_by(id=desk.utterance_ids[1]).update({"revision": 2, "text": "since changed"})
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY), lead_time_s=2.5)
    desk.annotator.submit_annotation(desk.task_ids[1], verdict("fix", STOP))
    desk.annotator.submit_annotation(desk.task_ids[2], verdict("reject", None))
    assert reconcile(desk) == Collected(desk.project_id, new=3, annotated=3)
    found = rows(desk)
    assert [row.verdict for row in found] == ["accept", "fix", "reject"]
    assert [(row.domain, row.intent) for row in found] == [
        ("music", "music_play"), ("music", "music_stop"), (None, None)
    ]  # fmt: skip
    assert [row.utterance_id for row in found] == desk.utterance_ids
    assert [row.revision for row in found] == [1, 1, 1]
    assert {row.annotator for row in found} == {"ann@example.org"}
    assert found[0].lead_time_s == 2.5
    assert [desk.state(number) for number in range(3)] == ["annotated"] * 3


def test_idempotent(desk: Desk) -> None:
    desk.publish(2)
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    assert reconcile(desk).new == 1
    before = rows(desk)
    assert reconcile(desk) == Collected(desk.project_id)
    assert [(row.id, row.collected_at) for row in rows(desk)] == [(row.id, row.collected_at) for row in before]


def test_an_annotation_that_was_changed_or_deleted(desk: Desk) -> None:
    desk.publish(2)
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    reconcile(desk)
    [annotation] = desk.task(0)["annotations"]
    annotation.update(result=verdict("fix", STOP), updated_at=desk.server.now())
    desk.task(0)["updated_at"] = annotation["updated_at"]
    assert reconcile(desk) == Collected(desk.project_id, updated=1)
    assert rows(desk)[0].intent == "music_stop"

    desk.task(0)["annotations"].clear()
    desk.task(0)["updated_at"] = desk.server.now()
    assert reconcile(desk) == Collected(desk.project_id, withdrawn=1)
    assert rows(desk)[0].withdrawn_at is not None
    assert desk.state(0) == "published"


def test_a_skipped_task_is_no_review(desk: Desk) -> None:
    desk.publish(1)
    desk.annotator.submit_annotation(desk.task_ids[0], [], skipped=True)
    assert reconcile(desk) == Collected(desk.project_id)
    assert desk.state(0) == "published"


def test_what_cannot_be_read_is_told_and_never_stops_the_rest(desk: Desk) -> None:
    desk.publish(3)
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("shrug", PLAY))
    stranger = desk.client.send_tasks(
        desk.project_id, [{"data": {"utterance_id": 10**9, "text": "who am I"}, "predictions": []}]
    )
    desk.annotator.submit_annotation(stranger[0], verdict("reject", None))
    desk.annotator.submit_annotation(desk.task_ids[2], verdict("accept", PLAY))
    found = reconcile(desk)
    assert found.new == 1
    assert len(found.problems) == 2
    assert "unknown verdict 'shrug'" in found.problems[0]
    assert "there is no utterance 1000000000" in found.problems[1]
    assert rows(desk)[0].utterance_id == desk.utterance_ids[2]


def test_a_row_that_the_database_refuses_is_told_and_never_stops_the_rest(desk: Desk) -> None:
    desk.publish(2)
    note = region("note", "note", "textarea", {"text": ["half a pair: \ud800"]})
    desk.annotator.submit_annotation(desk.task_ids[0], [*verdict("accept", PLAY), note])
    desk.annotator.submit_annotation(desk.task_ids[1], verdict("accept", PLAY, "utterance number 1"))
    found = reconcile(desk)
    assert (found.new, found.annotated) == (1, 1)
    assert "cannot be stored: 'utf-8' codec" in found.problems[0]
    assert [desk.state(number) for number in range(2)] == ["published", "annotated"]


def test_a_task_that_cannot_be_read_keeps_what_was_collected_of_it(desk: Desk) -> None:
    desk.publish(2)
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    reconcile(desk)
    desk.task(0).update(predictions=[{"id": 1, "model_version": "v1", "score": "high"}])
    desk.annotator.submit_annotation(desk.task_ids[1], verdict("accept", PLAY))
    found = reconcile(desk)
    assert (found.new, found.withdrawn) == (1, 0)
    assert f"task {desk.task_ids[0]} cannot be read" in found.problems[0]
    assert desk.state(0) == "annotated"


def test_a_task_that_the_publisher_has_not_written_down_yet_is_known_by_its_utterance(desk: Desk) -> None:
    desk.publish(1)
    with desk.transaction() as session:
        session.query(UtteranceRow).filter_by(id=desk.utterance_ids[0]).update({"revision": 4})
    data = {"utterance_id": desk.utterance_ids[0], "text": "utterance number 0"}
    [twin] = desk.client.send_tasks(desk.project_id, [{"data": data, "predictions": []}])
    desk.annotator.submit_annotation(twin, verdict("accept", PLAY))
    assert reconcile(desk).new == 1
    assert (rows(desk)[0].utterance_id, rows(desk)[0].revision) == (desk.utterance_ids[0], 4)


def age(desk: Desk) -> None:
    """As if the tasks had last changed longer ago than the overlap."""
    for task_id in desk.task_ids:
        desk.server.project(desk.project_id).tasks[task_id]["updated_at"] = (
            datetime.now(UTC) - 2 * OVERLAP
        ).isoformat()


def test_an_idle_queue_costs_one_request(desk: Desk, watched: Watched) -> None:
    desk.publish(3)
    age(desk)
    reconcile(desk, watched)
    assert watched.requests == ["glance", "list_tasks"]
    watched.requests.clear()
    for _ in range(3):
        assert reconcile(desk, watched) == Collected(desk.project_id)
    assert watched.requests == ["glance"] * 3
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    assert reconcile(desk, watched).new == 1
    assert watched.requests[3:] == ["glance", "list_tasks"]


def test_an_empty_project_costs_one_request(desk: Desk, watched: Watched) -> None:
    desk.publish(0)
    assert reconcile(desk, watched) == Collected(desk.project_id)
    assert reconcile(desk, watched) == Collected(desk.project_id)
    assert watched.requests == ["glance"] * 2


def test_the_watermark_is_label_studios_clock_less_the_overlap(desk: Desk, watched: Watched) -> None:
    desk.publish(2)
    age(desk)
    before = datetime.fromisoformat(desk.server.now()).replace(microsecond=0)
    reconcile(desk, watched)
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    reconcile(desk, watched)
    first, second = watched.since
    assert first is None
    assert second is not None
    assert before - OVERLAP <= second <= datetime.fromisoformat(desk.server.now()) - OVERLAP


def test_without_a_clock_the_watermark_is_the_newest_change_less_the_overlap(desk: Desk, watched: Watched) -> None:
    desk.publish(2)
    newest = datetime.fromisoformat(desk.task(1)["updated_at"])
    glance = watched.glance
    watched.glance = lambda project_id: replace(glance(project_id), clock=None)  # type: ignore[method-assign]
    reconcile(desk, watched)
    reconcile(desk, watched)
    assert watched.since == [None, newest - OVERLAP]


def test_a_change_during_the_listing_is_found_the_next_time(desk: Desk, watched: Watched) -> None:
    """It happens behind the page that had listed its task, and the watermark must not pass it."""
    desk.publish(2)
    watched.meanwhile = lambda: desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    assert ingest.reconcile(
        desk.transaction, watched, desk.instance, desk.project_id, overlap=timedelta(0), force=True
    ) == Collected(desk.project_id)
    later = ingest.reconcile(
        desk.transaction, watched, desk.instance, desk.project_id, overlap=timedelta(0), force=True
    )
    assert later.new == 1


def test_deleted_tasks_are_swept_and_their_collected_work_stays(desk: Desk, watched: Watched) -> None:
    desk.publish(3)
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    reconcile(desk, watched)
    assert "task_ids" not in watched.requests
    for task_id in desk.task_ids[:2]:
        del desk.server.project(desk.project_id).tasks[task_id]
    assert reconcile(desk, watched) == Collected(desk.project_id, removed=1)
    assert [desk.state(number) for number in range(3)] == ["annotated", "removed", "published"]
    assert rows(desk)[0].withdrawn_at is None
    assert reconcile(desk, watched).removed == 0


def test_all_ids_are_listed_only_when_the_project_has_changed_its_size(desk: Desk, watched: Watched) -> None:
    """Neither an annotated task deleted by hand nor one made by hand makes every later poll list them."""
    desk.publish(3)
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    reconcile(desk, watched)
    tasks = desk.server.project(desk.project_id).tasks

    def id_listings() -> int:
        watched.requests.clear()
        reconcile(desk, watched)
        return watched.requests.count("task_ids")

    del tasks[desk.task_ids[0]]
    assert [id_listings(), id_listings()] == [2, 0]
    for number in (1, 2):
        tasks[10**6 + number] = {**desk.task(1), "id": 10**6 + number, "data": {"text": "by hand"}}
    assert [id_listings() > 0, id_listings() > 0] == [True, False]
    del tasks[desk.task_ids[1]]
    assert reconcile(desk, watched).removed == 1
    assert id_listings() == 0


def test_a_task_that_only_one_listing_lacks_is_not_gone(desk: Desk, watched: Watched) -> None:
    desk.publish(2)
    project = desk.server.project(desk.project_id)
    project.tasks[10**6] = {**desk.task(0), "id": 10**6, "data": {"text": "by hand"}, "predictions": []}
    hidden = project.tasks.pop(desk.task_ids[1])
    whole = watched.task_ids

    def listing(project_id: int) -> dict[int, int | None]:
        found = whole(project_id)
        project.tasks[desk.task_ids[1]] = hidden
        return found

    watched.task_ids = listing  # type: ignore[method-assign]
    project.tasks[10**6 + 1] = {**project.tasks[10**6], "id": 10**6 + 1}
    assert reconcile(desk, watched).removed == 0
    assert watched.requests.count("task_ids") == 2


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


def test_a_project_that_is_gone_loses_nothing(desk: Desk) -> None:
    desk.publish(1)
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    reconcile(desk)
    del desk.server.projects[desk.project_id]
    found = reconcile(desk)
    assert found.problems == (f"the project {desk.project_id} is no longer in Label Studio",)
    assert rows(desk)[0].withdrawn_at is None
    with desk.transaction() as session:
        assert session.scalars(select(Queue.polled_at)).one() is not None


def test_a_project_without_a_queue_is_an_error(desk: Desk) -> None:
    desk.publish(1)
    with pytest.raises(LookupError, match="no queue has the project 123456"):
        ingest.reconcile(desk.transaction, desk.client, desk.instance, 123456, overlap=OVERLAP)


@pytest.mark.parametrize("changed", [{"project_id": 0}, {"project_id": 2**63}, {"project_id": -1}])
def test_what_no_database_takes_never_reaches_the_inbox(desk: Desk, changed: dict[str, Any]) -> None:
    desk.publish(1)
    with pytest.raises(PayloadError):
        report(desk, **changed)
    with desk.transaction() as session, pytest.raises(PayloadError):
        ingest.receive_webhook(session, WebhookEvent("A\x00", 1, (), (), "k"))
