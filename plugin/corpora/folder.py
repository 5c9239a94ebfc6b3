"""A folder of files that is complete or does not count: `about.json` is written last and removed first."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

ABOUT = "about.json"


class FolderError(Exception):
    """An output folder cannot be used: which, and why."""


def write_json_lines(path: Path, records: Iterable[Mapping[str, Any]]) -> int:
    """Write the file whole or not at all; how many records."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    count = 0
    try:
        with unfinished.open("w", encoding="utf-8", newline="\n") as file:
            for count, record in enumerate(records, 1):  # noqa: B007
                file.write(json.dumps(record, ensure_ascii=False) + "\n")
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return count


def write_folder(folder: Path, files: Mapping[str, Iterable[Mapping[str, Any]]], about: Mapping[str, Any]) -> None:
    """Write JSON Lines files and, when all stand, `about.json`. Raises FolderError for a folder with other things."""
    check_folder(folder, files)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / ABOUT).unlink(missing_ok=True)
    for name, records in files.items():
        write_json_lines(folder / name, records)
    unfinished = folder / f".{ABOUT}.{os.getpid()}"
    unfinished.write_text(json.dumps(about, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(folder / ABOUT)


def check_folder(folder: Path, names: Iterable[str]) -> None:
    if folder.exists() and not folder.is_dir():
        raise FolderError(f"{folder} is a file; name a folder")
    ours = {*names, ABOUT}
    present = [child.name for child in folder.iterdir()] if folder.exists() else []
    # Hidden files are what a killed run left behind.
    foreign = sorted(name for name in present if name not in ours and not name.startswith("."))
    if foreign:
        raise FolderError(f"{folder} holds other files ({foreign[0]}); name a new or empty folder")


def read_about(folder: Path) -> dict[str, Any] | None:
    """What a complete folder says about itself; None when it is not complete."""
    try:
        about = json.loads((folder / ABOUT).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return about if isinstance(about, dict) else None


def file_sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
