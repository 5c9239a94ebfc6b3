"""Utterances and their revisions."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Text, any_, func, literal, select, text, update
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Session

from db.models import UtteranceRevision, UtteranceRow
from db.models.utterances import GONE, POOL
from db.repositories.copying import copy_rows
from db.repositories.ids import among

STAGING = "staging_utterances"


class Incoming(NamedTuple):
    """A record as it comes in; no `external_id` twice in one call. `content_hash` is the SHA-256 of the rest."""

    external_id: str
    content_hash: bytes
    locale: str
    text: str
    domain: str | None = None
    intent: str | None = None
    slots: Sequence[Sequence[Any]] = ()
    nlu_score: float | None = None
    domain_scores: dict[str, float] | None = None
    defect: bool = False
    occurred_at: datetime | None = None


COLUMNS = {
    "external_id": "text", "content_hash": "bytea", "locale": "text", "text": "text", "domain": "text",
    "intent": "text", "slots": "jsonb", "nlu_score": "float4", "domain_scores": "jsonb", "defect": "bool",
    "occurred_at": "timestamptz",
}  # fmt: skip


class Stored(NamedTuple):
    """An utterance that was inserted or revised."""

    external_id: str
    id: int
    revision: int


class Upserted(NamedTuple):
    """`conflicts`: the external ids that live in another partition of the source, and in which; nothing was done."""

    new: int
    changed: int
    unchanged: int
    stored: list[Stored]
    conflicts: dict[str, str]


# One statement, so one snapshot: `kept` reads the content that `revised` replaces. The lateral join makes every row
# an index look-up; left to itself, the planner scans the whole table for each chunk.
UPSERT = text(f"""
    WITH found AS MATERIALIZED (
        SELECT staged.*, known.id, known.partition AS known_partition,
               known.content_hash = staged.content_hash OR NOT :is_live AND EXISTS (
                   SELECT FROM utterance_revisions AS earlier
                   WHERE earlier.utterance_id = known.id AND earlier.content_hash = staged.content_hash
               ) AS is_known
        FROM {STAGING} AS staged
        LEFT JOIN LATERAL (
            SELECT id, partition, content_hash FROM utterances
            WHERE source = :source AND external_id = staged.external_id LIMIT 1
        ) AS known ON true
    ),
    changed AS (
        SELECT * FROM found WHERE known_partition = :partition AND NOT is_known
    ),
    inserted AS (
        INSERT INTO utterances (source, partition, {", ".join(COLUMNS)})
        SELECT :source, :partition, {", ".join(COLUMNS)} FROM found WHERE id IS NULL
        RETURNING external_id, id, revision
    ),
    kept AS (
        INSERT INTO utterance_revisions (utterance_id, revision, content_hash, content)
        SELECT old.id, old.revision, old.content_hash, jsonb_build_object(
            'locale', old.locale, 'text', old.text, 'domain', old.domain, 'intent', old.intent, 'slots', old.slots,
            'nlu_score', old.nlu_score, 'domain_scores', old.domain_scores, 'defect', old.defect,
            'occurred_at', old.occurred_at, 'ingested_at', old.ingested_at
        )
        FROM utterances AS old JOIN changed ON changed.id = old.id
    ),
    revised AS (
        UPDATE utterances AS row
        SET {", ".join(f"{name} = changed.{name}" for name in COLUMNS if name != "external_id")},
            revision = row.revision + 1, ingested_at = clock_timestamp()
        FROM changed WHERE changed.id = row.id
        RETURNING row.external_id, row.id, row.revision
    )
    SELECT 'new', external_id, id, revision, NULL FROM inserted
    UNION ALL SELECT 'changed', external_id, id, revision, NULL FROM revised
    UNION ALL SELECT 'conflict', external_id, id, NULL, known_partition FROM found WHERE known_partition <> :partition
""")  # noqa: S608  # only our own column names are put in


# What came back has to be scored again, for what was not scored before it went is not looked for any more.
BRING_BACK = text(f"""
    WITH back AS MATERIALIZED (
        SELECT known.id FROM {STAGING} AS staged CROSS JOIN LATERAL (
            SELECT id FROM utterances
            WHERE source = :source AND external_id = staged.external_id AND partition = :gone LIMIT 1
        ) AS known
    )
    UPDATE utterances AS row SET partition = :partition, ingested_at = clock_timestamp()
    FROM back WHERE row.id = back.id
    RETURNING row.id, row.external_id, row.revision
