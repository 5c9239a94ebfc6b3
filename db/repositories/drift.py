"""What drift is looked for in: what came into the pool, and what people said of control items, with scores."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import AnnotationRow, Score, SelectionItemRow, SelectionRow, UtteranceRow
from db.models.utterances import POOL


class Arrival(NamedTuple):
    """`score` NULL: the model has not scored it, or has no such signal."""

    domain: str | None
    nlu_score: float | None
    score: float | None


def arrivals(
    session: Session, locale: str, version_id: int, column: str, since: datetime, until: datetime, *, most: int
) -> list[Arrival]:
    """What came in in [since, until); of more than `most` every k-th, by id."""
    window = (
        UtteranceRow.locale == locale,
        UtteranceRow.partition == POOL,
        UtteranceRow.ingested_at >= since,
        UtteranceRow.ingested_at < until,
    )
    count = session.scalar(select(func.count()).select_from(UtteranceRow).where(*window)) or 0
    step = max(-(-count // most), 1)
    query = (
        select(UtteranceRow.domain, UtteranceRow.nlu_score, getattr(Score, column))
        .outerjoin(
            Score,
            (Score.utterance_id == UtteranceRow.id)
            & (Score.revision == UtteranceRow.revision)
            & (Score.model_version_id == version_id),
        )
        .where(*window)
        .order_by(UtteranceRow.id)
    )
    if step > 1:
        query = query.where(UtteranceRow.id % step == 0)
    return [Arrival._make(row) for row in session.execute(query)]


class Reviewed(NamedTuple):
    """A review of an item that a round asked about, with what the round's model had said of it.

    asked_domain  by the record's hypothesis; `said_domain` by the person, None when rejected
    """

    at: datetime
    annotator: str
    verdict: str
    shown_blind: bool
    is_control: bool
    asked_domain: str
    said_domain: str | None
    predicted_domain: str
    least_confidence: float
    score: float | None


def reviewed(session: Session, locale: str, column: str, since: datetime, until: datetime) -> Sequence[Reviewed]:
    """Reviews of [since, until), withdrawn ones left out, each in the last round that held what it is of."""
    of_round = (
        select(
            SelectionItemRow.utterance_id,
            SelectionItemRow.revision,
            func.max(SelectionItemRow.selection_id).label("selection_id"),
        )
        .join(SelectionRow, SelectionRow.id == SelectionItemRow.selection_id)
        .where(SelectionRow.locale == locale)
        .group_by(SelectionItemRow.utterance_id, SelectionItemRow.revision)
        .subquery()
    )
    query = (
        select(
            AnnotationRow.updated_at, AnnotationRow.annotator, AnnotationRow.verdict, AnnotationRow.shown_blind,
            SelectionItemRow.arms.contains(["control"]), SelectionItemRow.domain, AnnotationRow.domain,
            Score.predicted_domain, Score.least_confidence, getattr(Score, column),
        )
        .join(
            of_round,
            (of_round.c.utterance_id == AnnotationRow.utterance_id) & (of_round.c.revision == AnnotationRow.revision),
        )
        .join(
            SelectionItemRow,
            (SelectionItemRow.selection_id == of_round.c.selection_id)
            & (SelectionItemRow.utterance_id == AnnotationRow.utterance_id),
        )
        .join(SelectionRow, SelectionRow.id == of_round.c.selection_id)
        .join(
            Score,
            (Score.utterance_id == AnnotationRow.utterance_id)
            & (Score.revision == AnnotationRow.revision)
            & (Score.model_version_id == SelectionRow.model_version_id),
        )
        .where(AnnotationRow.annotation_id.is_not(None), AnnotationRow.withdrawn_at.is_(None))
        .where(AnnotationRow.kind == "review", AnnotationRow.updated_at >= since, AnnotationRow.updated_at < until)
        .order_by(AnnotationRow.id)
    )  # fmt: skip
    return [Reviewed._make(row) for row in session.execute(query)]
