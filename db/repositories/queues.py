"""Queues and the tasks in them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import case, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import (
    AnnotationRow,
    Feature,
    ModelVersion,
    Queue,
    QueueTask,
    SelectionItemRow,
    SelectionRow,
    UtteranceRevision,
    UtteranceRow,
)
from db.repositories.ids import among

# What a task shows of a record, and a revision may change.
REVISED = ("text", "domain", "intent", "slots", "nlu_score")


# A statement takes no more than 65,535 parameters; a task has eight.
ROWS_A_STATEMENT = 5_000


class PlannedItem(NamedTuple):
    """A selected utterance as its queue will show it."""

    utterance_id: int
    revision: int
    external_id: str
    source: str
    text: str
    domain: str
    intent: str
    slots: list[list[Any]]
    nlu_score: float | None
    domain_probs: bytes | None
    intent_probs: bytes | None


def ensure(session: Session, instance: str, locale: str, domains: Iterable[str]) -> Sequence[Queue]:
    """The queues of these domains, made where they lack, and marked dirty."""
    rows = [{"instance": instance, "locale": locale, "domain": domain} for domain in sorted(domains)]
    if rows:
        statement = insert(Queue).values(rows)
        session.execute(
            statement.on_conflict_do_update(index_elements=["instance", "locale", "domain"], set_={"dirty": True})
        )
    return of_locale(session, instance, locale)


def mark_dirty(session: Session, instance: str, locale: str) -> None:
    session.execute(update(Queue).where(Queue.instance == instance, Queue.locale == locale).values(dirty=True))


def of_locale(session: Session, instance: str, locale: str) -> Sequence[Queue]:
    return session.scalars(
        select(Queue).where(Queue.instance == instance, Queue.locale == locale).order_by(Queue.domain)
    ).all()


def every(session: Session, instance: str) -> Sequence[Queue]:
    return session.scalars(select(Queue).where(Queue.instance == instance).order_by(Queue.locale, Queue.domain)).all()


def get(session: Session, queue_id: int) -> Queue | None:
    return session.get(Queue, queue_id)


def by_project(session: Session, instance: str, project_id: int) -> Queue | None:
    return session.scalars(
        select(Queue).where(Queue.instance == instance, Queue.project_id == project_id)
    ).one_or_none()


def dirty_ids(session: Session, instance: str) -> list[int]:
    query = select(Queue.id).where(Queue.instance == instance, Queue.dirty, Queue.state == "active")
    return list(session.scalars(query.order_by(Queue.id)))


def untidy_ids(session: Session, instance: str, published_since: datetime) -> list[int]:
    """Queues with leaving tasks, and those into which an import may still be going on."""
    leaving = exists().where(QueueTask.queue_id == Queue.id, QueueTask.state == "leaving")
    query = select(Queue.id).where(Queue.instance == instance, Queue.project_id.is_not(None))
    return list(session.scalars(query.where(leaving | (Queue.published_at > published_since)).order_by(Queue.id)))


def set_dirty(session: Session, queue_id: int) -> None:
    session.execute(update(Queue).where(Queue.id == queue_id).values(dirty=True))


def set_project(session: Session, queue_id: int, project_id: int) -> None:
    session.execute(update(Queue).where(Queue.id == queue_id).values(project_id=project_id))


def forget_project(session: Session, queue_id: int) -> None:
    """The project was deleted: what was annotated stays so, the rest is open to be published again."""
    session.execute(update(Queue).where(Queue.id == queue_id).values(project_id=None, collected_until=None, dirty=True))
    session.execute(
        update(QueueTask)
        .where(QueueTask.queue_id == queue_id, QueueTask.state != "annotated")
        .values(state="removed", task_id=None, state_since=func.clock_timestamp())
    )


def set_collected_until(session: Session, queue_id: int, until: datetime) -> None:
    session.execute(
        update(Queue)
        .where(Queue.id == queue_id)
        .values(collected_until=func.greatest(func.coalesce(Queue.collected_until, until), until))
    )


def _shown_columns() -> tuple[Any, ...]:
    return (
        UtteranceRow.id, UtteranceRow.revision, UtteranceRow.external_id, UtteranceRow.source, UtteranceRow.text,
        UtteranceRow.domain, UtteranceRow.intent, UtteranceRow.slots, UtteranceRow.nlu_score,
    )  # fmt: skip


def planned_items(session: Session, selection: SelectionRow, domain: str) -> list[PlannedItem]:
    """A domain's items in rank order. A record that was revised since is left out until the next round."""
    feature = (
        (Feature.utterance_id == UtteranceRow.id)
        & (Feature.revision == UtteranceRow.revision)
        & (Feature.model_version_id == selection.model_version_id)
    )
    same = (UtteranceRow.id == SelectionItemRow.utterance_id) & (UtteranceRow.revision == SelectionItemRow.revision)
    query = (
        select(*_shown_columns(), Feature.domain_probs, Feature.intent_probs)
        .select_from(SelectionItemRow)
        .join(UtteranceRow, same)
        .outerjoin(Feature, feature)
        .where(SelectionItemRow.selection_id == selection.id, SelectionItemRow.domain == domain)
        .order_by(SelectionItemRow.rank)
    )
    return [PlannedItem._make(row) for row in session.execute(query)]


