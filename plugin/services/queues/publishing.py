"""Publishing: what a round selected becomes what annotators are served, and nothing begun is lost.

One project per (locale, domain). Publishing a queue is read / Label Studio / write: no transaction is open while
Label Studio works. Everything may be repeated: tasks are known by their utterance, predictions by the selection.

1. New items are imported as tasks with their prediction (rank code, pre-filled hypothesis, reason). What an earlier
   attempt left there is deleted (`tidying`).
2. Tasks that stay get a prediction of this selection with their new rank code; those that leave get the last codes.
3. One PATCH makes the whole new order the one that is served. Whoever holds a task keeps it.
4. Leaving tasks are deleted (`tidying`), once no lock can be left on them and if nobody has begun them.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from db.repositories import queues as queue_rows
from db.session import TransactionMaker
from plugin.label_studio.checking import check_tasks
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.queues import (
    QueueTask,
    prediction_json,
    project_settings,
    queue_marker,
    task_json,
)
from plugin.services.queues.plans import Plan, read_plan, write_plan
from plugin.services.tidying import find_project, queue_of, remove_strays

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Webhook:
    """Where Label Studio reports to, and the secret that it shows there."""

    url: str
    secret: str


@dataclass(frozen=True)
class Published:
    queue_id: int
    imported: int
    reordered: int
    leaving: int


def publish(
    transaction: TransactionMaker,
    label_studio: LabelStudio,
    instance: str,
    queue_id: int,
    now: datetime,
    webhook: Webhook | None = None,
) -> Published | None:
    """Bring one queue to the locale's current round; None when there is nothing to publish."""
    with transaction() as session:
        queue = queue_of(session, instance, queue_id)
    find_project(transaction, label_studio, queue)
    with transaction() as session:
        plan = read_plan(session, queue_id)
    if plan is None:
        return None
    shown = [*plan.new, *(item for _, item in plan.staying), *(item for _, item in plan.leaving)]
    if not shown and plan.queue.project_id is None:
        with transaction() as session:
            write_plan(session, plan, [], now)
        return None
    project_id = ensure_project(transaction, label_studio, plan, shown, webhook)
    task_ids = label_studio.import_tasks(
        project_id, [task_json(item, plan.model_version, plan.labels) for item in plan.new]
    )
    if plan.new:
        remove_strays(label_studio, project_id, plan.known.union(task_ids))
    moved = [*plan.staying, *plan.leaving]
    label_studio.import_predictions(
        project_id,
        [{"task": row.task_id, **prediction_json(item, plan.model_version, plan.labels)} for row, item in moved],
    )
    label_studio.set_order(project_id, plan.model_version)
    with transaction() as session:
        write_plan(session, plan, task_ids, now)
    return Published(queue_id, len(plan.new), len(plan.staying), len(plan.leaving))


def dirty(session: Session, instance: str) -> list[int]:
    """The queues whose plan is not yet published."""
    return queue_rows.dirty_ids(session, instance)


def ensure_project(
    transaction: TransactionMaker,
    label_studio: LabelStudio,
    plan: Plan,
    shown: Sequence[QueueTask],
    webhook: Webhook | None,
) -> int:
    """The queue's project with its screen, tabs and webhook; found again by its marker after a crash."""
    queue = plan.queue
    settings = project_settings(queue.locale, queue.domain, plan.labels, plan.description, guide=plan.guide)
    check_tasks(shown, settings["label_config"], plan.labels)
    project_id = queue.project_id
    if project_id is None:
        project_id = label_studio.ensure_project(settings, queue_marker(queue.locale, queue.domain))
        with transaction() as session:
            queue_rows.set_project(session, queue.id, project_id)
    label_studio.update_project(project_id, **settings)
    label_studio.ensure_tabs(project_id)
    if webhook is not None:
        ask_for_news(label_studio, project_id, webhook)
    return project_id


def ask_for_news(label_studio: LabelStudio, project_id: int, webhook: Webhook) -> None:
    """A Label Studio that refuses our address as private costs time, never a queue: polling is the source of truth."""
    try:
        label_studio.ensure_webhook(project_id, webhook.url, webhook.secret)
    except LabelStudioError as error:
        if error.may_pass:
            raise
        log.warning("no webhook for project %d, its news come by polling: %s", project_id, error)
