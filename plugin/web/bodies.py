"""Bodies of requests, never larger than allowed, in memory only while they are small."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http import HTTPStatus
from tempfile import SpooledTemporaryFile
from typing import BinaryIO, cast

from fastapi import Request
from starlette.requests import ClientDisconnect

from plugin.web.problems import ProblemError

IN_MEMORY = 1 << 20


@contextmanager
def spooled() -> Iterator[BinaryIO]:
    with SpooledTemporaryFile(max_size=IN_MEMORY) as file:
        yield cast("BinaryIO", file)


async def receive(request: Request, write: Callable[[bytes], object], limit: int) -> None:
    """Hand the body on in pieces; what is announced too large is refused before, the rest as soon as it grows so."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > limit:
        raise _too_large(limit)
    size = 0
    try:
        async for piece in request.stream():
            size += len(piece)
            if size > limit:
                raise _too_large(limit)
            write(piece)
    except ClientDisconnect:
        # Nobody reads this answer; it keeps what is no error of ours out of the log.
        raise ProblemError(HTTPStatus.BAD_REQUEST, "the connection was closed before the body was whole") from None


def check_media_type(request: Request, allowed: tuple[str, ...]) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in allowed:
        raise ProblemError(
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body must be {' or '.join(allowed)}, not {given or 'unnamed'!r}"
        )
    encoding = request.headers.get("content-encoding", "identity").lower()
    if encoding != "identity":
        raise ProblemError(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"the body must not be encoded, and is {encoding!r}")


def _too_large(limit: int) -> ProblemError:
    return ProblemError(
        HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        f"the body must have at most {limit} bytes: send it in parts, or use `assay ingest`",
        headers={"Connection": "close"},
    )
