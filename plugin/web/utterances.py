"""POST /api/utterances: records of a production log, as NDJSON."""

from __future__ import annotations

from dataclasses import asdict
from http import HTTPStatus
from typing import Annotated, Any, BinaryIO

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool

from plugin.formats.files import read_json_lines
from plugin.formats.record import parse_utterance
from plugin.services import ingest
from plugin.services.ingest import Chunk, Reject, Summary
from plugin.web.bodies import check_media_type, receive, spooled
from plugin.web.problems import ProblemError
from plugin.web.security import check_bearer
from plugin.wiring import Wiring

MEDIA_TYPES = ("application/x-ndjson", "application/jsonl", "application/x-jsonlines")
# The answer names this many; `rejected` counts all.
SHOWN_REJECTS = 1000
SHOWN_BYTES = 200

router = APIRouter()


@router.post("/api/utterances", responses={status: {} for status in (401, 413, 415, 422, 503)})
async def post_utterances(
    request: Request,
    source: Annotated[str, Query(description="names the stream; an id is unique within it")] = ingest.DEFAULT_SOURCE,
    authorization: Annotated[str | None, Header()] = None,
) -> dict[str, Any]:
    """Commit, ask for scores, answer. Bad lines are named in the answer and never stop the others."""
    wiring: Wiring = request.app.state.wiring
    check_bearer(wiring.settings.ingest_token, authorization)
    check_media_type(request, MEDIA_TYPES)
    try:
        ingest.check_source(source)
    except ValueError as error:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None
    with spooled() as body:
        await receive(request, body.write, wiring.settings.ingest_max_request_bytes)
        body.seek(0)
        return await run_in_threadpool(take, wiring, body, source)


def take(wiring: Wiring, body: BinaryIO, source: str) -> dict[str, Any]:
    total = Summary()
    rejects: list[dict[str, Any]] = []
    sent = True
    for chunk in ingest.ingest_utterances(wiring.transaction, read_json_lines(body, parse_utterance), source):
        total += chunk.summary
        rejects += [shown(reject) for reject in chunk.rejects[: SHOWN_REJECTS - len(rejects)]]
        sent = sent and ask_for_scores(wiring, chunk)
    answer = {"source": source, **asdict(total), "rejects": rejects, "scoring_requested": sent}
    if total.read == 0:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "the body holds no record")
    if total.rejected == total.read:
        raise ProblemError(HTTPStatus.UNPROCESSABLE_ENTITY, "every record was rejected", more=answer)
    return answer


def ask_for_scores(wiring: Wiring, chunk: Chunk) -> bool:
    """False when the broker is away, which needs to be found out only once: the sweep finds the rows."""
    ranges = ingest.score_ranges(chunk.ids, wiring.settings.scoring_batch_size)
    return all(wiring.send("scoring.score_batch", first, last) for first, last in ranges)


def shown(reject: Reject) -> dict[str, Any]:
    return {
        "line": reject.line,
        "field": reject.error.field,
        "reason": reject.error.reason,
        "raw": reject.raw[:SHOWN_BYTES].decode(errors="replace"),
    }
