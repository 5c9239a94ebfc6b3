"""A queue as it should be, read from the locale's current round; and the rows of what was published."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy.orm import Session

from db.models import Queue, QueueTask, SelectionRow
from db.repositories import queues as queue_rows
from db.repositories import selections
from plugin.label_studio.guide import Guide
from plugin.label_studio.queues import LabelSet, describe, rank_codes
from plugin.label_studio.queues import QueueTask as Shown
from plugin.services.evaluation.publishing import metric_lines
from plugin.services.guides import read_guide
from plugin.services.labels import to_label_set
from plugin.services.queues.showing import blinds, reasons, to_shown, without_unshowable


@dataclass(frozen=True)
class Plan:
    """A queue as it should be. Tasks and items are in serving order."""

    queue: Queue
    selection: SelectionRow
    labels: LabelSet
    description: str
    guide: Guide
    new: Sequence[Shown]
    staying: Sequence[tuple[QueueTask, Shown]]
    leaving: Sequence[tuple[QueueTask, Shown]]
    revisions: dict[int, int]
    known: set[int | None]

    @property
    def model_version(self) -> str:
        return f"assay-{self.selection.id}"


def read_plan(session: Session, queue_id: int) -> Plan | None:
    queue = queue_rows.get(session, queue_id)
    selection = selections.current(session, queue.locale) if queue else None
    if queue is None or selection is None or queue.state != "active":
        return None
    items = without_unshowable(queue_rows.planned_items(session, selection, queue.domain), queue.locale)
    elsewhere = queue_rows.utterances_elsewhere(session, queue, [item.utterance_id for item in items])
    tasks = queue_rows.tasks(session, queue.id)
    present = {task.utterance_id: task for task in tasks if task.state != "removed"}
    reason, blind = reasons(session, selection), blinds(selection, tasks)
    codes = rank_codes(len(items))
    shown = {
        item.utterance_id: to_shown(item, code, reason(item), blind=blind(item))
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
        guide=read_guide(session, queue.locale, queue.domain, lines, evaluated),
        new=[item for id_, item in shown.items() if id_ not in present],
        staying=[(open_tasks[id_], item) for id_, item in shown.items() if id_ in stays],
        leaving=[
            (task, to_shown(item, code, reason(item), blind=blind(item)))
            for task, code in zip(left, last, strict=True)
            for item in [open_items[task.utterance_id]]
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
        "blind": item.blind,
        "state": state,
        "state_since": since,
    }
