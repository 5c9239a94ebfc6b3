"""Second opinions and their adjudication: who was asked what, and what they said."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import BigInteger, Double, cast, exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.orm import Session, aliased

from db.models import AnnotationRow, Queue, QueueTask, UtteranceRow
from db.models.utterances import GONE
from db.repositories.ids import among
from db.repositories.queues import DIRTY

REVIEW, SECOND, ADJUDICATION = "review", "second", "adjudication"
OPEN = ("published", "leaving")
# Codes from here on are those of skipped tasks: behind every planned one, and behind those that leave.
LAST_CODES = 0.75


class Place(NamedTuple):
    """Where an utterance is asked about."""

    queue_id: int
    kind: str
    locale: str
    domain: str
    utterance_id: int
    revision: int
    selection_id: int
    task_id: int | None
    state: str
    overlap: bool | None
    partition: str


class Answer(NamedTuple):
    """What a person said, and still says. `id` is our row's."""

    id: int
    utterance_id: int
    revision: int
    annotation_id: int
    task_id: int
    kind: str
    domain: str | None
    intent: str | None
    slots: list[list[Any]]
    annotator: str
    reject_reason: str | None
    shown_blind: bool
    updated_at: datetime

    def agrees(self, other: Answer) -> bool:
        """Whether both give the same label, or both reject it, for whatever reason."""
        mine, theirs = ((said.domain, said.intent, sorted(said.slots)) for said in (self, other))
        return mine == theirs


def places(session: Session, instance: str, utterance_ids: Collection[int]) -> list[Place]:
    query = (
        select(
            QueueTask.queue_id, Queue.kind, Queue.locale, Queue.domain, QueueTask.utterance_id, QueueTask.revision,
            QueueTask.selection_id, QueueTask.task_id, QueueTask.state, QueueTask.overlap, UtteranceRow.partition,
        )
        .join(Queue, Queue.id == QueueTask.queue_id)
        .join(UtteranceRow, UtteranceRow.id == QueueTask.utterance_id)
        .where(Queue.instance == instance, among(QueueTask.utterance_id, utterance_ids))
        .order_by(QueueTask.utterance_id, QueueTask.id)
    )  # fmt: skip
    return [Place._make(row) for row in session.execute(query)]


def answers(session: Session, instance: str, utterance_ids: Collection[int]) -> list[Answer]:
    """Those that stand, in the order in which they came."""
    columns = [getattr(AnnotationRow, name) for name in Answer._fields]
    query = (
        select(*columns)
        .where(AnnotationRow.instance == instance, among(AnnotationRow.utterance_id, utterance_ids))
        .where(AnnotationRow.annotation_id.is_not(None), AnnotationRow.withdrawn_at.is_(None))
        .order_by(AnnotationRow.created_at, AnnotationRow.id)
    )
    return [Answer._make(row) for row in session.execute(query)]


def set_overlap(session: Session, drawn: Mapping[tuple[int, int], bool]) -> None:
    """(queue, utterance) -> whether somebody else is asked too."""
    for value in (True, False):
        for queue_id in {queue_id for queue_id, _ in drawn}:
            ids = [utterance for (queue, utterance), found in drawn.items() if (queue, found) == (queue_id, value)]
            session.execute(
                update(QueueTask)
                .where(QueueTask.queue_id == queue_id, among(QueueTask.utterance_id, ids))
                .values(overlap=value)
            )


def ensure_queue(session: Session, instance: str, locale: str, kind: str) -> int:
    """The locale's queue of this kind, marked dirty, and locked until the transaction ends."""
    statement = insert(Queue).values(instance=instance, locale=locale, kind=kind, domain="*")
    unique = ["instance", "locale", "kind", "domain"]
    statement = statement.on_conflict_do_update(index_elements=unique, set_=DIRTY)
    return session.scalars(statement.returning(Queue.id)).one()


def highest_code(session: Session, queue_id: int) -> float:
    """Of the tasks that nobody has skipped."""
    query = select(func.max(QueueTask.rank_code)).where(
        QueueTask.queue_id == queue_id, QueueTask.rank_code < LAST_CODES
    )
    return session.scalar(query) or 0.0


def plan(session: Session, queue_id: int, rows: Iterable[Mapping[str, Any]]) -> None:
    """To be asked about, as soon as the queue is published; what was removed is asked about again."""
    for row in rows:
        statement = insert(QueueTask).values(
            queue_id=queue_id, state="planned", state_since=func.clock_timestamp(), **row
        )
        session.execute(
            statement.on_conflict_do_update(
                index_elements=["queue_id", "utterance_id"],
                set_={"state": "planned", "state_since": func.clock_timestamp(), "task_id": None, **row},
                where=QueueTask.state == "removed",
            )
        )


def set_state(session: Session, queue_id: int, utterance_ids: Collection[int], state: str, *, was: str) -> None:
    session.execute(
        update(QueueTask)
        .where(QueueTask.queue_id == queue_id, among(QueueTask.utterance_id, utterance_ids))
        .where(QueueTask.state == was)
        .values(state=state, state_since=func.clock_timestamp())
    )


