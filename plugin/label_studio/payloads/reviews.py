"""A submitted annotation -> a review."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass

from plugin.label_studio.payloads.common import UNREADABLE, Json, PayloadError, read_time, read_utterance_id
from plugin.label_studio.payloads.regions import Reading, read_result
from plugin.records import Hypothesis, RejectReason, Review, Verdict

EMAIL_IN_USERNAME = re.compile(r"(\S+@\S+), \d+$")


def parse_reviews(task: Json) -> tuple[list[Review], list[str]]:
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


@dataclass(frozen=True, slots=True)
class Skip:
    """A task that a person passed on without an answer."""

    annotation_id: int
    annotator: str


def parse_skips(task: Json) -> list[Skip]:
    cancelled = (annotation for annotation in task["annotations"] if annotation.get("was_cancelled"))
    return [Skip(int(annotation["id"]), _annotator(annotation)) for annotation in cancelled]


def parse_review(annotation: Json, task: Json) -> Review:
    """A submitted annotation. Raises PayloadError with the annotation's id and what is wrong."""
    text = str(task["data"]["text"])
    where = f"annotation {annotation['id']} of task {task['id']}"
    utterance_id = read_utterance_id(task)
    if utterance_id is None:
        raise PayloadError(f"{where}: the task has no utterance_id, it is not one of Assay's")
    reading = read_result(annotation["result"], text, where)
    shown = shown_reading(annotation, task)
    reason = _reject_reason(reading, where)
    if reason is None and reading.label is None:
        raise PayloadError(f"{where}: neither rejected nor labelled with a domain and an intent of that domain")
    return Review(
        annotation_id=int(annotation["id"]),
        task_id=int(task["id"]),
        utterance_id=utterance_id,
        verdict=_verdict(reading, shown),
        reject_reason=reason,
        label=None if reason else reading.label,
        annotator=_annotator(annotation),
        lead_time_s=_lead_time(annotation),
        created_at=read_time(annotation["created_at"]),
        updated_at=read_time(annotation["updated_at"]),
        shown_blind=shown is None or shown.is_empty,
        note=reading.note,
    )


def shown_hypothesis(annotation: Json, task: Json) -> Hypothesis | None:
    """What the person saw filled in; None if incomplete."""
    reading = shown_reading(annotation, task)
    return None if reading is None else reading.label


def shown_reading(annotation: Json, task: Json) -> Reading | None:
    """What the person saw filled in: the annotation's parent prediction, else the latest; None if there is none."""
    predictions = sorted(task.get("predictions") or (), key=lambda item: int(item["id"]))
    if not predictions:
        return None
    parent = annotation.get("parent_prediction")
    chosen = next((item for item in predictions if item["id"] == parent), predictions[-1])
    return read_result(chosen["result"], str(task["data"]["text"]), f"prediction {chosen['id']}")


def _verdict(reading: Reading, shown: Reading | None) -> Verdict:
    """What was submitted counts: whoever changed nothing has accepted.

    Of what was shown blind, the task does not tell the hypothesis: it is a fix until somebody compares.
    """
    if reading.reject is not None:
        return Verdict.REJECT
    return Verdict.ACCEPT if shown is not None and reading.label == shown.label else Verdict.FIX


def _reject_reason(reading: Reading, where: str) -> RejectReason | None:
    if reading.reject is None:
        return None
    try:
        return RejectReason(reading.reject)
    except ValueError:
        raise PayloadError(f"{where}: unknown reason to reject {reading.reject!r}") from None


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
