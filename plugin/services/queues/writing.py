"""The rows of what was published."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db.models import QueueTask
from db.repositories import polls
from db.repositories import queues as queue_rows
from plugin.label_studio.queues import QueueTask as Shown
from plugin.services.queues.plans import Plan


def write_plan(session: Session, plan: Plan, task_ids: Sequence[int], now: datetime, *, in_doubt: bool = False) -> None:
    """`in_doubt`: of what was sent, something may come a second time."""
    begun_at, now = now, polls.clock(session)  # what leaves is last from now on: so long people may hold it
    rows = [new_row(plan, item, task_id, now) for item, task_id in zip(plan.new, task_ids, strict=True)]
    rows += [
        {**new_row(plan, item, row.task_id, now), "state_since": row.state_since if row.state == "published" else now}
        for row, item in plan.staying
    ]
    rows += [leaving_row(row, item.rank_code, now) for row, item in plan.leaving]
    rows += [leaving_row(row, code, now) for row, code in plan.moves]
    queue_rows.put_tasks(session, plan.queue.id, rows)
    queue_rows.set_published(session, plan.queue.id, plan.shows_id, plan.changes, now)
    queue_rows.set_order(session, plan.queue.id, plan.order_id, plan.model_version)
    if in_doubt:
        queue_rows.doubt_import(session, plan.queue.id, begun_at)
    else:
        queue_rows.end_import(session, plan.queue.id)


def new_row(plan: Plan, item: Shown, task_id: int | None, now: datetime) -> dict[str, Any]:
    return {
        "utterance_id": item.utterance_id,
        "revision": plan.revisions[item.utterance_id],
        "selection_id": plan.strata[item.utterance_id],
        "task_id": task_id,
        "rank_code": item.rank_code,
        "blind": item.blind,
        "state": "published",
        "state_since": now,
    }


def leaving_row(row: QueueTask, code: float, now: datetime) -> dict[str, Any]:
    return {
        "utterance_id": row.utterance_id,
        "revision": row.revision,
        "selection_id": row.selection_id,
        "task_id": row.task_id,
        "rank_code": code,
        "state": "leaving",
        "state_since": row.state_since if row.state == "leaving" else now,
    }
