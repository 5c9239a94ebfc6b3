"""Publishing the queues of second opinions and of adjudication: what is planned is imported, the oldest first.

Nothing is ever ordered anew: codes ascend as utterances come, under one model version for good. Read / Label Studio /
write, as a review queue; everything may be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from db.models import Queue
from db.repositories import opinions
from db.repositories import queues as queue_rows
from db.repositories.opinions import REVIEW, SECOND
from db.session import TransactionMaker
from plugin.label_studio.checking import check_tasks
from plugin.label_studio.opinions import name_of, opinion_settings
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.queues import BY_SCORE, QueueTask, task_json
from plugin.label_studio.screen import LabelSet, queue_marker
from plugin.services.agreement.cases import Case, read_cases
from plugin.services.agreement.settling import settle
from plugin.services.agreement.showing import read_labels, read_shown
from plugin.services.queues.publishing import Published, Webhook, ask_for_news
from plugin.services.tidying import find_project, queue_of, remove_strays
from plugin.services.watching import set_up


@dataclass(frozen=True)
class Plan:
    """What is to be imported. `kept_from`: utterance -> who reviewed it, and is not served it."""

    queue: Queue
    labels: LabelSet
    new: Sequence[QueueTask]
    kept_from: Mapping[int, Sequence[str]]
    known: frozenset[int]

    @property
    def model_version(self) -> str:
        return f"assay-{self.queue.kind}"


def publish_opinions(
    transaction: TransactionMaker,
    label_studio: LabelStudio,
    instance: str,
    queue_id: int,
    now: datetime,
    webhook: Webhook | None = None,
    sampling: str = BY_SCORE,
) -> Published | None:
    """Import what is planned for a queue of second opinions or of adjudication; None when there is nothing."""
    with transaction() as session:
        queue = queue_of(session, instance, queue_id)
    find_project(transaction, label_studio, queue)
    with transaction() as session:
        plan = read_plan(session, queue_id)
    task_ids: dict[int, int] = {}
    if plan.new:
        task_ids = send(transaction, label_studio, plan, webhook, sampling)
    with transaction() as session:
        opinions.set_published(session, queue_id, task_ids, now)
    return Published(queue_id, len(plan.new), 0, 0) if plan.new else None


def read_plan(session: Session, queue_id: int) -> Plan:
    """A project that was deleted is filled again with what nobody has answered."""
    queue = queue_rows.get(session, queue_id)
    assert queue is not None
    settle(session, queue.instance, opinions.removed_ids(session, queue_id))
    planned = opinions.planned(session, queue_id)
    cases = read_cases(session, queue.instance, [task.utterance_id for task in planned])
    shown = read_shown(session, queue, planned, cases)
    there = queue_rows.tasks(session, queue_id)
    return Plan(
        queue=queue,
        labels=read_labels(session, queue.locale, shown, cases),
        new=shown,
        kept_from={case.utterance_id: reviewers(case) for case in cases if queue.kind == SECOND},
        known=frozenset(task.task_id for task in there if task.task_id is not None),
    )


def reviewers(case: Case) -> list[str]:
    return sorted({answer.annotator for answer in case.said.get(REVIEW, ())})


def send(
    transaction: TransactionMaker, label_studio: LabelStudio, plan: Plan, webhook: Webhook | None, sampling: str
) -> dict[int, int]:
    """Utterance -> its task."""
    project_id = ensure_project(transaction, label_studio, plan, webhook, sampling)
    ids = label_studio.import_tasks(project_id, [task_json(item, plan.model_version, plan.labels) for item in plan.new])
    for item, task_id in zip(plan.new, ids, strict=True):
        for email in plan.kept_from.get(item.utterance_id, ()):
            label_studio.keep_from(task_id, email)
    project = label_studio.get_project(project_id)
    if project["model_version"] != plan.model_version:
        label_studio.set_order(project_id, plan.model_version)
    known = plan.known.union(ids)
    if project["task_number"] != len(known):  # what an earlier attempt left there
        remove_strays(label_studio, project_id, known)
    return {item.utterance_id: task_id for item, task_id in zip(plan.new, ids, strict=True)}


def ensure_project(
    transaction: TransactionMaker, label_studio: LabelStudio, plan: Plan, webhook: Webhook | None, sampling: str
) -> int:
    queue = plan.queue
    settings = opinion_settings(queue.kind, queue.locale, plan.labels, sampling=sampling)
    check_tasks(plan.new, settings["label_config"], plan.labels)
    project_id = queue.project_id
    if project_id is None:
        marker = queue_marker(queue.locale, name_of(queue.kind, queue.domain))
        project_id = label_studio.ensure_project(settings, marker)
        with transaction() as session:
            queue_rows.set_project(session, queue.id, project_id)
    set_up(transaction, label_studio, queue, project_id, settings)
    label_studio.ensure_tabs(project_id)
    if webhook is not None:
        ask_for_news(label_studio, project_id, webhook)
    return project_id
