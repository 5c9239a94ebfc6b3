"""Queues and the tasks in them."""

from db.repositories.queues.importing import begin_import, doubt_import, end_import, end_old_import, set_order
from db.repositories.queues.items import PlannedItem, open_items, planned_items
from db.repositories.queues.labels import label_sets, put_round_labels, round_labels
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
    instances,
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
    "begin_import",
    "by_project",
    "counts",
    "dirty_ids",
    "doubt_import",
    "end_import",
    "end_old_import",
    "ensure",
    "every",
    "forget_project",
    "get",
    "instances",
    "label_sets",
    "mark_annotated",
    "mark_dirty",
    "mark_removed",
    "of_locale",
    "open_items",
    "planned_items",
    "put_round_labels",
    "put_tasks",
    "round_labels",
    "set_collected_until",
    "set_dirty",
    "set_order",
    "set_project",
    "set_published",
    "tasks",
    "untidy_ids",
    "utterances_elsewhere",
]
