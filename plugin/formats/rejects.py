"""The reject file: every record that was not taken, with its line, the reason and its original bytes.

JSON Lines: {"source", "line", "field", "reason", "raw"}; `raw_base64` stands for `raw` where the bytes are
not UTF-8. Of a line over the size limit only the beginning is kept.
"""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

from plugin.formats.checks import RecordError
from plugin.formats.source import STDIN

SUFFIX = ".rejects.jsonl"


def rejects_path(source: str | Path, folder: Path | None = None) -> Path:
    """Where the rejects of a source go by default: `log.jsonl.gz` -> `log.jsonl.gz.rejects.jsonl` beside it."""
    if str(source) == STDIN:
        return (folder or Path()) / f"stdin{SUFFIX}"
    path = Path(source)
    return (folder or path.parent) / f"{path.name}{SUFFIX}"


class RejectWriter:
    """Writes the file whole when the block ends, or not at all when it fails. No rejects: no file.

    A file of this name from an earlier run is replaced, or removed when this run has nothing to reject, so
    that what lies there is always the outcome of the last complete run.
    """

    def __init__(self, path: Path) -> None:
        if path.exists() and not path.is_file():
            raise ValueError(f"rejected records cannot be written to {path}: it is not a regular file")
        self.path = path
        self.count = 0
        self._unfinished = path.with_name(f".{path.name}.{os.getpid()}")
        self._file: BinaryIO | None = None

    def write(self, source: str, line: int, error: RecordError, raw: bytes) -> None:
        if self._file is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._unfinished.open("wb")
        self._file.write(_entry(source, line, error, raw))
        self.count += 1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()
        if kind is not None:
            self._unfinished.unlink(missing_ok=True)
        elif self._file is not None:
            self._unfinished.replace(self.path)
        else:
            self.path.unlink(missing_ok=True)


def _entry(source: str, line: int, error: RecordError, raw: bytes) -> bytes:
    entry: dict[str, str | int] = {
        "source": source,
        "line": line,
        "field": error.field,
        "reason": error.reason,
    }
    try:
        entry["raw"] = raw.decode()
    except UnicodeDecodeError:
        entry["raw_base64"] = base64.b64encode(raw).decode()
    # A lone surrogate in a reason becomes the escape that JSON has for it.
    return json.dumps(entry, ensure_ascii=False).encode(errors="backslashreplace") + b"\n"
