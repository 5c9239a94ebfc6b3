"""For whoever watches the process: is it alive, and can it do its work."""

from __future__ import annotations

import logging
from collections.abc import Callable
from http import HTTPStatus

from fastapi import APIRouter, Request, Response
from sqlalchemy import text

from plugin.wiring import BROKER_SECONDS, Wiring

log = logging.getLogger(__name__)


router = APIRouter(prefix="/health")


@router.get("/live")
async def live() -> dict[str, str]:
    return {"status": "alive"}


@router.get("/ready")
def ready(request: Request, response: Response) -> dict[str, str]:
    wiring: Wiring = request.app.state.wiring
    parts = {
        "database": state_of("database", lambda: ask_database(wiring)),
        "broker": state_of("broker", lambda: ask_broker(wiring)),
    }
    if set(parts.values()) != {"ok"}:
        response.status_code = HTTPStatus.SERVICE_UNAVAILABLE
    return parts


def state_of(part: str, ask: Callable[[], None]) -> str:
    try:
        ask()
    except Exception as error:  # noqa: BLE001  # whatever it is, the part is not ready
        # An error's own words may hold an address with a password.
        log.warning("%s is not ready: %s", part, type(error).__name__)
        return "unreachable"
    return "ok"


def ask_database(wiring: Wiring) -> None:
    with wiring.engine.connect() as connection:
        connection.execute(text("SELECT 1"))


def ask_broker(wiring: Wiring) -> None:
    with wiring.celery.connection_for_write() as connection:
        connection.ensure_connection(max_retries=0, timeout=BROKER_SECONDS)
