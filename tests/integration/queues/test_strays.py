"""An import may end after whoever sent it has given up, or died: what it leaves behind goes away again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Queue, QueueTask
from db.session import TransactionMaker
from plugin.services.tidying import tidy, untidy
from tests.fakes.label_studio import FakeClient, FakeLabelStudio
from tests.integration.queues.conftest import INSTANCE, NOW, music, publish_all, refresh

pytestmark = pytest.mark.usefixtures("pool")
NEVER = 10**6


class KilledError(BaseException):
    """What no handler of the product catches."""


def tidy_all(transaction: TransactionMaker, server: FakeLabelStudio) -> None:
    with transaction() as session:
        queue_ids = untidy(session, INSTANCE, NOW)
    for queue_id in queue_ids:
        tidy(transaction, server.client(), INSTANCE, queue_id)


def known(session: Session) -> set[int | None]:
    return set(session.scalars(select(QueueTask.task_id)))


def tasks_of(server: FakeLabelStudio) -> list[int]:
    return [task_id for project in server.projects.values() for task_id in project.tasks]


def publish_and_be_killed(
    transaction: TransactionMaker, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While Label Studio is at work on the first chunk."""

    def die(client: FakeClient, seconds: float) -> None:
        raise KilledError

    server.late_imports = [NEVER]
    with monkeypatch.context() as patch:
        patch.setattr(FakeClient, "pause", die)
        with pytest.raises(KilledError):
            publish_all(transaction, server)


def test_a_killed_import_that_ends_after_its_repetition(
    session: Session, transaction: TransactionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeLabelStudio()
    refresh(transaction, 1)
    publish_and_be_killed(transaction, server, monkeypatch)
    publish_all(transaction, server)
    server.finish_work()
    assert len(tasks_of(server)) == 33
    tidy_all(transaction, server)
    assert len(tasks_of(server)) == 30
    assert set(tasks_of(server)) == known(session)


def test_copies_that_show_during_the_repetition_are_never_served(
    session: Session, transaction: TransactionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeLabelStudio()
    refresh(transaction, 1)
    publish_and_be_killed(transaction, server, monkeypatch)
    send = FakeClient.send_tasks

    def finish_first(client: FakeClient, project_id: int, tasks: Sequence[Mapping[str, Any]]) -> list[int]:
        server.finish_work()
        return send(client, project_id, tasks)

    monkeypatch.setattr(FakeClient, "send_tasks", finish_first)
    publish_all(transaction, server)
    assert len(tasks_of(server)) == 30
    assert set(tasks_of(server)) == known(session)


def test_nothing_is_deleted_that_somebody_has_begun_or_brought(
    session: Session, transaction: TransactionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeLabelStudio()
    refresh(transaction, 1)
    publish_and_be_killed(transaction, server, monkeypatch)
    publish_all(transaction, server)
    server.finish_work()
    begun, *others = sorted(set(tasks_of(server)) - known(session))
    assert len(others) == 2
    server.client("ann@example.org").submit_annotation(begun, [])
    [brought] = server.client().send_tasks(music(session).project_id or 0, [{"data": {"text": "by hand"}}])
    tidy_all(transaction, server)
    assert set(tasks_of(server)) - known(session) == {begun, brought}


def test_tasks_of_a_round_that_nobody_finished_publishing_go_too(
    session: Session, transaction: TransactionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeLabelStudio()
    refresh(transaction, 1)
    publish_and_be_killed(transaction, server, monkeypatch)
    server.finish_work()
    refresh(transaction, 2)
    publish_all(transaction, server)
    assert set(tasks_of(server)) == known(session)


def test_a_queue_that_nobody_was_interrupted_at_is_never_listed(
    session: Session, transaction: TransactionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeLabelStudio()

    def refuse(*_: object) -> None:
        raise AssertionError("listed")

    monkeypatch.setattr(FakeClient, "present", refuse)
    for seed in (1, 2):
        refresh(transaction, seed)
        publish_all(transaction, server)
    assert set(session.scalars(select(Queue.importing_since))) == {None}
    assert set(tasks_of(server)) == known(session)


def test_who_was_interrupted_leaves_a_mark_until_nothing_more_can_come(
    session: Session, transaction: TransactionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeLabelStudio()
    refresh(transaction, 1)
    publish_and_be_killed(transaction, server, monkeypatch)
    interrupted = [queue for queue in session.scalars(select(Queue)) if queue.importing_since is not None]
    assert len(interrupted) == 1
    publish_all(transaction, server)
    session.refresh(interrupted[0])
    since = interrupted[0].importing_since
    assert since is not None
    tidy_all(transaction, server)
    session.refresh(interrupted[0])
    assert interrupted[0].importing_since == since
    interrupted[0].importing_since = NOW - timedelta(hours=2)
    session.flush()
    tidy_all(transaction, server)
    session.refresh(interrupted[0])
    assert interrupted[0].importing_since is None


def test_a_lost_answer_leaves_the_same_mark(session: Session, transaction: TransactionMaker) -> None:
    server = FakeLabelStudio()
    server.lost_answers = 1
    refresh(transaction, 1)
    publish_all(transaction, server)
    assert sorted(session.scalars(select(Queue.importing_since.is_(None)))) == [False, True, True]


def test_nothing_double_is_left_of_a_flip_that_was_interrupted(
    session: Session, transaction: TransactionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeLabelStudio()
    refresh(transaction, 1)
    publish_all(transaction, server)
    refresh(transaction, 2)
    with monkeypatch.context() as patch:

        def die(*_: object) -> None:
            raise KilledError

        patch.setattr(FakeClient, "set_order", die)
        with pytest.raises(KilledError):
            publish_all(transaction, server)
    publish_all(transaction, server)
    assert set(tasks_of(server)) == known(session)
    for project in server.projects.values():
        for task in project.tasks.values():
            versions = [item["model_version"] for item in task["predictions"]]
            assert len(set(versions)) == len(versions)
            assert project.model_version in versions
