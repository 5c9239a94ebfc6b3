"""Checks of single values, shared by all records: each returns the value as we keep it or raises RecordError.

They run once per field of millions of records: hence `type(x) is` for JSON's types, and messages that are
put together only on failure.
"""

from __future__ import annotations

import difflib
import json
import math
import re
import unicodedata
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from itertools import pairwise
from operator import attrgetter
from typing import Any

from plugin.records import Hypothesis, Slot, domain_scores_limit

MAX_ID_LENGTH = 255
MAX_LABEL_LENGTH = 128
MAX_TEXT_LENGTH = 4096
MAX_SLOTS = 128
MAX_DOMAIN_SCORES = 1000

HYPOTHESIS_FIELDS = frozenset({"domain", "intent", "slots"})

FORMAT_VERSION = 1
# Fields with this prefix belong to whoever wrote the file: they are neither read nor kept.
FOREIGN_PREFIX = "x_"

_GOLD_ONLY = frozenset({"label", "partition"})
_LOCALE = re.compile(r"[a-z]{2,3}(-[A-Z][a-z]{3})?(-([A-Z]{2}|[0-9]{3}))?")
# PostgreSQL refuses NUL, UTF-8 refuses lone surrogates.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)


class RecordError(ValueError):
    """One record cannot be used: which field, and why."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field}: {reason}" if field else reason)
        self.field = field
        self.reason = reason

    def within(self, parent: str) -> RecordError:
        """The same error seen from the object that holds the field."""
        return RecordError(f"{parent}.{self.field}" if self.field else parent, self.reason)


def record_object(obj: object, fields: frozenset[str]) -> dict[str, Any]:
    if type(obj) is not dict:
        raise RecordError("", f"a record must be a JSON object, not {_kind(obj)}")
    if not obj.keys() <= fields:
        _refuse_unknown(obj, fields)
    version = obj.get("format")
    if version is not None and (type(version) is not int or version != FORMAT_VERSION):
        raise RecordError("format", f"must be {FORMAT_VERSION}, the only version there is, not {_shown(version)}")
    return obj


def _refuse_unknown(obj: dict[str, Any], fields: frozenset[str]) -> None:
    for name in sorted(obj.keys() - fields):
        if name.startswith(FOREIGN_PREFIX):
            continue
        if name in _GOLD_ONLY and "id" in fields:
            raise RecordError(name, "belongs to gold annotations, and this is read as a record of a production log")
        near = difflib.get_close_matches(name, fields, 1)
        hint = f"; did you mean {near[0]}?" if near else f"; fields of your own begin with {FOREIGN_PREFIX}"
        raise RecordError(_shown(name).strip('"'), "is not a field of the record format" + hint)


def utterance_id(record: dict[str, Any]) -> str:
    value = _string(record, "id", MAX_ID_LENGTH)
    if _CONTROL.search(value):
        raise RecordError("id", "must not contain control characters or lone surrogates")
    return value


def locale(record: dict[str, Any]) -> str:
    value = _string(record, "locale", MAX_LABEL_LENGTH)
    if not _is_locale(value):
        raise RecordError("locale", f"must be a language tag like sw-KE, en or zh-Hant-TW, not {_shown(value)}")
    return value


@lru_cache(maxsize=1024)
def _is_locale(value: str) -> bool:
    return _LOCALE.fullmatch(value) is not None


def text(record: dict[str, Any]) -> str:
    value = _string(record, "text", MAX_TEXT_LENGTH)
    if _UNSTORABLE.search(value):
        raise RecordError("text", "must not contain NUL or lone surrogates, which no database stores")
    # All that can be seen is in another category than separators (Z) and controls, format characters and such (C).
    if all(unicodedata.category(char)[0] in "ZC" for char in value):
        raise RecordError("text", "has nothing that can be read: only separators, controls or format characters")
    return value


def _string(record: dict[str, Any], field: str, longest: int) -> str:
    value = record.get(field)
    if type(value) is not str:
        if value is None:
            raise RecordError(field, "is missing")
        raise RecordError(field, f"must be a string, not {_kind(value)}")
    if not value or value.isspace():
        raise RecordError(field, "must not be blank")
    if len(value) > longest:
        raise RecordError(field, f"must have at most {longest} characters, not {len(value)}")
    return value


def meaning(obj: object, text: str) -> Hypothesis:
    """A hypothesis or a label; the error's field is relative to it."""
    if type(obj) is not dict:
        raise RecordError("", f"must be an object with domain, intent and slots, not {_kind(obj)}")
    if not obj.keys() <= HYPOTHESIS_FIELDS:
        _refuse_unknown(obj, HYPOTHESIS_FIELDS)
    slots = obj.get("slots")
    return Hypothesis(
        label(obj.get("domain"), "domain"),
        label(obj.get("intent"), "intent"),
        () if slots is None else _slots(slots, text),
    )


def label(value: object, field: str) -> str:
    if type(value) is not str:
        raise RecordError(field, "is missing" if value is None else f"must be a string, not {_kind(value)}")
    problem = _label_problem(value)
    if problem:
        raise RecordError(field, problem)
    return value


