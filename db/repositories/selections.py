"""Rounds: the frame they chose from, and what they chose."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import REAL, BigInteger, TableValuedAlias, cast, exists, func, or_, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from db.models import (
    AnnotationRow,
    Feature,
    Score,
    SelectionFrame,
    SelectionItemRow,
    SelectionRow,
    UtteranceRevision,
    UtteranceRow,
)
from db.models.utterances import POOL
from db.repositories import words
from db.repositories.copying import copy_rows

ITEM_COLUMNS = {
    "selection_id": "int8", "utterance_id": "int8", "revision": "int8", "domain": "text", "rank": "int8",
    "arms": "text[]", "composition": "text", "inclusion_probability": "float8", "score": "float4",
}  # fmt: skip

FEATURES_AT_A_TIME = 5_000


class Candidate(NamedTuple):
    id: int
    revision: int
    domain: str
    nlu_score: float | None
    defect: bool
    text: str  # empty in a stored frame, where it no longer decides anything
    scores: tuple[float | None, ...]  # in the order of the columns asked for


def candidates(
    session: Session, locale: str, version_id: int, nlu_band: tuple[float, float], columns: Sequence[str]
) -> list[Candidate]:
    """Scored pool utterances with a hypothesis, the oldest first."""
    low, high = nlu_band
    query = (
        select(
            UtteranceRow.id, UtteranceRow.revision, UtteranceRow.domain, UtteranceRow.nlu_score, UtteranceRow.defect,
            UtteranceRow.text, *(getattr(Score, name) for name in columns),
        )
        .join(Score, (Score.utterance_id == UtteranceRow.id) & (Score.revision == UtteranceRow.revision))
        .where(Score.model_version_id == version_id)
        .where(UtteranceRow.partition == POOL, UtteranceRow.locale == locale, UtteranceRow.domain.is_not(None))
        .where(UtteranceRow.nlu_score.between(cast(low, REAL), cast(high, REAL)))  # in double, 0.85::real > 0.85
        .order_by(UtteranceRow.id)
    )  # fmt: skip
    return [to_candidate(row) for row in session.execute(query)]


def labelled_texts(session: Session, locale: str) -> Sequence[str]:
    """What people have said about already: the texts of reviews, rejections included, and of gold data."""
    labelled = exists().where(AnnotationRow.utterance_id == UtteranceRow.id, AnnotationRow.withdrawn_at.is_(None))
    query = select(UtteranceRow.text).where(UtteranceRow.locale == locale, labelled).distinct()
    return session.scalars(query).all()


def candidates_as_they_were(
    session: Session, version_id: int, ids: Sequence[int], revisions: Sequence[int], columns: Sequence[str]
) -> list[Candidate]:
    """A stored frame, at the revisions it had then. Scores are immutable, and old revisions are kept."""
    frame = _stored_frame(ids, revisions)
    domain = func.coalesce(
        select(UtteranceRevision.content["domain"].astext)
        .where(UtteranceRevision.utterance_id == frame.c.id, UtteranceRevision.revision == frame.c.revision)
        .scalar_subquery(),
        select(UtteranceRow.domain)
        .where(UtteranceRow.id == frame.c.id, UtteranceRow.revision == frame.c.revision)
        .scalar_subquery(),
    )
    query = (
        select(
            frame.c.id, frame.c.revision, domain, text("NULL::real"), text("false"), text("''"),
            *(getattr(Score, name) for name in columns),
        )
        .select_from(frame)
        .join(Score, (Score.utterance_id == frame.c.id) & (Score.revision == frame.c.revision))
        .where(Score.model_version_id == version_id)
        .order_by(frame.c.id)
    )  # fmt: skip
    return [to_candidate(row) for row in session.execute(query)]


def features(
    session: Session, version_id: int, ids: Sequence[int], revisions: Sequence[int], names: Sequence[str]
) -> Iterator[Sequence[Any]]:
    """(id, one little-endian float16 vector for each name) of those that have them; a few thousand at a time."""
    frame = _stored_frame(ids, revisions)
    query = (
        select(frame.c.id, *(getattr(Feature, name) for name in names))
        .select_from(frame)
        .join(Feature, (Feature.utterance_id == frame.c.id) & (Feature.revision == frame.c.revision))
        .where(Feature.model_version_id == version_id)
    )
    yield from session.execute(query, execution_options={"yield_per": FEATURES_AT_A_TIME})


def count_featured(session: Session, version_id: int, ids: Sequence[int], revisions: Sequence[int]) -> int:
    """How many of a frame have the features of a model version."""
    frame = _stored_frame(ids, revisions)
    query = (
        select(func.count())
        .select_from(frame)
        .join(Feature, (Feature.utterance_id == frame.c.id) & (Feature.revision == frame.c.revision))
        .where(Feature.model_version_id == version_id)
    )
    return session.scalars(query).one()


def outcomes(session: Session, locale: str, domain: str, others: str) -> list[tuple[str, int, int]]:
    """(strategy, reviewed, fixed) of the locale's rounds that were reviewed, the oldest first: of what the strategy
    chose for one domain's own round, or, under the name `others`, for the round of the domains that had none.

    A review counts where it was asked for, in the last round that held the utterance at the revision reviewed: a later
    strategy, which had it reviewed, says nothing of the earlier one. The last word on an utterance (`words`) is its
    verdict: two opinions and their adjudication are one review.
    `easy` items are a uniform draw and no choice of the strategy. Items of the noise arm are left out, whatever other
    arm they are in: rankings meet suspects and uniform draws do not, so with them the strategies would not compare.
    """
    verdicts = (
        select(AnnotationRow.utterance_id, AnnotationRow.revision, AnnotationRow.verdict, words.PLACE.label("place"))
        .join(UtteranceRow, UtteranceRow.id == AnnotationRow.utterance_id)
        .where(UtteranceRow.locale == locale)
        .where(AnnotationRow.annotation_id.is_not(None), AnnotationRow.withdrawn_at.is_(None))
        .subquery()
    )
    asked = (
        select(verdicts.c.utterance_id, verdicts.c.verdict, func.max(SelectionItemRow.selection_id).label("in_round"))
        .join(
            SelectionItemRow,
            (SelectionItemRow.utterance_id == verdicts.c.utterance_id)
            & (SelectionItemRow.revision == verdicts.c.revision),
        )
        .where(verdicts.c.place == 1)
        .group_by(verdicts.c.utterance_id, verdicts.c.verdict)
        .subquery()
    )
    strategy = SelectionRow.policy[domain]["strategy"].astext
    round_id = func.coalesce(SelectionRow.extends_id, SelectionRow.id)  # an extension plays what its round plays
    own = SelectionItemRow.domain == domain
    query = (
        select(strategy, func.count(), func.count().filter(asked.c.verdict == "fix"))
        .select_from(asked)
        .join(SelectionRow, SelectionRow.id == asked.c.in_round)
        .join(
            SelectionItemRow,
            (SelectionItemRow.selection_id == asked.c.in_round)
            & (SelectionItemRow.utterance_id == asked.c.utterance_id),
        )
        .where(SelectionItemRow.arms.contains(["strategy"]), ~SelectionItemRow.arms.contains(["noise"]))
        .where(SelectionItemRow.composition.is_distinct_from("easy"), SelectionRow.policy.has_key(domain))
        .where(own if domain != others else ~SelectionRow.policy.has_key(SelectionItemRow.domain))
        .group_by(round_id, strategy)
        .order_by(round_id)
    )
    return [(name, reviewed, fixed) for name, reviewed, fixed in session.execute(query)]


def to_candidate(row: Sequence[Any]) -> Candidate:
    return Candidate._make([*row[:6], tuple(row[6:])])


def _stored_frame(ids: Sequence[int], revisions: Sequence[int]) -> TableValuedAlias:
    return (
        func.unnest(cast(list(ids), ARRAY(BigInteger)), cast(list(revisions), ARRAY(BigInteger)))
        .table_valued("id", "revision", name="frame")
        .render_derived()
    )


def add(session: Session, selection: SelectionRow, frame_ids: bytes, frame_revisions: bytes) -> SelectionRow:
    """Store a round, which supersedes the locale's earlier ones, or an extension of one."""
    if selection.extends_id is None:
        session.execute(
            update(SelectionRow)
            .where(SelectionRow.locale == selection.locale, SelectionRow.superseded_at.is_(None))
            .values(superseded_at=func.clock_timestamp())
        )
    session.add(selection)
    session.flush()
    session.add(SelectionFrame(selection_id=selection.id, ids=frame_ids, revisions=frame_revisions))
    session.flush()
    return selection


