"""Tasks that are to be served again: those that people skipped, and second opinions by who gave the first.

A skipped task goes to the end of its queue, for everybody, and there who skipped it may get it again: Label Studio by
itself would serve it to somebody else at once and never again to who skipped it, so that a task that all have skipped
were never served again. Who skips a task for the third time is not asked again.

A second answer of the first person becomes a skip in Label Studio: then the task is served to all others, and never
again to them. So nothing goes round in circles where there is but one annotator: what is left waits for a second.

Rows first (`record`), then Label Studio (`rework`), which may be repeated.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import httpx
from sqlalchemy.orm import Session

from db.models import Queue
from db.repositories import opinions, polls, reworks
from db.repositories.opinions import LAST_CODES, REVIEW, SECOND
from db.repositories.reworks import SAME_PERSON, OpenRework
from db.session import TransactionMaker
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.payloads import TaskState
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.queues import RANK_GAP
from plugin.services.tidying import queue_of

# So often a person may skip the same task.
SKIPS = 3


def record(session: Session, queue: Queue, states: Sequence[TaskState]) -> int:
    """Note the skips of open tasks that are new to us, and put these tasks last; how many there are."""
    skipped = {state.task_id: state for state in states if state.skips and not state.reviews}
    places = polls.places(session, queue.id, list(skipped))
    if not places:
        return 0
    utterance_ids = [place.utterance_id for place in places.values()]
    known = reworks.of_utterances(session, queue.id, utterance_ids)
    counted = Counter((row.utterance_id, row.annotator) for row in known if row.reason == reworks.SKIPPED)
    seen = {row.annotation_id for row in known}
    kept_from = reviewers(session, queue, utterance_ids)
    rows: list[dict[str, Any]] = []
    for task_id, place in sorted(places.items()):
        for skip in skipped[task_id].skips:
            who = (place.utterance_id, skip.annotator)
            if skip.annotation_id not in seen and who not in kept_from:
                counted[who] += 1
                rows.append(
                    {
                        "queue_id": queue.id,
                        "utterance_id": place.utterance_id,
                        "task_id": task_id,
                        "annotation_id": skip.annotation_id,
                        "annotator": skip.annotator,
                        "reason": reworks.SKIPPED,
                        "stays": counted[who] >= SKIPS,
                    }
                )
    before = reworks.count_skips(session, queue.id)
    reworks.add(session, rows)
    last = [row["utterance_id"] for row in rows]
    reworks.move(session, queue.id, {utterance_id: last_code(before + at) for at, utterance_id in enumerate(last, 1)})
    return len(rows)


def last_code(number: int) -> float:
    """Behind every task that nobody skipped, in the order of skipping."""
    return min(1.0, LAST_CODES + RANK_GAP * number)


def reviewers(session: Session, queue: Queue, utterance_ids: Sequence[int]) -> set[tuple[int, str]]:
    """(utterance, annotator) of whom a second opinion is kept from: their skips there are ours."""
    if queue.kind != SECOND:
        return set()
    said = opinions.answers(session, queue.instance, utterance_ids)
    return {(answer.utterance_id, answer.annotator) for answer in said if answer.kind == REVIEW}


def rework(transaction: TransactionMaker, label_studio: LabelStudio, instance: str, queue_id: int) -> int:
    """Tell Label Studio what is to be served again; how many tasks. Not while the queue is being published."""
    with transaction() as session:
        queue = queue_of(session, instance, queue_id)
        waiting = reworks.open_ones(session, queue_id)
    if not waiting or queue.project_id is None:
        return 0
    served = str(label_studio.get_project(queue.project_id)["model_version"] or "")
    for item in waiting:
        try:
            serve_again(label_studio, item, served)
        except LabelStudioError as error:
            if error.status != httpx.codes.NOT_FOUND:  # else the task, or the annotation, was deleted by hand
                raise
        with transaction() as session:
            reworks.set_taken_back(session, item.id)
    return len(waiting)


def serve_again(label_studio: LabelStudio, item: OpenRework, served: str) -> None:
    if item.reason == SAME_PERSON:
        label_studio.make_skip(item.annotation_id)
        return
    if item.state == "published":
        label_studio.move_task(item.task_id, served, item.rank_code)
    label_studio.take_back(item.annotation_id)
