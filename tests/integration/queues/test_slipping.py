"""What comes in slips in between what is served; nothing else is touched, until everything is ordered anew."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from db.models import Queue, QueueTask
from db.repositories import queues as queue_rows
from db.repositories import selections, strata
from db.session import TransactionMaker
from plugin.services import policies, queues, scoring, selection
from plugin.services.selection.ordering import part_of, standings
from tests import factories
from tests.fakes.label_studio import FakeClient, FakeLabelStudio
from tests.fakes.scorer import FakeScorer
from tests.integration.queues.conftest import INSTANCE, NOW, music, publish_all, served

LOCALE = "en-US"


def arrive(session: Session, count: int, source: str = "new", **changed: Any) -> list[int]:
    rows = factories.utterances(session, count, source=source, **{"nlu_score": 0.5, **changed})
    for row in rows:
        row.text = f"{source} says {row.text}"
    session.flush()
    for batch in scoring.read_batches(session, 0, 2**62):
        scoring.write(session, scoring.compute(batch, FakeScorer()))
    return [row.id for row in rows]


def keep_up(transaction: TransactionMaker) -> selection.Refreshed:
    return selection.keep_up(transaction, LOCALE, datetime.now(UTC), INSTANCE)


@pytest.fixture
def server(session: Session, transaction: TransactionMaker) -> FakeLabelStudio:
    """A round of 60 of 150, served."""
    factories.champion(session)
    arrive(session, 150, source="log")
    policies.change(session, LOCALE, "*", {"strategy": "entropy", "budget": 60}, changed_by="test", comment="")
    server = FakeLabelStudio()
    assert keep_up(transaction).round_id is not None
    publish_all(transaction, server)
    return server


def codes(session: Session, queue: Queue) -> dict[int, float]:
    return {task.utterance_id: task.rank_code for task in queue_rows.tasks(session, queue.id)}


def review(session: Session, server: FakeLabelStudio, queue: Queue, count: int) -> list[int]:
    """A person draws and submits; and the answers are collected."""
    assert queue.project_id is not None
    person, drawn = server.client("early@example.org"), []
    for _ in range(count):
        task = person.next_task(queue.project_id)
        assert task is not None
        assert task.utterance_id is not None
        person.submit_annotation(task.task_id, [])
        queue_rows.mark_annotated(session, queue.id, [task.task_id], NOW)
        drawn.append(task.utterance_id)
    return drawn


def open_order(session: Session, queue: Queue) -> list[int]:
    return [task.utterance_id for task in queue_rows.tasks(session, queue.id) if task.state == "published"]


def test_arrivals_slip_in_and_nothing_else_is_sent(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = music(session)
    review(session, server, queue, 3)
    before, order_id, codes_before = open_order(session, queue), queue.order_id, codes(session, queue)
    arrive(session, 36, domain="music", intent="music_play")
    done = keep_up(transaction)
    assert done.extension_id is not None

    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("asked for more than the import of what is new")

    for name in ("set_order", "update_project", "send_predictions", "present", "task_ids", "ensure_tabs"):
        monkeypatch.setattr(FakeClient, name, refuse)
    published = publish_all(transaction, server)
    chosen = [item for item in strata.items(session, order_id or 0, "music") if item.selection_id == done.extension_id]
    assert {item.utterance_id for item in chosen if not item.is_dropped}
    assert sum(one.imported for one in published) == sum(not item.is_dropped for item in chosen)
    assert sum(one.reordered for one in published) == 0
    session.refresh(queue)
    assert (queue.order_id, queue.selection_id, queue.dirty) == (order_id, done.extension_id, False)

    after = open_order(session, queue)
    stayed = [id_ for id_ in after if id_ in before]
    assert stayed == before[: len(stayed)]
    assert all(codes(session, queue)[id_] == code for id_, code in codes_before.items())
    shown = strata.items(session, order_id or 0, "music")
    policy = policies.from_json(selections.current(session, LOCALE).policy["*"])  # type: ignore[union-attr]
    where = {id_: standing for (_, id_), standing in standings(shown, policy.strategy).items()}
    hard = [where[id_].depth for id_ in after if where[id_].part == "hard"]
    assert hard == sorted(hard)
    new = [id_ for id_ in after if id_ not in before]
    assert any(after.index(id_) < len(after) // 2 for id_ in new)


def test_what_is_served_is_the_merged_order_and_then_what_leaves(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    queue = music(session)
    done = review(session, server, queue, 4)
    arrive(session, 30)
    assert keep_up(transaction).extension_id is not None
    publish_all(transaction, server)
    planned = open_order(session, queue)
    leaving = session.scalars(
        select(QueueTask.utterance_id)
        .where(QueueTask.queue_id == queue.id, QueueTask.state == "leaving")
        .order_by(QueueTask.rank_code)
    ).all()
    assert leaving
    assert queue.project_id is not None
    assert served(server, queue.project_id, people=3) == [*planned, *leaving]
    items = {item.utterance_id: item for item in strata.items(session, queue.order_id or 0, "music")}
    parts = [part_of(items[id_]) for id_ in (*done, *planned)]
    share = parts.count("control") / len(parts)
    worst = max(abs(parts[:size].count("control") - size * share) for size in range(1, len(parts) + 1))
    assert worst < 3


def test_extension_after_extension_the_round_keeps_its_budget(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    for number in range(2):
        review(session, server, music(session), 2)
        arrive(session, 18, source=f"hour {number}")
        assert keep_up(transaction).extension_id is not None
        publish_all(transaction, server)
        states = session.scalars(select(QueueTask.state)).all()
        assert sum(state in ("published", "annotated") for state in states) == 60
    for queue in session.scalars(select(Queue)):
        ordered = [task.rank_code for task in queue_rows.tasks(session, queue.id) if task.task_id is not None]
        assert all(left < right for left, right in pairwise(ordered))
        project = server.projects[queue.project_id or 0]
        assert project.model_version == queue.order_name
        for task in project.tasks.values():
            assert [item["model_version"] for item in task["predictions"]] == [project.model_version]


def test_a_queue_that_comes_to_be_by_an_extension_is_served_too(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    new = arrive(session, 36, domain="weather", intent="weather_query")
    session.execute(text("DELETE FROM queue_tasks USING queues WHERE queue_id = queues.id AND domain = 'audio'"))
    session.execute(text("DELETE FROM queues WHERE domain = 'audio'"))
    late = arrive(session, 1, domain="audio", intent="audio_volume", source="first of its domain")
    assert len([*new, *late]) == 37
    done = keep_up(transaction)
    assert done.extension_id is not None
    publish_all(transaction, server)
    assert {queue.order_id for queue in session.scalars(select(Queue))} <= {done.extension_id, music(session).order_id}


def test_a_new_label_is_put_on_the_screen_before_it_is_shown(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    arrive(session, 36, domain="music", intent="music_of_the_spheres")
    keep_up(transaction)
    publish_all(transaction, server)
    queue = music(session)
    assert "music_of_the_spheres" in server.projects[queue.project_id or 0].settings["label_config"]
    assert queue.order_id != queue.selection_id


def test_where_no_room_is_left_everything_is_ordered_anew(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    queue = music(session)
    order = open_order(session, queue)
    session.execute(text("UPDATE queue_tasks SET rank_code = 0.3"))  # all alike: no room between any two
    arrive(session, 36, domain="music", intent="music_play")
    done = keep_up(transaction)
    publish_all(transaction, server)
    session.refresh(queue)
    assert queue.order_id == done.extension_id
    assert len(set(codes(session, queue).values())) == len(codes(session, queue))
    assert queue.project_id is not None
    drawn = served(server, queue.project_id)
    stayed = set(open_order(session, queue))
    assert drawn[: len(stayed)] == open_order(session, queue)
    assert set(order) <= set(drawn)


def test_during_a_flip_nobody_meets_an_unplanned_order(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the new order is on its way, the old one is served to its end, and then what is new, as it is planned."""
    queue = music(session)
    old = open_order(session, queue)
    arrive(session, 60)
    assert keep_up(transaction).round_id is not None
    seen: list[int] = []

    def look(client: FakeClient, project_id: int, predictions: Sequence[Mapping[str, Any]]) -> None:
        if project_id == queue.project_id and not seen:
            seen.extend(served_without_work(server, project_id))
        send(client, project_id, predictions)

    send = FakeClient.send_predictions
    monkeypatch.setattr(FakeClient, "send_predictions", look)
    publish_all(transaction, server)
    with transaction() as again:
        plan = queues.read_plan(again, queue.id)
    assert plan is not None
    new = [id_ for id_ in open_order(session, queue) if id_ not in old]
    assert new
    assert seen == [*old, *new]


def served_without_work(server: FakeLabelStudio, project_id: int) -> list[int]:
    """What as many people as there are tasks hold, in the order in which they asked."""
    locks = server.projects[project_id].locks
    drawn = []
    for number in range(10_000):
        task = server.client(f"crowd{number}@example.org").next_task(project_id)
        if task is None:
            break
        assert task.utterance_id is not None
        drawn.append(task.utterance_id)
    locks.clear()
    return drawn


def test_a_revised_record_leaves_and_its_new_revision_waits_for_that(
    session: Session, transaction: TransactionMaker, server: FakeLabelStudio
) -> None:
    queue = music(session)
    victim = open_order(session, queue)[1]
    session.execute(
        text("UPDATE utterances SET revision = 2, text = 'quite another thing' WHERE id = :id"), {"id": victim}
    )
    arrive(session, 30)
    done = keep_up(transaction)
    assert done.extension_id is not None
    assert victim not in selection.unpack_ids(selections.frame(session, done.extension_id).ids)
    publish_all(transaction, server)
    task = session.scalars(select(QueueTask).where(QueueTask.utterance_id == victim)).one()
    assert task.state == "leaving"
    assert queue.project_id is not None
    assert served(server, queue.project_id)[-1] == victim
