"""POST /webhooks/label-studio: committed, answered, and only then is a worker told."""

from __future__ import annotations

import threading
from typing import Any

import pytest

import tasks.ingest
from plugin.settings import Settings, get_settings
from plugin.web.app import create_app
from plugin.wiring import Wiring
from tests.integration.web.conftest import SECONDS, Broker, Door, add_queue, event, inbox, serve, together

PROJECT = 7


def test_an_event_lands_in_the_inbox_and_a_worker_is_told(door: Door, broker: Broker) -> None:
    answer = door.webhook(event(project=PROJECT))
    assert (answer.status_code, answer.json()) == (202, {"status": "accepted"})
    [row] = inbox()
    assert (row.action, row.handled_at, row.error) == ("ANNOTATION_CREATED", None, None)
    assert row.payload == {"project_id": PROJECT, "task_ids": [1], "annotation_ids": [5]}
    assert broker.next("ingest") == ("ingest.webhook_event", [row.id])


def test_the_worker_asks_for_the_project_to_be_reconciled(door: Door, broker: Broker) -> None:
    add_queue(PROJECT)
    door.webhook(event(project=PROJECT))
    _, arguments = broker.next("ingest")
    tasks.ingest.webhook_event(*arguments)
    assert broker.waiting("ingest") == [("ingest.reconcile", [PROJECT])]
    assert [row.handled_at for row in inbox()] == [None]


@pytest.mark.parametrize("project", [8, None])
def test_an_event_of_no_queue_of_ours_is_taken_and_put_aside(door: Door, broker: Broker, project: int | None) -> None:
    """Label Studio is never told: it could do nothing about it."""
    add_queue(PROJECT)
    assert door.webhook(event(project=project)).status_code == 202
    _, arguments = broker.next("ingest")
    tasks.ingest.webhook_event(*arguments)
    [row] = inbox()
    assert row.handled_at is not None
    assert row.error == f"no queue has the project {project}"
    assert broker.waiting("ingest") == []


def test_the_same_event_twice_is_one(door: Door, broker: Broker) -> None:
    assert door.webhook(event()).json() == {"status": "accepted"}
    again = door.webhook({**event(), "x": "sent again with other words"})
    assert (again.status_code, again.json()) == (202, {"status": "known"})
    later = {"id": 5, "task": 1, "updated_at": "2026-11-24T04:12:00Z"}
    assert door.webhook(event("ANNOTATION_UPDATED", annotation=later)).json() == {"status": "accepted"}
    first, second = inbox()
    assert (first.action, second.action) == ("ANNOTATION_CREATED", "ANNOTATION_UPDATED")
    sent = [broker.next("ingest") for _ in range(2)]
    assert sorted(sent) == [("ingest.webhook_event", [first.id]), ("ingest.webhook_event", [second.id])]
    assert broker.waiting("ingest") == []


def test_the_same_event_from_many_at_once_is_one(door: Door, broker: Broker) -> None:
    answers = together(8, lambda _: door.webhook(event()))
    assert {answer.status_code for answer in answers} == {202}
    assert sorted(answer.json()["status"] for answer in answers) == ["accepted"] + ["known"] * 7
    [row] = inbox()
    assert broker.next("ingest") == ("ingest.webhook_event", [row.id])
    assert broker.waiting("ingest") == []


@pytest.mark.parametrize(
    ("more", "tasks_", "annotations"),
    [
        (
            {"action": "ANNOTATIONS_CREATED", "annotation": [{"id": 4, "task": 3}, {"id": 5, "task": 2}]},
            [1, 2, 3],
            [4, 5],
        ),
        ({"action": "ANNOTATIONS_DELETED", "annotation": None, "annotations": [{"id": 5}], "task": None}, [], [5]),
        ({"action": "TASKS_DELETED", "annotation": None, "task": None, "tasks": [{"id": 9}, {"id": 8}]}, [8, 9], []),
    ],
)
def test_each_shape_of_event_keeps_its_ids(
    door: Door, more: dict[str, Any], tasks_: list[int], annotations: list[int]
) -> None:
    assert door.webhook({**event(), **more}).status_code == 202
    [row] = inbox()
    assert row.action == more["action"]
    assert row.payload == {"project_id": 7, "task_ids": tasks_, "annotation_ids": annotations}


def test_nonsense_never_reaches_the_inbox(door: Door, broker: Broker) -> None:
    for body in ({"action": "drop table"}, {"action": "A", "project": {"id": 2**63}}, [event()], "ANNOTATION_CREATED"):
        assert door.webhook(body).status_code == 422
    assert (inbox(), broker.waiting("ingest")) == ([], [])


class SlowBroker(Wiring):
    """Takes nothing before the test says so; what it was asked stands in `seen` with what was committed by then."""

    answered: threading.Event
    seen: list[tuple[str, int]]

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self.__dict__.update(answered=threading.Event(), seen=[])

    def send(self, name: str, *args: Any) -> bool:
        assert self.answered.wait(SECONDS), "the answer waits for the broker"
        self.seen.append((name, len(inbox())))
        return super().send(name, *args)


def test_label_studio_waits_for_the_commit_and_for_nothing_else(environment: None, broker: Broker) -> None:
    wiring = SlowBroker(get_settings())
    with serve(create_app(wiring)) as door:
        assert door.webhook(event()).status_code == 202
        assert [row.action for row in inbox()] == ["ANNOTATION_CREATED"]
        wiring.answered.set()
        assert broker.next("ingest")[0] == "ingest.webhook_event"
    assert wiring.seen == [("ingest.webhook_event", 1)]
    wiring.close()
