"""Which sources are to be looked at, and how their projects tell of news."""

from __future__ import annotations

from sqlalchemy.orm import Session

from db.repositories import sources as source_rows
from db.repositories import webhook_events, write_backs
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.protocol import SourceProjects
from plugin.services.ingest.collection import POLL_EVERY
from plugin.services.queues import Webhook

# Of annotations over there nothing is collected, and a change of data is told by no webhook at all.
WEBHOOK_ACTIONS = ("TASKS_CREATED", "TASKS_DELETED")


def of_event(session: Session, instance: str, event_id: int) -> list[int]:
    """The source that an event is about, if it is about one; polling marks the event as handled."""
    project_id = webhook_events.project_of(session, event_id)
    source = None if project_id is None else source_rows.by_project(session, instance, project_id)
    return [] if source is None or source.state != "attached" else [source.id]


def due_for_polling(session: Session, instance: str) -> list[int]:
    """Those with unhandled events, those that are being read, and those that nobody has looked at for a while."""
    reported = webhook_events.unhandled_projects(session)
    told = [source.id for source in source_rows.attached(session, instance) if source.project_id in reported]
    due = source_rows.due_ids(session, instance, POLL_EVERY)
    return list(dict.fromkeys([*told, *due]))


def due_for_writing(session: Session, instance: str) -> list[int]:
    return write_backs.sources_with_due(session, instance)


def ask_for_news(label_studio: SourceProjects, project_id: int, webhook: Webhook) -> str | None:
    """Why the project will send none; polling finds everything all the same."""
    try:
        label_studio.ensure_webhook(project_id, webhook.url, webhook.secret, WEBHOOK_ACTIONS)
    except LabelStudioError as error:
        return str(error)
    return None
