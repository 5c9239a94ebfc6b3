"""The web door without a server: its parts are unreachable, so whatever is refused was refused before them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr

from plugin.settings import Settings
from plugin.web.app import create_app
from plugin.wiring import Wiring
from tests.unit.web.logs import logged

TOKEN = "the-ingest-token"
SECRET = "the-webhook-secret"
PASSWORD = "the-password"
SECRETS = (TOKEN, SECRET, PASSWORD)
LIMIT = 4096

UTTERANCES = "/api/utterances"
WEBHOOK = "/webhooks/label-studio"
LINE = b'{"id": "u1", "locale": "en-US", "text": "play jazz"}\n'
EVENT = b'{"action": "ANNOTATION_CREATED", "project": {"id": 7}, "annotation": {"id": 5, "task": 1}}'

Body = bytes | AsyncIterator[bytes]


def ask(app: FastAPI, method: str, path: str, **request: Any) -> httpx.Response:
    async def send() -> httpx.Response:
        transport = httpx.ASGITransport(app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://assay") as client:
            return await client.request(method, path, **request)

    return asyncio.run(send())


class Door:
    """Sends what a good client sends, but for what a test changes; no answer may hold a secret."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app

    def get(self, path: str) -> httpx.Response:
        return self._checked(ask(self.app, "GET", path))

    def utterances(self, content: Body = LINE, query: str = "", **headers: str | None) -> httpx.Response:
        good = {"authorization": f"Bearer {TOKEN}", "content-type": "application/x-ndjson"}
        return self._post(UTTERANCES + query, content, good, headers)

    def webhook(self, content: Body = EVENT, **headers: str | None) -> httpx.Response:
        return self._post(WEBHOOK, content, {"x-assay-secret": SECRET, "content-type": "application/json"}, headers)

    def _post(self, path: str, content: Body, good: dict[str, str], changed: dict[str, str | None]) -> httpx.Response:
        """`None` leaves a header out; `content_type` stands for `content-type`."""
        headers = {**good, **{name.replace("_", "-"): value for name, value in changed.items()}}
        sent = {name: value.encode("latin-1") for name, value in headers.items() if value is not None}
        return self._checked(ask(self.app, "POST", path, content=content, headers=sent))

    @staticmethod
    def _checked(answer: httpx.Response) -> httpx.Response:
        assert not [secret for secret in SECRETS if secret in answer.text or secret in str(answer.headers)]
        return answer


def problem(answer: httpx.Response) -> tuple[int, str]:
    """Status and sentence of an RFC 9457 problem."""
    assert answer.headers["content-type"] == "application/problem+json"
    body = answer.json()
    assert body["type"] == "about:blank"
    assert body["status"] == answer.status_code
    assert body["title"]
    return answer.status_code, body["detail"]


@pytest.fixture(autouse=True)
def _no_secret_is_logged(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    caplog.set_level(logging.DEBUG)
    yield
    text = logged(caplog)
    assert not [secret for secret in SECRETS if secret in text]


@pytest.fixture
def make_door() -> Iterator[Callable[..., Door]]:
    made: list[Wiring] = []

    def make(**settings: Any) -> Door:
        given: dict[str, Any] = {
            "database_url": SecretStr(f"postgresql://assay:{PASSWORD}@127.0.0.1:1/assay"),
            "broker_url": SecretStr(f"redis://:{PASSWORD}@127.0.0.1:1/0"),
            "ingest_token": SecretStr(TOKEN),
            "webhook_secret": SecretStr(SECRET),
            "ingest_max_request_bytes": LIMIT,
            **settings,
        }
        made.append(Wiring(Settings(**given)))
        return Door(create_app(made[-1]))

    yield make
    for wiring in made:
        wiring.close()


@pytest.fixture
def door(make_door: Callable[..., Door]) -> Door:
    return make_door()
