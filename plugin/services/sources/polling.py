"""The tasks of attached projects come in: polling with a watermark is the truth, webhooks only say when to look.

A poll is read / Label Studio / write, page by page: no transaction is open while Label Studio answers, and everything
may be repeated. Run one at a time per source (`db.session.advisory_lock`).

1. One small request tells whether anything is new at all.
2. What changed since the watermark, less an overlap, is read, or, at first and when predictions came, all tasks; that
   goes on from where it was, should it be interrupted.
3. Where the project has another number of tasks than we know, all ids are listed: what lacks was deleted.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from sqlalchemy.orm import Session

from db.models import SourceRow
from db.repositories import polls, webhook_events
from db.repositories import sources as source_rows
from db.session import TransactionMaker
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.payloads.sources import SourceGlance
from plugin.label_studio.protocol import SourceProjects
from plugin.label_studio.task_map import MapError, TaskMap
from plugin.services.ingest.collection import NOT_FOUND, POLL_EVERY
from plugin.services.ingest.intake import Summary
from plugin.services.sources.reading import NOTHING_TAKEN, Taken, take, task_map

log = logging.getLogger(__name__)

PAGE = 500
# A poll ends within minutes: whoever calls it goes on.
PAGES_A_POLL = 40
# New predictions change no task: where hypotheses are read from them, all tasks are read again, not more often.
READ_EVERY = timedelta(minutes=10)
# What changes without a trace (data filled in by a bulk action) is found by then.
READ_ANYWAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Polled:
    """What a poll brought. `is_done`: all that was new is read. `problem` is what kept it from reading."""

    source_id: int
    taken: Taken = NOTHING_TAKEN
    deleted: int = 0
    is_done: bool = True
    problem: str | None = None

    def __add__(self, other: object) -> Polled:
        if not isinstance(other, Polled):
            return NotImplemented
        taken, deleted = self.taken + other.taken, self.deleted + other.deleted
        return Polled(self.source_id, taken, deleted, other.is_done, other.problem)

    @property
    def has_news(self) -> bool:
        return bool(self.taken.ids or self.taken.summary.rejected or self.deleted)


@dataclass(slots=True)
class Reading:
    """What to ask for: all tasks after an id, or those that changed since a time."""

    source: SourceRow
    started_at: datetime
    since: datetime | None
    known: int
    after: int | None
    taken: Taken = field(default=NOTHING_TAKEN)

    @property
    def is_whole(self) -> bool:
        return self.after is not None


def poll(
    transaction: TransactionMaker,
    label_studio: SourceProjects,
    instance: str,
    source_id: int,
    *,
    overlap: timedelta,
    force: bool = False,
) -> Polled:
    """Read what is new in a source. Raises LookupError when there is no such source.

    Unless forced, does nothing when nothing was reported and it was polled a moment ago.
    """
    with transaction() as session:
        reading = read_source(session, instance, source_id, overlap=overlap, force=force)
    if reading is None:
        return Polled(source_id)
    try:
        return _poll(transaction, label_studio, reading)
    except LabelStudioError as error:
        gone = error.status == NOT_FOUND
        problem = f"the project {reading.source.project_id} is no longer in Label Studio" if gone else str(error)
        _tell(transaction, reading, problem, is_final=gone)
        if not gone:
            raise
        return Polled(source_id, reading.taken, problem=problem)
    except MapError as error:
        problem = f"the project has changed: {error}"
        _tell(transaction, reading, problem, is_final=True)
        return Polled(source_id, reading.taken, problem=problem)


def read_source(session: Session, instance: str, source_id: int, *, overlap: timedelta, force: bool) -> Reading | None:
    """None when there is no reason to look."""
    source = source_of(session, instance, source_id)
    now = polls.clock(session)
    fresh = source.polled_at is not None and now - source.polled_at < POLL_EVERY and source.reading_after is None
    idle = fresh and not force and not webhook_events.has_open(session, source.project_id)
    if source.state != "attached" or idle:
        return None
    since = source.collected_until - overlap if source.collected_until is not None else None
    due = source.read_at is not None and now - source.read_at > READ_ANYWAY
    after = 0 if source.reading_after is None and (since is None or due) else source.reading_after
    return Reading(source, now, since, source_rows.known_tasks(session, source_id), after)


def source_of(session: Session, instance: str, source_id: int) -> SourceRow:
    source = source_rows.get(session, source_id)
    if source is None:
        raise LookupError(f"no source has id {source_id}")
    if source.instance != instance:
        raise LookupError(f"source {source_id} is in the Label Studio named {source.instance!r}, not {instance!r}")
    return source


def _poll(transaction: TransactionMaker, label_studio: SourceProjects, reading: Reading) -> Polled:
    source = reading.source
    glance = label_studio.source_glance(source.project_id)
    changed = reading.since is None or (glance.newest is not None and glance.newest >= reading.since)
    if _has_new_predictions(reading, glance):
        reading.after = 0
    deleted = 0
    if reading.is_whole or changed or glance.task_count != reading.known:
        how = task_map(source, label_studio.get_project(source.project_id))
        if reading.after == 0:
            _begin(transaction, reading, glance)
        if (reading.is_whole or changed) and not _read(transaction, label_studio, reading, how):
            return Polled(source.id, reading.taken, is_done=False)
        deleted = _sweep(transaction, label_studio, reading, how, glance)
    with transaction() as session:
        _finish(session, reading, glance)
    return Polled(source.id, reading.taken, deleted)


def _has_new_predictions(reading: Reading, glance: SourceGlance) -> bool:
    source = reading.source
    reads_them = any(str(place).startswith("prediction.") for place in source.mapping.values())
    if not reads_them or reading.is_whole or glance.predictions == source.predictions:
        return False
    return source.read_at is None or reading.started_at - source.read_at >= READ_EVERY


def _begin(transaction: TransactionMaker, reading: Reading, glance: SourceGlance) -> None:
    """What changes behind the page that lists it changes after this glance."""
    reading.source.reading_since = glance.clock or glance.newest
    with transaction() as session:
        source_rows.change(
            session, reading.source.id, reading_after=0, reading_since=reading.source.reading_since,
            predictions=glance.predictions,
        )  # fmt: skip


def _read(transaction: TransactionMaker, label_studio: SourceProjects, reading: Reading, how: TaskMap) -> bool:
    """Whether the end was reached. How far a whole reading has come is kept."""
    source, last = reading.source, reading.after or 0
    for _ in range(PAGES_A_POLL):
        since = None if reading.is_whole else reading.since
        tasks = label_studio.source_tasks(
            source.project_id, after=last, updated_since=since, with_predictions=how.reads_predictions, limit=PAGE
        )
        reading.taken += take(transaction, source, how, tasks)
        if len(tasks) < PAGE:
            return True
        last = tasks[-1].task_id
        if reading.is_whole:
            with transaction() as session:
                source_rows.change(session, source.id, reading_after=last)
    if not reading.is_whole:
        # So much has changed at once that reading everything, which goes on where it was, comes to an end sooner.
        with transaction() as session:
            source_rows.change(session, source.id, reading_after=0)
    return False


def _sweep(
    transaction: TransactionMaker, label_studio: SourceProjects, reading: Reading, how: TaskMap, glance: SourceGlance
) -> int:
    """How many tasks were deleted there. What was rejected for an id that has become free is read again."""
    source = reading.source
    with transaction() as session:
        known = source_rows.known_ids(session, source.id)
    gone: set[int] = set()
    if len(known) != glance.task_count:
        gone = known - label_studio.all_task_ids(source.project_id)
    if gone:
        with transaction() as session:
            left = source_rows.mark_deleted(session, source.id, sorted(gone))
            reading.taken += Taken(Summary(), [], source_rows.let_go(session, left))
    if gone or reading.taken.left:
        with transaction() as session:
            claimants = source_rows.claimants(session, source.id)
        if claimants:
            again = label_studio.source_tasks_of(source.project_id, claimants, with_predictions=how.reads_predictions)
            reading.taken += take(transaction, source, how, again)
    return len(gone)


def _finish(session: Session, reading: Reading, glance: SourceGlance) -> None:
    source = reading.source
    values = {"polled_at": reading.started_at, "error": None}
    if reading.is_whole:
        source_rows.change(
            session, source.id, **values, reading_after=None, reading_since=None, read_at=reading.started_at,
            collected_until=source.reading_since,
        )  # fmt: skip
    else:
        source_rows.change(session, source.id, **values)
        source_rows.set_collected_until(session, source.id, glance.clock or glance.newest)
    webhook_events.mark_project_handled(session, source.project_id, reading.started_at)


def _tell(transaction: TransactionMaker, reading: Reading, problem: str, *, is_final: bool) -> None:
    """What may pass is tried again because of the events that stay open."""
    source = reading.source
    log.warning("source %s: %s", source.name, problem)
    with transaction() as session:
        source_rows.change(session, source.id, error=problem, polled_at=reading.started_at)
        if is_final:
            webhook_events.mark_project_handled(session, source.project_id, reading.started_at, problem)
        else:
            webhook_events.set_project_error(session, source.project_id, problem)