@lru_cache(maxsize=4096)
def _label_problem(value: str) -> str:
    if not value.strip():
        return "must not be blank"
    if len(value) > MAX_LABEL_LENGTH:
        return f"must have at most {MAX_LABEL_LENGTH} characters, not {len(value)}"
    if value != value.strip():
        return f"must not begin or end with white space: {_shown(value)}"
    if _CONTROL.search(value):
        return "must not contain control characters or lone surrogates"
    # In a policy `*` stands for every domain.
    return "must not be *" if value == "*" else ""


def _slots(obj: object, text: str) -> tuple[Slot, ...]:
    if type(obj) is not list:
        raise RecordError("slots", f"must be a list of [start, end, label], not {_kind(obj)}")
    if len(obj) > MAX_SLOTS:
        raise RecordError("slots", f"must have at most {MAX_SLOTS} slots, not {len(obj)}")
    slots = []
    for item in obj:
        try:
            slots.append(_slot(item, text))
        except RecordError as error:
            raise error.within(f"slots[{len(slots)}]") from None
    if len(slots) > 1:
        slots.sort(key=_start)
        for left, right in pairwise(slots):
            if right.start < left.end:
                raise RecordError("slots", f"{_span(left)} and {_span(right)} overlap")
    return tuple(slots)


_start = attrgetter("start")


def _slot(item: object, text: str) -> Slot:
    if type(item) is not list or len(item) != 3:
        raise RecordError("", f"must be [start, end, label], not {_shown(item)}")
    start, end, name = item
    if type(start) is not int or type(end) is not int:
        raise RecordError("", f"start and end must be whole numbers, not {_shown(start)} and {_shown(end)}")
    if not 0 <= start < end <= len(text):
        span = f"span {_shown(start)}:{_shown(end)}"
        raise RecordError("", f"{span} must be 0 <= start < end <= {len(text)}, the length of the text")
    if text[start:end].isspace():
        raise RecordError("", f"span {start}:{end} covers only white space")
    return Slot(start, end, label(name, "label"))


def _span(slot: Slot) -> str:
    return f"{slot.start}:{slot.end} {slot.label}"


def probability(value: object, field: str) -> float:
    if type(value) is not float and type(value) is not int:
        raise RecordError(field, f"must be a number, not {_kind(value)}")
    if not 0 <= value <= 1:  # NaN fails every comparison, so it ends here too
        raise RecordError(field, f"must lie in [0, 1], not {_shown(value)}")
    return float(value) + 0.0  # -0.0 and 0.0 are the same content


def domain_scores(obj: object) -> Mapping[str, float]:
    if type(obj) is not dict:
        raise RecordError("domain_scores", f"must be an object of domain: probability, not {_kind(obj)}")
    if not 0 < len(obj) <= MAX_DOMAIN_SCORES:
        raise RecordError("domain_scores", f"must name 1 to {MAX_DOMAIN_SCORES} domains, not {len(obj)}")
    scores = {}
    for name, value in obj.items():
        try:
            scores[label(name, "a domain")] = probability(value, "")
        except RecordError as error:
            raise error.within(f"domain_scores.{_shown(name)}") from None
    total = math.fsum(scores.values())
    if total > domain_scores_limit(len(scores)):
        raise RecordError("domain_scores", f"are probabilities and must not sum to more than 1, but to {total:.6g}")
    if total == 0.0:
        raise RecordError("domain_scores", "are all 0: leave the field out where nothing is known")
    return scores


def defect(value: object) -> bool:
    if value is None or value is False:
        return False
    if value is True:
        return True
    raise RecordError("defect", f"must be true or false, not {_shown(value)}")


def moment(value: object) -> datetime:
    """A point in time, in UTC."""
    when = _as_datetime(value)
    if when.tzinfo is not UTC:
        if when.utcoffset() is None:
            raise RecordError("occurred_at", f"needs a time zone, like 2026-03-01T08:30:00Z, not {_shown(str(value))}")
        try:
            when = when.astimezone(UTC)
        except OverflowError:
            raise RecordError("occurred_at", f"is out of range: {_shown(str(value))}") from None
    if when < _EARLIEST:
        raise RecordError("occurred_at", f"must not lie before 1970, not {_shown(str(value))}")
    return when


def _as_datetime(value: object) -> datetime:
    if isinstance(value, datetime):
        return value
    if type(value) is not str:
        raise RecordError("occurred_at", f"must be a string like 2026-03-01T08:30:00Z, not {_kind(value)}")
    try:
        return datetime.fromisoformat(value)
    except ValueError:
        raise RecordError(
            "occurred_at", f"must be a time like 2026-03-01T08:30:00Z (ISO 8601), not {_shown(value)}"
        ) from None


_KINDS = {
    dict: "an object",
    list: "a list",
    str: "a string",
    bool: "true or false",
    int: "a number",
    float: "a number",
}


def _kind(value: object) -> str:
    return "null" if value is None else _KINDS.get(type(value), type(value).__name__)


def _shown(value: object) -> str:
    """A value as a message shows it: one line, never long."""
    try:
        shown = json.dumps(value, default=str)
    except (ValueError, RecursionError):
        return f"{_kind(value)} that is too long to show"
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
