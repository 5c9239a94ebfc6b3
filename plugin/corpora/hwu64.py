"""HWU64 (NLU Evaluation Data, Liu et al., arXiv 1903.05566), as released: CSV with semicolons.

Slots are marked in `answer_annotation` as in MASSIVE: "set an alarm for [time : six am]". The text is
`answer_from_anno` where the file has that column (the lists of the ten folds), else the annotation without its marks
(the annotated whole). The corpus has no partitions: which fold a row is in says nothing here.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plugin.corpora.massive import slot_spans
from plugin.formats.files import RecordReader
from plugin.formats.record import LabelledUtterance, RecordError, parse_gold
from plugin.formats.source import ByteSource, Line, UnreadableFileError, lines, open_source
from plugin.formats.tables import Item

LOCALE = "en"
_NEEDED = ("answerid", "scenario", "intent", "answer_annotation")
_MARK = re.compile(r"\[\s*[^\[\]:]*?\s*:\s*([^\[\]]*?)\s*\]")


def is_hwu64(path: str | Path) -> bool:
    """Whether the header of that file is one of HWU64."""
    try:
        with open_source(path) as source:
            return _is_header(_header(next(lines(source.stream), None)))
    except UnreadableFileError:
        return False  # whoever reads it next will say why


def open_hwu64(path: str | Path) -> RecordReader[LabelledUtterance]:
    """Raises UnreadableFileError."""
    source = open_source(path)
    return RecordReader(source, _items(source), parse_hwu64)


def parse_hwu64(obj: object) -> LabelledUtterance:
    """One row, with its `line` in the file, for an answerid may come several times; raises RecordError.

    An intent is named `scenario_intent`, as in the paper: `query` is another intent in each scenario.
    """
    row = _row(obj)
    annotated = row["answer_annotation"].strip()
    text = row.get("answer_from_anno", _MARK.sub(r"\1", annotated)).strip()
    slots = [[start, end, label] for start, end, label in _slots(text, annotated)]
    intent = f"{row['scenario']}_{row['intent']}"
    label = {"domain": row["scenario"], "intent": intent, "slots": slots}
    return parse_gold({"id": f"{row['answerid']}/{row['line']}", "locale": LOCALE, "text": text, "label": label})


def _slots(text: str, annotated: str) -> list[tuple[int, int, str]]:
    try:
        return slot_spans(text, annotated)
    except RecordError as error:
        raise RecordError("answer_annotation", error.reason.replace("utt", "answer_from_anno")) from None


def _row(obj: object) -> dict[str, Any]:
    if not isinstance(obj, dict):
        raise RecordError("", "a row of HWU64 must be an object")
    for field in _NEEDED:
        if not str(obj.get(field) or "").strip():
            raise RecordError(field, "is missing")
    if obj["answer_annotation"].strip() == "null":
        raise RecordError("answer_annotation", "is null: the row was not annotated")
    return obj


def _items(source: ByteSource) -> Iterator[Item]:
    header: list[str] = []
    for line in lines(source.stream):
        if not header:
            header = _header(line)
            continue
        yield line.number, line.raw, _object(header, line)


def _object(header: list[str], line: Line) -> object:
    if line.problem:
        return RecordError("", line.problem)
    try:
        cells = next(csv.reader([line.raw.decode()], delimiter=";", strict=True))
    except UnicodeDecodeError as error:
        return RecordError("", f"not UTF-8: byte 0x{line.raw[error.start]:02x} at position {error.start}")
    except csv.Error as error:
        return RecordError("", f"not CSV: {error}")
    if len(cells) != len(header):
        return RecordError("", f"the row has {len(cells)} fields, the header {len(header)}")
    return {**dict(zip(header, cells, strict=True)), "line": line.number}


def _header(line: Line | None) -> list[str]:
    return [] if line is None else line.raw.decode(errors="replace").replace('"', "").split(";")


def _is_header(columns: list[str]) -> bool:
    return set(_NEEDED) <= set(columns)
