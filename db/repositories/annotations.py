"""What people said: gold data from files, reviews from Label Studio."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Boolean, func, literal_column, or_, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.exc import DataError, IntegrityError
from sqlalchemy.orm import Session

from db.models import AnnotationRow
from db.repositories.copying import copy_rows
from db.repositories.ids import among, not_among

STAGING = "staging_gold"
# A lone surrogate does not even reach the database: psycopg cannot encode it.
REFUSALS = (IntegrityError, DataError, UnicodeEncodeError)


class Gold(NamedTuple):
    """A label that came in a file."""

    utterance_id: int
    revision: int
    domain: str
    intent: str
    slots: Sequence[Sequence[Any]]
    annotator: str


GOLD_COLUMNS = {
    "utterance_id": "int8", "revision": "int8", "domain": "text", "intent": "text", "slots": "jsonb",
    "annotator": "text",
}  # fmt: skip


class Reviewed(NamedTuple):
    """An annotation as Label Studio has it now."""

    utterance_id: int
    revision: int
    annotation_id: int
    task_id: int
    verdict: str
    domain: str | None
    intent: str | None
    slots: Sequence[Sequence[Any]]
    annotator: str
    lead_time_s: float | None
    reject_reason: str | None
    shown_blind: bool
    note: str
    created_at: datetime
    updated_at: datetime
    kind: str = "review"


class Refused(NamedTuple):
    """A review that the database does not take, and what it says of it."""

    annotation_id: int
    reason: str


class Written(NamedTuple):
    new: int
    updated: int
    refused: tuple[Refused, ...] = ()

    def __add__(self, other: object) -> Written:
        if not isinstance(other, Written):
            return NotImplemented
        return Written(self.new + other.new, self.updated + other.updated, self.refused + other.refused)


PUT_GOLD = text(f"""
    INSERT INTO annotations ({", ".join(GOLD_COLUMNS)}, instance, verdict, created_at, updated_at)
    SELECT {", ".join(GOLD_COLUMNS)}, :instance, 'accept', clock_timestamp(), clock_timestamp() FROM {STAGING}
    ON CONFLICT (utterance_id) WHERE annotation_id IS NULL DO UPDATE
    SET revision = excluded.revision, domain = excluded.domain, intent = excluded.intent, slots = excluded.slots,
        annotator = excluded.annotator, updated_at = excluded.updated_at
    WHERE annotations.revision < excluded.revision
""")  # noqa: S608  # only our own column names are put in


def put_gold(session: Session, instance: str, rows: Iterable[Gold]) -> None:
    """One gold label per utterance: that of its newest revision. Twice equals once."""
    definition = ", ".join(f"{name} {kind}" for name, kind in GOLD_COLUMNS.items())
    session.execute(text(f"CREATE TEMP TABLE IF NOT EXISTS {STAGING} ({definition}) ON COMMIT DROP"))
    session.execute(text(f"TRUNCATE {STAGING}"))
    copy_rows(session, STAGING, list(GOLD_COLUMNS), list(GOLD_COLUMNS.values()), rows)
    session.execute(PUT_GOLD, {"instance": instance})


def put_reviews(session: Session, instance: str, rows: Sequence[Reviewed]) -> Written:
    """By (instance, annotation id); the newer `updated_at` wins, and one that is back is no longer withdrawn.

    What a constraint or a column's type refuses is told, and stops none of the others: found by halving.
    """
    if not rows:
        return Written(0, 0)
    try:
        with session.begin_nested():
            return _put_reviews(session, instance, rows)
    except REFUSALS as error:
        if len(rows) == 1:
            reason = str(getattr(error, "orig", error)).splitlines()[0]
            return Written(0, 0, (Refused(rows[0].annotation_id, reason),))
    half = len(rows) // 2
    first, second = (put_reviews(session, instance, part) for part in (rows[:half], rows[half:]))
    return first + second


def _put_reviews(session: Session, instance: str, rows: Sequence[Reviewed]) -> Written:
    table = AnnotationRow.__table__
    statement = insert(AnnotationRow.__table__)  # type: ignore[arg-type]  # typed as FromClause, and a Table
    kept = {"instance", "annotation_id", "utterance_id", "revision", "created_at", "shown_blind", "kind"}
    changes = {name: statement.excluded[name] for name in Reviewed._fields if name not in kept}
    is_new = literal_column("(xmax = 0)", Boolean)
    statement = statement.on_conflict_do_update(
        index_elements=["instance", "annotation_id"],
        set_={**changes, "withdrawn_at": None, "collected_at": func.clock_timestamp()},
        where=or_(statement.excluded.updated_at > table.c.updated_at, table.c.withdrawn_at.is_not(None)),
    )
    values = [{"instance": instance, **row._asdict()} for row in rows]
    written = list(session.execute(statement.returning(is_new), values).scalars())
    return Written(sum(written), len(written) - sum(written))


def withdraw(session: Session, instance: str, task_ids: Sequence[int], standing: Iterable[int]) -> list[int]:
    """Withdraw the tasks' annotations that are not among those still `standing`; the ids of the tasks concerned."""
    return list(
        session.scalars(
            update(AnnotationRow)
            .where(AnnotationRow.instance == instance, among(AnnotationRow.task_id, task_ids))
            .where(not_among(AnnotationRow.annotation_id, standing), AnnotationRow.withdrawn_at.is_(None))
            .values(withdrawn_at=func.clock_timestamp())
            .returning(AnnotationRow.task_id)
        )
    )