def move(session: Session, queue_id: int, codes: Mapping[int, float], state: str, at: datetime) -> None:
    """Utterance -> its new place. What was answered meanwhile stays so."""
    cells = [cast(list(column), ARRAY(kind)) for column, kind in ((codes.keys(), BigInteger), (codes.values(), Double))]
    given = func.unnest(*cells).table_valued("utterance_id", "rank_code", name="given").render_derived()
    session.execute(
        update(QueueTask)
        .where(QueueTask.queue_id == queue_id, QueueTask.utterance_id == given.c.utterance_id)
        .where(QueueTask.state.in_(OPEN))
        .values(state=state, rank_code=given.c.rank_code, state_since=at),
        execution_options={"synchronize_session": False},
    )


def set_published(session: Session, queue_id: int, task_ids: Mapping[int, int], changes: int, at: datetime) -> None:
    """Utterance -> its task. The queue stays dirty when it changed after so many `changes`."""
    for utterance_id, task_id in task_ids.items():
        session.execute(
            update(QueueTask)
            .where(QueueTask.queue_id == queue_id, QueueTask.utterance_id == utterance_id)
            .where(QueueTask.state == "planned")
            .values(state="published", state_since=at, task_id=task_id)
        )
    more = exists().where(QueueTask.queue_id == queue_id, QueueTask.state == "planned")
    is_dirty = (Queue.changes != changes) | select(more).scalar_subquery()
    session.execute(update(Queue).where(Queue.id == queue_id).values(dirty=is_dirty))
    if task_ids:
        session.execute(update(Queue).where(Queue.id == queue_id).values(published_at=at))


def planned(session: Session, queue_id: int) -> Sequence[QueueTask]:
    """The oldest first."""
    query = select(QueueTask).where(QueueTask.queue_id == queue_id, QueueTask.state == "planned")
    return session.scalars(query.order_by(QueueTask.rank_code, QueueTask.id)).all()


def unasked_ids(session: Session, queue_id: int) -> set[int]:
    """What is not in Label Studio, or not any more, and may have to be: nobody is asked about what is gone."""
    query = (
        select(QueueTask.utterance_id)
        .join(UtteranceRow, UtteranceRow.id == QueueTask.utterance_id)
        .where(QueueTask.queue_id == queue_id)
        .where((QueueTask.state == "planned") | ((QueueTask.state == "removed") & (UtteranceRow.partition != GONE)))
    )
    return set(session.scalars(query))


def in_question(session: Session, queue_id: int) -> Sequence[QueueTask]:
    """The open tasks that may have to leave, or to stay after all; the oldest first."""
    query = (
        select(QueueTask)
        .join(Queue, Queue.id == QueueTask.queue_id)
        .join(UtteranceRow, UtteranceRow.id == QueueTask.utterance_id)
        .where(QueueTask.queue_id == queue_id, QueueTask.state.in_(OPEN))
        .where(or_(Queue.kind == ADJUDICATION, QueueTask.state == "leaving", UtteranceRow.partition == GONE))
        .order_by(QueueTask.rank_code, QueueTask.id)
    )
    return session.scalars(query).all()


def withdraw(session: Session, answer_ids: Collection[int]) -> None:
    session.execute(
        update(AnnotationRow).where(among(AnnotationRow.id, answer_ids)).values(withdrawn_at=func.clock_timestamp())
    )


def compared(session: Session, instance: str, locale: str | None = None) -> dict[int, tuple[str, str]]:
    """Utterance -> its locale and the domain that was heard, of those that were reviewed and have a second opinion."""
    asked = (
        select(AnnotationRow.utterance_id)
        .where(AnnotationRow.instance == instance, AnnotationRow.kind == SECOND)
        .where(AnnotationRow.withdrawn_at.is_(None))
    )
    query = (
        select(QueueTask.utterance_id, Queue.locale, Queue.domain)
        .join(Queue, Queue.id == QueueTask.queue_id)
        .where(Queue.instance == instance, Queue.kind == REVIEW, QueueTask.utterance_id.in_(asked))
        .where(QueueTask.state == "annotated")
        .order_by(QueueTask.utterance_id)
    )
    if locale is not None:
        query = query.where(Queue.locale == locale)
    return {utterance_id: (of, domain) for utterance_id, of, domain in session.execute(query)}


class Waiting(NamedTuple):
    """Open second opinions, by whose answer they are to be compared with."""

    locale: str
    annotator: str
    tasks: int


def waiting(session: Session, instance: str) -> list[Waiting]:
    review = aliased(AnnotationRow)
    query = (
        select(Queue.locale, review.annotator, func.count(QueueTask.utterance_id.distinct()))
        .join(Queue, Queue.id == QueueTask.queue_id)
        .join(review, (review.utterance_id == QueueTask.utterance_id) & (review.revision == QueueTask.revision))
        .where(Queue.instance == instance, Queue.kind == SECOND, QueueTask.state.in_(["planned", "published"]))
        .where(review.instance == instance, review.kind == REVIEW, review.withdrawn_at.is_(None))
        .group_by(Queue.locale, review.annotator)
        .order_by(Queue.locale, review.annotator)
    )
    return [Waiting._make(row) for row in session.execute(query)]


def has_worked_alone(session: Session, instance: str, locale: str, annotator: str) -> bool:
    """Whether nobody else has answered anything in the locale."""
    query = (
        select(AnnotationRow.id)
        .join(UtteranceRow, UtteranceRow.id == AnnotationRow.utterance_id)
        .where(AnnotationRow.instance == instance, UtteranceRow.locale == locale)
        .where(AnnotationRow.annotation_id.is_not(None), AnnotationRow.annotator != annotator)
        .limit(1)
    )
    return session.scalar(query) is None
