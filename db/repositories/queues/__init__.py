"""Queues and the tasks in them."""

from db.repositories.queues.items import PlannedItem, open_items, planned_items
from db.repositories.queues.labels import label_sets, round_labels
from db.repositories.queues.queue_tasks import mark_annotated, mark_removed, put_tasks, tasks, utterances_elsewhere
from db.repositories.queues.rows import (
    QueueCounts,
    by_project,
    counts,
    dirty_ids,
    ensure,
    every,
    forget_project,
    get,
    mark_dirty,
    of_locale,
    set_collected_until,
    set_dirty,
    set_project,
    set_published,
    untidy_ids,
)

__all__ = [
    "PlannedItem",
    "QueueCounts",
    "by_project",
    "counts",
    "dirty_ids",
    "ensure",
    "every",
    "forget_project",
    "get",
    "label_sets",
    "mark_annotated",
    "mark_dirty",
    "mark_removed",
    "of_locale",
    "open_items",
    "planned_items",
    "put_tasks",
    "round_labels",
    "set_collected_until",
    "set_dirty",
    "set_project",
    "set_published",
    "tasks",
    "untidy_ids",
    "utterances_elsewhere",
]
