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
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db.models import Queue, QueueTask, SelectionRow
from db.repositories import models, selections
from db.repositories import queues as queue_rows
from db.repositories.queues import PlannedItem
from db.session import TransactionMaker
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.queues import (
    LabelSet,
    check_tasks,
    describe,
    prediction_json,
    project_settings,
    queue_marker,
    rank_codes,
    task_json,
)
from plugin.label_studio.queues import (
    QueueTask as Shown,
)
from plugin.label_studio.screen import domain_problem, name_problem
from plugin.records import Hypothesis, Slot
from plugin.services.evaluation.publishing import metric_lines
from plugin.services.reasons import sentence
from plugin.services.tidying import find_project, queue_of, remove_strays

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Webhook:
    """Where Label Studio reports to, and the secret that it shows there."""

    url: str
    secret: str


@dataclass(frozen=True)
class Plan:
    """A queue as it should be. Tasks and items are in serving order."""

    queue: Queue
    selection: SelectionRow
    labels: LabelSet
    description: str
    new: Sequence[Shown]
    staying: Sequence[tuple[QueueTask, Shown]]
    leaving: Sequence[tuple[QueueTask, Shown]]
    revisions: dict[int, int]
    known: set[int | None]

    @property
    def model_version(self) -> str:
        return f"assay-{self.selection.id}"


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


def read_plan(session: Session, queue_id: int) -> Plan | None:
    queue = queue_rows.get(session, queue_id)
    selection = selections.current(session, queue.locale) if queue else None
    if queue is None or selection is None or queue.state != "active":
        return None
    items = without_unshowable(queue_rows.planned_items(session, selection, queue.domain), queue.locale)
    elsewhere = queue_rows.utterances_elsewhere(session, queue, [item.utterance_id for item in items])
    present = {task.utterance_id: task for task in queue_rows.tasks(session, queue.id) if task.state != "removed"}
    reason = reasons(session, selection)
    codes = rank_codes(len(items))
    shown = {
        item.utterance_id: to_shown(item, code, reason(item))
        for item, code in zip(items, codes, strict=True)
        if item.utterance_id not in elsewhere
    }
    revisions = {item.utterance_id: item.revision for item in items}
    open_tasks = {id_: task for id_, task in present.items() if task.state in ("published", "leaving")}
    stays = {id_ for id_, task in open_tasks.items() if id_ in shown and task.revision == revisions[id_]}
    left = [task for id_, task in open_tasks.items() if id_ not in stays]
    last = rank_codes(len(left), after=codes[-1] if codes else 0.0)
    open_items = queue_rows.open_items(session, queue.id, selection.model_version_id)
    pairs, slots = queue_rows.round_labels(session, selection)
    for item in open_items.values():  # a revised record may have been the last to know its label
        pairs.add((item.domain, item.intent))
        slots.update(label for _, _, label in item.slots)
    lines, evaluated = metric_lines(session, queue.locale, queue.domain)
    return Plan(
        queue=queue,
        selection=selection,
        labels=to_label_set(pairs, slots),
        description=describe(queue.locale, queue.domain, lines, evaluated=evaluated),
        new=[item for id_, item in shown.items() if id_ not in present],
        staying=[(open_tasks[id_], item) for id_, item in shown.items() if id_ in stays],
        leaving=[
            (task, to_shown(open_items[task.utterance_id], code, reason(open_items[task.utterance_id])))
            for task, code in zip(left, last, strict=True)
        ],
        revisions=revisions,
        known={task.task_id for task in present.values()},
    )


def write_plan(session: Session, plan: Plan, task_ids: Sequence[int], now: datetime) -> None:
    rows: list[dict[str, Any]] = [
        task_row(plan, item, task_id, "published", now) for item, task_id in zip(plan.new, task_ids, strict=True)
    ]
    rows += [task_row(plan, item, row.task_id, "published", now) for row, item in plan.staying]
    rows += [
        {
            **task_row(plan, item, row.task_id, "leaving", row.state_since if row.state == "leaving" else now),
            "revision": row.revision,
        }
        for row, item in plan.leaving
    ]
    queue_rows.put_tasks(session, plan.queue.id, rows)
    queue_rows.set_published(session, plan.queue.id, plan.selection.id, now)


def task_row(plan: Plan, item: Shown, task_id: int | None, state: str, since: datetime) -> dict[str, Any]:
    return {
        "utterance_id": item.utterance_id,
        "revision": plan.revisions.get(item.utterance_id, 1),
        "selection_id": plan.selection.id,
        "task_id": task_id,
        "rank_code": item.rank_code,
        "state": state,
        "state_since": since,
    }


def ensure_project(
    transaction: TransactionMaker,
    label_studio: LabelStudio,
    plan: Plan,
    shown: Sequence[Shown],
    webhook: Webhook | None,
) -> int:
    """The queue's project with its screen, tabs and webhook; found again by its marker after a crash."""
    queue = plan.queue
    settings = project_settings(queue.locale, queue.domain, plan.labels, plan.description)
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


def reasons(session: Session, selection: SelectionRow) -> Callable[[PlannedItem], str]:
    """The sentence of every item, from what the model of its round says of it."""
    version = models.get(session, selection.model_version_id)
    assert version is not None
    vocabulary, replicates = version.vocabulary, version.replicates
    return lambda item: sentence(item, vocabulary, replicates)


def to_shown(item: PlannedItem, rank_code: float, reason: str) -> Shown:
    slots = tuple(sorted(Slot(start, end, label) for start, end, label in item.slots))
    return Shown(
        utterance_id=item.utterance_id,
        text=item.text,
        hypothesis=Hypothesis(item.domain, item.intent, slots),
        reason=reason,
        rank_code=rank_code,
        columns={"record": item.external_id, "source": item.source},
    )


def label_set(session: Session, locale: str) -> LabelSet:
    """All that a person may choose in this locale: what hypotheses, gold data and models know, and can be shown."""
    return to_label_set(*queue_rows.label_sets(session, locale))


def to_label_set(pairs: Iterable[tuple[str, str]], slots: Iterable[str]) -> LabelSet:
    intents: dict[str, list[str]] = defaultdict(list)
    for domain, intent in sorted(pairs):
        if not domain_problem(domain) and not name_problem(intent):
            intents[domain].append(intent)
    return LabelSet(intents=dict(intents), slots=sorted(slot for slot in slots if not name_problem(slot)))


def unshowable(item: PlannedItem) -> list[str]:
    """The labels of an item that Label Studio cannot show."""
    found = [f"domain {item.domain!r}"] if domain_problem(item.domain) else []
    found += [f"intent {item.intent!r}"] if name_problem(item.intent) else []
    return found + sorted({f"slot {label!r}" for _, _, label in item.slots if name_problem(label)})


def without_unshowable(items: Sequence[PlannedItem], locale: str) -> list[PlannedItem]:
    counts = Counter(label for item in items for label in unshowable(item))
    for label, count in sorted(counts.items()):
        log.warning("%s of %s: Label Studio cannot show it; %d utterances are left out", label, locale, count)
    return [item for item in items if not unshowable(item)]


def open_external_ids(session: Session, queue: Queue) -> dict[int, str]:
    """Utterance id -> its record's own id, of the tasks that a queue still serves."""
    version = models.champion(session, queue.locale)
    items = queue_rows.open_items(session, queue.id, version.id if version else 0)
    return {utterance_id: item.external_id for utterance_id, item in items.items()}
