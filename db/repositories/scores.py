"""What model versions say of utterances. Written once per (model version, utterance, revision), never changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Select, exists, func, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by, insert
from sqlalchemy.orm import Session

from db.models import Feature, ModelVersion, Score, ScoringWatermark, UtteranceRow
from db.models.utterances import POOL
from db.repositories.copying import copy_rows

SCORE_COLUMNS = {
    "model_version_id": "int8", "utterance_id": "int8", "revision": "int8", "entropy": "float4", "margin": "float4",
    "least_confidence": "float4", "el2n": "float4", "el2n_spread": "float4", "el2n_replicates": "float4[]",
    "el2n_missing": "text", "mutual_information": "float4", "dropout_mutual_information": "float4",
    "intent_entropy": "float4", "token_entropy_mean": "float4", "token_entropy_sum": "float4",
    "token_entropy_max": "float4", "sequence_margin": "float4", "joint_uncertainty": "float4",
    "label_confidence": "float4", "variability": "float4", "forgetting": "float4", "confidence": "float4",
    "predicted_domain": "text",
}  # fmt: skip
FEATURE_COLUMNS = {
    "model_version_id": "int8", "utterance_id": "int8", "revision": "int8", "domain_probs": "bytea",
    "intent_probs": "bytea", "slot_mass": "bytea", "embedding": "bytea",
}  # fmt: skip


class Lane(NamedTuple):
    """What a champion is to score."""

    version_id: int
    locale: str


class Unscored(NamedTuple):
    id: int
    revision: int
    locale: str
    text: str
    domain: str | None
    source: str
    domain_scores: dict[str, float] | None


def _unscored(version_id: int, locales: Sequence[str]) -> Select[Any]:
    scored = exists().where(
        Score.model_version_id == version_id,
        Score.utterance_id == UtteranceRow.id,
        Score.revision == UtteranceRow.revision,
    )
    return (
        select(UtteranceRow)
        .where(UtteranceRow.partition == POOL, UtteranceRow.locale.in_(locales), ~scored)
        .order_by(UtteranceRow.id)
    )


def unscored(
    session: Session, version_id: int, locales: Sequence[str], first_id: int, last_id: int, *, limit: int | None = None
) -> list[Unscored]:
    """Pool utterances within [first_id, last_id] whose current revision this version has not scored."""
    query = _unscored(version_id, locales).where(UtteranceRow.id.between(first_id, last_id)).limit(limit)
    columns = [getattr(UtteranceRow, name) for name in Unscored._fields]
    return [Unscored(*row) for row in session.execute(query.with_only_columns(*columns))]


def unscored_ids(session: Session, version_id: int, locales: Sequence[str]) -> list[int]:
    return list(session.scalars(_unscored(version_id, locales).with_only_columns(UtteranceRow.id)))


def count_unscored(
    session: Session, version_id: int, locales: Sequence[str], *, older_than: timedelta = timedelta(0)
) -> int:
    query = (
        _unscored(version_id, locales)
        .where(UtteranceRow.ingested_at <= func.clock_timestamp() - older_than)
        .order_by(None)
        .with_only_columns(func.count())
    )
    return session.scalar(query) or 0


def _unscored_external() -> Select[Any]:
    scored = (
        exists()
        .where(Score.model_version_id == ModelVersion.id, ModelVersion.source == UtteranceRow.source)
        .where(ModelVersion.kind == "external")
        .where(Score.utterance_id == UtteranceRow.id, Score.revision == UtteranceRow.revision)
        .correlate(UtteranceRow)
    )
    return (
        select(UtteranceRow)
        .where(UtteranceRow.partition == POOL, UtteranceRow.domain_scores.is_not(None), ~scored)
        .order_by(UtteranceRow.id)
    )


def unscored_external(session: Session, first_id: int, last_id: int, *, limit: int | None = None) -> list[Unscored]:
    """Pool utterances in the range that carry their source's own domain scores, not yet stored as scores."""
    columns = [getattr(UtteranceRow, name) for name in Unscored._fields]
    query = _unscored_external().where(UtteranceRow.id.between(first_id, last_id)).limit(limit)
    return [Unscored(*row) for row in session.execute(query.with_only_columns(*columns))]


