"""Celery tasks of the word evaluation. A retraining is long: its lease and its rows make a second delivery harmless."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

from sqlalchemy.exc import OperationalError

from plugin import wiring_ml
from plugin.services import drift, evaluation
from plugin.services.evaluation import EvaluationError, LeaseLostError, LocaleBusyError
from plugin.wiring import get_wiring
from tasks.app import app

log = logging.getLogger(__name__)

POLICY = {"autoretry_for": (OperationalError,), "retry_backoff": 5, "retry_jitter": True, "max_retries": 5}
HOURS = 3600


@app.task(name="evaluation.retrain", soft_time_limit=12 * HOURS, time_limit=12 * HOURS + 300, **POLICY)
def retrain(run_id: int) -> None:
    """Do what is left of a run, then have its numbers published and, after a promotion, the pool scored anew."""
    wiring = get_wiring()
    context = evaluation.Context(wiring.transaction, wiring_ml.workshop(wiring.settings))
    try:
        evaluation.execute(context, run_id)
    except LocaleBusyError:
        with wiring.transaction() as session:
            evaluation.send_later(session, run_id)
    except (EvaluationError, LeaseLostError) as error:
        log.warning("run %d: %s", run_id, error, exc_info=error.__cause__ is not None)
    else:
        wiring.send("evaluation.publish", run_id)
        with wiring.transaction() as session:
            promoted = evaluation.promoted_version(session, run_id)
        if promoted is not None:
            wiring.send("scoring.backfill", promoted)


@app.task(name="evaluation.publish", **POLICY)
def publish(run_id: int) -> None:
    """Write a run's numbers into the queue projects of its locale; twice equals once."""
    wiring = get_wiring()
    evaluation.publish(wiring.transaction, lambda: wiring.label_studio, wiring.instance, run_id)


@app.task(name="evaluation.tick", **POLICY)
def tick() -> None:
    """Start what schedules ask for, and find what was committed and never sent, or broke off."""
    wiring = get_wiring()
    with wiring.transaction() as session:
        due = evaluation.tick(session, datetime.now(UTC))
    unsent = [run_id for run_id in due.retrain if not wiring.send("evaluation.retrain", run_id)]
    if unsent:
        with wiring.transaction() as session:
            evaluation.send_again(session, unsent)
    for run_id in due.publish:
        wiring.send("evaluation.publish", run_id)


@app.task(name="evaluation.watch", **POLICY)
def watch() -> None:
    """Find the locales that are to be looked at, and send what alarms have not been sent."""
    wiring = get_wiring()
    every = wiring.settings.watch_seconds
    if every:
        with wiring.transaction() as session:
            locales = drift.due(session, datetime.now(UTC), timedelta(seconds=every))
        for locale in locales:
            wiring.send("evaluation.look", locale)
    wiring.send_alarms()


@app.task(name="evaluation.look", **POLICY)
def look(locale: str) -> None:
    """Look for drift in a locale; twice equals once. A retraining that an alarm asks for is sent by the tick."""
    wiring = get_wiring()
    seen = wiring.look_for_drift(locale)
    if seen is not None and (seen.raised or seen.resolved):
        wiring.send_alarms()
