"""The web door as uvicorn serves it, on real PostgreSQL and Redis."""

from __future__ import annotations

import base64
import json
import logging
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import redis
import uvicorn
from fastapi import FastAPI
from sqlalchemy import Connection, column, func, select, text
from sqlalchemy.engine import make_url

from db.models import Queue, UtteranceRow, WebhookEventRow
from db.session import make_engine
from plugin.settings import get_settings
from plugin.web.app import create_app
from plugin.wiring import get_wiring
from tests.servers import PostgresServer
from tests.unit.web.logs import logged

TOKEN = "the-ingest-token"
SECRET = "the-webhook-secret"
PASSWORD = "the-password"
BATCH = 100
LIMIT = 4 << 20
SECONDS = 30.0

WORDS = ("ingest", "scoring")


def line(id_: str = "u1", text: str = "play jazz", **changed: Any) -> bytes:
    return json.dumps({"id": id_, "locale": "en-US", "text": text, **changed}).encode() + b"\n"


def event(action: str = "ANNOTATION_CREATED", project: int | None = 7, **more: Any) -> dict[str, Any]:
    """As Label Studio sends it, less what nobody reads."""
    made = {"id": 5, "task": 1, "updated_at": "2026-11-24T04:11:23Z"}
    given = {"action": action, "annotation": made, "task": {"id": 1}, **more}
    return given if project is None else {**given, "project": {"id": project}}


@dataclass(frozen=True)
class Door:
    """Sends what a good client sends, but for what a test changes."""

    client: httpx.Client

    def get(self, path: str) -> httpx.Response:
        return self.client.get(path)

    def utterances(self, *lines: bytes, query: str = "", **headers: str) -> httpx.Response:
        good = {"authorization": f"Bearer {TOKEN}", "content-type": "application/x-ndjson"}
        return self.client.post(f"/api/utterances{query}", content=b"".join(lines), headers={**good, **headers})

    def webhook(self, body: object) -> httpx.Response:
        return self.client.post("/webhooks/label-studio", json=body, headers={"x-assay-secret": SECRET})


@dataclass(frozen=True)
class Broker:
    """What was asked of the workers: Celery task names with their arguments."""

    client: redis.Redis

    def waiting(self, word: str) -> list[tuple[str, list[Any]]]:
        return sorted(_read(message) for message in self.client.lrange(word, 0, -1))

    def next(self, word: str) -> tuple[str, list[Any]]:
        """Waits for it: a webhook is answered before its Celery task is sent."""
        message = self.client.blpop([word], timeout=SECONDS)
        assert message is not None, f"nothing was sent to {word}"
        return _read(message[1])


def _read(message: bytes | str) -> tuple[str, list[Any]]:
    envelope = json.loads(message)
    return envelope["headers"]["task"], json.loads(base64.b64decode(envelope["body"]))[0]


@pytest.fixture
def broker(redis_url: str) -> Iterator[Broker]:
    with redis.Redis.from_url(redis_url, socket_timeout=2 * SECONDS) as client:
        client.delete(*WORDS)
        yield Broker(client)
        client.delete(*WORDS)


@pytest.fixture
def environment(clean_database_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    for name, value in {
        "DATABASE_URL": clean_database_url,
        "BROKER_URL": redis_url,
        "INGEST_TOKEN": TOKEN,
        "WEBHOOK_SECRET": SECRET,
        "SCORING_BATCH_SIZE": str(BATCH),
        "INGEST_MAX_REQUEST_BYTES": str(LIMIT),
    }.items():
        monkeypatch.setenv(f"ASSAY_{name}", value)
    forget_environment()
    yield
    forget_environment()


def forget_environment() -> None:
    """What is asked for next reads it anew."""
    if get_wiring.cache_info().currsize:
        get_wiring().close()
    get_settings.cache_clear()
    get_wiring.cache_clear()


@contextmanager
def serve(app: FastAPI) -> Iterator[Door]:
    """A server on a port of its own; at the end it answers what it has begun, and what follows an answer is done."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, access_log=True, ws="none", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            with httpx.Client(base_url=f"http://127.0.0.1:{listening.getsockname()[1]}", timeout=SECONDS) as client:
                # Connections wait in the socket's backlog until the server has started.
                assert client.get("/health/live").json() == {"status": "alive"}
                yield Door(client)
        finally:
            server.should_exit = True
            thread.join()


@pytest.fixture
def door(environment: None, broker: Broker) -> Iterator[Door]:
    with serve(create_app()) as door:
        yield door


@pytest.fixture
def without_broker(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_BROKER_URL", f"redis://:{PASSWORD}@127.0.0.1:1/0")
    forget_environment()


@pytest.fixture
def without_database(environment: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ASSAY_DATABASE_URL", f"postgresql://assay:{PASSWORD}@127.0.0.1:1/assay")
    forget_environment()


@pytest.fixture(autouse=True)
def _no_secret_is_logged(caplog: pytest.LogCaptureFixture, redis_url: str) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    secrets = (TOKEN, SECRET, PASSWORD, str(make_url(redis_url).password))
    text = logged(caplog)
    assert not [secret for secret in secrets if secret in text]


class Outage:
    """The database refuses everybody, and later takes them again."""

    def __init__(self, admin: Connection, database: str) -> None:
        self._admin = admin
        self._database = database

    def drop_connections(self) -> None:
        query = select(func.pg_terminate_backend(column("pid"))).select_from(text("pg_stat_activity"))
        self._admin.execute(query.where(column("datname") == self._database))

    def begin(self) -> None:
        self._allow("false")
        self.drop_connections()

    def end(self) -> None:
        self._allow("true")

    def _allow(self, allowed: str) -> None:
        self._admin.execute(text(f'ALTER DATABASE "{self._database}" ALLOW_CONNECTIONS {allowed}'))


@pytest.fixture
def outage(postgres_server: PostgresServer, clean_database_url: str) -> Iterator[Outage]:
    engine = make_engine(postgres_server.url("postgres"))
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as admin:
        outage = Outage(admin, str(make_url(clean_database_url).database))
        yield outage
        outage.end()
    engine.dispose()


def add_queue(project_id: int) -> None:
    with get_wiring().transaction() as session:
        session.add(Queue(instance="main", locale="en-US", domain="music", project_id=project_id))


def utterance_rows() -> list[UtteranceRow]:
    with get_wiring().transaction() as session:
        return list(session.scalars(select(UtteranceRow).order_by(UtteranceRow.id)))


def inbox() -> list[WebhookEventRow]:
    with get_wiring().transaction() as session:
        return list(session.scalars(select(WebhookEventRow).order_by(WebhookEventRow.id)))


def together(count: int, act: Callable[[int], httpx.Response]) -> list[httpx.Response]:
    """Answers of clients that start at the same moment."""
    barrier = threading.Barrier(count)
    answers: list[httpx.Response] = []

    def run(number: int) -> None:
        barrier.wait(SECONDS)
        answers.append(act(number))

    threads = [threading.Thread(target=run, args=[number]) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == count
    return answers


def exchange(door: Door, request: bytes, *, hang_up: bool = False) -> bytes:
    """The first bytes that come back from a connection of our own; none when we hang up."""
    url = door.client.base_url
    with socket.create_connection((url.host, url.port or 80), timeout=SECONDS) as connection:
        connection.sendall(request)
        return b"" if hang_up else connection.recv(4096)
