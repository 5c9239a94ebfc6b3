"""What stands at a place of a foreign task, as a cell of a record."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from plugin.formats.checks import RecordError
from plugin.label_studio.foreign_config import Control, Controls

PREDICTION_PLACES = ("score", "model_version")
_VALUE_KEYS = {"textarea": "text"}
_TRUTH = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def find_control(path: str, controls: Controls) -> tuple[Control | None, str]:
    """The control that a path below `prediction` names, and what is left of the path."""
    if path in controls:
        return controls[path], ""
    head, dot, tail = path.rpartition(".")
    return (controls[head], tail) if dot and head in controls else (None, path)


def said(prediction: Mapping[str, Any], path: str, controls: Controls, text: str) -> object:
    """What a prediction says under a control, as a cell of a record; None when it says nothing."""
    control, rest = find_control(path, controls)
    if control is None:
        return prediction.get(path) if path in PREDICTION_PLACES else None
    values = [
        region["value"]
        for region in prediction.get("result") or ()
        if isinstance(region, Mapping)
        and region.get("from_name") == control.name
        and isinstance(region.get("value"), Mapping)
    ]
    if control.kind == "labels":
        return [slot for value in values for slot in _slots(value, control.name, text)]
    chosen = [one for value in values for one in _as_list(value.get(_VALUE_KEYS.get(control.kind, control.kind)))]
    if not chosen:
        return None
    if len(chosen) > 1:
        raise RecordError("", f"the prediction says several things under {control.name!r}: {_shown(chosen)}")
    if control.kind != "taxonomy":
        return chosen[0]
    place = int(rest) if rest else -1
    levels = _as_list(chosen[0])
    return levels[place] if -len(levels) <= place < len(levels) else None


def look_up(node: object, path: str) -> object:
    """The value below an object or a list; a key may hold dots itself, and the longest one that is there counts."""
    if isinstance(node, Mapping):
        if path in node:
            return node[path]
        cut = path.rfind(".")
        while cut > 0:
            if path[:cut] in node:
                return look_up(node[path[:cut]], path[cut + 1 :])
            cut = path.rfind(".", 0, cut)
        return None
    if isinstance(node, Sequence) and not isinstance(node, str):
        head, _, tail = path.partition(".")
        if head.isdecimal() and int(head) < len(node):
            return look_up(node[int(head)], tail) if tail else node[int(head)]
    return None


def as_cell(field: str, value: object) -> object:
    """What a spreadsheet makes of a value is taken back; the checks of the record format say the rest."""
    if field == "id" and isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    if field == "nlu_score" and isinstance(value, str):
        try:
            return float(value)
        except ValueError:
            return value
    if field == "defect":
        return _TRUTH.get(str(value).lower(), value)
    if field == "slots" and isinstance(value, list):
        return [_slot_list(item) for item in value]
    return value


def _slot_list(item: object) -> object:
    """{start, end, label} or {start, end, labels: [one]}, as Label Studio writes spans, as [start, end, label]."""
    if not isinstance(item, Mapping) or not {"start", "end"} <= item.keys():
        return item
    labels = _as_list(item.get("label", item.get("labels")))
    return [item["start"], item["end"], labels[0] if len(labels) == 1 else labels]


def _slots(value: Mapping[str, Any], name: str, text: str) -> Iterator[list[object]]:
    start, end = value.get("start"), value.get("end")
    if isinstance(start, int) and isinstance(end, int) and "text" in value:
        covered = text[start:end]
        if "".join(str(value["text"]).split()) != "".join(covered.split()):
            raise RecordError(
                "slots", f"{name} {start}:{end} says {_shown(value['text'])}, the text has {_shown(covered)}"
            )
        if covered.strip():  # who marks words with a mouse takes a space along
            start, end = start + len(covered) - len(covered.lstrip()), end - len(covered) + len(covered.rstrip())
    for label in _as_list(value.get("labels")):
        yield [start, end, label]


def _as_list(value: object) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [] if value is None else [value]


def _shown(value: object) -> str:
    shown = json.dumps(value, ensure_ascii=False, default=str)
    return shown if len(shown) <= 60 else f"{shown[:57]}..."
