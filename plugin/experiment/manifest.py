"""What an experiment's folder is of: its options, corpora, versions and commands."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from plugin import __version__
from plugin.experiment.setup import Setup
from plugin.experiment.sources import Source

NAME = "manifest.json"
FORMAT = 1
_LIBRARIES = ("torch", "numpy", "scipy")


class ManifestError(ValueError):
    """The folder is of another experiment: what differs, and what to do."""


def describe(setup: Setup, sources: Sequence[Source]) -> dict[str, Any]:
    """All that decides the result of a trial; a corpus by its content, for a path says nothing elsewhere."""
    return {
        "format": FORMAT,
        "setup": setup.to_json(),
        "corpora": {
            f"{source.corpus}/{source.locale}": {
                "file": source.path.name,
                "sha256": source.sha256,
                "utterances": source.utterances,
            }
            for source in sources
        },
    }


def read(folder: Path) -> dict[str, Any] | None:
    """None where there is none.

    Raises:
        ManifestError: a file that is none of ours.
    """
    path = folder / NAME
    if not path.exists():
        return None
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        found = None
    if not isinstance(found, dict) or found.get("format") != FORMAT:
        raise ManifestError(f"{path} is not the manifest of an experiment of format {FORMAT}; name another folder")
    return found


def merge(before: Mapping[str, Any] | None, now: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a folder in which this experiment goes on.

    Raises:
        ManifestError: other options, or other content of a corpus; a grid that grew is welcome.
    """
    if before is None:
        return {**now, "runs": []}
    for name, value in now["setup"].items():
        if before["setup"].get(name) != value:
            raise ManifestError(
                f"the folder was begun with {name} {before['setup'].get(name)!r}, not {value!r}: name another folder"
            )
    for place, corpus in now["corpora"].items():
        known = before["corpora"].get(place, corpus)
        if known["sha256"] != corpus["sha256"]:
            raise ManifestError(f"the folder was begun with another {place} ({known['file']}): name another folder")
    return {**before, "corpora": {**before["corpora"], **now["corpora"]}}


def write(folder: Path, manifest: Mapping[str, Any]) -> None:
    """Whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = folder / f".{NAME}.{os.getpid()}"
    unfinished.write_text(json.dumps(manifest, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(folder / NAME)


def this_run(command: str, grid: Mapping[str, Any], workers: int) -> dict[str, Any]:
    """What a run adds to the list of runs: when, with which versions, on what kind of machine."""
    return {
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": command,
        "grid": grid,
        "workers": workers,
        "versions": {"assay": __version__, "python": platform.python_version()}
        | {name: version(name) for name in _LIBRARIES},
        "machine": f"{platform.system()} {platform.machine()}",
    }
