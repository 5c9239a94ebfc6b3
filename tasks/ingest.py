"""Celery tasks of the word ingest: the inbox of webhooks, and polling, which is the truth."""

from __future__ import annotations

from plugin.services import ingest, sources
from plugin.wiring import get_wiring
from tasks.app import POLICY, app


@app.task(name="ingest.webhook_event", **POLICY)
def webhook_event(event_id: int) -> None:
    """Have the project of an event reconciled, or polled as a source; that marks the event as handled."""
    wiring = get_wiring()
    with wiring.transaction() as session:
        source_ids = sources.of_event(session, wiring.instance, event_id)
        project_ids = [] if source_ids else ingest.handle_webhook_event(session, wiring.instance, event_id)
    for source_id in source_ids:
        wiring.send("ingest.poll_source", source_id)
    for project_id in project_ids:
        wiring.send("ingest.reconcile", project_id)


@app.task(name="ingest.reconcile", **POLICY)
def reconcile(project_id: int) -> None:
    """Collect what has changed in a project, and have Label Studio told what follows; twice equals once."""
    wiring = get_wiring()
    collected = wiring.reconcile(project_id, wait=False)
    if collected is None:
        return
    for queue_id in sorted(collected.follow_up.to_publish):
        wiring.send("selection.publish", queue_id)
    for queue_id in sorted(collected.follow_up.to_tidy):
        wiring.send("selection.tidy", queue_id)


@app.task(name="ingest.sweep", **POLICY)
def sweep() -> None:
    """Find events that nobody has handled, queues and sources that are due for polling, and reviews to write back."""
    wiring = get_wiring()
    with wiring.transaction() as session:
        project_ids = ingest.projects_to_reconcile(session, wiring.instance)
        to_poll = sources.due_for_polling(session, wiring.instance)
        to_write = sources.due_for_writing(session, wiring.instance)
    for project_id in project_ids:
        wiring.send("ingest.reconcile", project_id)
    for source_id in to_poll:
        wiring.send("ingest.poll_source", source_id)
    for source_id in to_write:
        wiring.send("ingest.write_back", source_id)


@app.task(name="ingest.poll_source", **POLICY)
def poll_source(source_id: int) -> None:
    """Read what is new in an attached project, and have it scored; twice equals once."""
    wiring = get_wiring()
    polled = wiring.poll_source(source_id, wait=False)
    if polled is None:
        return
    for first, last in ingest.score_ranges(polled.taken.ids, wiring.settings.scoring_batch_size):
        wiring.send("scoring.score_batch", first, last)
    if not polled.is_done:
        wiring.send("ingest.poll_source", source_id)


@app.task(name="ingest.write_back", **POLICY)
def write_back(source_id: int) -> None:
    """Write reviews to the tasks of an attached project; twice equals once."""
    wiring = get_wiring()
    done = wiring.write_back(source_id, wait=False)
    if done is not None and not done.is_done and done.has_progress:  # else the next sweep goes on
        wiring.send("ingest.write_back", source_id)
