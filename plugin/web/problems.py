"""Errors as RFC 9457 problems: one clear sentence, and never a value that could be a secret."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException

from plugin.web.headers import HEADERS

log = logging.getLogger(__name__)

MEDIA_TYPE = "application/problem+json"


class ProblemError(Exception):
    """`more` are members of the answer beside type, title, status and detail."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        headers: Mapping[str, str] | None = None,
        more: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers
        self.more = more or {}


def problem_response(
    status: int, detail: str, headers: Mapping[str, str] | None = None, more: Mapping[str, Any] | None = None
) -> Response:
    body = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        **(more or {}),
    }
    return Response(json.dumps(body), status, headers, MEDIA_TYPE)


def install(app: FastAPI) -> None:
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(SQLAlchemyError, _database)
    app.add_exception_handler(Exception, _unexpected)


def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem_response(error.status, error.detail, error.headers, error.more)


def _http_exception(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    return problem_response(error.status_code, str(error.detail), error.headers)


def _invalid(_: Request, error: Exception) -> Response:
    """Names the parameter; FastAPI's own answer would repeat what was sent."""
    assert isinstance(error, RequestValidationError)
    found = [f"{'.'.join(str(part) for part in item['loc'])}: {item['msg']}" for item in error.errors()]
    return problem_response(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join(found))


def _database(_: Request, error: Exception) -> Response:
    """What was committed stays, so whoever sends the same again loses nothing and doubles nothing."""
    log.error("the database failed: %s", type(error).__name__, exc_info=error)
    return problem_response(
        HTTPStatus.SERVICE_UNAVAILABLE, "the database does not answer; send the same again later", {"Retry-After": "10"}
    )


def _unexpected(_: Request, __: Exception) -> Response:
    """The server logs the traceback itself. Starlette answers this one outside of every middleware."""
    detail = "an error of Assay's own; its log says which"
    return problem_response(HTTPStatus.INTERNAL_SERVER_ERROR, detail, HEADERS)
