"""Tasks of somebody else's project, as Label Studio answers them; what they mean is told by `task_map`."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime

from plugin.label_studio.payloads.common import UNREADABLE, Json, PayloadError, read_time

# Our predictions there, which become our annotations: `assay-review`, and `assay-review-2` for a task's second time.
OUR_VERSION = "assay-review"


@dataclass(frozen=True, slots=True)
class SourceTask:
    """A task as its project has it. `predictions` are not ours, the latest last; none where they were not asked for."""

    task_id: int
    data: Json
    meta: Json
    created_at: str
    updated_at: datetime
    predictions: tuple[Json, ...] = ()


@dataclass(frozen=True, slots=True)
class SourceGlance:
    """How a project stands, for the price of one small request; `clock` is Label Studio's time, never ahead of it."""

    task_count: int
    predictions: int
    newest: datetime | None
    clock: datetime | None


@dataclass(frozen=True, slots=True)
class OurAnnotation:
    """`version` of the prediction that it was made of; empty when that is gone."""

    version: str
    result: tuple[Json, ...]


@dataclass(frozen=True, slots=True)
class SourceWork:
    """What was done to a task.

    ours        our annotations by their id, which nobody has changed
    predicted   the versions of our predictions on it
    by_people   the annotations that are none of ours, or that somebody has changed since; skips do not count
    has_draft   somebody is at work on it
    """

    task: SourceTask
    ours: Mapping[int, OurAnnotation]
    predicted: frozenset[str]
    by_people: frozenset[int]
    has_draft: bool


def is_our_version(version: object) -> bool:
    return version == OUR_VERSION or str(version).startswith(f"{OUR_VERSION}-")


def parse_source_task(task: Json) -> SourceTask:
    """Raises PayloadError if it is no task at all: one whose data cannot be used is still a task."""
    try:
        data, meta = task["data"], task.get("meta")
        predictions = [item for item in task.get("predictions") or () if not is_our_version(item.get("model_version"))]
        return SourceTask(
            task_id=int(task["id"]),
            data=data if isinstance(data, Mapping) else {},
            meta=meta if isinstance(meta, Mapping) else {},
            created_at=str(task.get("created_at") or ""),
            updated_at=read_time(task["updated_at"]),
            predictions=tuple(sorted(predictions, key=lambda item: int(item["id"]))),
        )
    except UNREADABLE as error:
        raise PayloadError(f"Label Studio sent a task without a proper {error}: {repr(task)[:200]}") from error


def parse_source_work(task: Json, known: Collection[int]) -> SourceWork:
    """`known` are the annotations that were ours when they were made: their predictions may be gone."""
    try:
        versions = {
            int(item["id"]): str(item["model_version"])
            for item in task["predictions"]
            if is_our_version(item.get("model_version"))
        }
        ours, by_people = {}, set()
        for annotation in task["annotations"]:
            annotation_id, parent = int(annotation["id"]), annotation["parent_prediction"]
            is_ours = annotation_id in known or parent in versions
            if is_ours and annotation["updated_by"] is None:
                ours[annotation_id] = OurAnnotation(versions.get(parent, ""), tuple(annotation["result"]))
            elif not annotation["was_cancelled"]:
                by_people.add(annotation_id)
        has_draft = bool(task["draft_exists"])
    except UNREADABLE as error:
        raise PayloadError(f"task {task.get('id')} cannot be read: {type(error).__name__}: {error}") from error
    return SourceWork(parse_source_task(task), ours, frozenset(versions.values()), frozenset(by_people), has_draft)
