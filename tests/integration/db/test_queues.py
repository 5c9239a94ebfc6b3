"""Queues of any length: no statement has more parameters than PostgreSQL takes."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import Queue, QueueTask, SelectionRow
from db.repositories import queues
from tests import factories

NOW = datetime(2026, 11, 1, tzinfo=UTC)
MANY = range(1, 70_001)


def test_a_queue_of_any_length(session: Session) -> None:
    queue = Queue(instance="main", locale="en-US", domain="music")
    round_ = SelectionRow(
        locale="en-US", model_version_id=factories.champion(session).id, policy={}, frame_watermark=NOW, frame_hash="",
        frame_size=0, items_hash="", seed=0, code_version="",
    )  # fmt: skip
    session.add_all([queue, round_])
    session.flush()
    ids = [row.id for row in factories.utterances(session, 8_300)]
    rows = [
        {"utterance_id": id_, "revision": 1, "selection_id": round_.id, "task_id": id_, "rank_code": 0.5,
         "state": "published", "state_since": NOW}
        for id_ in ids
    ]  # fmt: skip
    for _ in range(2):
        queues.put_tasks(session, queue.id, rows)
    assert session.scalar(select(func.count()).select_from(QueueTask)) == len(ids)
    assert queues.utterances_elsewhere(session, queue, MANY) == set()
    assert queues.mark_annotated(session, queue.id, [ids[0], *range(10**6, 10**6 + 70_000)], NOW) == 1
    assert queues.mark_removed(session, queue.id, [*ids[:2], *range(10**6, 10**6 + 70_000)]) == 1
