from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from sqlalchemy import select

from db.models import Queue
from plugin.services import ingest
from plugin.services.ingest import Collected
from tests.integration.ingest.conftest import OVERLAP, PLAY, Desk, Watched, reconcile, report, rows, verdict


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


def test_an_event_soon_after_a_poll_asks_for_what_has_just_happened_and_is_no_poll(
    desk: Desk, watched: Watched
) -> None:
    desk.publish(3)
    reconcile(desk, watched)
    polled_at = watched_queue(desk).polled_at
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    desk.server.delete_tasks(desk.project_id, [desk.task_ids[2]])
    report(desk)
    watched.requests.clear()
    assert reconcile(desk, watched, force=False).new == 1
    asked = watched.since[-1]
    assert asked is not None
    assert asked > datetime.fromisoformat(desk.server.now()) - OVERLAP / 2
    assert watched.requests == ["glance", "list_tasks"]
    assert watched_queue(desk).polled_at == polled_at
    assert reconcile(desk, watched).removed == 1


def watched_queue(desk: Desk) -> Queue:
    with desk.transaction() as session:
        return session.scalars(select(Queue).where(Queue.project_id == desk.project_id)).one()


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
