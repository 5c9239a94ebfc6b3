"""Webhook, task and annotation JSON of Label Studio -> our records. Nothing else parses it.

Label Studio counts the offsets of a `Text` region in Unicode code points, as our records do (an emoji is one,
wherever JavaScript counts two); a contract test and a browser test hold it to that.
"""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any

from plugin.label_studio.controls import DOMAIN, NOTE, SLOTS, VERDICT, intent_control
from plugin.label_studio.imports import Present
from plugin.records import Hypothesis, Review, Slot, Verdict

Json = Mapping[str, Any]

# Label Studio cuts its column of model versions at 500 characters, and then takes the quotes off: half is surely whole.
VERSIONS_WHOLE = 250
# What Python raises on JSON of another shape than expected.
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError)
EMAIL_IN_USERNAME = re.compile(r"(\S+@\S+), \d+$")


class PayloadError(ValueError):
    """What Label Studio sent, or what a person submitted, cannot be understood; names the place."""


@dataclass(frozen=True, slots=True)
class TaskState:
    """A Label Studio task as it stands.

    skipped   how many people skipped it
    has_draft somebody has begun and not submitted (whose draft, only they are told)
    scores    model version -> rank code of the prediction under it
    problems  annotations that could not be read, one sentence each
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

    @property
    def is_untouched(self) -> bool:
        return not (self.reviews or self.problems or self.skipped or self.has_draft)


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


@dataclass(frozen=True, slots=True)
class WebhookEvent:
    """A hint that something happened; `dedup_key` is the same for the same event sent twice."""

    action: str
    project_id: int | None
    task_ids: tuple[int, ...]
    annotation_ids: tuple[int, ...]
    dedup_key: str


@dataclass(frozen=True, slots=True)
class Reading:
    """What the controls of the labelling screen say, complete or not."""

    domain: str | None
    intent: str | None
    slots: tuple[Slot, ...]
    verdict: str | None
    note: str

    @property
    def label(self) -> Hypothesis | None:
        if self.domain is None or self.intent is None:
            return None
        return Hypothesis(self.domain, self.intent, self.slots)


def parse_task(task: Json) -> TaskState:
    """One task of `GET /api/tasks?fields=all`. Raises PayloadError only if it is no task at all."""
    try:
        task_id, project_id, updated_at = int(task["id"]), int(task["project"]), _time(task["updated_at"])
    except UNREADABLE as error:
        raise PayloadError(f"Label Studio sent a task without a proper {error}: {_brief(task)}") from error
    try:
        reviews, problems = _parse_reviews(task)
        return TaskState(
            task_id=task_id,
            project_id=project_id,
            utterance_id=_utterance_id(task),
            reviews=tuple(reviews),
            skipped=sum(bool(annotation.get("was_cancelled")) for annotation in task["annotations"]),
            has_draft=bool(task["draft_exists"] or task["drafts"]),
            scores={str(item["model_version"]): float(item["score"] or 0) for item in task["predictions"]},
            updated_at=updated_at,
            problems=tuple(problems),
        )
    except UNREADABLE as error:
        problem = f"task {task_id} cannot be read: {type(error).__name__}: {error}"
        return TaskState(task_id, project_id, None, (), 0, False, {}, updated_at, (problem,), is_readable=False)


def parse_present(task: Json) -> Present:
    """A task listed with id, data, and its predictions or, far cheaper, only the list of their model versions."""
    if "predictions" in task:
        versions = {str(item["model_version"]) for item in task["predictions"]}
    else:
        versions = {version.strip() for version in _versions(task).split(",")}
    return Present(int(task["id"]), _utterance_id(task), frozenset(versions - {""}))


def is_cut(task: Json) -> bool:
    """Whether the list of model versions may lack some: then only `predictions` tells them all."""
    return len(_versions(task)) > VERSIONS_WHOLE


def parse_glance(total: int, newest_first: Sequence[Json], date: str | None) -> Glance:
    """The first page of the tasks, the last changed one first, and the answer's `Date`."""
    newest = _time(newest_first[0]["updated_at"]) if newest_first else None
    return Glance(total, newest, None if date is None else parsedate_to_datetime(date))


