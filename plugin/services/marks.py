"""What a queue's columns say of the tasks that are reviewed: the verdict, and what the models had said.

Before its review a task has none of it: everybody sees every column, and a score would tell an item's arm. What is open
again, because its review was deleted, loses it again.
"""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Sequence

from sqlalchemy.orm import Session

from db.repositories import marks
from db.repositories.marks import Mark
from db.session import TransactionMaker
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.tabs import COLUMNS_OF_REVIEWED, EL2N, ENTROPY, NO, NOTHING, REVIEW, SUSPECTED, YES
from plugin.services.tidying import find_project, queue_of

log = logging.getLogger(__name__)

# Label Studio takes a few thousand ids at a time.
TASKS_A_CALL = 2_000


def unmarked(session: Session, instance: str) -> list[int]:
    """The queues whose columns lag behind."""
    return marks.queue_ids(session, instance)


def mark(transaction: TransactionMaker, label_studio: LabelStudio, instance: str, queue_id: int) -> int:
    """Bring the columns of a queue up to date; of how many tasks. Twice equals once."""
    with transaction() as session:
        queue = queue_of(session, instance, queue_id)
        pending = marks.pending(session, queue_id, TASKS_A_CALL)
    project = find_project(transaction, label_studio, queue) if pending else None
    if project is None:
        return 0
    for (column, value), task_ids in sorted(by_value(pending).items()):
        label_studio.add_data_field(project["id"], task_ids, column, value)
    by_review: dict[str | None, list[int]] = defaultdict(list)
    for one in pending:
        by_review[one.review].append(one.task_id)
    with transaction() as session:
        for review, task_ids in by_review.items():
            marks.set_mark(session, queue_id, task_ids, review)
    return len(pending)


def by_value(pending: Sequence[Mark]) -> dict[tuple[str, str], list[int]]:
    """One call each: a column and a value that many tasks share."""
    found: dict[tuple[str, str], list[int]] = defaultdict(list)
    for one in pending:
        for column, value in values(one).items():
            found[column, value].append(one.task_id)
    return found


def values(one: Mark) -> dict[str, str]:
    """Scores are shares of what they can be at most, to one decimal: coarse, and in order where sorted as text."""
    if one.review is None:
        return dict.fromkeys(COLUMNS_OF_REVIEWED, NOTHING)
    found = {REVIEW: one.review, SUSPECTED: YES if one.suspected else NO}
    if one.entropy is not None and one.domains > 1:
        found[ENTROPY] = tenth(one.entropy / math.log(one.domains))
    if one.el2n is not None:
        found[EL2N] = tenth(one.el2n / math.sqrt(2.0))
    return found


def tenth(share: float) -> str:
    return f"{min(max(share, 0.0), 1.0):.1f}"
