"""Results on disk: a file of JSON Lines for each world, appended to line by line. See docs/experiment.md.

What is kept may be compressed (`.jsonl.gz`): it counts as done, and what is run later stands in a `.jsonl` beside it.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

from plugin.experiment.grid import Trial, WorldKey, trial_from_json

FOLDER = "results"


class ResultsError(ValueError):
    """A file of results is damaged: which, and where."""


def path_of(folder: Path, world: WorldKey) -> Path:
    return folder / FOLDER / f"{world.corpus}-{world.locale}-{world.seed}.jsonl"


def append(folder: Path, result: dict[str, Any]) -> None:
    """One line, on the disk before this returns: a crash costs at most the line being written.

    Raises:
        OSError: it cannot be written, for want of space say; the file is as it was before, as far as it can be.
    """
    path = path_of(folder, trial_from_json(result["trial"]).world)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(result, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
    with path.open("ab", buffering=0) as file:
        before = os.fstat(file.fileno()).st_size
        try:
            _write(file, line.encode())
        except BaseException as error:
            # What comes next must begin on a line of its own, after an interrupt too.
            with suppress(OSError):
                file.truncate(before)
            if isinstance(error, OSError):
                raise OSError(error.errno, f"a result cannot be written: {error.strerror}", str(path)) from error
            raise


def _write(file: io.FileIO, content: bytes) -> None:
    """A file without a buffer may take less than it is given."""
    rest = memoryview(content)
    while rest:
        rest = rest[file.write(rest) :]
    os.fsync(file.fileno())


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """Every result, file after file. The half-written last line of a file is passed over.

    Raises:
        ResultsError: a line that is no result, with another one after it, or a compressed file that is damaged.
    """
    for path in files(folder):
        yield from _read(path)


def files(folder: Path) -> list[Path]:
    """World after world, the compressed file first: where both have a trial, the last one read counts."""
    found = [*(folder / FOLDER).glob("*.jsonl"), *(folder / FOLDER).glob("*.jsonl.gz")]
    return sorted(found, key=lambda path: (path.name.removesuffix(".gz"), path.suffix != ".gz"))


def content(path: Path) -> bytes:
    """Raises ResultsError where a compressed file is cut off: nothing behind the cut can be told."""
    if path.suffix != ".gz":
        return path.read_bytes()
    try:
        return gzip.decompress(path.read_bytes())
    except (OSError, EOFError, zlib.error) as error:
        raise ResultsError(f"{path} is damaged ({error}): delete it, or bring it again") from None


def done(folder: Path) -> set[Trial]:
    return {trial_from_json(result["trial"]) for result in read(folder)}


def repair(folder: Path) -> None:
    """Cut what a crash left half-written, so that the next line begins on a line of its own."""
    for path in sorted((folder / FOLDER).glob("*.jsonl")):
        found = path.read_bytes()
        whole = found.rfind(b"\n") + 1
        if whole < len(found):
            with path.open("r+b") as file:
                file.truncate(whole)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(content(path).splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):
            return
        try:
            result = json.loads(line)
            trial_from_json(result["trial"])
        except (ValueError, KeyError, TypeError) as error:
            raise ResultsError(f"{path}, line {number}: no result of a trial ({error}); delete the line") from None
        yield result
