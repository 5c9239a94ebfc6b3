"""What a queue looks like in Label Studio: one project per (locale, domain), served in the order of its rank codes.

The serving order is `prediction.score`, ascending, of the predictions whose `model_version` is the project's: the
score is the *rank code*, the `model_version` the selection. What changes with a round (order, reason) lives in the
prediction; `data` holds what is fixed at import, and nothing that tells strategy from control.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from plugin.label_studio.controls import DOMAIN, REASON, SLOTS, UTTERANCE, intent_control
from plugin.label_studio.guide import Guide, instruction
from plugin.label_studio.screen import BLIND, LabelSet, label_config, queue_marker
from plugin.records import Hypothesis

# Label Studio drops predictions whose score lies outside [0, 1]. Two million places, and 32 halvings between two.
RANK_GAP = 2.0**-21
RESERVED_COLUMNS = frozenset({"utterance_id", "text"})
TITLE_CHARACTERS = 50

# Served by the scores of predictions; and, should these ever cease to count, as imported. Both lock what they serve.
BY_SCORE, BY_IMPORT = "Uncertainty sampling", "Sequential sampling"


@dataclass(frozen=True, slots=True)
class QueueTask:
    """An utterance as it stands in a queue. `columns` are fixed at import and seen by everyone.

    blind  shown with nothing filled in, and a line that says so in place of the reason
    """

    utterance_id: int
    text: str
    hypothesis: Hypothesis | None
    reason: str
    rank_code: float
    columns: Mapping[str, str | int | float] = field(default_factory=dict)
    blind: bool = False


@dataclass(frozen=True, slots=True)
class MetricLine:
    """A rate and its confidence interval, as fractions."""

    name: str
    value: float
    low: float | None = None
    high: float | None = None


def rank_codes(count: int, after: float = 0.0) -> list[float]:
    """Ascending codes in (0, 1] with gaps, so that later arrivals find room between them."""
    codes = [after + RANK_GAP * place for place in range(1, count + 1)]
    if codes and codes[-1] > 1.0:
        raise ValueError(f"no room for {count} rank codes after {after}: order the whole queue anew")
    return codes


def between(low: float | None, high: float | None, count: int = 1) -> list[float]:
    """`count` codes strictly between two neighbours; None is the open end. Raises ValueError when there is no room."""
    if high is None:
        return rank_codes(count, after=low or 0.0)
    floor = low or 0.0
    step = (high - floor) / (count + 1)
    codes = [floor + step * place for place in range(1, count + 1)]
    if any(left >= right for left, right in pairwise([floor, *codes, high])):
        raise ValueError(f"no room for {count} rank codes between {low} and {high}: order the whole queue anew")
    return codes


def project_title(locale: str, domain: str) -> str:
    """At most what Label Studio takes; the marker tells shortened titles apart."""
    return f"Assay · {locale} · {domain}"[:TITLE_CHARACTERS]


def project_settings(
    locale: str,
    domain: str,
    labels: LabelSet,
    description: str = "",
    sampling: str = BY_SCORE,
    guide: Guide | None = None,
) -> dict[str, Any]:
    """Everything the serving order and the screen rest on; `plugin.services.watching` compares a project with it."""
    return {
        "title": project_title(locale, domain),
        "description": description,
        "label_config": label_config(locale, domain, labels),
        "expert_instruction": instruction(domain, labels, guide),
        "show_instruction": True,
        "sampling": sampling,
        "maximum_annotations": 1,
        "show_overlap_first": False,
        "show_ground_truth_first": False,
        "show_collab_predictions": True,
        "evaluate_predictions_automatically": False,
        "show_skip_button": True,
        "skip_queue": "REQUEUE_FOR_OTHERS",
        "enable_empty_annotation": False,
    }


def task_json(task: QueueTask, model_version: str, labels: LabelSet) -> dict[str, Any]:
    """A task with its prediction, as the bulk import takes it."""
    clash = RESERVED_COLUMNS & set(task.columns)
    if clash:
        raise ValueError(f"utterance {task.utterance_id}: columns {sorted(clash)} are Assay's own")
    data = {"utterance_id": task.utterance_id, "text": task.text} | dict(task.columns)
    return {"data": data, "predictions": [prediction_json(task, model_version, labels)]}


def prediction_json(task: QueueTask, model_version: str, labels: LabelSet) -> dict[str, Any]:
    if "," in model_version:
        raise ValueError(f"model version {model_version!r}: a comma would make it two in Label Studio's lists")
    return {"model_version": model_version, "score": task.rank_code, "result": prediction_result(task, labels)}


def prediction_result(task: QueueTask, labels: LabelSet) -> list[dict[str, Any]]:
    """The regions that pre-fill the screen.

    An intent that is not one of its domain's (two heads of a model may disagree) cannot be shown under it: the
    domain is filled in and the person chooses the intent.
    """
    if task.blind:
        return [reason_region(BLIND)]
    regions = [reason_region(task.reason)] if task.reason else []
    if task.hypothesis is not None:
        regions += label_regions(task.hypothesis, task.text, with_intent=labels.knows_intent(task.hypothesis))
    return regions


def reason_region(text: str) -> dict[str, Any]:
    return region("reason", REASON, "textarea", {"text": [text]}) | {"readonly": True}


def label_regions(label: Hypothesis, text: str, *, with_intent: bool = True) -> list[dict[str, Any]]:
    """A label as Label Studio's regions; what `payloads.read_result` reads back."""
    regions = [region("domain", DOMAIN, "choices", {"choices": [label.domain]})]
    if with_intent:
        regions.append(region("intent", intent_control(label.domain), "choices", {"choices": [label.intent]}))
    for number, slot in enumerate(label.slots):
        value = {
            "start": slot.start,
            "end": slot.end,
            "text": text[slot.start : slot.end],
            "labels": [slot.label],
        }
        regions.append(region(f"slot{number}", SLOTS, "labels", value))
    return regions


def region(region_id: str, control: str, kind: str, value: Mapping[str, Any]) -> dict[str, Any]:
    return {"id": region_id, "from_name": control, "to_name": UTTERANCE, "type": kind, "value": dict(value)}


def describe(
    locale: str, domain: str, metrics: Sequence[MetricLine] = (), *, evaluated: str = "", state: str = ""
) -> str:
    """The project's description: what the queue is, how far it is, and the last evaluation in one line each."""
    lines = [f"Utterances of {domain} ({locale}) in the order in which Assay asks for review.", state]
    if metrics:
        lines.append(f"Evaluation{f' {evaluated}' if evaluated else ''}: {' · '.join(map(_metric, metrics))}")
    return "\n".join(line for line in lines if line)


def _metric(line: MetricLine) -> str:
    interval = "" if line.low is None or line.high is None else f" [{line.low:.1%}, {line.high:.1%}]"
    return f"{line.name} {line.value:.1%}{interval}"


__all__ = [
    "LabelSet",
    "MetricLine",
    "QueueTask",
    "between",
    "describe",
    "label_config",
    "label_regions",
    "prediction_json",
    "prediction_result",
    "project_settings",
    "project_title",
    "queue_marker",
    "rank_codes",
    "task_json",
]
