"""MASSIVE (Amazon's multilingual SLU corpus, arXiv 2204.08582), as released: JSON Lines, a file for each locale.

Slots are marked in `annot_utt`: "niamshe [time : saa kumi na moja] [date : kesho]". Their spans are found in
`utt`, character by character, white space aside: it is what the two fields are free to differ in.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from plugin.formats.record import LabelledUtterance, RecordError, parse_gold

_SLOT = re.compile(r"\[\s*([^\[\]:]*?)\s*:\s*([^\[\]]*?)\s*\]")
_LOCALE_IN_NAME = re.compile(r"[a-z]{2,3}-[A-Z]{2}")


def is_massive(obj: object) -> bool:
    return isinstance(obj, dict) and "annot_utt" in obj


def massive_parser(path: str | Path) -> Callable[[object], LabelledUtterance]:
    """A parser for the rows of one file; the file's name gives the locale of rows that have none."""
    match = _LOCALE_IN_NAME.search(Path(path).name)
    file_locale = match.group() if match else None

    def parse(obj: object) -> LabelledUtterance:
        return parse_massive(obj, file_locale)

    return parse


def parse_massive(obj: object, file_locale: str | None = None) -> LabelledUtterance:
    """One row. The id becomes `locale/id`, for MASSIVE's ids are the same in every locale; raises RecordError."""
    row = _row(obj)
    locale = row.get("locale", file_locale)
    text = row["utt"].strip()
    slots = [[start, end, label] for start, end, label in slot_spans(text, row["annot_utt"])]
    return parse_gold(
        {
            "id": f"{locale}/{row['id']}",
            "locale": locale,
            "text": text,
            "label": {"domain": row.get("scenario"), "intent": row.get("intent"), "slots": slots},
            "partition": row.get("partition"),
        }
    )


def _row(obj: object) -> dict[str, Any]:
    if not isinstance(obj, dict):
        raise RecordError("", "a row of MASSIVE must be a JSON object")
    for field in ("id", "utt", "annot_utt"):
        if not isinstance(obj.get(field), str):
            raise RecordError(field, "must be a string" if field in obj else "is missing")
    return obj


def slot_spans(text: str, annotated: str) -> list[tuple[int, int, str]]:
    """(start, end, label) of each slot marked in `annotated`, in code points of `text`; raises RecordError."""
    positions = [index for index, character in enumerate(text) if not character.isspace()]
    bare: list[str] = []
    spans = []
    end_of_last = 0
    for match in _SLOT.finditer(annotated):
        bare += "".join(annotated[end_of_last : match.start()].split())
        first = len(bare)
        bare += "".join(match.group(2).split())
        spans.append((first, len(bare), match.group(1)))
        end_of_last = match.end()
    bare += "".join(annotated[end_of_last:].split())
    if bare != [text[index] for index in positions]:
        raise RecordError("annot_utt", "without its slot marks is not the same text as utt")
    for first, after, label in spans:
        if first == after:
            raise RecordError("annot_utt", f"marks an empty slot {label}")
    return [(positions[first], positions[after - 1] + 1, label) for first, after, label in spans]
