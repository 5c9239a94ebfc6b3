"""Labels as a person reads them: `weather/query: weather [date: tomorrow] in [city: paris]`."""

from __future__ import annotations

import re
from typing import NamedTuple

from plugin.records import Hypothesis, Slot

PIECE = re.compile(r"\[(?P<labels>[\w+]+): (?P<covered>[^][]+)\]|(?P<plain>[^][]+)")


class Annotated(NamedTuple):
    label: Hypothesis
    text: str


def annotated(written: str) -> Annotated:
    """`domain/intent: text [label: covered]`; `[a+b: covered]` is two slots on one span."""
    head, _, rest = written.partition(": ")
    domain, intent = head.split("/")
    text, slots, read = "", [], 0
    while read < len(rest):
        piece = PIECE.match(rest, read)
        assert piece is not None, f"cannot be read from here on: {rest[read:]}"
        covered = piece["covered"] or piece["plain"]
        names = piece["labels"].split("+") if piece["labels"] else []
        slots += [Slot(len(text), len(text) + len(covered), name) for name in names]
        text, read = text + covered, piece.end()
    return Annotated(Hypothesis(domain, intent, tuple(slots)), text)


def label(written: str) -> Hypothesis:
    return annotated(written).label