def parse_drawn_task(task: Json) -> DrawnTask:
    """The answer of `next_task`, whose predictions are those of the project's model version."""
    return DrawnTask(
        task_id=int(task["id"]),
        utterance_id=_utterance_id(task),
        text=str(task["data"]["text"]),
        shown=shown_hypothesis({}, task),
        prediction_id=max((int(item["id"]) for item in task["predictions"]), default=None),
    )


def parse_review(annotation: Json, task: Json) -> Review:
    """A submitted annotation. Raises PayloadError with the annotation's id and what is wrong."""
    text = str(task["data"]["text"])
    where = f"annotation {annotation['id']} of task {task['id']}"
    utterance_id = _utterance_id(task)
    if utterance_id is None:
        raise PayloadError(f"{where}: the task has no utterance_id, it is not one of Assay's")
    reading = read_result(annotation["result"], text, where)
    shown = shown_hypothesis(annotation, task)
    verdict = _verdict(reading, shown, where)
    return Review(
        annotation_id=int(annotation["id"]),
        task_id=int(task["id"]),
        utterance_id=utterance_id,
        verdict=verdict,
        label=None if verdict is Verdict.REJECT else reading.label,
        annotator=_annotator(annotation),
        lead_time_s=_lead_time(annotation),
        created_at=_time(annotation["created_at"]),
        updated_at=_time(annotation["updated_at"]),
        shown_blind=not task.get("predictions"),
        note=reading.note,
    )


def read_result(result: Iterable[Json], text: str, where: str = "result") -> Reading:
    """The regions of a prediction or annotation. Raises PayloadError for spans that do not fit the text."""
    choices: dict[str, str] = {}
    slots: set[Slot] = set()
    note = ""
    for region in result:
        name, value = str(region.get("from_name")), region.get("value")
        if not isinstance(value, Mapping):
            continue  # a relation between two regions: it has no control of its own, and says nothing of the label
        if name == SLOTS:
            slots.update(_slots(value, text, where))
        elif name == NOTE:
            note = " ".join(_as_list(value.get("text"))).strip()
        elif value.get("choices"):
            choices[name] = str(value["choices"][0])
    domain = choices.get(DOMAIN)
    intent = choices.get(intent_control(domain)) if domain is not None else None
    return Reading(domain, intent, _without_overlap(slots, text, where), choices.get(VERDICT), note)


def shown_hypothesis(annotation: Json, task: Json) -> Hypothesis | None:
    """What the person saw filled in: the annotation's parent prediction, else the latest; None if incomplete."""
    predictions = sorted(task.get("predictions") or (), key=lambda item: int(item["id"]))
    if not predictions:
        return None
    parent = annotation.get("parent_prediction")
    chosen = next((item for item in predictions if item["id"] == parent), predictions[-1])
    return read_result(chosen["result"], str(task["data"]["text"]), f"prediction {chosen['id']}").label


def changed_parts(shown: Hypothesis | None, label: Hypothesis) -> frozenset[str]:
    """Which of domain, intent and slots the person changed; all of them where nothing was shown."""
    parts = ("domain", "intent", "slots")
    if shown is None:
        return frozenset(parts)
    return frozenset(part for part in parts if getattr(shown, part) != getattr(label, part))


def parse_webhook(body: object) -> WebhookEvent:
    """Raises PayloadError when `body` is no webhook of Label Studio."""
    if not isinstance(body, Mapping) or not isinstance(body.get("action"), str):
        raise PayloadError("not a Label Studio webhook: expected a JSON object with an action")
    tasks = _objects(body, "task") + _objects(body, "tasks")
    annotations = _objects(body, "annotation") + _objects(body, "annotations")
    projects = _objects(body, "project")
    try:
        project_id = next((int(project["id"]) for project in projects), None)
        task_ids = {int(task["id"]) for task in tasks} | {
            int(annotation["task"]) for annotation in annotations if annotation.get("task") is not None
        }
        annotation_ids = sorted(int(annotation["id"]) for annotation in annotations)
    except (KeyError, TypeError, ValueError) as error:
        raise PayloadError(f"webhook {body['action']}: an id is missing or not a number") from error
    times = sorted(str(item["updated_at"]) for item in (annotations or tasks) if item.get("updated_at"))
    parts = (body["action"], project_id, sorted(task_ids), annotation_ids, times)
    key = hashlib.sha256(repr(parts).encode()).hexdigest()
    return WebhookEvent(body["action"], project_id, tuple(sorted(task_ids)), tuple(annotation_ids), key)


