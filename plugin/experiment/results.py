"""Results on disk: a file of JSON Lines for each world, appended to line by line. See docs/experiment.md."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from plugin.experiment.grid import Trial, WorldKey, trial_from_json

FOLDER = "results"


class ResultsError(ValueError):
    """A file of results is damaged: which, and where."""


def path_of(folder: Path, world: WorldKey) -> Path:
    return folder / FOLDER / f"{world.corpus}-{world.locale}-{world.seed}.jsonl"


def append(folder: Path, result: dict[str, Any]) -> None:
    """One line in one write, on the disk before this returns: a crash costs at most the line being written."""
    path = path_of(folder, trial_from_json(result["trial"]).world)
    path.parent.mkdir(parents=True, exist_ok=True)
    line = json.dumps(result, ensure_ascii=False, allow_nan=False, separators=(",", ":")) + "\n"
    with path.open("ab") as file:
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def read(folder: Path) -> Iterator[dict[str, Any]]:
    """Every result, file after file. The half-written last line of a file is passed over.

    Raises:
        ResultsError: a line that is no result, with another one after it.
    """
    for path in sorted((folder / FOLDER).glob("*.jsonl")):
        yield from _read(path)


def done(folder: Path) -> set[Trial]:
    return {trial_from_json(result["trial"]) for result in read(folder)}


def repair(folder: Path) -> None:
    """Cut what a crash left half-written, so that the next line begins on a line of its own."""
    for path in sorted((folder / FOLDER).glob("*.jsonl")):
        content = path.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with path.open("r+b") as file:
                file.truncate(whole)


def _read(path: Path) -> Iterator[dict[str, Any]]:
    for number, line in enumerate(path.read_bytes().splitlines(keepends=True), 1):
        if not line.endswith(b"\n"):
            return
        try:
            result = json.loads(line)
            trial_from_json(result["trial"])
        except (ValueError, KeyError, TypeError) as error:
            raise ResultsError(f"{path}, line {number}: no result of a trial ({error}); delete the line") from None
        yield result
