"""Publishing: what a round selected becomes what annotators are served, and nothing begun is lost.

One project per (locale, domain). Publishing a queue is read / Label Studio / write: no transaction is open while
Label Studio works. Everything may be repeated: tasks are known by their utterance, predictions by the selection.

1. New items are imported as tasks with their prediction (rank code, pre-filled hypothesis, reason). That ends it where
   the queue serves the round already: their codes lie between those of their neighbours (`plans.slip_in`).
2. Else tasks that stay get a prediction under a new name with their new rank code; those that leave get the last codes.
   After an interruption the name is another one, unless the plan is the same.
3. One PATCH makes the whole new order the one that is served. Whoever holds a task keeps it.
4. Leaving tasks are deleted (`tidying`), once no lock can be left on them and if nobody has begun them.

Before anything is sent, a row says so. Whoever finds it set was preceded by somebody who was interrupted: then, and
only then, the project is listed, what lacks is sent, and what no row knows is deleted.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import zip_longest
from typing import Any

from sqlalchemy.orm import Session

from db.repositories import queues as queue_rows
from db.session import TransactionMaker
from plugin.label_studio.checking import check_tasks
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.queues import (
    BY_SCORE,
    QueueTask,
    prediction_json,
    project_settings,
    queue_marker,
    task_json,
)
from plugin.label_studio.screen import label_config
from plugin.services.queues.plans import Plan, read_plan
from plugin.services.queues.writing import write_plan
from plugin.services.tidying import find_project, queue_of, remove_strays
from plugin.services.watching import set_up

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Webhook:
    """Where Label Studio reports to, and the secret that it shows there."""

    url: str
    secret: str


@dataclass(frozen=True)
class Project:
    """Of Label Studio. `is_clean`: our rows know all that is in it."""

    id: int
    is_new: bool
    is_clean: bool


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
    sampling: str = BY_SCORE,
) -> Published | None:
    """Bring one queue to the locale's current round; None when there is nothing to publish."""
    with transaction() as session:
        queue = queue_of(session, instance, queue_id)
    find_project(transaction, label_studio, queue)
    with transaction() as session:
        plan = read_plan(session, queue_id)
    if plan is None:
        return None
    if plan.queue.project_id is None and not (plan.new or plan.staying or plan.leaving):
        with transaction() as session:
            write_plan(session, plan, [], now)
        return None
    task_ids, in_doubt = send(transaction, label_studio, plan, webhook, now, sampling)
    with transaction() as session:
        write_plan(session, plan, task_ids, now, in_doubt=in_doubt)
    return Published(queue_id, len(plan.new), len(plan.staying), len(plan.leaving) + len(plan.moves))


def send(
    transaction: TransactionMaker,
    label_studio: LabelStudio,
    plan: Plan,
    webhook: Webhook | None,
    now: datetime,
    sampling: str,
) -> tuple[list[int], bool]:
    """The tasks of what is new; and whether something that was sent may come a second time.

    Nothing is listed as long as nobody was interrupted: the rows know all that is there.
    """
    check_plan(plan)
    project = ensure_project(transaction, label_studio, plan, webhook, sampling)
    with transaction() as session:
        queue_rows.begin_import(session, plan.queue.id, now, plan.model_version, plan.digest)
    doubts: list[None] = []
    task_ids = label_studio.import_tasks(
        project.id, list(new_tasks(plan)), is_new=project.is_clean, on_doubt=lambda: doubts.append(None)
    )
    in_doubt = bool(doubts) or not project.is_clean
    if in_doubt:
        remove_strays(label_studio, project.id, plan.known.union(task_ids))
    if plan.flips and not project.is_new:
        moved = [{"task": row.task_id, **to_prediction(plan, item)} for row, item in [*plan.staying, *plan.leaving]]
        label_studio.import_predictions(project.id, moved, is_new=not plan.resumes)
        if moved or plan.new:  # Label Studio refuses a model version that no prediction has
            label_studio.set_order(project.id, plan.model_version)
    for row, code in plan.moves:
        if row.task_id is not None and code != row.rank_code:
            label_studio.move_task(row.task_id, plan.model_version, code)
    return task_ids, in_doubt


def check_plan(plan: Plan) -> None:
    shown = [*plan.new, *(item for _, item in plan.staying), *(item for _, item in plan.leaving)]
    check_tasks(shown, label_config(plan.queue.locale, plan.queue.domain, plan.labels), plan.labels)


def new_tasks(plan: Plan) -> Iterator[dict[str, Any]]:
    """During a flip they have a place in the order that is served still, its last: nobody meets an unplanned one."""
    for item, code in zip_longest(plan.new, plan.bridges):
        task = task_json(item, plan.model_version, plan.labels)
        bridged = [
            prediction_json(replace(item, rank_code=code), version, plan.labels)
            for version in sorted(plan.bridged_versions)
        ]
        yield {**task, "predictions": [*bridged, *task["predictions"]]}


def to_prediction(plan: Plan, item: QueueTask) -> dict[str, Any]:
    return prediction_json(item, plan.model_version, plan.labels)


def dirty(session: Session, instance: str) -> list[int]:
    """The queues whose plan is not yet published."""
    return queue_rows.dirty_ids(session, instance)


def ensure_project(
    transaction: TransactionMaker, label_studio: LabelStudio, plan: Plan, webhook: Webhook | None, sampling: str
) -> Project:
    """The queue's project with its screen, tabs and webhook. A new one serves the plan's order from its first task on;
    after a crash it is found again by its marker.
    """
    queue = plan.queue
    known = queue.project_id
    if known is not None and not plan.has_news:
        return Project(known, is_new=False, is_clean=queue.importing_since is None)
    settings = project_settings(queue.locale, queue.domain, plan.labels, plan.description, sampling, plan.guide)
    found = known or label_studio.find_project(settings["title"], queue_marker(queue.locale, queue.domain))
    project_id = found or label_studio.create_project({**settings, "model_version": plan.model_version})
    if known is None:
        with transaction() as session:
            queue_rows.set_project(session, queue.id, project_id)
    set_up(transaction, label_studio, queue, project_id, settings)
    label_studio.ensure_tabs(project_id)
    if webhook is not None:
        ask_for_news(label_studio, project_id, webhook)
    is_clean = found is None or (known is not None and queue.importing_since is None)
    return Project(project_id, is_new=found is None, is_clean=is_clean)


def ask_for_news(label_studio: LabelStudio, project_id: int, webhook: Webhook) -> None:
    """A Label Studio that refuses our address as private costs time, never a queue: polling is the source of truth."""
    try:
        label_studio.ensure_webhook(project_id, webhook.url, webhook.secret)
    except LabelStudioError as error:
        if error.may_pass:
            raise
        log.warning("no webhook for project %d, its news come by polling: %s", project_id, error)
