"""JSON as RFC 8259 has it, and no key twice: what every reader of JSON Lines, and of JSON in a cell, goes through."""

from __future__ import annotations

import json
from typing import Any, NoReturn

import orjson

from plugin.formats.checks import RecordError

# A key of a JSON object is a string, white space, a colon. So the quotation marks followed by one of these
# are at least as many as the keys, and if they are just as many as the keys that were kept, no key came twice.
_AFTER_KEY = (b'":', b'" ', b'"\t', b'"\n', b'"\r')


def decode(raw: bytes) -> object:
    """The value of a JSON text; raises RecordError, also for a key that comes twice in one object."""
    try:
        value = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _decode_exactly(raw)  # for its message, and for what only orjson refuses
    if type(value) is dict and sum(map(raw.count, _AFTER_KEY)) != _count_keys(value):
        return _decode_exactly(raw)
    return value


def _count_keys(obj: dict[str, Any]) -> int:
    count = len(obj)
    for value in obj.values():
        if type(value) is dict:
            count += len(value)
    return count


def _decode_exactly(raw: bytes) -> object:
    try:
        return _EXACT.decode(raw.decode())
    except RecordError:
        raise
    except UnicodeDecodeError as error:
        raise RecordError("", f"not UTF-8: byte 0x{raw[error.start]:02x} at position {error.start}") from None
    except json.JSONDecodeError as error:
        raise RecordError("", f"not JSON: {error.msg} at character {error.pos}") from None
    except RecursionError:
        raise RecordError("", "not a record: nested too deeply") from None
    except ValueError as error:
        raise RecordError("", f"not JSON that can be read: {error}") from None


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    obj = dict(pairs)
    if len(obj) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise RecordError("", f"the key {json.dumps(twice)} comes twice in one object")
    return obj


def _refuse_constant(name: str) -> NoReturn:
    raise RecordError("", f"not JSON: {name} is not a number that JSON has")


_EXACT = json.JSONDecoder(object_pairs_hook=_once, parse_constant=_refuse_constant)
