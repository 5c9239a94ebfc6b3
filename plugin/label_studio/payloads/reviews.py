"""A submitted annotation -> a review."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from plugin.label_studio.payloads.common import UNREADABLE, Json, PayloadError, read_time, read_utterance_id
from plugin.label_studio.payloads.regions import Reading, read_result
from plugin.records import Hypothesis, Review, Verdict

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


def parse_review(annotation: Json, task: Json) -> Review:
    """A submitted annotation. Raises PayloadError with the annotation's id and what is wrong."""
    text = str(task["data"]["text"])
    where = f"annotation {annotation['id']} of task {task['id']}"
    utterance_id = read_utterance_id(task)
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
        created_at=read_time(annotation["created_at"]),
        updated_at=read_time(annotation["updated_at"]),
        shown_blind=not task.get("predictions"),
        note=reading.note,
    )


def shown_hypothesis(annotation: Json, task: Json) -> Hypothesis | None:
    """What the person saw filled in: the annotation's parent prediction, else the latest; None if incomplete."""
    predictions = sorted(task.get("predictions") or (), key=lambda item: int(item["id"]))
    if not predictions:
        return None
    parent = annotation.get("parent_prediction")
    chosen = next((item for item in predictions if item["id"] == parent), predictions[-1])
    return read_result(chosen["result"], str(task["data"]["text"]), f"prediction {chosen['id']}").label


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
