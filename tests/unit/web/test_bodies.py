"""What a body may be: its size, its media type, its encoding."""

from __future__ import annotations

import asyncio
import gzip
import logging
from collections.abc import AsyncIterator

import pytest
from fastapi import FastAPI
from starlette.types import Message

from tests.unit.web.conftest import LIMIT, LINE, SECRET, TOKEN, UTTERANCES, WEBHOOK, Door, problem

TOO_LARGE = f"the body must have at most {LIMIT} bytes: send it in parts, or use `assay ingest`"
PIECE = b" " * 1024


class Stream:
    """A body of no announced length."""

    def __init__(self, pieces: int) -> None:
        self.left = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while self.left:
            self.left -= 1
            yield PIECE


def test_what_is_announced_too_large_is_refused_unread(door: Door) -> None:
    for answer in (door.utterances(b" " * (LIMIT + 1)), door.webhook(b" " * (LIMIT + 1))):
        assert problem(answer) == (413, TOO_LARGE)
        assert answer.headers["connection"] == "close"
    for length in (LIMIT + 1, 10**30):
        stream = Stream(1)
        assert door.utterances(stream.__aiter__(), content_length=str(length)).status_code == 413
        assert stream.left == 1


def test_what_grows_too_large_is_refused_as_soon_as_it_does(door: Door) -> None:
    for send in (door.utterances, door.webhook):
        stream = Stream(1000)
        assert problem(send(stream.__aiter__())) == (413, TOO_LARGE)
        assert stream.left == 1000 - LIMIT // len(PIECE) - 1


def test_the_limit_itself_is_allowed(door: Door) -> None:
    assert problem(door.utterances(b" " * LIMIT)) == (422, "the body holds no record")
    assert problem(door.utterances(Stream(LIMIT // len(PIECE)).__aiter__())) == (422, "the body holds no record")
    assert problem(door.webhook(b" " * LIMIT)) == (400, "the body is not JSON")


def test_a_sender_who_goes_away_is_no_error_of_ours(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    """Label Studio hangs up on a webhook after a second."""
    for path, headers in (
        (UTTERANCES, [(b"authorization", f"Bearer {TOKEN}".encode()), (b"content-type", b"application/jsonl")]),
        (WEBHOOK, [(b"x-assay-secret", SECRET.encode())]),
    ):
        sent = post_and_hang_up(door.app, path, headers)
        assert [message.get("status") for message in sent] == [400, None]
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


def post_and_hang_up(app: FastAPI, path: str, headers: list[tuple[bytes, bytes]]) -> list[Message]:
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    given: list[Message] = [{"type": "http.request", "body": LINE, "more_body": True}, {"type": "http.disconnect"}]
    sent: list[Message] = []

    async def receive() -> Message:
        return given.pop(0)

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(app(scope, receive, send))
    return sent


@pytest.mark.parametrize("body", [b"", b"\n", b"\r\n \n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
def test_a_body_without_a_record_is_an_error(door: Door, body: bytes) -> None:
    assert problem(door.utterances(body)) == (422, "the body holds no record")


@pytest.mark.parametrize(
    "given",
    ["application/x-ndjson", "application/jsonl", "application/x-jsonlines", "Application/X-NDJSON ; charset=utf-8"],
)
def test_media_types_of_json_lines(door: Door, given: str) -> None:
    assert door.utterances(b"", content_type=given).status_code == 422


@pytest.mark.parametrize(
    ("given", "named"),
    [
        (None, "'unnamed'"), ("", "'unnamed'"), ("text/csv", "'text/csv'"), ("application/json", "'application/json'"),
        ("application/x-www-form-urlencoded", "'application/x-www-form-urlencoded'"), ("multipart/form-data; b=1",
        "'multipart/form-data'"), ("application/x-ndjson, text/plain", "'application/x-ndjson, text/plain'"),
    ],
)  # fmt: skip
def test_other_media_types_are_refused(door: Door, given: str | None, named: str) -> None:
    status, detail = problem(door.utterances(content_type=given))
    assert status == 415
    assert (
        detail == f"the body must be application/x-ndjson or application/jsonl or application/x-jsonlines, not {named}"
    )


@pytest.mark.parametrize("encoding", ["gzip", "GZIP", "br", "deflate, gzip"])
def test_encoded_bodies_are_refused(door: Door, encoding: str) -> None:
    """A small body must not unpack to a large one."""
    answer = door.utterances(gzip.compress(LINE), content_encoding=encoding)
    assert problem(answer) == (415, f"the body must not be encoded, and is {encoding.lower()!r}")
    assert door.utterances(b"", content_encoding="identity").status_code == 422


@pytest.mark.parametrize(
    ("query", "reason"), [("?source=", "blank"), ("?source=%00", "control characters"), ("?source=" + "x" * 129, "128")]
)
def test_a_source_must_be_a_name(door: Door, query: str, reason: str) -> None:
    status, detail = problem(door.utterances(query=query))
    assert status == 422
    assert detail.startswith("source: ")
    assert reason in detail


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff\xfe", b"NaN", b"[" * 4000, b'{"action": "\\ud800"}', b"a=1", LINE * 2]
)
def test_a_webhook_must_be_json(door: Door, body: bytes) -> None:
    assert problem(door.webhook(body)) == (400, "the body is not JSON")


@pytest.mark.parametrize(
    "body",
    [
        b"null", b"[]", b'"x"', b"{}", b'{"action": 3}', b'{"action": "drop table"}', b'{"action": "A\\u0000"}',
        b'{"action": ""}', b'{"action": "ANNOTATION_CREATED", "project": {"id": "seven"}}',
        b'{"action": "ANNOTATION_CREATED", "project": {"id": 0}}', b'{"action": "TASKS_CREATED", "tasks": [{}]}',
        b'{"action": "ANNOTATION_CREATED", "project": {"id": 99999999999999999999}}',
        b'{"action": "ANNOTATION_CREATED", "project": {"id": null}}',
        b'{"action": "ANNOTATION_CREATED", "annotation": {"id": [5]}}',
    ],
)  # fmt: skip
def test_a_webhook_must_be_one_of_label_studio(door: Door, body: bytes) -> None:
    status, detail = problem(door.webhook(body))
    assert status == 422
    assert "webhook" in detail
