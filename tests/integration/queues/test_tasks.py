"""The Celery tasks of selection, called as functions on real PostgreSQL."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

import tasks.selection
from db.models import Queue, QueueTask, Refresh, SelectionRow
from db.repositories import selections, strata
from db.session import advisory_lock
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.queues import label_regions
from plugin.services import ages, scoring
from plugin.services.queues import plans, publishing
from plugin.services.selection import extensions
from tests import factories
from tests.fakes.label_studio import FakeClient, FakeLabelStudio
from tests.fakes.scorer import FakeScorer
from tests.integration.ingest.conftest import Recorder
from tests.integration.queues.conftest import fill_pool


@pytest.fixture
def server() -> FakeLabelStudio:
    return FakeLabelStudio()


@pytest.fixture
def wiring(clean_database_url: str, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    recorder = Recorder(clean_database_url)
    recorder.use(server.client())
    monkeypatch.setattr(tasks.selection, "get_wiring", lambda: recorder)
    with recorder.transaction() as session:
        fill_pool(session)
    yield recorder
    recorder.engine.dispose()


@pytest.fixture
def queue_ids(wiring: Recorder) -> list[int]:
    """Of a round that waits to be published."""
    tasks.selection.refresh("en-US")
    queue_ids = [queue_id for _, queue_id in wiring.sent]
    assert wiring.sent == [("selection.publish", queue_id) for queue_id in queue_ids]
    assert len(queue_ids) == 3
    wiring.sent.clear()
    return queue_ids


def sent_by_sweep(wiring: Recorder) -> list[tuple[Any, ...]]:
    wiring.sent.clear()
    tasks.selection.sweep()
    return list(wiring.sent)


def in_label_studio(server: FakeLabelStudio) -> list[int]:
    return sorted(task_id for project in server.projects.values() for task_id in project.tasks)


def test_idempotent_refresh(wiring: Recorder, queue_ids: list[int]) -> None:
    """Where nothing has come in, the round stands, and nothing is to be published."""
    with wiring.transaction() as session:
        first = selections.current(session, "en-US")
    tasks.selection.refresh("en-US")
    with wiring.transaction() as session:
        second = selections.current(session, "en-US")
        assert session.scalar(select(func.count()).select_from(SelectionRow)) == 1
        assert session.scalar(select(func.count()).select_from(Queue)) == 3
    assert first is not None
    assert second is not None
    assert first.id == second.id
    assert wiring.sent == []


def arrive(wiring: Recorder, count: int) -> None:
    with wiring.transaction() as session:
        for row in factories.utterances(session, count, source="new", nlu_score=0.5):
            row.text = f"new and {row.text}"
        session.flush()
        [batch] = scoring.read_batches(session, 0, 2**62)
        scoring.write(session, scoring.compute(batch, FakeScorer()))


def test_arrivals_are_found_published_and_found_once(
    wiring: Recorder, server: FakeLabelStudio, queue_ids: list[int]
) -> None:
    for queue_id in queue_ids:
        tasks.selection.publish(queue_id)
    arrive(wiring, 22)
    tasks.selection.tick()
    assert wiring.sent == []  # the last look was a moment ago
    with wiring.transaction() as session:
        session.execute(update(Refresh).values(began_at=Refresh.began_at - timedelta(seconds=30)))
    tasks.selection.tick()
    assert wiring.sent == [("selection.refresh", "en-US")]
    wiring.sent.clear()
    tasks.selection.refresh("en-US")
    assert {name for name, _ in wiring.sent} == {"selection.publish"}
    before = in_label_studio(server)
    for _, queue_id in wiring.sent:
        tasks.selection.publish(queue_id)
    assert len(in_label_studio(server)) > len(before)
    wiring.sent.clear()
    tasks.selection.tick()
    assert wiring.sent == []


def test_a_refresh_that_breaks_off_has_looked_at_nothing(
    wiring: Recorder, queue_ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    arrive(wiring, 22)

    def fail(*_: object) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(extensions, "complete", fail)
        with pytest.raises(MemoryError):
            tasks.selection.refresh("en-US")
    with wiring.transaction() as session:
        [age] = ages.locales(session, datetime.now(UTC))
        assert "it broke off: MemoryError" in str(age["said"])
        session.execute(update(Refresh).values(began_at=Refresh.began_at - timedelta(hours=1)))
    tasks.selection.tick()
    assert wiring.sent == [("selection.refresh", "en-US")]
    tasks.selection.refresh("en-US")
    assert {name for name, _ in wiring.sent[1:]} == {"selection.publish"}


def test_a_message_too_many_finds_nothing_to_do(
    wiring: Recorder, server: FakeLabelStudio, queue_ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Label Studio is away, the sweeps send one a minute."""
    tasks.selection.publish(queue_ids[0])
    asked: list[str] = []
    monkeypatch.setattr(FakeLabelStudio, "answer", lambda _, what: asked.append(what))
    tasks.selection.publish(queue_ids[0])
    assert asked == []


def test_refreshing_can_be_left_to_hands(wiring: Recorder, queue_ids: list[int]) -> None:
    arrive(wiring, 22)
    with wiring.transaction() as session:
        session.execute(update(Refresh).values(began_at=Refresh.began_at - timedelta(seconds=30)))
    wiring.__dict__["settings"] = wiring.settings.model_copy(update={"refresh_seconds": 0})
    tasks.selection.tick()
    assert wiring.sent == []


