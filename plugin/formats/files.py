"""Read records from JSON Lines, CSV and Parquet, one at a time: a bad one never stops the rest.

with open_records("log.jsonl.gz", parse_utterance) as reader:
    for parsed in reader:
        ...  # parsed.record or parsed.error; reader.bytes_read of reader.bytes_total
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import BinaryIO, Generic, NamedTuple, Protocol, Self, TypeVar

from plugin.formats.checks import RecordError
from plugin.formats.json_lines import decode
from plugin.formats.record import LabelledUtterance, content_hash
from plugin.formats.source import STDIN, UnreadableFileError, lines, open_source
from plugin.formats.tables import Item, csv_items, open_parquet, parquet_items
from plugin.records import Utterance

R = TypeVar("R", Utterance, LabelledUtterance)

_DIGEST_BYTES = 16


class FileFormat(StrEnum):
    JSON_LINES = "jsonl"
    CSV = "csv"
    PARQUET = "parquet"


_SUFFIXES = {
    ".jsonl": FileFormat.JSON_LINES,
    ".ndjson": FileFormat.JSON_LINES,
    ".json": FileFormat.JSON_LINES,
    ".csv": FileFormat.CSV,
    ".parquet": FileFormat.PARQUET,
}


class Parsed(NamedTuple, Generic[R]):
    """One record of a file: `record` with its `content_hash`, or the `error` that keeps it out.

    line      of JSON Lines and CSV, where the record begins; of Parquet, the record's number; from 1
    raw       the bytes of the file (of a Parquet row, its values as JSON; of an over-long line, the beginning)
    repeated  the same id came before in this file with the same content: nothing new
    """

    line: int
    raw: bytes
    record: R | None
    error: RecordError | None = None
    content_hash: bytes = b""
    repeated: bool = False


class RecordReader(Generic[R]):
    """An open file of records. Reading is lazy; `bytes_read` moves while it is iterated."""

    def __init__(self, source: _Source, items: Iterator[Item], parse: Callable[[object], R]) -> None:
        self._source = source
        self._items = items
        self._parse: Callable[[object], R] = parse

    @property
    def name(self) -> str:
        return self._source.name

    @property
    def bytes_read(self) -> int:
        return self._source.bytes_read

    @property
    def bytes_total(self) -> int | None:
        return self._source.bytes_total

    def __iter__(self) -> Iterator[Parsed[R]]:
        return _checked(self._items, self._parse)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._source.close()


class _Source(Protocol):
    name: str
    bytes_total: int | None

    @property
    def bytes_read(self) -> int: ...
    def close(self) -> None: ...


def open_records(
    path: str | Path, parse: Callable[[object], R], file_format: FileFormat | None = None
) -> RecordReader[R]:
    """Open a file of records, or standard input for `-` (JSON Lines unless told otherwise), gzip or not.

    Raises UnreadableFileError when the file as a whole is of no use. Memory stays bounded: a line at a time,
    and about 200 bytes for each id, to find those that come twice.
    """
    chosen = file_format or _format_of(path)
    if chosen is FileFormat.PARQUET:
        return _open_parquet(path, parse)
    source = open_source(path)
    if chosen is FileFormat.CSV:
        try:
            return RecordReader(source, csv_items(source.stream, source.name), parse)
        except UnreadableFileError:
            source.close()
            raise
    return RecordReader(source, _json_items(source.stream), parse)


def read_json_lines(stream: BinaryIO, parse: Callable[[object], R]) -> Iterator[Parsed[R]]:
    """The records of a stream of JSON Lines that somebody else has opened, such as the body of a request."""
    return _checked(_json_items(stream), parse)


def _format_of(path: str | Path) -> FileFormat:
    if str(path) == STDIN:
        return FileFormat.JSON_LINES
    suffix = Path(str(path).removesuffix(".gz")).suffix.lower()
    if suffix not in _SUFFIXES:
        raise UnreadableFileError(
            f"{path}: the name must end in {', '.join(_SUFFIXES)} (.gz may follow), or name the format"
        )
    return _SUFFIXES[suffix]


class _ParquetSource:
    def __init__(self, path: Path) -> None:
        file = open_parquet(path)
        self.name = str(path)
        self.bytes_total: int | None = path.stat().st_size
        self.rows_total: int = max(file.metadata.num_rows, 1)
        self.rows_read = 0
        file.close()

    @property
    def bytes_read(self) -> int:
        return (self.bytes_total or 0) * self.rows_read // self.rows_total

    def items(self) -> Iterator[Item]:
        for item in parquet_items(Path(self.name)):
            self.rows_read = item[0]
            yield item

    def close(self) -> None:
        """`items` opens the file and closes it."""


def _open_parquet(path: str | Path, parse: Callable[[object], R]) -> RecordReader[R]:
    if str(path) == STDIN:
        raise UnreadableFileError("Parquet cannot be read from standard input: it is not a stream; name a file")
    source = _ParquetSource(Path(path))
    return RecordReader(source, source.items(), parse)


def _json_items(stream: BinaryIO) -> Iterator[Item]:
    for number, raw, problem in lines(stream):
        try:
            yield number, raw, RecordError("", problem) if problem else decode(raw)
        except RecordError as error:
            yield number, raw, error


def _checked(items: Iterator[Item], parse: Callable[[object], R]) -> Iterator[Parsed[R]]:
    seen: dict[bytes, bytes] = {}
    for line, raw, obj in items:
        if isinstance(obj, RecordError):
            yield Parsed(line, raw, None, obj)
            continue
        try:
            record = parse(obj)
        except RecordError as error:
            yield Parsed(line, raw, None, error)
            continue
        content = content_hash(record)
        key, body = _digest(record.id), content[:_DIGEST_BYTES]
        before = seen.setdefault(key, body)
        if before is body:
            yield Parsed(line, raw, record, None, content)
        elif before == body:
            yield Parsed(line, raw, record, None, content, repeated=True)
        else:
            yield Parsed(line, raw, None, _TWO_CONTENTS)


_TWO_CONTENTS = RecordError("id", "came before in this file with other content; the first one counts")


def _digest(value: str) -> bytes:
    return hashlib.blake2b(value.encode(), digest_size=_DIGEST_BYTES).digest()
