"""Records from CSV and Parquet: flat columns, put together to the object that a JSON line would be."""

from __future__ import annotations

import csv
import json
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from plugin.formats.checks import FOREIGN_PREFIX, RecordError
from plugin.formats.json_lines import decode
from plugin.formats.source import Line, UnreadableFileError, lines

REQUIRED_COLUMNS = ("id", "locale", "text")
UTTERANCE_COLUMNS = (
    *REQUIRED_COLUMNS, "domain", "intent", "slots", "nlu_score", "domain_scores", "defect", "occurred_at", "format",
)  # fmt: skip
GOLD_COLUMNS = (*UTTERANCE_COLUMNS, "label_domain", "label_intent", "label_slots", "partition")

# (line or record number, the bytes as they stood, the record's object or why there is none)
Item = tuple[int, bytes, object]

_MEANINGS = {"hypothesis": ("domain", "intent", "slots"), "label": ("label_domain", "label_intent", "label_slots")}
MAX_CSV_RECORD_BYTES = 1 << 17
_PARQUET_BATCH = 1024


def csv_items(stream: BinaryIO, name: str) -> Iterator[Item]:
    """The rows of a CSV file (commas, double quotes, a header); a row that cannot be read is one item."""
    source = _CsvLines(stream)
    header = _header(source, name)
    return _csv_rows(source, header)


def _csv_rows(source: _CsvLines, header: list[str]) -> Iterator[Item]:
    rows = csv.reader(source, strict=True)
    while True:
        source.begin_record()
        try:
            row = next(rows)
        except StopIteration:
            return
        except csv.Error as error:
            first = source.keep_first_line()
            yield first.number, first.raw, RecordError("", f"not CSV: {error}")
            rows = csv.reader(source, strict=True)  # the old one still waits for a closing quote
            continue
        if row or source.problem:
            yield source.first_number, source.raw, _csv_object(header, row, source.problem)


class _CsvLines(Iterator[str]):
    """Lines for csv.reader, which may take several for one record; remembers those of the record under way."""

    def __init__(self, stream: BinaryIO) -> None:
        self._lines = lines(stream, keep_blank=True)
        self._again: deque[Line] = deque()
        self.begin_record()

    def begin_record(self) -> None:
        self._taken: list[Line] = []
        self._size = 0
        self.problem = ""

    @property
    def first_number(self) -> int:
        return self._taken[0].number

    @property
    def raw(self) -> bytes:
        return b"\n".join(line.raw for line in self._taken)

    def keep_first_line(self) -> Line:
        """Give back all lines but the first: a quote that never closes must not swallow the rows after it."""
        first, *rest = self._taken
        self._again.extendleft(reversed(rest))
        return first

    def __next__(self) -> str:
        line = self._again.popleft() if self._again else next(self._lines)
        self._taken.append(line)
        self._size += len(line.raw)
        if len(self._taken) > 1 and self._size > MAX_CSV_RECORD_BYTES:
            raise csv.Error(f"a quoted field does not end within {MAX_CSV_RECORD_BYTES} bytes")
        if line.problem:
            self.problem = line.problem
            return ""
        try:
            return line.raw.decode() + "\n"
        except UnicodeDecodeError as error:
            self.problem = f"not UTF-8: byte 0x{line.raw[error.start]:02x} at position {error.start}"
            return line.raw.decode(errors="surrogateescape") + "\n"


def _header(source: _CsvLines, name: str) -> list[str]:
    try:
        header = next(csv.reader(source), [])
    except csv.Error as error:
        raise UnreadableFileError(f"{name}: the header is not CSV: {error}") from None
    if len(header) == 1 and any(sign in header[0] for sign in ";\t|"):
        raise UnreadableFileError(f"{name}: the columns must be separated by commas")
    check_columns(header, name)
    return header


def check_columns(columns: list[str], name: str) -> None:
    for column in columns:
        if column not in GOLD_COLUMNS and not column.startswith(FOREIGN_PREFIX):
            known = ", ".join(GOLD_COLUMNS)
            raise UnreadableFileError(
                f"{name}: column {column!r} is not one of {known}; columns of your own begin with {FOREIGN_PREFIX}"
            )
        if columns.count(column) > 1:
            raise UnreadableFileError(f"{name}: column {column!r} comes twice")
    missing = [column for column in REQUIRED_COLUMNS if column not in columns]
    if missing:
        raise UnreadableFileError(f"{name}: the header lacks {', '.join(missing)}")


def _csv_object(header: list[str], row: list[str], problem: str) -> object:
    if problem:
        return RecordError("", problem)
    if len(row) != len(header):
        return RecordError("", f"the row has {len(row)} fields, the header {len(header)}")
    cells = {column: cell for column, cell in zip(header, row, strict=True) if cell != ""}
    try:
        return row_object({column: _csv_value(column, cell) for column, cell in cells.items()})
    except RecordError as error:
        return error


