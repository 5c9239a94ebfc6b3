"""Who may come in."""

from __future__ import annotations

import hmac
from http import HTTPStatus

from pydantic import SecretStr

from plugin.web.problems import ProblemError


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
