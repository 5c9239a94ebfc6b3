"""How a foreign task becomes a record: `FIELD=PLACE` for each field of the record format that a task tells.

    text=data.utterance        a field of the task's data; `data.nlu.domain` and `data.slots.0` go further down
    domain=prediction.domain   what the task's prediction says under the control `domain` of the labelling configuration
    nlu_score=prediction.score
    occurred_at=task.created_at
    locale=en-US               not a place, so it is meant as it stands: the same for every task
    domain='data.x'            what would be a place is meant as it stands in quotation marks

A place that a task does not have, or that is empty there, leaves the field out.
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from plugin.formats.tables import row_object
from plugin.label_studio.foreign_config import Controls
from plugin.label_studio.payloads.sources import SourceTask
from plugin.label_studio.task_values import PREDICTION_PLACES, as_cell, find_control, look_up, said

MEANING = ("domain", "intent", "slots")
FIELDS = ("id", "text", "locale", *MEANING, "nlu_score", "domain_scores", "defect", "occurred_at")
REQUIRED = ("text", "locale")
CONSTANTS = ("locale", "domain", "intent", "nlu_score", "defect")
ROOTS = ("data", "meta", "task", "prediction")
TASK_PLACES = ("id", "created_at", "updated_at")
# The columns that writing back fills: read again, our own words would come back as the machine's.
WRITTEN_COLUMNS = ("assay_verdict", "assay_domain", "assay_intent", "assay_slots")


class MapError(ValueError):
    """A `--map` that cannot be understood, or does not fit the project; says which, and what to write instead."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a field stands, or, without a root, what it is for every task."""

    root: str | None
    path: str

    @property
    def written(self) -> str:
        if self.root is not None:
            return f"{self.root}.{self.path}"
        return json.dumps(self.path, ensure_ascii=False)


@dataclass(frozen=True, slots=True)
class TaskMap:
    """`controls` are the project's, for what predictions say; `model_version` is the one whose predictions it shows."""

    places: Mapping[str, Place]
    controls: Controls
    model_version: str = ""

    @property
    def reads_predictions(self) -> bool:
        return any(place.root == "prediction" for place in self.places.values())

    @property
    def read_from(self) -> dict[str, str]:
        """Part of a hypothesis -> the control that it is read from."""
        return {
            field: control.name
            for field in MEANING
            if field in self.places and self.places[field].root == "prediction"
            for control in [find_control(self.places[field].path, self.controls)[0]]
            if control is not None
        }

    @property
    def text_field(self) -> str | None:
        """The field of `data` that the text is."""
        place = self.places["text"]
        return place.path if place.root == "data" else None

    def to_json(self) -> dict[str, str]:
        return {field: place.written for field, place in self.places.items()}

    def text(self, task: SourceTask) -> object:
        return self._value("text", task, None)

    def record(self, task: SourceTask) -> dict[str, object]:
        """The record that the task tells, not yet checked. Raises RecordError for what can be no record."""
        prediction = self._prediction(task) if self.reads_predictions else None
        cells = {field: self._value(field, task, prediction) for field in self.places}
        cells = {field: value for field, value in cells.items() if value is not None and value != ""}
        told = [field for field in MEANING if field in self.places and self.places[field].root is not None]
        if told and not any(cells.get(field) for field in told):
            # What is the same for every task makes no hypothesis of its own.
            cells = {field: value for field, value in cells.items() if field not in MEANING}
        cells.setdefault("id", task.task_id)
        return row_object({field: as_cell(field, value) for field, value in cells.items()})

    def _value(self, field: str, task: SourceTask, prediction: Mapping[str, Any] | None) -> object:
        place = self.places[field]
        match place.root:
            case None:
                return place.path
            case "data":
                return look_up(task.data, place.path)
            case "meta":
                return look_up(task.meta, place.path)
            case "task":
                return {"id": task.task_id, "created_at": task.created_at}.get(place.path, task.updated_at.isoformat())
        return None if prediction is None else said(prediction, place.path, self.controls, self._full_text(task))

    def _prediction(self, task: SourceTask) -> Mapping[str, Any] | None:
        """The one that the project shows, else the latest."""
        shown = [item for item in task.predictions if item.get("model_version") == self.model_version]
        return next(iter(reversed(shown or task.predictions)), None)

    def _full_text(self, task: SourceTask) -> str:
        return str(look_up(task.data, self.text_field) if self.text_field is not None else "")