_BOOLEANS = {"true": True, "1": True, "false": False, "0": False}


def _csv_value(column: str, cell: str) -> object:
    try:
        if column == "nlu_score":
            return float(cell)
        if column == "format":
            return int(cell)
    except ValueError:
        raise RecordError(column, f"must be a number, not {json.dumps(cell[:80])}") from None
    if column == "defect":
        return _BOOLEANS.get(cell.lower(), cell)
    return cell


def parquet_items(path: Path) -> Iterator[Item]:
    """The rows of a Parquet file, numbered from 1; `raw` is the row as JSON, for there are no lines."""
    file = open_parquet(path)
    number = 0
    try:
        for batch in file.iter_batches(batch_size=_PARQUET_BATCH):
            for row in _rows(batch):
                number += 1
                if isinstance(row, RecordError):
                    yield number, b"", row
                else:
                    yield number, _row_bytes(row), _parquet_object(row)
    except (pa.ArrowException, OSError) as error:
        yield number + 1, b"", RecordError("", f"the file is damaged from here on: {_first_line(error)}")


def open_parquet(path: Path) -> pq.ParquetFile:
    try:
        file = pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        reason = getattr(error, "strerror", None) or _first_line(error)
        raise UnreadableFileError(f"cannot read {path}: {reason}") from None
    check_columns(file.schema_arrow.names, str(path))
    return file


def _first_line(error: BaseException) -> str:
    return str(error).partition("\n")[0]


def _rows(batch: pa.RecordBatch) -> Iterator[dict[str, Any] | RecordError]:
    batch = _to_microseconds(batch)
    try:
        yield from batch.to_pylist()
    except (UnicodeDecodeError, ValueError, OverflowError):
        # One bad value spoils the whole batch's conversion: find out whose it is.
        for index in range(batch.num_rows):
            try:
                yield batch.slice(index, 1).to_pylist()[0]
            except UnicodeDecodeError:
                yield RecordError("", "not UTF-8")
            except (ValueError, OverflowError) as error:
                yield RecordError("", f"a value cannot be read: {_first_line(error)}")


def _to_microseconds(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Python's time has no nanoseconds, and pyarrow refuses to cut them off by itself."""
    index = batch.schema.get_field_index("occurred_at")
    if index < 0 or not pa.types.is_timestamp(batch.schema.types[index]):
        return batch
    column = batch.column(index).cast(pa.timestamp("us", batch.schema.types[index].tz), safe=False)
    return batch.set_column(index, "occurred_at", column)


def _row_bytes(row: dict[str, Any]) -> bytes:
    return json.dumps(row, ensure_ascii=False, default=str).encode(errors="backslashreplace")


def _parquet_object(row: dict[str, Any]) -> object:
    try:
        return row_object({name: value for name, value in row.items() if value is not None})
    except RecordError as error:
        return error


def row_object(cells: Mapping[str, object]) -> dict[str, object]:
    """The record of a row: only the cells that have a value."""
    record = {
        name: value
        for name, value in cells.items()
        if name not in _MEANINGS["hypothesis"] and name not in _MEANINGS["label"]
    }
    for field, (domain, intent, slots) in _MEANINGS.items():
        if domain in cells or intent in cells or slots in cells:
            meaning = {"domain": cells.get(domain), "intent": cells.get(intent)}
            meaning["slots"] = _slot_lists(_from_json_text(cells.get(slots), slots))
            record[field] = meaning
    if "domain_scores" in cells:
        record["domain_scores"] = _score_object(_from_json_text(cells["domain_scores"], "domain_scores"))
    return record


def _from_json_text(value: object, column: str) -> object:
    if not isinstance(value, str):
        return value
    try:
        return decode(value.encode(errors="surrogatepass"))
    except RecordError as error:
        raise RecordError(column, f"is text and {error.reason}") from None


def _slot_lists(value: object) -> object:
    """Parquet's list of structs {start, end, label} as the lists that JSON has."""
    if not isinstance(value, list):
        return value
    return [
        [item["start"], item["end"], item["label"]]
        if isinstance(item, dict) and item.keys() == {"start", "end", "label"}
        else item
        for item in value
    ]


def _score_object(value: object) -> object:
    """Parquet's map (a list of pairs), or struct with nulls, as the object that JSON has."""
    if isinstance(value, dict):
        return {name: score for name, score in value.items() if score is not None}
    if isinstance(value, list) and all(isinstance(pair, tuple) for pair in value):
        scores = dict(value)
        if len(scores) != len(value):
            raise RecordError("domain_scores", "names a domain twice")
        return scores
    return value