def _parse_reviews(task: Json) -> tuple[list[Review], list[str]]:
    reviews, problems = [], []
    for annotation in task["annotations"]:
        if annotation.get("was_cancelled"):
            continue
        try:
            reviews.append(parse_review(annotation, task))
        except PayloadError as error:
            problems.append(str(error))
        except UNREADABLE as error:
            problems.append(f"annotation {annotation.get('id')} of task {task['id']}: {type(error).__name__}: {error}")
    return reviews, problems


def _verdict(reading: Reading, shown: Hypothesis | None, where: str) -> Verdict:
    """What was submitted counts: who presses accept and yet changed something has fixed it."""
    if reading.verdict is None:
        raise PayloadError(f"{where}: no verdict")
    try:
        pressed = Verdict(reading.verdict)
    except ValueError:
        raise PayloadError(f"{where}: unknown verdict {reading.verdict!r}") from None
    if pressed is Verdict.REJECT:
        return pressed
    if reading.label is None:
        raise PayloadError(f"{where}: {pressed} without a domain and an intent of that domain")
    return Verdict.FIX if reading.label != shown else pressed


def _slots(value: Json, text: str, where: str) -> Iterable[Slot]:
    start, end, labels = value.get("start"), value.get("end"), value.get("labels") or ()
    if not (isinstance(start, int) and isinstance(end, int) and 0 <= start < end <= len(text)):
        raise PayloadError(f"{where}: slot {start}..{end} lies outside the text of {len(text)} characters")
    covered = text[start:end]
    if "text" in value and "".join(str(value["text"]).split()) != "".join(covered.split()):
        raise PayloadError(f"{where}: slot {start}..{end} says {value['text']!r}, the text has {covered!r}")
    start += len(covered) - len(covered.lstrip())
    end -= len(covered) - len(covered.rstrip())
    return [Slot(start, end, str(label)) for label in labels if start < end]


def _without_overlap(slots: set[Slot], text: str, where: str) -> tuple[Slot, ...]:
    ordered = tuple(sorted(slots))
    for left, right in pairwise(ordered):
        if right.start < left.end:
            one, other = (f"{slot.label} {text[slot.start : slot.end]!r}" for slot in (left, right))
            raise PayloadError(f"{where}: slots overlap: {one} and {other}")
    return ordered


def _annotator(annotation: Json) -> str:
    """The e-mail address; Label Studio gives it as "First Last who@example.org, 7" beside the bare id."""
    by = annotation.get("completed_by")
    if isinstance(by, Mapping):
        return str(by.get("email") or f"user {by.get('id')}")
    found = EMAIL_IN_USERNAME.search(str(annotation.get("created_username") or ""))
    return found.group(1) if found else f"user {by}"


def _lead_time(annotation: Json) -> float | None:
    """None where the browser's clock was set back meanwhile: Label Studio stores the difference as it comes."""
    seconds = annotation.get("lead_time")
    return float(seconds) if seconds is not None and 0 <= float(seconds) < math.inf else None


def _versions(task: Json) -> str:
    return str(task.get("predictions_model_versions") or "")


def _utterance_id(task: Json) -> int | None:
    value = task["data"].get("utterance_id")
    return value if isinstance(value, int) else None


def _time(value: str) -> datetime:
    return datetime.fromisoformat(value)


def _objects(body: Json, key: str) -> list[Json]:
    value = body.get(key)
    found = value if isinstance(value, list) else [value]
    return [item for item in found if isinstance(item, Mapping)]


def _as_list(value: object) -> Sequence[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value or "")]


def _brief(value: object) -> str:
    return repr(value)[:200]


__all__ = [
    "DrawnTask",
    "Glance",
    "PayloadError",
    "Reading",
    "TaskState",
    "WebhookEvent",
    "changed_parts",
    "is_cut",
    "parse_drawn_task",
    "parse_glance",
    "parse_present",
    "parse_review",
    "parse_task",
    "parse_webhook",
    "read_result",
    "shown_hypothesis",
]
