"""The database or the broker goes away, and comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx
import pytest

import tasks.ingest
from plugin.services.ingest import intake
from plugin.settings import Settings, get_settings
from plugin.web.app import create_app
from plugin.wiring import Wiring
from tests.integration.web.conftest import (
    PASSWORD,
    Broker,
    Door,
    Outage,
    add_queue,
    event,
    forget_environment,
    inbox,
    line,
    serve,
    utterance_rows,
)

READY = {"database": "ok", "broker": "ok"}


def assert_database_is_away(answer: httpx.Response) -> None:
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "10")
    assert answer.json()["detail"] == "the database does not answer; send the same again later"


def test_healthy(door: Door) -> None:
    for _ in range(2):
        answer = door.get("/health/ready")
        assert (answer.status_code, answer.json()) == (200, READY)


def test_without_the_database(without_database: None, broker: Broker) -> None:
    with serve(create_app()) as door:
        ready = door.get("/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"database": "unreachable", "broker": "ok"})
        for answer in (door.utterances(line()), door.webhook(event())):
            assert_database_is_away(answer)
            assert PASSWORD not in answer.text
        assert door.get("/health/live").status_code == 200
    assert broker.waiting("scoring") == broker.waiting("ingest") == []


def test_without_the_broker_what_came_is_kept(without_broker: None, caplog: pytest.LogCaptureFixture) -> None:
    with serve(create_app()) as door:
        ready = door.get("/health/ready")
        assert (ready.status_code, ready.json()) == (503, {"database": "ok", "broker": "unreachable"})
        answer = door.utterances(*(line(f"u{number}") for number in range(1000)))
        assert (answer.status_code, answer.json()["new"], answer.json()["scoring_requested"]) == (200, 1000, False)
        told = door.webhook(event())
        assert (told.status_code, told.json()) == (202, {"status": "accepted"})
        assert door.get("/health/live").status_code == 200
    # The server has ended, so what follows its answers is done.
    assert len(utterance_rows()) == 1000
    assert [(row.action, row.handled_at) for row in inbox()] == [("ANNOTATION_CREATED", None)]
    said = [record.getMessage() for record in caplog.records if record.name == "plugin.wiring"]
    assert len(said) == 2
    assert all("broker unreachable" in sentence for sentence in said)


def test_a_database_that_was_restarted_is_not_noticed(door: Door, outage: Outage) -> None:
    """The connections that the pool keeps are dead then."""
    assert door.utterances(line("a")).status_code == 200
    outage.drop_connections()
    assert door.utterances(line("b")).status_code == 200
    outage.drop_connections()
    assert door.webhook(event()).status_code == 202
    outage.drop_connections()
    assert door.get("/health/ready").json() == READY
    assert (len(utterance_rows()), len(inbox())) == (2, 1)


def test_after_an_outage_the_same_again_loses_nothing(door: Door, broker: Broker, outage: Outage) -> None:
    door.utterances(line("a"))
    outage.begin()
    assert_database_is_away(door.utterances(line("a"), line("b")))
    assert_database_is_away(door.webhook(event()))
    assert door.get("/health/ready").json() == {"database": "unreachable", "broker": "ok"}
    outage.end()
    assert door.get("/health/ready").json() == READY
    again = door.utterances(line("a"), line("b")).json()
    assert (again["unchanged"], again["new"]) == (1, 1)
    assert door.webhook(event()).json() == {"status": "accepted"}
    assert [row.external_id for row in utterance_rows()] == ["a", "b"]
    assert broker.next("ingest") == ("ingest.webhook_event", [inbox()[0].id])


class Interrupted(Wiring):
    """What is pending happens once the first chunk is committed and its scores are asked for."""

    pending: list[Callable[[], None]]

    def __init__(self, settings: Settings, then: Callable[[], None]) -> None:
        super().__init__(settings)
        self.__dict__["pending"] = [then]

    def send(self, name: str, *args: Any) -> bool:
        sent = super().send(name, *args)
        while self.pending:
            self.pending.pop()()
        return sent


def test_a_database_that_goes_in_the_middle_keeps_what_was_committed(
    environment: None, broker: Broker, outage: Outage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(intake, "CHUNK_RECORDS", 2)
    lines = [line(f"u{number}") for number in range(5)]
    wiring = Interrupted(get_settings(), outage.begin)
    with serve(create_app(wiring)) as door:
        assert_database_is_away(door.utterances(*lines))
        outage.end()
        first, second = [row.id for row in utterance_rows()]
        assert broker.waiting("scoring") == [("scoring.score_batch", [first, second])]
        again = door.utterances(*lines).json()
        assert (again["unchanged"], again["new"], again["changed"]) == (2, 3, 0)
    wiring.close()
    assert [row.revision for row in utterance_rows()] == [1] * 5


def test_what_no_worker_was_told_is_found_by_the_sweep(
    without_broker: None, broker: Broker, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serve(create_app()) as door:
        assert door.webhook(event(project=7)).status_code == 202
    monkeypatch.setenv("ASSAY_BROKER_URL", redis_url)
    forget_environment()
    add_queue(7)
    assert broker.waiting("ingest") == []
    tasks.ingest.sweep()
    assert broker.waiting("ingest") == [("ingest.reconcile", [7])]
