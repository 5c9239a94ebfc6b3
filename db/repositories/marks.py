"""What the columns of reviewed tasks should say in Label Studio, beside what we last wrote there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from sqlalchemy import Select, Subquery, case, exists, func, literal, or_, select, update
from sqlalchemy.orm import Session

from db.models import AnnotationRow, ModelVersion, Queue, QueueTask, Score, SelectionItemRow, SelectionRow
from db.models.queues import QUEUE_KINDS
from db.repositories.ids import among

REVIEW = QUEUE_KINDS[0]
IN_QUEUE = ("published", "leaving")


class Mark(NamedTuple):
    """`review` is None where a task is open again and what was written must go."""

    task_id: int
    review: str | None
    suspected: bool | None
    entropy: float | None
    el2n: float | None
    domains: int


def _said() -> Subquery:
    """The last standing review of each task, in words."""
    words = case(
        (AnnotationRow.verdict == "accept", "accepted"),
        (AnnotationRow.verdict == "fix", "fixed"),
        (AnnotationRow.reject_reason.is_(None), "rejected"),
        else_=literal("rejected: ").concat(AnnotationRow.reject_reason),
    )
    latest = func.row_number().over(
        partition_by=(AnnotationRow.instance, AnnotationRow.task_id),
        order_by=(AnnotationRow.updated_at.desc(), AnnotationRow.id.desc()),
    )
    standing = (
        select(AnnotationRow.instance, AnnotationRow.task_id, words.label("review"), latest.label("place"))
        .where(AnnotationRow.task_id.is_not(None), AnnotationRow.withdrawn_at.is_(None))
        .where(AnnotationRow.kind == REVIEW)
        .subquery()
    )
    return select(standing).where(standing.c.place == 1).subquery()


def _pending(said: Subquery, *columns: Any) -> Select[Any]:
    """Tasks whose columns say something else than is known; those that are open again say nothing."""
    of_task = (said.c.instance == Queue.instance) & (said.c.task_id == QueueTask.task_id)
    news = (
        (QueueTask.state == "annotated") & said.c.review.is_not(None) & said.c.review.is_distinct_from(QueueTask.mark)
    )
    open_again = QueueTask.state.in_(IN_QUEUE) & QueueTask.mark.is_not(None)
    return (
        select(*columns)
        .select_from(QueueTask)
        .join(Queue, Queue.id == QueueTask.queue_id)
        .outerjoin(said, of_task)
        .where(Queue.kind == REVIEW, Queue.project_id.is_not(None), QueueTask.task_id.is_not(None))
        .where(or_(news, open_again))
    )


def queue_ids(session: Session, instance: str) -> list[int]:
    """The queues with something to write."""
    query = _pending(_said(), Queue.id).where(Queue.instance == instance)
    return list(session.scalars(query.distinct().order_by(Queue.id)))


def pending(session: Session, queue_id: int, most: int) -> list[Mark]:
    """What to write, with what the model of the round had said of the revision that is shown."""
    said = _said()
    review = case((QueueTask.state == "annotated", said.c.review), else_=None)
    latest = (
        select(func.max(SelectionItemRow.selection_id))
        .where(SelectionItemRow.utterance_id == QueueTask.utterance_id)
        .correlate(QueueTask)
        .scalar_subquery()
    )
    suspected = exists().where(
        SelectionItemRow.utterance_id == QueueTask.utterance_id,
        SelectionItemRow.selection_id == latest,
        SelectionItemRow.arms.contains(["noise"]),
    )
    domains = func.coalesce(func.jsonb_array_length(ModelVersion.vocabulary["domains"]), 0)
    query = (
        _pending(said, QueueTask.task_id, review, suspected, Score.entropy, Score.el2n, domains)
        .join(SelectionRow, SelectionRow.id == QueueTask.selection_id)
        .join(ModelVersion, ModelVersion.id == SelectionRow.model_version_id)
        .outerjoin(
            Score,
            (Score.model_version_id == ModelVersion.id)
            & (Score.utterance_id == QueueTask.utterance_id)
            & (Score.revision == QueueTask.revision),
        )
        .where(QueueTask.queue_id == queue_id)
        .order_by(QueueTask.task_id)
        .limit(most)
    )
    return [Mark._make(row) for row in session.execute(query)]


def set_mark(session: Session, queue_id: int, task_ids: Sequence[int], review: str | None) -> None:
    """What was written of these tasks."""
    session.execute(
        update(QueueTask).where(QueueTask.queue_id == queue_id, among(QueueTask.task_id, task_ids)).values(mark=review)
    )
