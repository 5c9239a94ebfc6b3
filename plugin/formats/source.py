"""Where records come from: a file, a gzip file or standard input, read as lines with bounded memory."""

from __future__ import annotations

import gzip
import io
import os
import stat
import sys
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple, Self, cast

STDIN = "-"

MAX_LINE_BYTES = 1 << 20
# Of a line over the limit only this much is kept, for the reject file.
KEPT_OF_LONG_LINE = 4096

_GZIP_MAGIC = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"
_CHUNK = 1 << 18


class UnreadableFileError(Exception):
    """A whole file cannot be read: which, why, and what to do."""


class Line(NamedTuple):
    """A line without its end. `problem` says why its bytes are not all there."""

    number: int
    raw: bytes
    problem: str = ""


class ByteSource:
    """An open input. `bytes_read` of `bytes_total` (None for a pipe) count bytes as stored, so compressed ones."""

    def __init__(self, raw: BinaryIO, name: str, bytes_total: int | None = None, *, closes: bool = True) -> None:
        self.name = name
        self.bytes_total = bytes_total
        self._counted = _Counting(raw, closes=closes)
        buffered = io.BufferedReader(self._counted, _CHUNK)
        self.stream: BinaryIO = buffered
        if buffered.peek(2)[:2] == _GZIP_MAGIC:
            # Not wrapped again: another buffer would lose what was unpacked before a damaged place.
            self.stream = cast("BinaryIO", gzip.GzipFile(fileobj=buffered))

    @property
    def bytes_read(self) -> int:
        return self._counted.count

    def close(self) -> None:
        self.stream.close()
        self._counted.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class _Counting(io.RawIOBase):
    def __init__(self, raw: BinaryIO, *, closes: bool) -> None:
        self._raw = raw
        self._closes = closes
        # On a pipe `read` waits for all it was asked for, `read1` for what there is.
        self._read: Callable[[int], bytes] = getattr(raw, "read1", raw.read)
        self.count = 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]  # typeshed's Buffer has no length
        data = self._read(len(buffer))
        buffer[: len(data)] = data
        self.count += len(data)
        return len(data)

    def close(self) -> None:
        if self._closes and not self.closed:
            self._raw.close()
        super().close()


def open_source(path: str | Path) -> ByteSource:
    """Open a file, or standard input for `-`; raises UnreadableFileError."""
    if str(path) == STDIN:
        return ByteSource(sys.stdin.buffer, "standard input", closes=False)
    try:
        file = Path(path).open("rb", buffering=0)  # noqa: SIM115  # the ByteSource closes it
        status = os.fstat(file.fileno())
    except OSError as error:
        raise UnreadableFileError(f"cannot read {path}: {error.strerror or error}") from None
    size = status.st_size if stat.S_ISREG(status.st_mode) else None
    return ByteSource(cast("BinaryIO", file), str(path), size)


def lines(stream: BinaryIO, *, keep_blank: bool = False) -> Iterator[Line]:
    """The lines of a stream, blank ones counted but left out; a line that is too long does not stop the rest.

    Data that cannot be read on (a gzip file cut short) ends with one Line that says so.
    """
    number = 0
    while True:
        number += 1
        try:
            raw = stream.readline(MAX_LINE_BYTES + 1)
            too_long = len(raw) > MAX_LINE_BYTES and not raw.endswith(b"\n")
            if too_long:
                _skip_to_end_of_line(stream)
        except (EOFError, zlib.error, OSError) as error:
            yield Line(number, b"", f"the file is damaged or cut short from here on: {error}")
            return
        if not raw:
            return
        if number == 1:
            raw = raw.removeprefix(_BOM)
        if too_long:
            yield Line(number, raw[:KEPT_OF_LONG_LINE], f"the line is longer than {MAX_LINE_BYTES} bytes")
        elif keep_blank or raw.strip():
            yield Line(number, raw.rstrip(b"\r\n"))


def _skip_to_end_of_line(stream: BinaryIO) -> None:
    while chunk := stream.readline(_CHUNK):
        if chunk.endswith(b"\n"):
            return
