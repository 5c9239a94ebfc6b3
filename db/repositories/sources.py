"""Attached projects and their tasks: which there are, what became of each task, and which reviews are to be written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Text, any_, case, exists, func, literal, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session, aliased

from db.models import Queue, QueueTask, SourceRow, SourceTaskRow, UtteranceRow
from db.repositories.ids import among
from db.repositories.queues import DIRTY
from db.repositories.utterances import leave_pool

# A statement takes no more than 65,535 parameters; a task has six.
ROWS_A_STATEMENT = 5_000
PLACE = ("state", "external_id", "utterance_id")


class TaskKept(NamedTuple):
    """What becomes of a task as it stands now. Without an utterance it is rejected, unless it had one before."""

    task_id: int
    external_id: str | None
    utterance_id: int | None
    problem: str | None


class SourceCounts(NamedTuple):
    """`written`: tasks that carry a review of ours; `unwritten`: those that one could not be written to."""

    source: SourceRow
    locales: list[str]
    live: int
    rejected: int
    deleted: int
    written: int
    unwritten: int


def get(session: Session, source_id: int) -> SourceRow | None:
    return session.get(SourceRow, source_id)


def by_project(session: Session, instance: str, project_id: int) -> SourceRow | None:
    query = select(SourceRow).where(SourceRow.instance == instance, SourceRow.project_id == project_id)
    return session.scalars(query).one_or_none()


def by_name(session: Session, name: str) -> SourceRow | None:
    return session.scalars(select(SourceRow).where(SourceRow.name == name)).one_or_none()


def attached(session: Session, instance: str) -> Sequence[SourceRow]:
    query = select(SourceRow).where(SourceRow.instance == instance, SourceRow.state == "attached")
    return session.scalars(query.order_by(SourceRow.id)).all()


def attached_projects(session: Session, instance: str) -> set[int]:
    query = select(SourceRow.project_id)
    return set(session.scalars(query.where(SourceRow.instance == instance, SourceRow.state == "attached")))


def attach(session: Session, instance: str, project_id: int, values: Mapping[str, Any]) -> SourceRow:
    """Attach a project, or attach it anew: then all its tasks are read again."""
    anew = {
        **values, "state": "attached", "detached_at": None, "attached_at": func.clock_timestamp(), "error": None,
        "collected_until": None, "reading_after": 0, "reading_since": None, "polled_at": None,
        "writing_after": None,
    }  # fmt: skip
    statement = insert(SourceRow).values(instance=instance, project_id=project_id, **anew)
    session.execute(statement.on_conflict_do_update(index_elements=["instance", "project_id"], set_=anew))
    session.expire_all()
    source = by_project(session, instance, project_id)
    assert source is not None
    return source


def detach(session: Session, source_id: int) -> None:
    session.execute(
        update(SourceRow)
        .where(SourceRow.id == source_id, SourceRow.state == "attached")
        .values(state="detached", detached_at=func.clock_timestamp())
    )


def due_ids(session: Session, instance: str, not_polled_for: timedelta) -> list[int]:
    """The attached sources that nobody has looked at for a while, or that are being read; the longest waiting first."""
    before = func.clock_timestamp() - not_polled_for
    query = (
        select(SourceRow.id)
        .where(SourceRow.instance == instance, SourceRow.state == "attached")
        .where(or_(SourceRow.polled_at.is_(None), SourceRow.polled_at <= before, SourceRow.reading_after.is_not(None)))
        .order_by(SourceRow.polled_at.nulls_first(), SourceRow.id)
    )
    return list(session.scalars(query))


def change(session: Session, source_id: int, **values: Any) -> None:
    session.execute(update(SourceRow).where(SourceRow.id == source_id).values(**values))


def set_collected_until(session: Session, source_id: int, until: datetime | None) -> None:
    """Never back."""
    if until is not None:
        later = func.greatest(func.coalesce(SourceRow.collected_until, until), until)
        session.execute(update(SourceRow).where(SourceRow.id == source_id).values(collected_until=later))


def known_tasks(session: Session, source_id: int) -> int:
    """How many tasks the project has as far as we know."""
    query = select(func.count()).where(SourceTaskRow.source_id == source_id, SourceTaskRow.state != "deleted")
    return session.scalar(query) or 0


def known_ids(session: Session, source_id: int) -> set[int]:
    query = select(SourceTaskRow.task_id)
    return set(session.scalars(query.where(SourceTaskRow.source_id == source_id, SourceTaskRow.state != "deleted")))


def utterances_of(session: Session, source_id: int, task_ids: Sequence[int]) -> dict[int, int]:
    """Task id -> the utterance that it is, of those of the tasks that are one."""
    query = (
        select(SourceTaskRow.task_id, SourceTaskRow.utterance_id)
        .where(SourceTaskRow.source_id == source_id, among(SourceTaskRow.task_id, task_ids))
        .where(SourceTaskRow.state == "live")
    )
    return {row.task_id: row.utterance_id for row in session.execute(query)}


def owners(session: Session, source_id: int, external_ids: Iterable[str]) -> dict[str, int]:
    """External id -> the live task that has it."""
    query = select(SourceTaskRow.external_id, SourceTaskRow.task_id).where(
        SourceTaskRow.source_id == source_id,
        SourceTaskRow.state == "live",
        SourceTaskRow.external_id == any_(literal(list(external_ids), ARRAY(Text))),
    )
    return {row.external_id: row.task_id for row in session.execute(query)}


def put_tasks(session: Session, source_id: int, tasks: Sequence[TaskKept]) -> None:
    """Insert or renew tasks. One that was live and is not taken any more stays as it was, with its problem."""
    for start in range(0, len(tasks), ROWS_A_STATEMENT):
        part = tasks[start : start + ROWS_A_STATEMENT]
        _put_tasks(session, source_id, [task for task in part if task.utterance_id is not None], "live")
        _put_tasks(session, source_id, [task for task in part if task.utterance_id is None], "rejected")


def _put_tasks(session: Session, source_id: int, tasks: Sequence[TaskKept], state: str) -> None:
    if not tasks:
        return
    rows = [{"source_id": source_id, "state": state, **task._asdict()} for task in tasks]
    statement = insert(SourceTaskRow).values(rows)
    new = statement.excluded
    stays = (SourceTaskRow.state == "live") & (new.state == "rejected")
    kept = {name: case((stays, getattr(SourceTaskRow, name)), else_=new[name]) for name in PLACE}
    # What could not be written back is looked at again: perhaps it was changed for that.
    failed = SourceTaskRow.write_problem.is_not(None)
    again = {name: case((failed, None), else_=getattr(SourceTaskRow, name)) for name in ("review_id", "review_at")}
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["source_id", "task_id"],
            set_={**kept, **again, "problem": new.problem, "write_problem": None},
        )
    )


def mark_deleted(session: Session, source_id: int, task_ids: Sequence[int]) -> set[int]:
    """The utterances that they were."""
    gone = session.execute(
        update(SourceTaskRow)
        .where(SourceTaskRow.source_id == source_id, among(SourceTaskRow.task_id, task_ids))
        .where(SourceTaskRow.state != "deleted")
        .values(state="deleted")
        .returning(SourceTaskRow.utterance_id)
    )
    return {row.utterance_id for row in gone if row.utterance_id is not None}


def claimants(session: Session, source_id: int) -> list[int]:
    """The rejected tasks that claimed an id which no task has now."""
    other = aliased(SourceTaskRow)
    taken = exists().where(
        other.source_id == source_id, other.state == "live", other.external_id == SourceTaskRow.external_id
    )
    query = select(SourceTaskRow.task_id).where(
        SourceTaskRow.source_id == source_id,
        SourceTaskRow.state == "rejected",
        SourceTaskRow.external_id.is_not(None),
        ~taken,
    )
    return list(session.scalars(query.order_by(SourceTaskRow.task_id)))


def let_go(session: Session, utterance_ids: Iterable[int]) -> int:
    """Those of the utterances that no task is any more leave the pool and their open places; their reviews stay.

    A queue puts them last when it is published the next time, so that they can be deleted.
    """
    wanted = list(utterance_ids)
    owned = select(SourceTaskRow.utterance_id).where(
        among(SourceTaskRow.utterance_id, wanted), SourceTaskRow.state == "live"
    )
    gone = sorted(set(wanted) - set(session.scalars(owned)))
    left = leave_pool(session, gone)
    open_there = exists().where(
        QueueTask.queue_id == Queue.id,
        among(QueueTask.utterance_id, gone),
        QueueTask.state.in_(["planned", "published"]),
    )
    session.execute(update(Queue).where(open_there).values(DIRTY))
    is_review = exists().where(Queue.id == QueueTask.queue_id, Queue.kind == "review")
    session.execute(
        update(QueueTask)
        .where(among(QueueTask.utterance_id, gone), ~is_review, QueueTask.state == "planned")
        .values(state="removed", state_since=func.clock_timestamp())
    )
    return left


def problems(session: Session, source_id: int) -> list[tuple[int, str]]:
    """(task id, why it is not taken as it stands)."""
    query = select(SourceTaskRow.task_id, SourceTaskRow.problem).where(
        SourceTaskRow.source_id == source_id, SourceTaskRow.problem.is_not(None), SourceTaskRow.state != "deleted"
    )
    return [(row.task_id, row.problem) for row in session.execute(query.order_by(SourceTaskRow.task_id))]


def counts(session: Session) -> list[SourceCounts]:
    """Every source that ever was attached, of all instances."""
    of_state = {state: func.count().filter(SourceTaskRow.state == state) for state in ("live", "rejected", "deleted")}
    locale = func.array_agg(UtteranceRow.locale.distinct()).filter(SourceTaskRow.state == "live")
    query = (
        select(
            SourceRow, locale, *of_state.values(),
            func.count().filter(SourceTaskRow.written.is_not(None)),
            func.count().filter(SourceTaskRow.write_problem.is_not(None)),
        )
        .outerjoin(SourceTaskRow, SourceTaskRow.source_id == SourceRow.id)
        .outerjoin(UtteranceRow, UtteranceRow.id == SourceTaskRow.utterance_id)
        .group_by(SourceRow.id)
        .order_by(SourceRow.instance, SourceRow.id)
    )  # fmt: skip
    return [SourceCounts(source, sorted(locales or []), *rest) for source, locales, *rest in session.execute(query)]
