"""Celery tasks of the word ingest: the inbox of webhooks, and polling, which is the truth."""

from __future__ import annotations

from plugin.services import ingest
from plugin.wiring import get_wiring
from tasks.app import POLICY, app


@app.task(name="ingest.webhook_event", **POLICY)
def webhook_event(event_id: int) -> None:
    """Have the project of an event reconciled; that marks the event as handled."""
    wiring = get_wiring()
    with wiring.transaction() as session:
        project_ids = ingest.handle_webhook_event(session, wiring.instance, event_id)
    for project_id in project_ids:
        wiring.send("ingest.reconcile", project_id)


@app.task(name="ingest.reconcile", **POLICY)
def reconcile(project_id: int) -> None:
    """Collect what has changed in a project; twice equals once."""
    get_wiring().reconcile(project_id, wait=False)


@app.task(name="ingest.sweep", **POLICY)
def sweep() -> None:
    """Find events that nobody has handled, and queues that are due for polling."""
    wiring = get_wiring()
    with wiring.transaction() as session:
        project_ids = ingest.projects_to_reconcile(session, wiring.instance)
    for project_id in project_ids:
        wiring.send("ingest.reconcile", project_id)
