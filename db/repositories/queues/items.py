"""What a queue is to show: the items of its round, and those that its open tasks show."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from db.models import Feature, QueueTask, Score, SelectionItemRow, SelectionRow, UtteranceRevision, UtteranceRow
from db.repositories.ids import among

Column = InstrumentedAttribute[int]

# What a task shows of a record, and a revision may change.
REVISED = ("text", "domain", "intent", "slots", "nlu_score")


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
    mutual_information: float | None
    token_entropy_max: float | None


def _shown_columns() -> tuple[Any, ...]:
    return (
        UtteranceRow.id, UtteranceRow.revision, UtteranceRow.external_id, UtteranceRow.source, UtteranceRow.text,
        UtteranceRow.domain, UtteranceRow.intent, UtteranceRow.slots, UtteranceRow.nlu_score,
        Feature.domain_probs, Feature.intent_probs, Score.mutual_information, Score.token_entropy_max,
    )  # fmt: skip


def _said_of(
    model: type[Feature] | type[Score], utterance_id: Column, revision: Column, version_id: int
) -> ColumnElement[bool]:
    """The row of what a model version said of a revision."""
    same = (model.utterance_id == utterance_id) & (model.revision == revision)
    return same & (model.model_version_id == version_id)


def planned_items(
    session: Session, selection: SelectionRow, domain: str, utterance_ids: Collection[int] | None = None
) -> dict[int, PlannedItem]:
    """A domain's items, those of the round's extensions too, by utterance; or some of them. What an extension took the
    place of is left out, and a record that was revised since, until a later stratum takes it.
    """
    version_id = selection.model_version_id
    same = (UtteranceRow.id == SelectionItemRow.utterance_id) & (UtteranceRow.revision == SelectionItemRow.revision)
    query = (
        select(*_shown_columns())
        .select_from(SelectionItemRow)
        .join(SelectionRow, SelectionRow.id == SelectionItemRow.selection_id)
        .join(UtteranceRow, same)
        .outerjoin(Feature, _said_of(Feature, UtteranceRow.id, UtteranceRow.revision, version_id))
        .outerjoin(Score, _said_of(Score, UtteranceRow.id, UtteranceRow.revision, version_id))
        .where(or_(SelectionRow.id == selection.id, SelectionRow.extends_id == selection.id))
        .where(SelectionItemRow.domain == domain, SelectionItemRow.dropped_by.is_(None))
    )
    if utterance_ids is not None:
        query = query.where(among(SelectionItemRow.utterance_id, utterance_ids))
    found = (PlannedItem._make(row) for row in session.execute(query))
    return {item.utterance_id: item for item in found}


def open_items(
    session: Session, queue_id: int, version_id: int, states: Sequence[str] = ("published", "leaving")
) -> dict[int, PlannedItem]:
    """What the open tasks of a queue show, by utterance: a record that was revised since, as it was then."""
    earlier = (UtteranceRevision.utterance_id == QueueTask.utterance_id) & (
        UtteranceRevision.revision == QueueTask.revision
    )
    query = (
        select(*_shown_columns(), QueueTask.revision, UtteranceRevision.content)
        .select_from(QueueTask)
        .join(UtteranceRow, UtteranceRow.id == QueueTask.utterance_id)
        .outerjoin(UtteranceRevision, earlier)
        .outerjoin(Feature, _said_of(Feature, QueueTask.utterance_id, QueueTask.revision, version_id))
        .outerjoin(Score, _said_of(Score, QueueTask.utterance_id, QueueTask.revision, version_id))
        .where(QueueTask.queue_id == queue_id, QueueTask.state.in_(states))
    )
    items: dict[int, PlannedItem] = {}
    for *columns, revision, content in session.execute(query):
        item = PlannedItem._make(columns)
        then = {name: content[name] for name in REVISED} if content else {}
        items[item.utterance_id] = item._replace(revision=revision, **then)
    return items