def add_items(session: Session, rows: Iterable[Sequence[Any]]) -> None:
    """Rows in the order of ITEM_COLUMNS."""
    copy_rows(session, "selection_items", list(ITEM_COLUMNS), list(ITEM_COLUMNS.values()), rows)


def get(session: Session, selection_id: int) -> SelectionRow | None:
    return session.get(SelectionRow, selection_id)


def frame(session: Session, selection_id: int) -> SelectionFrame:
    return session.scalars(select(SelectionFrame).where(SelectionFrame.selection_id == selection_id)).one()


def current(session: Session, locale: str) -> SelectionRow | None:
    """The locale's round; `strata` knows its extensions."""
    query = select(SelectionRow).where(SelectionRow.locale == locale, SelectionRow.superseded_at.is_(None))
    return session.scalars(query.where(SelectionRow.extends_id.is_(None))).one_or_none()


def recent(session: Session, *, locale: str | None = None, limit: int = 20) -> Sequence[SelectionRow]:
    query = select(SelectionRow).order_by(SelectionRow.id.desc()).limit(limit)
    return session.scalars(query if locale is None else query.where(SelectionRow.locale == locale)).all()


def items(session: Session, selection_id: int, domain: str | None = None) -> Sequence[SelectionItemRow]:
    query = (
        select(SelectionItemRow)
        .where(SelectionItemRow.selection_id == selection_id)
        .order_by(SelectionItemRow.domain, SelectionItemRow.rank)
    )
    return session.scalars(query if domain is None else query.where(SelectionItemRow.domain == domain)).all()