def test_what_comes_while_a_queue_is_published_is_published_too(
    wiring: Recorder, server: FakeLabelStudio, queue_ids: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The message that asks for it finds the lock taken, and nobody sends another."""
    for queue_id in queue_ids:
        tasks.selection.publish(queue_id)
    with wiring.transaction() as session:
        session.execute(update(Queue).values(dirty=True))
        [queue] = [queue for queue in session.scalars(select(Queue)) if queue.domain == "music"]
    read_plan = plans.read_plan

    def read_and_then_more(session: Session, queue_id: int) -> object:
        plan = read_plan(session, queue_id)
        if not late:
            late.append(queue_id)
            arrive(wiring, 22)
            wiring.keep_up("en-US")
        return plan

    late: list[int] = []
    monkeypatch.setattr(publishing, "read_plan", read_and_then_more)
    tasks.selection.publish(queue.id)
    with wiring.transaction() as session:
        _, extension = strata.of_round(session, queue.selection_id or 0)
        published = session.get_one(Queue, queue.id)
        assert (published.dirty, published.selection_id) == (False, extension.id)


def test_idempotent_publish(wiring: Recorder, server: FakeLabelStudio, queue_ids: list[int]) -> None:
    for queue_id in queue_ids * 2:
        tasks.selection.publish(queue_id)
    assert len(in_label_studio(server)) == 30
    with wiring.transaction() as session:
        assert set(session.scalars(select(QueueTask.task_id))) == set(in_label_studio(server))
    assert [name for name, _ in sent_by_sweep(wiring)] == ["selection.tidy"] * 3


def test_a_queue_that_is_being_published_is_left_to_whoever_does_it(
    wiring: Recorder, server: FakeLabelStudio, queue_ids: list[int]
) -> None:
    with advisory_lock(wiring.engine, f"publish:{queue_ids[0]}", wait=True):
        tasks.selection.publish(queue_ids[0])
        tasks.selection.tidy(queue_ids[0])
    assert server.projects == {}
    tasks.selection.publish(queue_ids[0])
    assert len(server.projects) == 1


def test_idempotent_tidy(wiring: Recorder, server: FakeLabelStudio, queue_ids: list[int]) -> None:
    for queue_id in queue_ids:
        tasks.selection.publish(queue_id)
    first = min(server.projects)
    [stray] = server.client().send_tasks(first, [{"data": {"utterance_id": 1, "text": "copy"}}])
    with wiring.transaction() as session:
        leaving = session.scalars(select(QueueTask.task_id).where(QueueTask.queue_id == queue_ids[0])).first()
        long_ago = datetime.now(UTC) - timedelta(days=1)
        session.execute(update(Queue).values(importing_since=datetime.now(UTC)))  # somebody was interrupted
        session.execute(
            update(QueueTask).where(QueueTask.task_id == leaving).values(state="leaving", state_since=long_ago)
        )
    before = set(in_label_studio(server))
    for queue_id in queue_ids * 2:
        tasks.selection.tidy(queue_id)
    assert before - set(in_label_studio(server)) == {stray, leaving}


def test_idempotent_sweep(wiring: Recorder, queue_ids: list[int]) -> None:
    unpublished = [("selection.publish", queue_id) for queue_id in queue_ids]
    assert sent_by_sweep(wiring) == unpublished
    assert sent_by_sweep(wiring) == unpublished
    for queue_id in queue_ids:
        tasks.selection.publish(queue_id)
    assert sent_by_sweep(wiring) == [("selection.tidy", queue_id) for queue_id in queue_ids]
    with wiring.transaction() as session:
        session.execute(update(Queue).values(published_at=Queue.published_at - timedelta(hours=2)))
    assert sent_by_sweep(wiring) == []


def test_idempotent_mark(wiring: Recorder, server: FakeLabelStudio, queue_ids: list[int]) -> None:
    for queue_id in queue_ids:
        tasks.selection.publish(queue_id)
    assert ("selection.mark", queue_ids[0]) not in sent_by_sweep(wiring)
    with wiring.transaction() as session:
        project_id = session.get_one(Queue, queue_ids[0]).project_id
    assert project_id is not None
    annotator = server.client("ann@example.org")
    task = annotator.next_task(project_id)
    assert task is not None
    assert task.shown is not None
    annotator.submit_annotation(task.task_id, label_regions(task.shown, task.text))
    wiring.reconcile(project_id, wait=True, force=True)
    assert ("selection.mark", queue_ids[0]) in sent_by_sweep(wiring)
    for _ in range(2):
        tasks.selection.mark(queue_ids[0])
        assert server.project(project_id).tasks[task.task_id]["data"]["review"] == "accepted"
        assert ("selection.mark", queue_ids[0]) not in sent_by_sweep(wiring)


def test_a_sweep_speaks_to_no_label_studio(wiring: Recorder, queue_ids: list[int]) -> None:
    """So a project that is gone, or a server that is away, keeps no other queue from its message."""
    for queue_id in queue_ids:
        tasks.selection.publish(queue_id)
    del wiring.__dict__["label_studio"]
    assert len(sent_by_sweep(wiring)) == 3


@pytest.mark.parametrize(("status", "attempts"), [(None, 6), (429, 6), (502, 6), (400, 1), (401, 1), (403, 1)], ids=str)
def test_only_what_may_pass_is_tried_again(
    wiring: Recorder,
    queue_ids: list[int],
    monkeypatch: pytest.MonkeyPatch,
    status: int | None,
    attempts: int,
) -> None:
    asked: list[int] = []

    def refuse(client: FakeClient, settings: object) -> int:
        asked.append(1)
        raise LabelStudioError("create project", status, "no")

    wiring.sampling()  # has been tried before
    monkeypatch.setattr(FakeClient, "create_project", refuse)
    result = tasks.selection.publish.apply(args=(queue_ids[0],))
    assert result.failed()
    assert len(asked) == attempts
    assert ("selection.publish", queue_ids[0]) in sent_by_sweep(wiring)
