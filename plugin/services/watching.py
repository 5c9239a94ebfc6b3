"""The settings of a queue's project, which everybody in Label Studio may change: set up, watched and put back.

What was set up is remembered, so that what somebody changed by hand can be told from what we change ourselves.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy.orm import Session

from db.models import Queue
from db.repositories import queue_settings
from db.repositories import queues as queue_rows
from db.session import TransactionMaker
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.protocol import LabelStudio

log = logging.getLogger(__name__)

Json = Mapping[str, Any]

WATCH_EVERY = timedelta(minutes=5)
BAD_REQUEST = 400
NOT_FOUND = 404
REVIEW = "review"
# What admins may word as they like, until we have something new to say; and by what a project is known again.
FREE = frozenset({"title", "description", "expert_instruction", "created_at"})
# The later ones depend on the earlier: hiding predictions forgets the model version.
ORDER = (
    "show_collab_predictions",
    "sampling",
    "model_version",
    "maximum_annotations",
    "show_overlap_first",
    "show_ground_truth_first",
)
SHOWN_CHARACTERS = 40


@dataclass(frozen=True, slots=True)
class Change:
    """A setting that is not as it was set up."""

    name: str
    found: Any
    wanted: Any

    @property
    def is_of_the_order(self) -> bool:
        return self.name in ORDER

    def __str__(self) -> str:
        if len(str(self.wanted)) > SHOWN_CHARACTERS:
            return f"{self.name} was edited"
        return f"{self.name} is {self.found!r}, not {self.wanted!r}"


def set_up(
    transaction: TransactionMaker,
    label_studio: LabelStudio,
    queue: Queue,
    project_id: int,
    settings: Json,
) -> None:
    """Give a queue's project its settings, and remember them. Only what is new is sent; `watch` is for the rest."""
    known: Json = queue.settings or {}
    if "created_at" not in known:
        known = label_studio.get_project(project_id)
    put(label_studio, project_id, {name: value for name, value in settings.items() if known.get(name) != value})
    with transaction() as session:
        queue_settings.remember(session, queue.id, {**settings, "created_at": known["created_at"]})


def due(session: Session, instance: str, project_id: int, *, force: bool = False) -> int | None:
    """The queue whose project is to be looked at; None when there is nothing to compare, or it was just done."""
    queue = queue_rows.by_project(session, instance, project_id)
    every = timedelta(0) if force else WATCH_EVERY
    return queue.id if queue is not None and queue_settings.is_due(session, queue.id, every) else None


def watch(
    transaction: TransactionMaker,
    label_studio: LabelStudio,
    instance: str,
    queue_id: int,
    sampling: str | None = None,
) -> list[Change]:
    """Put back what somebody changed in a queue's project. Not while it is being published.

    `sampling`: what keeps the planned order now, should another version of Label Studio need another.
    """
    with transaction() as session:
        queue = queue_rows.get(session, queue_id)
    if queue is None or queue.instance != instance or queue.project_id is None or not queue.settings:
        return []
    try:
        project = label_studio.get_project(queue.project_id)
    except LabelStudioError as error:
        if error.status == NOT_FOUND:  # told, and made anew, by who publishes and tidies up
            return []
        raise
    wanted = wanted_of(queue) if sampling is None else {**wanted_of(queue), "sampling": sampling}
    found = changes(project, wanted) if is_same(project, queue) else []
    report(queue, found)
    refused = put(label_studio, queue.project_id, {change.name: change.wanted for change in found})
    with transaction() as session:
        queue_settings.seen(session, queue.id)
        queue_settings.remember(session, queue.id, {"sampling": wanted["sampling"]})
        if "model_version" in refused and queue.kind == REVIEW:  # its predictions are gone: they are sent again
            queue_settings.order_anew(session, queue.id)
    return found


def is_same(project: Json, queue: Queue) -> bool:
    """Whether it is the very project that was set up, whatever was made of its title and screen."""
    return queue.settings is not None and queue.settings.get("created_at") == project["created_at"]


def served_version(queue: Queue) -> str | None:
    """The model version whose scores a queue is served by; None before it is published."""
    if queue.kind != REVIEW:
        return f"assay-{queue.kind}"
    return None if queue.order_id is None else queue.order_name


def wanted_of(queue: Queue) -> dict[str, Any]:
    version = served_version(queue)
    order = {} if version is None else {"model_version": version}
    return {**(queue.settings or {}), **order}


def changes(project: Json, wanted: Json) -> list[Change]:
    """Where nothing is left to serve there is no order, and perhaps no prediction that could make one."""
    is_done = project.get("task_number", 0) <= project.get("finished_task_number", 0)
    left_alone = FREE | {"model_version"} if is_done else FREE
    return [
        Change(name, project.get(name), value)
        for name, value in wanted.items()
        if name not in left_alone and project.get(name) != value
    ]


def report(queue: Queue, found: list[Change]) -> None:
    for change in found:
        log.warning("queue %s %s: %s in Label Studio; it is put back", queue.locale, queue.domain, change)


def put(label_studio: LabelStudio, project_id: int, wrong: Json) -> set[str]:
    """What is refused: a screen without labels that annotations have, a model version that no prediction has.

    One after the other where Label Studio refuses them together: what it takes is put back all the same.
    """
    if not wrong:
        return set()
    try:
        label_studio.update_project(project_id, **wrong)
    except LabelStudioError as error:
        if error.status != BAD_REQUEST:
            raise
        in_order = sorted(wrong, key=lambda name: ORDER.index(name) if name in ORDER else len(ORDER))
        return {name for name in in_order if not _takes(label_studio, project_id, name, wrong[name])}
    return set()


def _takes(label_studio: LabelStudio, project_id: int, name: str, value: object) -> bool:
    try:
        label_studio.update_project(project_id, **{name: value})
    except LabelStudioError as error:
        if error.status != BAD_REQUEST:
            raise
        log.warning("project %d: Label Studio refuses our %s: %s", project_id, name, error.body)
        return False
    return True