def parse_map(items: Iterable[str]) -> dict[str, Place]:
    """Raises MapError."""
    places: dict[str, Place] = {}
    for item in items:
        field, sign, written = item.partition("=")
        field, written = field.strip(), written.strip()
        if not sign or not written:
            raise MapError(f"--map {item}: must be FIELD=PLACE, like text=data.text")
        if field not in FIELDS:
            near = difflib.get_close_matches(field, FIELDS, 1)
            raise MapError(
                f"--map {item}: {field!r} is not a field of the record format"
                + (f"; did you mean {near[0]}?" if near else f"; those are {', '.join(FIELDS)}")
            )
        if field in places:
            raise MapError(f"--map {item}: {field} is mapped twice")
        places[field] = parse_place(field, written, item)
    for field in REQUIRED:
        if field not in places:
            example = "text=data.text" if field == "text" else "locale=en-US, or locale=data.locale"
            raise MapError(f"--map lacks {field}: say where it stands, like {example}")
    return places


def parse_place(field: str, written: str, item: str) -> Place:
    root, dot, path = written.partition(".")
    is_quoted = len(written) > 1 and written[0] == written[-1] and written[0] in "'\""
    if is_quoted or root not in ROOTS or (not dot and field in CONSTANTS):
        if field not in CONSTANTS:
            name = written[1:-1] if is_quoted else written
            place = name if name.partition(".")[0] in ROOTS else f"data.{name}"
            raise MapError(
                f"--map {item}: {written!r} would be the same for every task; to read it from them write "
                f"{field}={place}"
            )
        return Place(None, _unquoted(written, item) if is_quoted else written)
    if not path or path.startswith(".") or path.endswith("."):
        raise MapError(f"--map {item}: {written!r} does not say which field of {root}, like {root}.name")
    if root == "task" and path not in TASK_PLACES:
        raise MapError(
            f"--map {item}: of a task itself only {', '.join(TASK_PLACES)} can be read; its fields are data.…"
        )
    if root == "data" and path.split(".")[0] in WRITTEN_COLUMNS:
        raise MapError(f"--map {item}: {path} is written by Assay, with what people said: it is no hypothesis")
    return Place(root, path)


def check_map(places: Mapping[str, Place], controls: Controls, columns: Iterable[str]) -> None:
    """Whether the places fit the project: its controls, and the fields of its tasks. Raises MapError."""
    columns = set(columns)
    for field, place in places.items():
        item = f"--map {field}={place.path if place.root is None else place.written}"
        if place.root is None and place.path in columns:
            raise MapError(f"{item}: the tasks have a field {place.path}; write {field}=data.{place.path} to read it")
        if place.root == "data" and columns and not any(_leads_to(place.path, column) for column in columns):
            near = difflib.get_close_matches(place.path, columns, 1)
            raise MapError(
                f"{item}: no task has a field {place.path!r}"
                + (f"; did you mean data.{near[0]}?" if near else f"; they have {', '.join(sorted(columns))}")
            )
        if place.root == "prediction":
            _check_control(item, field, place.path, places["text"], controls)


def _check_control(item: str, field: str, path: str, text: Place, controls: Controls) -> None:
    control, rest = find_control(path, controls)
    if control is None:
        if path in PREDICTION_PLACES:
            return
        names = [*sorted(controls), *PREDICTION_PLACES]
        raise MapError(f"{item}: the labelling configuration has no control {path!r}; it has {', '.join(names)}")
    if rest and not (control.kind == "taxonomy" and rest.isdecimal()):
        raise MapError(
            f"{item}: {control.name!r} has no {rest!r}; only a taxonomy's levels can be told apart, by number"
        )
    if (field == "slots") != (control.kind == "labels"):
        raise MapError(
            f"{item}: {control.name!r} holds {control.kind}, and {field} needs {_NEEDS.get(field, 'a value')}"
        )
    if field == "slots" and (text.root != "data" or control.reads != text.path):
        read = f"data.{control.reads}" if control.reads else "no plain text"
        raise MapError(f"{item}: its spans are in {read}, and the text is mapped from {text.written}")


_NEEDS = {"slots": "labels"}


def _leads_to(path: str, column: str) -> bool:
    return path == column or path.startswith(f"{column}.")


def _unquoted(written: str, item: str) -> str:
    if not written[1:-1].strip():
        raise MapError(f"--map {item}: the value is empty")
    return written[1:-1]
