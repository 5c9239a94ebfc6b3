"""Tasks and lists of tasks, as Label Studio answers them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime

from plugin.label_studio.imports import Present
from plugin.label_studio.payloads.common import UNREADABLE, Json, PayloadError, read_time, read_utterance_id
from plugin.label_studio.payloads.reviews import Skip, parse_reviews, parse_skips, shown_hypothesis
from plugin.records import Hypothesis, Review

# Label Studio cuts its column of model versions at 500 characters, and then takes the quotes off: half is surely whole.
VERSIONS_WHOLE = 250


@dataclass(frozen=True, slots=True)
class TaskState:
    """A Label Studio task as it stands.

    skipped   how many people skipped it
    has_draft somebody has begun and not submitted (whose draft, only they are told)
    scores    model version -> rank code of the prediction under it
    problems  annotations that could not be read, one sentence each
    skips     whose
    is_readable  False: of the task itself no more than id, project and time is known
    """

    task_id: int
    project_id: int
    utterance_id: int | None
    reviews: tuple[Review, ...]
    skipped: int
    has_draft: bool
    scores: Mapping[str, float]
    updated_at: datetime
    problems: tuple[str, ...] = ()
    is_readable: bool = True
    skips: tuple[Skip, ...] = ()

    @property
    def has_work(self) -> bool:
        """What would be lost with it. A skip is none: who reviewed a task's utterance is kept from it by one."""
        return bool(self.reviews or self.problems or self.has_draft)


@dataclass(frozen=True, slots=True)
class Glance:
    """How a project stands, for the price of one small request.

    newest  the last change of any of its tasks
    clock   Label Studio's time at the answer, never ahead of it; None when the answer tells no time
    """

    task_count: int
    newest: datetime | None
    clock: datetime | None


@dataclass(frozen=True, slots=True)
class DrawnTask:
    """A task that Label Studio has just served, with what its screen shows."""

    task_id: int
    utterance_id: int | None
    text: str
    shown: Hypothesis | None
    prediction_id: int | None


def is_bare(task: Json) -> bool:
    """Whether a task listed by its few fields has no annotation, nor a skip. Where they are not told, it may."""
    told: object = task["annotations_ids"]
    return told == ""


def parse_bare_task(task: Json) -> TaskState:
    """A task without annotations, listed by few fields. Raises PayloadError if it is no task at all."""
    task_id, project_id, updated_at = _read_place(task)
    return TaskState(task_id, project_id, None, (), 0, bool(task["draft_exists"]), {}, updated_at)


def parse_task(task: Json) -> TaskState:
    """One task of `GET /api/tasks?fields=all`. Raises PayloadError only if it is no task at all."""
    task_id, project_id, updated_at = _read_place(task)
    try:
        reviews, problems = parse_reviews(task)
        skips = parse_skips(task)
        return TaskState(
            task_id=task_id,
            project_id=project_id,
            utterance_id=read_utterance_id(task),
            reviews=tuple(reviews),
            skipped=len(skips),
            has_draft=bool(task["draft_exists"] or task["drafts"]),
            scores={str(item["model_version"]): float(item["score"] or 0) for item in task["predictions"]},
            updated_at=updated_at,
            problems=tuple(problems),
            skips=tuple(skips),
        )
    except UNREADABLE as error:
        problem = f"task {task_id} cannot be read: {type(error).__name__}: {error}"
        return TaskState(task_id, project_id, None, (), 0, False, {}, updated_at, (problem,), is_readable=False)


def _read_place(task: Json) -> tuple[int, int, datetime]:
    try:
        return int(task["id"]), int(task["project"]), read_time(task["updated_at"])
    except UNREADABLE as error:
        raise PayloadError(f"Label Studio sent a task without a proper {error}: {_brief(task)}") from error


def parse_present(task: Json) -> Present:
    """A task listed with id, data, and its predictions or, far cheaper, only the list of their model versions."""
    if "predictions" in task:
        versions = {str(item["model_version"]) for item in task["predictions"]}
    else:
        versions = {version.strip() for version in _versions(task).split(",")}
    return Present(int(task["id"]), read_utterance_id(task), frozenset(versions - {""}))


def is_cut(task: Json) -> bool:
    """Whether the list of model versions may lack some: then only `predictions` tells them all."""
    return len(_versions(task)) > VERSIONS_WHOLE


def parse_glance(total: int, newest_first: Sequence[Json], date: str | None) -> Glance:
    """The first page of the tasks, the last changed one first, and the answer's `Date`."""
    newest = read_time(newest_first[0]["updated_at"]) if newest_first else None
    return Glance(total, newest, parse_date(date))


def parse_date(header: str | None) -> datetime | None:
    """The header `Date` of an answer."""
    return None if header is None else parsedate_to_datetime(header)


def parse_drawn_task(task: Json) -> DrawnTask:
    """The answer of `next_task`, whose predictions are those of the project's model version."""
    return DrawnTask(
        task_id=int(task["id"]),
        utterance_id=read_utterance_id(task),
        text=str(task["data"]["text"]),
        shown=shown_hypothesis({}, task),
        prediction_id=max((int(item["id"]) for item in task["predictions"]), default=None),
    )


def _versions(task: Json) -> str:
    return str(task.get("predictions_model_versions") or "")


def _brief(value: object) -> str:
    return repr(value)[:200]
