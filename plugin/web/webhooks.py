"""POST /webhooks/label-studio: into the inbox, and answered at once.

Label Studio waits for the answer within its annotator's own request, one second at most, and never sends again. So
nothing but the commit stands before the answer; the worker is told after it, and the sweep finds what it was not told.
"""

from __future__ import annotations

from http import HTTPStatus
from typing import Annotated

import orjson
from fastapi import APIRouter, BackgroundTasks, Header, Request
from fastapi.concurrency import run_in_threadpool

from plugin.label_studio.payloads import PayloadError, parse_webhook
from plugin.services import ingest
from plugin.web.bodies import receive
from plugin.web.problems import ProblemError
from plugin.web.security import check_secret
from plugin.wiring import Wiring

router = APIRouter()


@router.post("/webhooks/label-studio", status_code=HTTPStatus.ACCEPTED)
async def post_webhook(
    request: Request, later: BackgroundTasks, x_assay_secret: Annotated[str | None, Header()] = None
) -> dict[str, str]:
    wiring: Wiring = request.app.state.wiring
    check_secret(wiring.settings.webhook_secret, x_assay_secret)
    body = bytearray()
    await receive(request, body.extend, wiring.settings.ingest_max_request_bytes)
    event_id = await run_in_threadpool(keep, wiring, bytes(body))
    if event_id is None:
        return {"status": "known"}
    later.add_task(wiring.send, "ingest.webhook_event", event_id)
    return {"status": "accepted"}


def keep(wiring: Wiring, body: bytes) -> int | None:
    """The committed event's id, None when it came before."""
    try:
        event = parse_webhook(orjson.loads(body))
        with wiring.transaction() as session:
            return ingest.receive_webhook(session, event)
    except orjson.JSONDecodeError:
        raise ProblemError(HTTPStatus.BAD_REQUEST, "the body is not JSON") from None
    except PayloadError as error:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
