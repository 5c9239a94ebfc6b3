"""Celery tasks of the word selection: rounds, and their way into Label Studio."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from plugin.services import marks, queues, selection, tidying
from plugin.wiring import get_wiring
from tasks.app import POLICY, app


@app.task(name="selection.refresh", **POLICY)
def refresh(locale: str) -> None:
    """Bring the locale's round to what has come in; its queues are published apart, each on its own."""
    done = get_wiring().keep_up(locale)
    if done is not None and done.is_news:
        send_dirty()


@app.task(name="selection.tick", **POLICY)
def tick() -> None:
    """Find the locales where something is new: so a burst of arrivals costs no more messages than a trickle."""
    wiring = get_wiring()
    if not wiring.settings.refresh_seconds:
        return
    with wiring.transaction() as session:
        due = selection.due(session, timedelta(seconds=wiring.settings.refresh_seconds))
    for locale in due:
        wiring.send("selection.refresh", locale)


@app.task(name="selection.publish", **POLICY)
def publish(queue_id: int) -> None:
    """Bring one queue of Label Studio to the current round; twice equals once."""
    get_wiring().publish(queue_id, wait=False)


@app.task(name="selection.tidy", **POLICY)
def tidy(queue_id: int) -> None:
    """Delete what a queue in Label Studio should not hold; twice equals once."""
    get_wiring().tidy(queue_id)


@app.task(name="selection.mark", **POLICY)
def mark(queue_id: int) -> None:
    """Say in a queue's columns what its reviews came to; twice equals once."""
    wiring = get_wiring()
    marks.mark(wiring.transaction, wiring.label_studio, wiring.instance, queue_id)


@app.task(name="selection.sweep", **POLICY)
def sweep() -> None:
    """Find what a lost message, or an absent Label Studio, left unpublished, what is to be tidied up, and the columns
    that reviews have outdated.
    """
    send_dirty()
    wiring = get_wiring()
    with wiring.transaction() as session:
        untidy = tidying.untidy(session, wiring.instance, datetime.now(UTC))
        unmarked = marks.unmarked(session, wiring.instance)
    for queue_id in untidy:
        wiring.send("selection.tidy", queue_id)
    for queue_id in unmarked:
        wiring.send("selection.mark", queue_id)


def send_dirty() -> None:
    wiring = get_wiring()
    with wiring.transaction() as session:
        dirty = queues.dirty(session, wiring.instance)
    for queue_id in dirty:
        wiring.send("selection.publish", queue_id)
