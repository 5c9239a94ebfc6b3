"""The strata of a round: the round itself, and the extensions by which it goes on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import BigInteger, cast, func, or_, select, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from db.models import SelectionItemRow, SelectionRow, UtteranceRow
from db.models.utterances import GONE


class StratumItem(NamedTuple):
    """An item of a stratum. `is_dropped`: an extension has taken its place, or its utterance has left the pool."""

    selection_id: int
    utterance_id: int
    revision: int
    domain: str
    arms: list[str]
    composition: str | None
    score: float | None
    is_dropped: bool


def of_round(session: Session, round_id: int) -> Sequence[SelectionRow]:
    """The round, then its extensions in the order in which they came."""
    query = select(SelectionRow).where(or_(SelectionRow.id == round_id, SelectionRow.extends_id == round_id))
    return session.scalars(query.order_by(SelectionRow.id)).all()


def round_id(session: Session, selection_id: int) -> int | None:
    """The round that a selection is, or extends; None when there is no such selection."""
    query = select(func.coalesce(SelectionRow.extends_id, SelectionRow.id)).where(SelectionRow.id == selection_id)
    return session.scalar(query)


def items(session: Session, round_id: int, domain: str | None = None) -> list[StratumItem]:
    """By domain, stratum and rank; of records that were revised since, only what a later stratum took."""
    same = (UtteranceRow.id == SelectionItemRow.utterance_id) & (UtteranceRow.revision == SelectionItemRow.revision)
    query = (
        select(
            SelectionItemRow.selection_id, SelectionItemRow.utterance_id, SelectionItemRow.revision,
            SelectionItemRow.domain, SelectionItemRow.arms, SelectionItemRow.composition, SelectionItemRow.score,
            or_(SelectionItemRow.dropped_by.is_not(None), UtteranceRow.partition == GONE),
        )
        .join(SelectionRow, SelectionRow.id == SelectionItemRow.selection_id)
        .join(UtteranceRow, same)
        .where(or_(SelectionRow.id == round_id, SelectionRow.extends_id == round_id))
        .order_by(SelectionItemRow.domain, SelectionItemRow.selection_id, SelectionItemRow.rank)
    )  # fmt: skip
    if domain is not None:
        query = query.where(SelectionItemRow.domain == domain)
    return [StratumItem._make(row) for row in session.execute(query)]


def drop(session: Session, dropped: Sequence[StratumItem], extension_id: int) -> None:
    """They leave their queues, and the extension's items take their places."""
    ids = ([item.selection_id for item in dropped], [item.utterance_id for item in dropped])
    arrays = (cast(column, ARRAY(BigInteger)) for column in ids)
    gone = func.unnest(*arrays).table_valued("selection_id", "utterance_id", name="gone").render_derived()
    session.execute(
        update(SelectionItemRow)
        .where(SelectionItemRow.selection_id == gone.c.selection_id)
        .where(SelectionItemRow.utterance_id == gone.c.utterance_id)
        .values(dropped_by=extension_id),
        execution_options={"synchronize_session": False},
    )
