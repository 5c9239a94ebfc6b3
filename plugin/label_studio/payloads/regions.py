"""The regions of a prediction or an annotation -> what the controls of the labelling screen say.

Label Studio counts the offsets of a `Text` region in Unicode code points, as our records do (an emoji is one,
wherever JavaScript counts two); a contract test and a browser test hold it to that.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from plugin.label_studio.controls import DOMAIN, NOTE, REJECT, SLOTS, WHY, intent_control
from plugin.label_studio.payloads.common import Json, PayloadError
from plugin.records import Hypothesis, Slot


@dataclass(frozen=True, slots=True)
class Reading:
    """What the controls of the labelling screen say, complete or not. `reject` is the reason, if it was rejected."""

    domain: str | None
    intent: str | None
    slots: tuple[Slot, ...]
    reject: str | None
    note: str

    @property
    def label(self) -> Hypothesis | None:
        if self.domain is None or self.intent is None:
            return None
        return Hypothesis(self.domain, self.intent, self.slots)

    @property
    def is_empty(self) -> bool:
        """Whether nothing of a label is there."""
        return self.domain is None and self.intent is None and not self.slots


def read_result(result: Iterable[Json], text: str, where: str = "result") -> Reading:
    """The regions of a prediction or annotation. Raises PayloadError for spans that do not fit the text."""
    choices: dict[str, str] = {}
    slots: set[Slot] = set()
    notes: list[str] = []
    for region in result:
        name, value = str(region.get("from_name")), region.get("value")
        if not isinstance(value, Mapping):
            continue  # a relation between two regions: it has no control of its own, and says nothing of the label
        if name == SLOTS:
            slots.update(_slots(value, text, where))
        elif name in (NOTE, WHY):
            notes.extend(_as_list(value.get("text")))
        elif value.get("choices"):
            choices[name] = str(value["choices"][0])
    domain = choices.get(DOMAIN)
    intent = choices.get(intent_control(domain)) if domain is not None else None
    return Reading(domain, intent, _without_overlap(slots, text, where), choices.get(REJECT), " ".join(notes).strip())


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


def _as_list(value: object) -> Sequence[str]:
    return [str(item) for item in value] if isinstance(value, list) else [str(value or "")]
