"""A publishing is interrupted, people work on, and the next one finds another plan."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from db.models import Queue, QueueTask
from db.repositories import polls
from db.repositories import queues as queue_rows
from db.session import TransactionMaker
from plugin.services import policies, queues, scoring, selection
from tests import factories
from tests.fakes.label_studio import FakeClient, FakeLabelStudio
from tests.fakes.scorer import FakeScorer
from tests.integration.queues.conftest import INSTANCE, NOW, music, planned, publish_all, refresh, served

Predictions = Sequence[Mapping[str, Any]]


class KilledError(BaseException):
    """As a worker that is killed: nobody catches it."""


@pytest.fixture
def server(session: Session, transaction: TransactionMaker) -> FakeLabelStudio:
    """A round of 60 of 150, served."""
    factories.champion(session)
    arrive(session, 150, "log")
    policies.change(session, "en-US", "*", {"strategy": "entropy", "budget": 60}, changed_by="test", comment="")
    server = FakeLabelStudio()
    assert keep_up(transaction).round_id is not None
    publish_all(transaction, server)
    return server


def keep_up(transaction: TransactionMaker) -> selection.Refreshed:
    return selection.keep_up(transaction, "en-US", datetime.now(UTC), INSTANCE)


def publish(transaction: TransactionMaker, server: FakeLabelStudio, queue: Queue) -> None:
    queues.publish(transaction, server.client(), INSTANCE, queue.id, NOW)


def publish_and_be_killed(
    transaction: TransactionMaker, server: FakeLabelStudio, queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the predictions arrive."""
    send = FakeClient.send_predictions

    def send_half(client: FakeClient, project_id: int, predictions: Predictions) -> None:
        send(client, project_id, predictions[: len(predictions) // 2])
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(FakeClient, "send_predictions", send_half)
        with pytest.raises(KilledError):
            publish(transaction, server, queue)


def work(session: Session, server: FakeLabelStudio, queue: Queue, count: int) -> list[int]:
    assert queue.project_id is not None
    person, done = server.client("ann@example.org"), []
    for _ in range(count):
        task = person.next_task(queue.project_id)
        assert task is not None
        assert task.utterance_id is not None
        person.submit_annotation(task.task_id, [])
        queue_rows.mark_annotated(session, queue.id, [task.task_id], NOW)
        done.append(task.utterance_id)
    return done


def agrees(session: Session, server: FakeLabelStudio, queue: Queue) -> bool:
    """The codes of what is open are those that Label Studio serves by."""
    project = server.project(queue.project_id or 0)
    open_tasks = [row for row in queue_rows.tasks(session, queue.id) if row.state in ("published", "leaving")]
    there = {
        task_id: [one["score"] for one in task["predictions"] if one["model_version"] == project.model_version]
        for task_id, task in project.tasks.items()
    }
    return bool(open_tasks) and all(there[row.task_id or 0] == [row.rank_code] for row in open_tasks)


def test_a_flip_that_was_interrupted_goes_on_where_nothing_has_changed(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = music(session)
    refresh(transaction, 2)
    publish_and_be_killed(transaction, server, queue, monkeypatch)
    session.expire_all()
    begun = queue.begun_name
    sent: list[Mapping[str, Any]] = []
    send = FakeClient.send_predictions

    def count(client: FakeClient, project_id: int, predictions: Predictions) -> None:
        sent.extend(predictions)
        send(client, project_id, predictions)

    monkeypatch.setattr(FakeClient, "send_predictions", count)
    publish(transaction, server, queue)
    session.expire_all()
    assert (queue.order_name, queue.begun_name, queue.begun_digest) == (begun, None, None)
    assert agrees(session, server, queue)
    kept = [row for row in queue_rows.tasks(session, queue.id) if row.state in ("published", "leaving")]
    assert 0 < len(sent) < len(kept)


def test_a_flip_that_was_interrupted_while_people_work_begins_anew_under_another_name(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = music(session)
    refresh(transaction, 2)
    publish_and_be_killed(transaction, server, queue, monkeypatch)
    done = work(session, server, queue, 3)
    session.expire_all()
    begun = queue.begun_name
    publish(transaction, server, queue)
    session.expire_all()
    assert queue.order_name == f"{begun}.2"
    assert server.project(queue.project_id or 0).model_version == queue.order_name
    assert agrees(session, server, queue)
    wanted = [id_ for id_ in planned(session, "music") if id_ not in done]
    assert served(server, queue.project_id or 0)[: len(wanted)] == wanted


def test_what_slipped_in_before_an_interruption_is_ordered_with_what_came_since(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = music(session)
    slip(session, transaction, "first")
    tasks = FakeClient.send_tasks

    def send_and_die(client: FakeClient, project_id: int, found: Predictions) -> list[int]:
        tasks(client, project_id, found)
        raise KilledError

    with monkeypatch.context() as patch:
        patch.setattr(FakeClient, "send_tasks", send_and_die)
        with pytest.raises(KilledError):
            publish(transaction, server, queue)
    slip(session, transaction, "second")
    publish(transaction, server, queue)
    session.expire_all()
    assert agrees(session, server, queue)
    order = [row.utterance_id for row in queue_rows.tasks(session, queue.id) if row.state == "published"]
    assert served(server, queue.project_id or 0)[: len(order)] == order


def slip(session: Session, transaction: TransactionMaker, source: str) -> None:
    arrive(session, 15, source)
    assert keep_up(transaction).extension_id is not None


def arrive(session: Session, count: int, source: str) -> None:

    for row in factories.utterances(session, count, source=source, nlu_score=0.5):
        row.text = f"{source} says {row.text}"
    session.flush()
    for batch in scoring.read_batches(session, 0, 2**62):
        scoring.write(session, scoring.compute(batch, FakeScorer()))


def test_many_that_leave_from_the_middle_are_last_at_once(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("plugin.services.queues.plans.MOST_MOVES", 2)
    queue = music(session)
    order = planned(session, "music")
    gone = order[:4]
    session.execute(text("UPDATE utterances SET revision = revision + 1 WHERE id = ANY(:ids)"), {"ids": gone})
    queue_rows.set_dirty(session, queue.id)
    publish_all(transaction, server)
    session.expire_all()
    assert agrees(session, server, queue)
    drawn = served(server, queue.project_id or 0)
    assert set(drawn[-len(gone) :]) == set(gone)


def test_what_leaves_comes_after_what_is_new(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    """Both are placed behind the last that is served: no two places may be the same."""
    queue = music(session)
    victim = planned(session, "music")[2]
    session.execute(text("UPDATE utterances SET revision = revision + 1 WHERE id = :id"), {"id": victim})
    slip(session, transaction, "new")
    publish_all(transaction, server)
    session.expire_all()
    codes = [row.rank_code for row in queue_rows.tasks(session, queue.id)]
    assert len(set(codes)) == len(codes)
    assert agrees(session, server, queue)
    assert served(server, queue.project_id or 0)[-1] == victim


def test_what_changes_while_a_queue_is_published_leaves_it_dirty(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = music(session)
    refresh(transaction, 2)
    order = FakeClient.set_order

    def change(client: FakeClient, project_id: int, model_version: str) -> None:
        queue_rows.set_dirty(session, queue.id)
        order(client, project_id, model_version)

    with monkeypatch.context() as patch:
        patch.setattr(FakeClient, "set_order", change)
        publish(transaction, server, queue)
    assert queue.id in queues.dirty(session, INSTANCE)
    publish(transaction, server, queue)
    assert queue.id not in queues.dirty(session, INSTANCE)


def test_a_task_whose_review_was_deleted_comes_back_last(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    """The order may have changed since: Label Studio serves what has no place in it last."""
    queue = music(session)
    [done] = work(session, server, queue, 1)
    refresh(transaction, 2)
    publish_all(transaction, server)
    row = session.scalars(select(QueueTask).where(QueueTask.utterance_id == done)).one()
    assert row.task_id is not None
    assert polls.reopen(session, queue.id, INSTANCE, [row.task_id]) == 1
    session.expire_all()
    assert queue_rows.tasks(session, queue.id)[-1].utterance_id == done
    session.execute(update(Queue).where(Queue.id == queue.id).values(dirty=True))
    refresh(transaction, 3)
    publish_all(transaction, server)
    session.expire_all()
    assert agrees(session, server, queue)
