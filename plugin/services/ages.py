"""How far behind what comes in the queues are, in words."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from db.models import Refresh, SelectionRow
from db.repositories import arrivals, refreshes, selections, strata
from plugin.services.selection.refreshing import looked_until

# Looks are due every few seconds: where none has come for so long, none will.
NOBODY_LOOKS = timedelta(minutes=3)


def locales(session: Session, now: datetime) -> list[dict[str, Any]]:
    return [line(session, locale, now) for locale in refreshes.locales(session)]


def line(session: Session, locale: str, now: datetime) -> dict[str, Any]:
    row = selections.current(session, locale)
    assert row is not None
    last = refreshes.get(session, locale)
    since = looked_until(session, row, last)
    newest = arrivals.first_since(session, locale, row.model_version_id, since)
    return {
        "locale": locale,
        "round": row.id,
        "extensions": len(strata.of_round(session, row.id)) - 1,
        "looked_at": None if last is None else last.began_at,
        "new_since": newest,
        "waiting": 0 if last is None else last.waiting,
        "waiting_since": None if last is None else last.waiting_since,
        "problem": None if last is None else last.problem,
        "said": said(row, last, newest, now),
    }


def said(row: SelectionRow, last: Refresh | None, new_since: datetime | None, now: datetime) -> str:
    looked = row.created_at if last is None else last.began_at
    if last is not None and last.problem is not None:
        return f"not refreshed for {ago(looked, now)}: {last.problem}"
    if new_since is not None and now - new_since > NOBODY_LOOKS:
        return f"behind: new utterances wait for {ago(new_since, now)} and nobody looks; do worker and beat run?"
    found = ""
    if last is not None and last.waiting_since is not None:
        found = f"{last.waiting} utterances, too few for a place, wait for more since {ago(last.waiting_since, now)}"
    coming = "new ones are coming in" if new_since is not None else ""
    return "; ".join(part for part in (found, coming) if part) or f"up to date, as of {ago(looked, now)} ago"


def ago(moment: datetime | None, now: datetime) -> str:
    assert moment is not None
    seconds = max(round((now - moment).total_seconds()), 0)
    return f"{seconds} s" if seconds < 120 else f"{seconds // 60} min" if seconds < 7200 else f"{seconds // 3600} h"
