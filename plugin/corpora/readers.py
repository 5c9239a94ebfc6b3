"""Read a labelled corpus, whatever it is written in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from plugin.corpora.facebook import is_facebook, open_facebook
from plugin.corpora.hwu64 import is_hwu64, open_hwu64
from plugin.corpora.massive import is_massive, massive_parser
from plugin.formats.files import RecordReader, open_records
from plugin.formats.record import LabelledUtterance, RecordError, parse_gold

Progress = Callable[[int, int | None], None]  # (bytes read, bytes in all if known)

_SUFFIXES = (".jsonl", ".jsonl.gz", ".ndjson", ".ndjson.gz", ".csv", ".csv.gz", ".parquet")
_ROWS_PER_PROGRESS = 2000


@dataclass(frozen=True, slots=True)
class Corpus:
    """The usable rows in the order of the file, and the others as (line, why)."""

    utterances: list[LabelledUtterance]
    rejected: list[tuple[int, RecordError]]


def is_corpus_name(name: str) -> bool:
    """Whether a file of that name may be a corpus."""
    return name.endswith(_SUFFIXES) or is_facebook(name)


def open_corpus(path: str | Path) -> RecordReader[LabelledUtterance]:
    """Gold records (JSON Lines, CSV, Parquet), or a public corpus: MASSIVE, HWU64, Facebook's multilingual one.

    Told apart by the row, by the header, and by the name. Raises UnreadableFileError.
    """
    if is_facebook(path):
        return open_facebook(path)
    if str(path).endswith((".csv", ".csv.gz")) and is_hwu64(path):
        return open_hwu64(path)
    parse_massive = massive_parser(path)

    def parse(obj: object) -> LabelledUtterance:
        return parse_massive(obj) if is_massive(obj) else parse_gold(obj)

    return open_records(path, parse)


def read_corpus(path: str | Path, progress: Progress | None = None) -> Corpus:
    """All of a corpus; raises UnreadableFileError."""
    utterances: list[LabelledUtterance] = []
    rejected: list[tuple[int, RecordError]] = []
    with open_corpus(path) as reader:
        for number, parsed in enumerate(reader):
            if progress and number % _ROWS_PER_PROGRESS == 0:
                progress(reader.bytes_read, reader.bytes_total)
            if parsed.error is not None:
                rejected.append((parsed.line, parsed.error))
            elif parsed.record is not None and not parsed.repeated:
                utterances.append(parsed.record)
        if progress:
            progress(reader.bytes_read, reader.bytes_total)
    return Corpus(utterances, rejected)
