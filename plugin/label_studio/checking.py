"""What would be sent, checked first: Label Studio's open-source server drops invalid predictions in silence.

The SDK's `LabelInterface` is the judge, and slow: a tenth of what Label Studio takes to import a task. But it looks at
each region by itself, and of texts and offsets only at their types. So it is asked once for each shape of region.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from itertools import pairwise
from typing import Any

from plugin.label_studio.queues import QueueTask, prediction_json
from plugin.label_studio.screen import LabelSet

PROBLEMS_SHOWN = 5
CHOSEN = frozenset({"labels", "choices"})  # their words decide, not only their types

Json = Mapping[str, Any]


class InvalidPredictionError(ValueError):
    """What would be shown to annotators does not fit the screen; nothing was sent."""


class Judge:
    """`LabelInterface.validate_prediction` of one configuration, with a memory."""

    def __init__(self, config: str) -> None:
        # Loading it takes half a second, which every command would pay at the top of the file.
        from label_studio_sdk.label_interface.interface import LabelInterface

        self._interface = LabelInterface(config)
        self._valid: dict[Hashable, bool] = {}

    def problems(self, prediction: Json) -> list[str]:
        """None for the most part; then the judge tells them itself, in full."""
        if 0.0 <= prediction["score"] <= 1.0 and all(self._is_valid(region) for region in prediction["result"]):
            return []
        found: object = self._interface.validate_prediction(dict(prediction), return_errors=True)  # type: ignore[no-untyped-call]
        return [str(problem) for problem in found] if isinstance(found, list) else []

    def _is_valid(self, region: Json) -> bool:
        shape = tuple((name, _shape(name, value)) for name, value in region.items() if name != "id")
        if shape not in self._valid:
            self._valid[shape] = self._interface.validate_region(dict(region)) is True  # type: ignore[no-untyped-call]
        return self._valid[shape]


def _shape(name: str, value: object) -> Hashable:
    if name == "value" and isinstance(value, Mapping):
        return tuple((key, _words(item) if key in CHOSEN else _kind(item)) for key, item in value.items())
    return repr(value)


def _words(value: object) -> Hashable:
    return repr(value)


def _kind(value: object) -> Hashable:
    return tuple(_kind(item) for item in value) if isinstance(value, list) else type(value).__name__


def check_tasks(tasks: Iterable[QueueTask], config: str, labels: LabelSet) -> None:
    """Refuse what Label Studio would swallow: wrong labels, spans outside the text, the same utterance twice.

    Raises InvalidPredictionError with the first few problems.
    """
    judge = Judge(config)
    problems: list[str] = []
    seen: set[int] = set()
    for task in tasks:
        if task.utterance_id in seen:
            problems.append(f"utterance {task.utterance_id} stands twice")
        seen.add(task.utterance_id)
        found = _problems(task, judge, labels)
        problems.extend(f"utterance {task.utterance_id}: {problem}" for problem in found)
    if problems:
        more = f" (and {len(problems) - PROBLEMS_SHOWN} more)" if len(problems) > PROBLEMS_SHOWN else ""
        raise InvalidPredictionError("; ".join(problems[:PROBLEMS_SHOWN]) + more)


def _problems(task: QueueTask, judge: Judge, labels: LabelSet) -> list[str]:
    if not 0.0 <= task.rank_code <= 1.0:
        return [f"rank code {task.rank_code} is outside [0, 1]"]
    if not task.text.strip():
        return ["the text is empty"]
    slots = () if task.hypothesis is None else task.hypothesis.slots
    bad = [slot for slot in slots if not 0 <= slot.start < slot.end <= len(task.text)]
    if bad:
        return [f"slot {slot.label} {slot.start}..{slot.end} outside a text of {len(task.text)}" for slot in bad]
    if any(right.start < left.end for left, right in pairwise(slots)):
        return ["slots overlap or are not in order"]
    return judge.problems(prediction_json(task, "check", labels))
