"""What a queue's project holds and should not: tasks that have left, and what an import left behind.

Label Studio goes on with an import whose connection has broken, and shows nothing of it before the end. So no look
before sending again, however patient, can rule doubles out: whatever is there that no row knows is deleted, as
soon as it is seen and unless somebody has begun it, until no import can still be at work.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy.orm import Session

from db.models import Queue, QueueTask
from db.repositories import queue_settings
from db.repositories import queues as queue_rows
from db.session import TransactionMaker
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.opinions import name_of
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.screen import has_marker, queue_marker
from plugin.services.watching import is_same

# Label Studio's own servers, and those before it, end a request long before.
LONGEST_IMPORT = timedelta(hours=1)

NOT_FOUND = 404

log = logging.getLogger(__name__)


def queue_of(session: Session, instance: str, queue_id: int) -> Queue:
    """In another Label Studio, its project's id would mean another project, perhaps somebody else's."""
    queue = queue_rows.get(session, queue_id)
    if queue is None:
        raise LookupError(f"no queue has id {queue_id}")
    if queue.instance != instance:
        raise LookupError(f"queue {queue_id} is in the Label Studio named {queue.instance!r}, not {instance!r}")
    return queue


def find_project(transaction: TransactionMaker, label_studio: LabelStudio, queue: Queue) -> Mapping[str, Any] | None:
    """The queue's project. None when it has none, or no more: the queue then forgets it, and is published anew."""
    if queue.project_id is None:
        return None
    try:
        project = label_studio.get_project(queue.project_id)
    except LabelStudioError as error:
        if error.status != NOT_FOUND:
            raise
        log.warning("the project %d of %s %s is gone: a new one is made", queue.project_id, queue.locale, queue.domain)
        with transaction() as session:
            queue_rows.forget_project(session, queue.id)
            queue_settings.forget(session, queue.id)
        return None
    marker = queue_marker(queue.locale, name_of(queue.kind, queue.domain))
    if not has_marker(project["label_config"], marker) and not is_same(project, queue):
        raise LookupError(
            f"project {queue.project_id} of Label Studio, {project['title']!r}, is not the queue {queue.locale} "
            f"{queue.domain}: another Label Studio needs another ASSAY_LABEL_STUDIO_INSTANCE"
        )
    return project


def untidy(session: Session, instance: str, now: datetime) -> list[int]:
    """The queues to tidy up."""
    return queue_rows.untidy_ids(session, instance, now - LONGEST_IMPORT)


def tidy(transaction: TransactionMaker, label_studio: LabelStudio, instance: str, queue_id: int) -> int:
    """Delete what should not be in a queue; how many tasks went. Not while the queue is being published."""
    with transaction() as session:
        queue = queue_of(session, instance, queue_id)
        tasks = [task for task in queue_rows.tasks(session, queue_id) if task.task_id is not None]
    project = find_project(transaction, label_studio, queue)
    if project is None:
        return 0
    known = {task.task_id for task in tasks}
    strays = 0
    if queue.importing_since is not None:
        if project["task_number"] != len(known):
            strays = remove_strays(label_studio, project["id"], known)
        with transaction() as session:
            queue_rows.end_old_import(session, queue.id, datetime.now(UTC) - LONGEST_IMPORT)
    leaving = [task for task in tasks if task.state == "leaving"]
    return strays + remove_left(transaction, label_studio, queue, leaving)


def remove_strays(label_studio: LabelStudio, project_id: int, known: Collection[int | None]) -> int:
    """Delete the tasks of utterances that no row knows. Their utterances have a row, or get one when selected."""
    there = label_studio.task_ids(project_id)
    strays = [task_id for task_id, utterance in there.items() if task_id not in known and utterance is not None]
    if not strays:
        return 0
    deleted = label_studio.delete_tasks(project_id, strays, leaving_since=None)
    log.warning("project %d: deleted %d of %d tasks that no queue knows", project_id, len(deleted), len(strays))
    return len(deleted)


def remove_left(
    transaction: TransactionMaker, label_studio: LabelStudio, queue: Queue, leaving: Collection[QueueTask]
) -> int:
    """Delete leaving tasks that nobody can hold any more and nobody has begun."""
    groups: dict[datetime, list[int]] = defaultdict(list)
    for task in leaving:
        groups[task.state_since].append(task.task_id or 0)
    removed: list[int] = []
    for since, task_ids in groups.items():
        removed += label_studio.delete_tasks(queue.project_id or 0, task_ids, leaving_since=since)
    if not removed:
        return 0
    with transaction() as session:
        queue_rows.set_dirty(session, queue.id)  # a newer revision may have waited for the old one's place
        return queue_rows.mark_removed(session, queue.id, removed)
