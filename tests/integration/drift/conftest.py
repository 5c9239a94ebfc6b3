"""A locale with five weeks of traffic and reviews, in which something may change in the last one."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import numpy as np
import pytest
from sqlalchemy import insert
from sqlalchemy.orm import Session
from standardwebhooks.webhooks import Webhook

from db.models import AnnotationRow, Score, SelectionItemRow, SelectionRow, UtteranceRow
from db.session import TransactionMaker
from plugin.services.drift import Limits
from tests import factories

LOCALE = "en-US"
NOW = datetime(2026, 3, 1, tzinfo=UTC)
LIMITS = Limits(fewest=200, fewest_reviews=50)
LAST_WEEK, BEFORE = timedelta(days=3), timedelta(days=20)
SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


@pytest.fixture
def transaction(session: Session) -> TransactionMaker:
    """Every block is a savepoint of the test's transaction."""

    @contextmanager
    def make() -> Iterator[Session]:
        with session.begin_nested():
            yield session
        session.expire_all()

    return make


@dataclass
class World:
    session: Session
    version_id: int
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))
    made: int = 0

    def arrive(
        self, count: int, ago: timedelta, *, moved: float = 0.0, domain: str | None = None, **changed: Any
    ) -> list[int]:
        """Scored utterances that came in so long before `NOW`; their ids."""
        rows = []
        for number in range(self.made, self.made + count):
            row = factories.utterance(number, ingested_at=NOW - ago, nlu_score=float(self.rng.beta(5, 2)), **changed)
            row.domain = domain or row.domain
            rows.append(row)
        self.made += count
        factories.added(self.session, rows)
        self.session.execute(insert(Score), [self.score(row, moved) for row in rows])
        return [row.id for row in rows]

    def score(self, row: UtteranceRow, moved: float) -> dict[str, Any]:
        return {
            "model_version_id": self.version_id, "utterance_id": row.id, "revision": 1,
            "entropy": float(self.rng.gamma(2.0, 0.2)) + moved, "margin": 0.5, "least_confidence": 0.1, "el2n": 0.1,
            "predicted_domain": row.domain or "", "confidence": 0.5,
        }  # fmt: skip

    def traffic(self, *, moved: float = 0.0, now: int = 300) -> None:
        self.arrive(800, BEFORE)
        self.arrive(now, LAST_WEEK, moved=moved)

    def round(self, ids: Sequence[int], *, arms: Sequence[str] = ("control",), **changed: Any) -> SelectionRow:
        values: dict[str, Any] = {
            "locale": LOCALE, "model_version_id": self.version_id, "policy": {"*": {"strategy": "entropy"}},
            "frame_watermark": NOW, "frame_hash": "", "frame_size": len(ids), "items_hash": "", "seed": 0,
            "code_version": "test", "superseded_at": NOW, **changed,
        }  # fmt: skip
        row = SelectionRow(**values)
        self.session.add(row)
        self.session.flush()
        items = [
            {
                "selection_id": row.id, "utterance_id": id_, "revision": 1, "domain": "music", "rank": rank,
                "arms": list(arms), "inclusion_probability": 0.5,
            }
            for rank, id_ in enumerate(ids, start=1)
        ]  # fmt: skip
        self.session.execute(insert(SelectionItemRow), items)
        return row

    def review(self, ids: Sequence[int], ago: timedelta, *, wrong: float = 0.2, **changed: Any) -> None:
        rows = [
            {
                "utterance_id": id_, "revision": 1, "instance": "main", "annotation_id": id_, "task_id": id_,
                "verdict": "fix" if number < wrong * len(ids) else "accept", "annotator": f"ann {number % 2}",
                "domain": "music", "intent": "any", "created_at": NOW - ago, "updated_at": NOW - ago, **changed,
            }
            for number, id_ in enumerate(ids)
        ]  # fmt: skip
        self.session.execute(insert(AnnotationRow), rows)


@pytest.fixture
def world(session: Session) -> World:
    return World(session, factories.champion(session).id)


@dataclass
class Inbox:
    """A receiver of webhooks that checks what it gets, as its owner would; `answers` are given one after another."""

    url: str = ""
    answers: list[int] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    messages: list[dict[str, Any]] = field(default_factory=list)
    forged: int = 0


@pytest.fixture
def inbox() -> Iterator[Inbox]:
    inbox = Inbox()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            try:
                Webhook(SECRET).verify(body, dict(self.headers))
            except Exception:  # noqa: BLE001
                inbox.forged += 1
            inbox.ids.append(self.headers["webhook-id"])
            inbox.messages.append(json.loads(body))
            self.send_response(inbox.answers.pop(0) if inbox.answers else 204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Not on the terminal of the tests."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    inbox.url = f"http://127.0.0.1:{server.server_address[1]}/alarms?key=hunter2"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield inbox
    server.shutdown()
    server.server_close()
    thread.join()
