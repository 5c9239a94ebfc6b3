"""Celery tasks of the word selection: rounds, and their way into Label Studio."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy.exc import OperationalError

from db.repositories import queues as queue_rows
from plugin.label_studio.errors import LabelStudioError
from plugin.services import queues, selection
from plugin.wiring import get_wiring
from tasks.app import app

POLICY = {
    "autoretry_for": (OperationalError, LabelStudioError),
    "retry_backoff": 5,
    "retry_backoff_max": 300,
    "retry_jitter": True,
    "max_retries": 5,
}


@app.task(name="selection.refresh", **POLICY)
def refresh(locale: str) -> None:
    """A new round for the locale; its queues are published apart, each on its own."""
    wiring = get_wiring()
    selection.refresh(wiring.transaction, locale, datetime.now(UTC), wiring.instance)
    send_dirty()


@app.task(name="selection.publish", **POLICY)
def publish(queue_id: int) -> None:
    """Bring one queue of Label Studio to the current round; twice equals once."""
    get_wiring().publish(queue_id, wait=False)


@app.task(name="selection.sweep", **POLICY)
def sweep() -> None:
    """Publish what a lost message, or an absent Label Studio, left unpublished; delete what has left for good."""
    send_dirty()
    wiring = get_wiring()
    with wiring.transaction() as session:
        emptying = queue_rows.with_leaving(session, wiring.instance)
    for queue_id in emptying:
        queues.remove_left(wiring.transaction, wiring.label_studio, wiring.instance, queue_id)


def send_dirty() -> None:
    wiring = get_wiring()
    with wiring.transaction() as session:
        dirty = queue_rows.dirty_ids(session, wiring.instance)
    for queue_id in dirty:
        wiring.send("selection.publish", queue_id)
