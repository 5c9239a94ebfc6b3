"""The tasks of a queue: what is in Label Studio, as far as we know."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    DateTime,
    Double,
    Text,
    case,
    cast,
    func,
    literal,
    select,
    update,
)
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session

from db.models import Queue, QueueTask
from db.repositories.ids import among

# Sent as one array for each column: SQLAlchemy would build a statement of thousands of rows for longer than it runs.
PUT: dict[str, Any] = {
    "utterance_id": BigInteger, "revision": BigInteger, "selection_id": BigInteger, "task_id": BigInteger,
    "rank_code": Double, "blind": Boolean, "state": Text, "state_since": DateTime(timezone=True),
}  # fmt: skip


def tasks(session: Session, queue_id: int) -> Sequence[QueueTask]:
    return session.scalars(
        select(QueueTask).where(QueueTask.queue_id == queue_id).order_by(QueueTask.rank_code, QueueTask.id)
    ).all()


def utterances_elsewhere(session: Session, queue: Queue, utterance_ids: Sequence[int]) -> set[int]:
    """Those of the utterances that another review queue of the instance still shows or has had annotated."""
    return set(
        session.scalars(
            select(QueueTask.utterance_id)
            .join(Queue, Queue.id == QueueTask.queue_id)
            .where(Queue.instance == queue.instance, Queue.id != queue.id, Queue.kind == "review")
            .where(among(QueueTask.utterance_id, utterance_ids))
            .where(QueueTask.state.in_(["published", "leaving", "annotated"]))
        )
    )


def put_tasks(session: Session, queue_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert or renew tasks by (queue, utterance); one that was annotated meanwhile stays annotated, and blind is
    blind for good. Rows have the keys of `PUT`; `blind` may lack.
    """
    if not rows:
        return
    cells = [cast([row.get(name, False) for row in rows], ARRAY(kind)) for name, kind in PUT.items()]
    given = func.unnest(*cells).table_valued(*PUT, name="given").render_derived()
    source = select(literal(queue_id, BigInteger), *(given.c[name] for name in PUT))
    statement = insert(QueueTask).from_select(["queue_id", *PUT], source)
    new = statement.excluded
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["queue_id", "utterance_id"],
            set_={
                "revision": new.revision, "selection_id": new.selection_id, "task_id": new.task_id,
                "rank_code": new.rank_code,
                "state": case((QueueTask.state == "annotated", "annotated"), else_=new.state),
                "state_since": case((QueueTask.state == "annotated", QueueTask.state_since), else_=new.state_since),
            },
        )
    )  # fmt: skip


def mark_annotated(session: Session, queue_id: int, task_ids: Sequence[int], at: datetime) -> int:
    result = session.execute(
        update(QueueTask)
        .where(QueueTask.queue_id == queue_id, among(QueueTask.task_id, task_ids), QueueTask.state != "annotated")
        .values(state="annotated", state_since=at)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


def mark_removed(session: Session, queue_id: int, task_ids: Sequence[int]) -> int:
    """Tasks that are no longer in Label Studio. An annotated one stays annotated: its work was collected."""
    result = session.execute(
        update(QueueTask)
        .where(QueueTask.queue_id == queue_id, among(QueueTask.task_id, task_ids), QueueTask.state != "annotated")
        .values(state="removed", task_id=None, state_since=func.clock_timestamp())
    )
    return int(result.rowcount)  # type: ignore[attr-defined]
