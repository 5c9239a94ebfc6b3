"""Alarms and looks as plain values: the same for the command line, JSON, pages and the webhook."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from db.models import Alarm
from db.repositories import alarms

ALARM_FIELDS = (
    "id", "kind", "locale", "domain", "value", "threshold", "sentence", "details", "raised_at", "seen_at",
    "resolved_at", "run_id", "raised_sent_at", "resolved_sent_at", "tries", "send_problem",
)  # fmt: skip


def alarm_values(alarm: Alarm) -> dict[str, Any]:
    return {name: getattr(alarm, name) for name in ALARM_FIELDS}


def list_alarms(session: Session, *, locale: str | None = None, only_open: bool = True) -> list[dict[str, Any]]:
    """The newest first."""
    return [alarm_values(alarm) for alarm in alarms.listed(session, locale=locale, only_open=only_open)]


def list_looks(session: Session, locale: str | None = None) -> list[dict[str, Any]]:
    """The last look at each locale, with all that it saw."""
    return [
        {"locale": row.locale, "looked_at": row.looked_at, "seen": row.seen} for row in alarms.looks(session, locale)
    ]
