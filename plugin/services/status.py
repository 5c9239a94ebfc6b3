"""What is where: the counts that `assay status` and the pages show."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db.models import ModelVersion, Queue, SelectionRow, TrainingRun
from db.repositories import evaluations, models, overview, queues, selections, strata
from plugin.services import ages, agreement, drift, prefilling, scoring


def status(session: Session, now: datetime) -> dict[str, Any]:
    """JSON-ready, but for times. Queue `url`s are added by who knows Label Studio's address."""
    pool = overview.pool(session)
    return {
        "utterances": {
            "ingested": sum(row.ingested for row in pool),
            "scored": sum(row.scored for row in pool),
            "by_locale": {row.locale: {"ingested": row.ingested, "scored": row.scored} for row in pool},
        },
        "gold": dict(overview.partitions(session)),
        "annotations": overview.verdicts(session),
        "accepted": prefilling.by_locale(session),
        "models": [model_line(session, locale, champion) for locale, champion in models.champions(session)],
        "queues": [queue_line(session, row, now) for row in queues.counts(session)],
        "ages": ages.locales(session, now),
        "waiting": [line for instance in queues.instances(session) for line in agreement.waiting(session, instance)],
        "alarms": drift.list_alarms(session),
        "runs": [run_line(run) for run in evaluations.recent_runs(session, limit=3)],
        "lags": {"unhandled_webhooks": overview.unhandled_webhooks(session)},
    }


def model_line(session: Session, locale: str, champion: ModelVersion) -> dict[str, Any]:
    waiting = scoring.count_backlog(session, champion.id)
    return {"locale": locale, "champion": champion.name, "promoted_at": champion.promoted_at, "unscored": waiting}


def queue_line(session: Session, row: queues.QueueCounts, now: datetime) -> dict[str, Any]:
    queue = row.queue
    current = selections.current(session, queue.locale)
    return {
        "locale": queue.locale,
        "kind": queue.kind,
        "domain": queue.domain,
        "published": row.published,
        "leaving": row.leaving,
        "annotated": row.annotated,
        "project_id": queue.project_id,
        "state": queue.state,
        "age_s": None if queue.published_at is None else round((now - queue.published_at).total_seconds()),
        "waits_for_publishing": queue.dirty and current is not None,
        "behind_s": behind(session, queue, current, now),
    }


def behind(session: Session, queue: Queue, current: SelectionRow | None, now: datetime) -> int | None:
    """For how long there has been something to publish, in a queue that has been published before."""
    if current is None or not queue.dirty or queue.published_at is None:
        return None
    unseen = [row.created_at for row in strata.of_round(session, current.id) if row.id > (queue.selection_id or 0)]
    return round((now - min(unseen, default=now)).total_seconds())


def run_line(run: TrainingRun) -> dict[str, Any]:
    return {"id": run.id, "locale": run.locale, "state": run.state, "created_at": run.created_at, "error": run.error}
