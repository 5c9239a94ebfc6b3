"""Errors that are no refusals: of the address, of the database, of our own."""

from __future__ import annotations

import socket
from collections.abc import Callable

import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy.exc import OperationalError

from plugin.formats.checks import RecordError
from plugin.services.ingest import Reject
from plugin.web import health, problems
from plugin.web.headers import HEADERS
from plugin.web.health import state_of
from plugin.web.utterances import shown
from tests.unit.web.conftest import PASSWORD, UTTERANCES, Door, ask, problem

DATABASE_AWAY = (503, "the database does not answer; send the same again later")


def test_unknown_addresses_and_methods_are_problems_too(door: Door) -> None:
    assert problem(door.get("/nowhere")) == (404, "Not Found")
    answer = door.get(UTTERANCES)
    assert problem(answer) == (405, "Method Not Allowed")
    assert answer.headers["allow"] == "POST"


def test_without_the_database_nothing_is_taken_and_it_is_said(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    for answer in (door.utterances(), door.webhook()):
        assert problem(answer) == DATABASE_AWAY
        assert answer.headers["retry-after"] == "10"
    failed = [record for record in caplog.records if record.name == "plugin.web.problems"]
    assert [(record.levelname, record.getMessage()) for record in failed] == [
        ("ERROR", "the database failed: OperationalError")
    ] * 2
    assert "127.0.0.1" in caplog.text


def test_alive_but_not_ready_without_its_parts(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    assert (door.get("/health/live").status_code, door.get("/health/live").json()) == (200, {"status": "alive"})
    answer = door.get("/health/ready")
    assert (answer.status_code, answer.json()) == (503, {"database": "unreachable", "broker": "unreachable"})
    said = [record.getMessage() for record in caplog.records if record.name == "plugin.web.health"]
    assert said == ["database is not ready: OperationalError", "broker is not ready: OperationalError"]


@pytest.mark.timeout(60)
def test_a_broker_that_says_nothing_is_not_ready(
    make_door: Callable[..., Door], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(health, "BROKER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        door = make_door(broker_url=SecretStr(f"redis://127.0.0.1:{silent.getsockname()[1]}/0"))
        assert door.get("/health/ready").json()["broker"] == "unreachable"


def test_a_part_that_fails_in_its_own_words_is_named_without_them(caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        raise RuntimeError(f"cannot reach redis://:{PASSWORD}@host")

    assert state_of("broker", fail) == "unreachable"
    assert caplog.messages == ["broker is not ready: RuntimeError"]


@pytest.fixture
def failing() -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.get("/own")
    def own() -> None:
        raise ZeroDivisionError("private")

    @app.get("/number")
    def number(size: int) -> None:
        raise OperationalError(f"SELECT {size}", {}, Exception("gone"))

    return app


def test_what_was_sent_is_never_repeated(failing: FastAPI) -> None:
    answer = ask(failing, "GET", "/number", params={"size": "private"})
    assert problem(answer)[0] == 422
    assert problem(answer)[1].startswith("query.size: ")
    assert "private" not in answer.text


def test_the_words_of_an_error_stay_in_the_log(failing: FastAPI) -> None:
    answer = ask(failing, "GET", "/own")
    assert problem(answer) == (500, "an error of Assay's own; its log says which")
    assert "private" not in answer.text
    assert {name: answer.headers.get(name) for name in HEADERS} == HEADERS
    assert problem(ask(failing, "GET", "/number?size=1")) == DATABASE_AWAY


def test_a_reject_shows_where_and_why_but_not_all_of_it() -> None:
    reject = Reject(3, RecordError("text", "is missing"), "é".encode() * 200)
    assert shown(reject) == {"line": 3, "field": "text", "reason": "is missing", "raw": "é" * 100}
    broken = shown(Reject(1, RecordError("", "not UTF-8"), b"caf\xe9"))
    assert broken["raw"] == "caf\N{REPLACEMENT CHARACTER}"