""")  # noqa: S608  # only our own names are put in


def upsert(
    session: Session, source: str, partition: str, rows: Iterable[Incoming], *, is_live: bool = False
) -> Upserted:
    """Insert what is new, revise what has changed, leave the rest; one writer per source at a time.

    Content that equals the current *or an earlier* revision changes nothing: an old file that is read again never
    takes a newer revision back. So a source that truly returns to an earlier content must say so with another field
    (`occurred_at`, say). Not so the rows of an `is_live` source, which are as it stands now: an earlier content is a
    new revision, and what had gone is back, among the changed.
    """
    lock_source(session, source)
    staged = _stage(session, rows)
    returned = _bring_back(session, source, partition) if is_live else []
    stored: dict[str, list[Stored]] = {"new": [], "changed": []}
    conflicts: dict[str, str] = {}
    for kind, external_id, id_, revision, known_partition in session.execute(
        UPSERT, {"source": source, "partition": partition, "is_live": is_live}
    ):
        if kind == "conflict":
            conflicts[external_id] = known_partition
        else:
            stored[kind].append(Stored(external_id, id_, revision))
    revised = {row.id for row in stored["changed"]}
    stored["changed"] += [row for row in returned if row.id not in revised]
    new, changed = len(stored["new"]), len(stored["changed"])
    return Upserted(new, changed, staged - new - changed - len(conflicts), stored["new"] + stored["changed"], conflicts)


def _bring_back(session: Session, source: str, partition: str) -> list[Stored]:
    rows = session.execute(BRING_BACK, {"source": source, "partition": partition, "gone": GONE})
    return [Stored(external_id, id_, revision) for id_, external_id, revision in rows]


def lock_source(session: Session, source: str) -> None:
    session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(f"ingest:{source}", 0))))


def _stage(session: Session, rows: Iterable[Incoming]) -> int:
    definition = ", ".join(f"{name} {kind}" for name, kind in COLUMNS.items())
    session.execute(text(f"CREATE TEMP TABLE IF NOT EXISTS {STAGING} ({definition}) ON COMMIT DROP"))
    session.execute(text(f"TRUNCATE {STAGING}"))
    copy_rows(session, STAGING, list(COLUMNS), list(COLUMNS.values()), rows)
    return session.scalar(text(f"SELECT count(*) FROM {STAGING}")) or 0  # noqa: S608  # our own name


class Understood(NamedTuple):
    """The hypothesis of a revision; all None or empty where there was none."""

    domain: str | None
    intent: str | None
    slots: Sequence[Sequence[Any]]


def hypotheses(session: Session, places: Collection[tuple[int, int]]) -> dict[tuple[int, int], Understood]:
    """What was understood of revisions, given as (id, revision): the current ones and those that were replaced."""
    ids = [id_ for id_, _ in places]
    now = select(UtteranceRow.id, UtteranceRow.revision, UtteranceRow.domain, UtteranceRow.intent, UtteranceRow.slots)
    found = {
        (id_, revision): Understood(*label)
        for id_, revision, *label in session.execute(now.where(among(UtteranceRow.id, ids)))
    }
    then = select(UtteranceRevision.utterance_id, UtteranceRevision.revision, UtteranceRevision.content)
    for id_, revision, content in session.execute(then.where(among(UtteranceRevision.utterance_id, ids))):
        found[id_, revision] = Understood(content["domain"], content["intent"], content["slots"])
    return {place: found[place] for place in places if place in found}


def ids(session: Session, source: str, external_ids: Iterable[str]) -> dict[str, int]:
    """External id -> id, of those that exist."""
    known = literal(list(external_ids), ARRAY(Text))
    query = select(UtteranceRow.external_id, UtteranceRow.id).where(
        UtteranceRow.source == source, UtteranceRow.external_id == any_(known)
    )
    return {row.external_id: row.id for row in session.execute(query)}


def is_source(session: Session, source: str) -> bool:
    """Whether any utterance is of this source."""
    return session.scalar(select(UtteranceRow.id).where(UtteranceRow.source == source).limit(1)) is not None


def leave_pool(session: Session, utterance_ids: Sequence[int]) -> int:
    """Take utterances out of the pool: no round chooses them, no model is trained on their hypotheses."""
    result = session.execute(
        update(UtteranceRow)
        .where(among(UtteranceRow.id, utterance_ids), UtteranceRow.partition == POOL)
        .values(partition=GONE)
    )
    return int(result.rowcount)  # type: ignore[attr-defined]


def revisions(session: Session, ids: Iterable[int]) -> dict[int, int]:
    """The current revision of those of the ids that exist."""
    query = select(UtteranceRow.id, UtteranceRow.revision).where(among(UtteranceRow.id, ids))
    return {row.id: row.revision for row in session.execute(query)}