def unscored_external_sources(session: Session, first_id: int, last_id: int) -> list[tuple[str, Sequence[str]]]:
    """(source, its locales) of the same utterances."""
    locales = aggregate_order_by(UtteranceRow.locale.distinct(), UtteranceRow.locale)
    query = (
        _unscored_external()
        .where(UtteranceRow.id.between(first_id, last_id))
        .with_only_columns(UtteranceRow.source, func.array_agg(locales))
        .group_by(UtteranceRow.source)
        .order_by(None)
        .order_by(UtteranceRow.source)
    )
    return [(source, found) for source, found in session.execute(query)]


def unscored_since(
    session: Session, lane: Lane | None, *, since: datetime | None, until: datetime, limit: int
) -> list[tuple[datetime, int]]:
    """(ingested_at, id) of the unscored utterances of a lane that came in within [since, until], the earliest first."""
    query = _unscored_external() if lane is None else _unscored(lane.version_id, [lane.locale])
    query = query.where(UtteranceRow.ingested_at <= until)
    if since is not None:
        query = query.where(UtteranceRow.ingested_at >= since)
    order = (UtteranceRow.ingested_at, UtteranceRow.id)
    rows = session.execute(query.with_only_columns(*order).order_by(None).order_by(*order).limit(limit))
    return [(ingested_at, id_) for ingested_at, id_ in rows]


def watermark(session: Session, lane: Lane | None) -> datetime | None:
    version_id, locale = lane or (None, None)
    return session.scalar(
        select(ScoringWatermark.scored_before).where(
            ScoringWatermark.model_version_id.is_not_distinct_from(version_id),
            ScoringWatermark.locale.is_not_distinct_from(locale),
        )
    )


def set_watermark(session: Session, lane: Lane | None, scored_before: datetime) -> None:
    version_id, locale = lane or (None, None)
    statement = insert(ScoringWatermark).values(model_version_id=version_id, locale=locale, scored_before=scored_before)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["model_version_id", "locale"], set_={"scored_before": scored_before}
        )
    )


def write(session: Session, scores: Iterable[Sequence[Any]], features: Iterable[Sequence[Any]]) -> int:
    """Store rows in the order of SCORE_COLUMNS and FEATURE_COLUMNS; those already there stay. How many are new."""
    _stage_and_insert(session, Feature, FEATURE_COLUMNS, features)
    return _stage_and_insert(session, Score, SCORE_COLUMNS, scores)


def _stage_and_insert(
    session: Session,
    model: type[Score] | type[Feature],
    columns: dict[str, str],
    rows: Iterable[Sequence[Any]],
) -> int:
    table = model.__tablename__
    staging = f"staging_{table}"
    definition = ", ".join(f"{name} {kind}" for name, kind in columns.items())
    session.execute(text(f"CREATE TEMP TABLE IF NOT EXISTS {staging} ({definition}) ON COMMIT DROP"))
    session.execute(text(f"TRUNCATE {staging}"))
    copy_rows(session, staging, list(columns), list(columns.values()), rows)
    names = list(columns)
    source = select(*[text(name) for name in names]).select_from(text(staging))
    statement = insert(model).from_select(names, source).on_conflict_do_nothing()
    result = session.execute(statement, execution_options={"preserve_rowcount": True})
    return int(result.rowcount)  # type: ignore[attr-defined]


def of_utterance(
    session: Session, external_id: str, source: str | None
) -> list[tuple[UtteranceRow, ModelVersion, Score]]:
    query = (
        select(UtteranceRow, ModelVersion, Score)
        .join(Score, Score.utterance_id == UtteranceRow.id)
        .join(ModelVersion, ModelVersion.id == Score.model_version_id)
        .where(UtteranceRow.external_id == external_id)
        .order_by(UtteranceRow.id, Score.revision, ModelVersion.id)
    )
    if source is not None:
        query = query.where(UtteranceRow.source == source)
    return [(row[0], row[1], row[2]) for row in session.execute(query)]