def open_items(session: Session, queue_id: int, version_id: int) -> dict[int, PlannedItem]:
    """What the open tasks of a queue show, by utterance: a record that was revised since, as it was then."""
    feature = (
        (Feature.utterance_id == QueueTask.utterance_id)
        & (Feature.revision == QueueTask.revision)
        & (Feature.model_version_id == version_id)
    )
    earlier = (UtteranceRevision.utterance_id == QueueTask.utterance_id) & (
        UtteranceRevision.revision == QueueTask.revision
    )
    query = (
        select(
            *_shown_columns(), Feature.domain_probs, Feature.intent_probs, QueueTask.revision, UtteranceRevision.content
        )
        .select_from(QueueTask)
        .join(UtteranceRow, UtteranceRow.id == QueueTask.utterance_id)
        .outerjoin(UtteranceRevision, earlier)
        .outerjoin(Feature, feature)
        .where(QueueTask.queue_id == queue_id, QueueTask.state.in_(["published", "leaving"]))
    )
    items: dict[int, PlannedItem] = {}
    for *columns, revision, content in session.execute(query):
        item = PlannedItem._make(columns)
        then = {name: content[name] for name in REVISED} if content else {}
        items[item.utterance_id] = item._replace(revision=revision, **then)
    return items


def tasks(session: Session, queue_id: int) -> Sequence[QueueTask]:
    return session.scalars(
        select(QueueTask).where(QueueTask.queue_id == queue_id).order_by(QueueTask.rank_code, QueueTask.id)
    ).all()


def utterances_elsewhere(session: Session, queue: Queue, utterance_ids: Sequence[int]) -> set[int]:
    """Those of the utterances that another queue of the instance still shows or has had annotated."""
    return set(
        session.scalars(
            select(QueueTask.utterance_id)
            .join(Queue, Queue.id == QueueTask.queue_id)
            .where(Queue.instance == queue.instance, Queue.id != queue.id)
            .where(among(QueueTask.utterance_id, utterance_ids))
            .where(QueueTask.state.in_(["published", "leaving", "annotated"]))
        )
    )


def put_tasks(session: Session, queue_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    """Insert or renew tasks by (queue, utterance); one that was annotated meanwhile stays annotated."""
    for start in range(0, len(rows), ROWS_A_STATEMENT):
        _put_tasks(session, queue_id, rows[start : start + ROWS_A_STATEMENT])


def _put_tasks(session: Session, queue_id: int, rows: Sequence[Mapping[str, Any]]) -> None:
    statement = insert(QueueTask).values([{"queue_id": queue_id, **row} for row in rows])
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


def set_published(session: Session, queue_id: int, selection_id: int, at: datetime) -> None:
    """The queue shows this selection; it stays dirty when a newer round came in between."""
    newest = (
        select(func.max(SelectionRow.id)).where(SelectionRow.locale == Queue.locale).correlate(Queue).scalar_subquery()
    )
    session.execute(
        update(Queue)
        .where(Queue.id == queue_id)
        .values(selection_id=selection_id, published_at=at, dirty=newest != selection_id)
    )


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


def label_sets(session: Session, locale: str) -> tuple[set[tuple[str, str]], set[str]]:
    """({(domain, intent)}, {slot label}) that hypotheses, gold data or the models of the locale know."""
    intents: set[tuple[str, str]] = set()
    slots: set[str] = set()
    utterance_slots = func.jsonb_array_elements(UtteranceRow.slots).table_valued("value").render_derived()
    annotation_slots = func.jsonb_array_elements(AnnotationRow.slots).table_valued("value").render_derived()
    known = select(UtteranceRow.domain, UtteranceRow.intent).where(UtteranceRow.locale == locale).distinct()
    gold = (
        select(AnnotationRow.domain, AnnotationRow.intent)
        .join(UtteranceRow, UtteranceRow.id == AnnotationRow.utterance_id)
        .where(UtteranceRow.locale == locale)
        .distinct()
    )
    for query in (known, gold):
        intents.update((domain, intent) for domain, intent in session.execute(query) if domain and intent)
    slots.update(
        session.scalars(
            select(utterance_slots.c.value.op("->>")(2))
            .select_from(UtteranceRow)
            .join(utterance_slots, UtteranceRow.locale == locale)
            .distinct()
        )
    )
    slots.update(
        session.scalars(
            select(annotation_slots.c.value.op("->>")(2))
            .select_from(AnnotationRow)
            .join(UtteranceRow, UtteranceRow.id == AnnotationRow.utterance_id)
            .join(annotation_slots, UtteranceRow.locale == locale)
            .distinct()
        )
    )
    for version in session.scalars(select(ModelVersion).where(ModelVersion.locales.contains([locale]))):
        slots.update(version.vocabulary.get("slots", []))
        intents.update((domain, intent) for intent, domain in version.vocabulary.get("intent_domains", {}).items())
    return intents, slots


def round_labels(session: Session, selection: SelectionRow) -> tuple[set[tuple[str, str]], set[str]]:
    """`label_sets` as they were when the round's first queue was published: they are read from the whole pool."""
    if selection.labels is None:
        intents, slots = label_sets(session, selection.locale)
        selection.labels = {"intents": sorted(map(list, intents)), "slots": sorted(slots)}
    return {(domain, intent) for domain, intent in selection.labels["intents"]}, set(selection.labels["slots"])


class QueueCounts(NamedTuple):
    queue: Queue
    published: int
    annotated: int
    leaving: int


def counts(session: Session) -> list[QueueCounts]:
    """Per queue: tasks that wait or are annotated, those that are annotated, and those that go as soon as they may."""
    published = func.count().filter(QueueTask.state.in_(["published", "annotated"]))
    done = func.count().filter(QueueTask.state == "annotated")
    leaving = func.count().filter(QueueTask.state == "leaving")
    query = (
        select(Queue, published, done, leaving)
        .outerjoin(QueueTask, QueueTask.queue_id == Queue.id)
        .group_by(Queue.id)
        .order_by(Queue.locale, Queue.domain)
    )
    return [QueueCounts(*row) for row in session.execute(query)]
