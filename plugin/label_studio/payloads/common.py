"""What the parsers share."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

Json = Mapping[str, Any]

# What Python raises on JSON of another shape than expected.
UNREADABLE = (LookupError, TypeError, ValueError, AttributeError)


class PayloadError(ValueError):
    """What Label Studio sent, or what a person submitted, cannot be understood; names the place."""


def read_utterance_id(task: Json) -> int | None:
    value = task["data"].get("utterance_id")
    return value if isinstance(value, int) else None


def read_time(value: str) -> datetime:
    return datetime.fromisoformat(value)
