"""Facebook's multilingual task-oriented dialogues (Schuster et al., arXiv 1810.13327), in two forms, without headers.

`.tsv`, as released: intent, slots `start:end:type,...` in characters, the utterance, `es_XX`, tokens as JSON.
`.txt`, as others give it on: `token:tag token:tag <=> intent`, lower case, `/` written `__`, tags IOB2; the text is
the tokens with a space between any two.
The file's name says which part it is (train, eval or valid, test). Locale is the language alone, in both forms.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from plugin.formats.files import RecordReader
from plugin.formats.record import LabelledUtterance, RecordError, parse_gold
from plugin.formats.source import ByteSource, Line, UnreadableFileError, lines, open_source
from plugin.formats.tables import Item

_TSV = (".tsv", ".tsv.gz")
_TOKENS = (".txt", ".txt.gz")
_PARTITIONS = {"train": "train", "eval": "dev", "valid": "dev", "dev": "dev", "test": "test"}
_COLUMNS = ("intent", "slots", "utterance", "locale")
_LANGUAGE = re.compile(r"[a-z]{2,3}")
_ARROW = "<=>"

_Cells = Callable[[str], dict[str, Any]]


def is_facebook(path: str | Path) -> bool:
    """Whether the file is named as those of this corpus are: train-es.tsv, valid.txt.gz."""
    return str(path).endswith((*_TSV, *_TOKENS)) and _partition(path) is not None


def open_facebook(path: str | Path) -> RecordReader[LabelledUtterance]:
    """The file's name, and for `.txt` its folder's, say what the rows do not; raises UnreadableFileError."""
    common = {"partition": _partition(path)}
    if tokens := str(path).endswith(_TOKENS):
        common["locale"] = Path(path).resolve().parent.name
        if not _LANGUAGE.fullmatch(common["locale"] or ""):
            raise UnreadableFileError(f"{path}: the folder must be named after the language, such as es")
    source = open_source(path)
    return RecordReader(source, _items(source, _token_cells if tokens else _tsv_cells, common), parse_facebook)


def parse_facebook(obj: object) -> LabelledUtterance:
    """One row, with its `line` in the file and the file's `partition`; raises RecordError.

    An intent `alarm/set_alarm` is of the domain `alarm` and keeps its whole name.
    """
    if not isinstance(obj, dict):
        raise RecordError("", "a row must be an object")
    domain, slash, _ = obj["intent"].partition("/")
    if not slash:
        raise RecordError("intent", f"must be domain/intent, not {obj['intent']!r}")
    language = obj["locale"].partition("_")[0]
    label = {"domain": domain, "intent": obj["intent"], "slots": _slots(obj["slots"])}
    return parse_gold(
        {
            "id": f"{language}/{obj['partition']}/{obj['line']}",
            "locale": language,
            "text": obj["utterance"],
            "label": label,
            "partition": obj["partition"],
        }
    )


def _partition(path: str | Path) -> str | None:
    return _PARTITIONS.get(re.split(r"[^a-z]", Path(path).name, maxsplit=1)[0])


def _items(source: ByteSource, cells: _Cells, common: dict[str, str | None]) -> Iterator[Item]:
    for line in lines(source.stream):
        yield line.number, line.raw, _object(line, cells, common)


def _object(line: Line, cells: _Cells, common: dict[str, str | None]) -> object:
    if line.problem:
        return RecordError("", line.problem)
    try:
        return {**cells(line.raw.decode()), **common, "line": line.number}
    except UnicodeDecodeError as error:
        return RecordError("", f"not UTF-8: byte 0x{line.raw[error.start]:02x} at position {error.start}")
    except RecordError as error:
        return error


def _tsv_cells(text: str) -> dict[str, Any]:
    cells = text.split("\t")
    if len(cells) not in (len(_COLUMNS), len(_COLUMNS) + 1):
        raise RecordError("", f"the row has {len(cells)} fields, not {', '.join(_COLUMNS)} and tokens")
    return dict(zip(_COLUMNS, cells, strict=False))


def _slots(text: str) -> list[list[Any]]:
    slots: list[list[Any]] = []
    for mark in filter(None, text.split(",")):
        match = re.fullmatch(r"(\d+):(\d+):(.+)", mark)
        if match is None:
            raise RecordError("slots", f"must be start:end:type with commas between, not {mark!r}")
        slots.append([int(match[1]), int(match[2]), match[3]])
    return slots


def _token_cells(text: str) -> dict[str, Any]:
    tagged, arrow, intent = text.rpartition(_ARROW)
    if not arrow:
        raise RecordError("", f"the row has no {_ARROW} before its intent")
    tokens: list[str] = []
    slots: list[list[Any]] = []
    position = 0
    for word in tagged.split():
        token, colon, tag = word.rpartition(":")
        if not colon or not token:
            raise RecordError("", f"{word!r} is not token:tag")
        kind, _, label = _unmasked(tag).partition("-")
        if kind == "I" and slots and slots[-1][1] == position - 1 and slots[-1][2] == label:
            slots[-1][1] = position + len(token)
        elif kind in ("B", "I") and label:  # a continuation without a beginning begins one, as seqeval reads it
            slots.append([position, position + len(token), label])
        elif tag != "O":
            raise RecordError("", f"{word!r}: the tag must be O, B-type or I-type")
        tokens.append(token)
        position += len(token) + 1
    marks = ",".join(f"{start}:{end}:{label}" for start, end, label in slots)
    return {"intent": _unmasked(intent.strip()), "slots": marks, "utterance": " ".join(tokens)}


def _unmasked(name: str) -> str:
    return name.replace("__", "/")
