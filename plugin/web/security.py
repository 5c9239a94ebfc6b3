"""Who may come in, and what browsers may do with our answers."""

from __future__ import annotations

import hmac
from http import HTTPStatus

from pydantic import SecretStr
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from plugin.web.problems import ProblemError

HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class SecurityHeaders:
    """Sets what a route has not set itself."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, send_with_headers if scope["type"] == "http" else send)


def check_bearer(expected: SecretStr | None, authorization: str | None) -> None:
    scheme, _, given = (authorization or "").partition(" ")
    if scheme.lower() != "bearer":
        given = ""
    _check(expected, given.strip(), "ASSAY_INGEST_TOKEN", "send the ingest token as `Authorization: Bearer TOKEN`")


def check_secret(expected: SecretStr | None, given: str | None) -> None:
    _check(expected, given or "", "ASSAY_WEBHOOK_SECRET", "send the webhook secret in X-Assay-Secret")


def _check(expected: SecretStr | None, given: str, variable: str, hint: str) -> None:
    if expected is None or not expected.get_secret_value():
        raise ProblemError(HTTPStatus.SERVICE_UNAVAILABLE, f"this door is closed: {variable} is not set")
    # Header values are Latin-1, and compare_digest takes no other text than ASCII.
    if not hmac.compare_digest(given.encode(errors="replace"), expected.get_secret_value().encode()):
        raise ProblemError(HTTPStatus.UNAUTHORIZED, hint, headers={"WWW-Authenticate": "Bearer"})