def shown_items(session: Session, selection_id: int, domain: str | None = None) -> list[dict[str, Any]]:
    """The items of a round and its extensions, or of one extension, with the records that they are of, as these read
    today. `stratum`: which of them chose an item.
    """
    query = (
        select(
            SelectionItemRow.domain, SelectionItemRow.selection_id.label("stratum"), SelectionItemRow.rank,
            UtteranceRow.source, UtteranceRow.external_id.label("id"), SelectionItemRow.utterance_id,
            SelectionItemRow.arms, SelectionItemRow.composition, SelectionItemRow.inclusion_probability,
            SelectionItemRow.score, SelectionItemRow.dropped_by, UtteranceRow.text,
        )
        .join(UtteranceRow, UtteranceRow.id == SelectionItemRow.utterance_id)
        .join(SelectionRow, SelectionRow.id == SelectionItemRow.selection_id)
        .where(or_(SelectionRow.id == selection_id, SelectionRow.extends_id == selection_id))
        .order_by(SelectionItemRow.domain, SelectionItemRow.selection_id, SelectionItemRow.rank)
    )  # fmt: skip
    if domain is not None:
        query = query.where(SelectionItemRow.domain == domain)
    return [dict(row) for row in session.execute(query).mappings()]


def lock_locale(session: Session, locale: str) -> None:
    """One round at a time per locale, until the transaction ends."""
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"selection:{locale}", 0))))
