"""Schedules, and the tick that finds due work: schedules, lost messages, interrupted runs, unpublished numbers."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from cronsim import CronSim, CronSimError
from sqlalchemy.orm import Session

from db.models import Schedule, TrainingRun
from db.repositories import evaluations
from db.repositories import schedules as schedule_rows
from plugin.formats import checks
from plugin.services import policies
from plugin.services.evaluation import data
from plugin.services.evaluation.errors import EvaluationError
from plugin.services.evaluation.lease import busy_locales
from plugin.services.evaluation.runs import create_run, known_run
from plugin.services.evaluation.steps import PUBLISH

log = logging.getLogger(__name__)

CRON_FIELDS = 5
SENT_BY_NOW = timedelta(minutes=2)
TAKEN_BY_NOW = timedelta(minutes=10)


@dataclass(frozen=True)
class Due:
    """Runs that a worker is to be asked for."""

    retrain: Sequence[int]
    publish: Sequence[int]


def next_due(cron: str, after: datetime) -> datetime:
    """The first time after `after`, in UTC. Raises EvaluationError when `cron` is not five cron fields."""
    if len(cron.split()) != CRON_FIELDS:
        raise EvaluationError(f"cron {cron!r} needs five fields (minute hour day month weekday), such as '0 3 * * *'")
    try:
        found = next(CronSim(cron, after.astimezone(UTC)))
    except (CronSimError, StopIteration) as error:
        raise EvaluationError(f"cron {cron!r}: {str(error) or 'never comes'}; an example: '0 3 * * *'") from error
    assert isinstance(found, datetime)
    return found


def put(
    session: Session, name: str, *, locale: str, test_set: str, cron: str, now: datetime, on_drift: bool | None = None
) -> Schedule:
    """`on_drift`: None leaves it as it is, and off in a new one."""
    try:
        checks.label(name, "name")
        checks.locale({"locale": locale})
        checks.label(test_set, "test set")
    except checks.RecordError as error:
        raise EvaluationError(str(error)) from error
    data.check_test_set_name(test_set)
    return schedule_rows.put(
        session, name, locale=locale, test_set=test_set, cron=cron, next_due_at=next_due(cron, now), on_drift=on_drift
    )


def tick(session: Session, now: datetime) -> Due:
    """Make the runs that are due, and mark as sent what is to be sent after the commit."""
    busy = busy_locales(session)
    made = [run for schedule in schedule_rows.lock_due(session, now) if (run := start(session, schedule, now))]
    found = evaluations.lock_unsent(session, now, busy_locales=busy, new_for=SENT_BY_NOW, silent_for=TAKEN_BY_NOW)
    runs = [run.id for run in [*made, *found] if run.locale not in busy]
    evaluations.set_sent(session, runs, now)
    return Due(runs, evaluations.unpublished_ids(session, PUBLISH))


def start(session: Session, schedule: Schedule, now: datetime) -> TrainingRun | None:
    """One run, however often the schedule was missed; none while its last one is not over."""
    try:
        schedule.next_due_at = next_due(schedule.cron, now)
    except EvaluationError as error:
        log.error("schedule %s is switched off: %s", schedule.name, error)  # noqa: TRY400 - the line says it all
        schedule.enabled = False
        return None
    if evaluations.has_unfinished(session, schedule.id):
        log.warning("schedule %s: its last run is not over, this turn is skipped", schedule.name)
        return None
    return run_of(session, schedule, now, trigger="schedule")


def start_on_drift(session: Session, locale: str, now: datetime) -> list[TrainingRun]:
    """A run of each of the locale's schedules that allow it, unless its last one is not over; the tick sends them."""
    allowed = schedule_rows.lock_on_drift(session, locale)
    return [
        run_of(session, one, now, trigger="drift") for one in allowed if not evaluations.has_unfinished(session, one.id)
    ]


def run_of(session: Session, schedule: Schedule, now: datetime, *, trigger: str) -> TrainingRun:
    schedule.last_run_at = now
    return create_run(
        session,
        schedule.locale,
        schedule.test_set,
        policies.resolve(session, schedule.locale),
        trigger=trigger,
        requested_by=schedule.name,
        schedule_id=schedule.id,
    )


def send_again(session: Session, run_ids: Sequence[int]) -> None:
    """The messages did not go out: the next tick sends them."""
    evaluations.set_sent(session, run_ids, None)


def send_later(session: Session, run_id: int) -> None:
    """The message came while another run of the locale was at work; a second message for a running run is dropped."""
    run = known_run(session, run_id)
    if run.state == "queued":
        evaluations.set_sent(session, [run_id], None)
