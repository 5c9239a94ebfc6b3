"""The labelling configuration of somebody else's project: what its controls say, and whether they can hold a label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from xml.etree import ElementTree as ET

from plugin.records import Hypothesis

# What begins the marker of every project that Assay makes (`screen.queue_marker` and its like).
OUR_MARKERS = "assay-"
# Tag -> the type of its regions.
KINDS = {
    "Choices": "choices", "Taxonomy": "taxonomy", "Labels": "labels", "TextArea": "textarea", "Number": "number",
    "Rating": "rating",
}  # fmt: skip
# What a control must be to hold a part of a label.
HOLDERS = {
    "domain": ("choices",),
    "intent": ("choices", "taxonomy"),
    "slots": ("labels",),
    "verdict": ("choices",),
}


class CannotHoldError(ValueError):
    """A label that the labelling configuration has no place for."""


@dataclass(frozen=True, slots=True)
class Control:
    """A control and its choices, each as the path from the root: only a taxonomy's are longer than one.

    reads    the field of a task's data that holds the text it is about; None when that is no plain text
    is_open  its choices come with each task, so that they are not known here
    """

    name: str
    kind: str
    to_name: str
    reads: str | None
    options: frozenset[tuple[str, ...]]
    is_open: bool = False

    def find(self, name: str, within: str | None = None) -> tuple[str, ...]:
        """The path of a choice; of several of this name, the one below `within`."""
        found = sorted(path for path in self.options if path[-1] == name)
        under = [path for path in found if path[0] == within]
        if len(under or found) == 1:
            return (under or found)[0]
        if self.is_open and self.kind != "taxonomy":
            return (name,)
        raise CannotHoldError(f"the control {self.name!r} has {'several choices' if found else 'no choice'} {name!r}")


Controls = Mapping[str, Control]


def parse_controls(label_config: str) -> dict[str, Control]:
    """By name; empty for a configuration that is no XML, which Label Studio does not keep."""
    try:
        root = ET.fromstring(label_config)  # noqa: S314  # Label Studio parsed this very text before it kept it
    except ET.ParseError:
        return {}
    texts = {str(item.get("name")): _field(item) for item in root.iter() if item.get("name") and not item.get("toName")}
    found = {}
    for item in root.iter():
        name, to_name = item.get("name"), str(item.get("toName")).split(",")[0].strip()
        if item.tag in KINDS and name and to_name in texts:
            paths = frozenset(_options(item))
            is_open = str(item.get("value", "")).startswith("$") or item.get("apiUrl") is not None
            found[name] = Control(name, KINDS[item.tag], to_name, texts[to_name], paths, is_open)
    return found


def is_ours(label_config: str) -> bool:
    """Whether a project is one of Assay's own, of this Assay or another."""
    try:
        marker = ET.fromstring(label_config).get("idAttr") or ""  # noqa: S314  # as above
    except ET.ParseError:
        return False
    return marker.startswith(OUR_MARKERS)


def holders(
    controls: Controls, text_field: str | None, wanted: Mapping[str, str], read_from: Mapping[str, str]
) -> dict[str, str]:
    """Part of a label -> the control that can hold it: as asked, else the one it is read from, else its namesake.

    Slots are spans of the field that the text is read from. Raises CannotHoldError for what was asked for and cannot.
    """
    chosen = {}
    for part, kinds in HOLDERS.items():
        fitting = [
            control.name
            for control in controls.values()
            if control.kind in kinds
            and (part != "slots" or (control.reads is not None and control.reads == text_field))
        ]
        asked = wanted.get(part)
        if asked is not None and asked not in fitting:
            raise CannotHoldError(
                f"{part}={asked}: the project has no control of this name that can hold it; it has "
                + (", ".join(sorted(fitting)) or f"none of the kind {' or '.join(kinds)}")
            )
        named = [name for name in (asked, read_from.get(part), part) if name in fitting]
        if named:
            chosen[part] = str(named[0])
    return chosen


def can_hold_labels(chosen: Mapping[str, str], controls: Controls) -> bool:
    """Domain, intent and slots; a taxonomy's intents stand below their domain."""
    intent = controls[chosen["intent"]] if "intent" in chosen else None
    has_domain = "domain" in chosen or (intent is not None and intent.kind == "taxonomy")
    return intent is not None and has_domain and "slots" in chosen


def regions(
    label: Hypothesis | None, verdict: str, text: str, chosen: Mapping[str, str], controls: Controls
) -> list[dict[str, Any]]:
    """A review as the regions of an annotation there. Raises CannotHoldError."""
    made = []
    if "verdict" in chosen:
        control = _control(chosen, controls, "verdict")
        made.append(_region("assay-verdict", control, {"choices": [control.find(verdict)[-1]]}))
    if label is None:
        if not made:
            raise CannotHoldError("it was rejected, and no control holds a verdict")
        return made
    intent = _control(chosen, controls, "intent")
    if "domain" in chosen:
        control = _control(chosen, controls, "domain")
        made.append(_region("assay-domain", control, {"choices": [control.find(label.domain)[-1]]}))
    elif intent.kind != "taxonomy":
        raise CannotHoldError("no control holds the domain")
    path = intent.find(label.intent, label.domain)
    if "domain" not in chosen and path[0] != label.domain:
        raise CannotHoldError(f"the control {intent.name!r} has no {label.intent!r} below {label.domain!r}")
    made.append(_region("assay-intent", intent, {intent.kind: [list(path) if intent.kind == "taxonomy" else path[-1]]}))
    for number, slot in enumerate(label.slots):
        control = _control(chosen, controls, "slots")
        value = {"start": slot.start, "end": slot.end, "text": text[slot.start : slot.end]}
        made.append(_region(f"assay-slot-{number}", control, {**value, "labels": [control.find(slot.label)[-1]]}))
    return made


def _control(chosen: Mapping[str, str], controls: Controls, part: str) -> Control:
    name = chosen.get(part)
    if name is None:
        raise CannotHoldError(f"no control holds the {part}")
    if name not in controls or controls[name].kind not in HOLDERS[part]:
        raise CannotHoldError(f"the project has no control {name!r} any more that could hold the {part}")
    return controls[name]


def _region(region_id: str, control: Control, value: dict[str, Any]) -> dict[str, Any]:
    names = {"id": region_id, "from_name": control.name, "to_name": control.to_name, "type": control.kind}
    return {**names, "value": value}


def _field(item: ET.Element) -> str | None:
    value = item.get("value", "")
    is_plain = item.tag == "Text" and item.get("valueType", "text") == "text" and value.startswith("$")
    return value[1:] if is_plain else None


def _options(item: ET.Element, above: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    for child in item:
        name = child.get("alias") or child.get("value")
        if child.tag in ("Choice", "Label") and name:
            path = (*above, name)
            yield path
            yield from _options(child, path)
        elif child.tag not in ("Choice", "Label"):
            yield from _options(child, above)
