"""What an experiment's folder is of: its options, corpora, versions and commands."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from typing import Any

import plugin
from plugin import __version__
from plugin.experiment import arms
from plugin.experiment.setup import Setup
from plugin.experiment.sources import Source

NAME = "manifest.json"
FORMAT = 1
UNKNOWN = "unknown"  # the code of runs that did not say
_LIBRARIES = ("torch", "numpy", "scipy")


class ManifestError(ValueError):
    """The folder is of another experiment: what differs, and what to do."""


def describe(
    setup: Setup, sources: Sequence[Source], arm_names: Iterable[str], model: Mapping[str, Any]
) -> dict[str, Any]:
    """All that decides the result of a trial; a corpus by its content, for a path says nothing elsewhere."""
    return {
        "format": FORMAT,
        "setup": setup.to_json(),
        "model": dict(model),
        "code": code_sha256(),
        "arms": {name: arms.describe(name) for name in sorted(set(arm_names))},
        "corpora": {
            f"{source.corpus}/{source.locale}": {
                "file": source.path.name,
                "sha256": source.sha256,
                "content_sha256": source.content_sha256,
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

    Other code is no reason to refuse, for most of it decides no result; `other_code` notes what else there was.

    Raises:
        ManifestError: other options, other content of a corpus, or an arm (`default`) that means another thing; a
            grid that grew is welcome.
    """
    if before is None:
        return {**now, "runs": []}
    for part in ("setup", "model"):
        # An option that the folder does not know is new, and its default is what was done before.
        for name, value in before[part].items():
            if now[part].get(name, value) != value:
                raise ManifestError(
                    f"the folder was begun with {name} {value!r}, not {now[part][name]!r}: name another folder"
                )
    for place, corpus in now["corpora"].items():
        known = before["corpora"].get(place, corpus)
        if not _digests(known) & _digests(corpus):
            raise ManifestError(f"the folder was begun with another {place} ({known['file']}): name another folder")
    for name, arm in now["arms"].items():
        if before["arms"].get(name, arm) != arm:
            raise ManifestError(
                f"in the folder the arm {name} is {before['arms'][name]}, and now it is {arm}: name another folder"
            )
    joined = {part: {**before[part], **now[part]} for part in ("corpora", "arms")}
    other = {*before.get("other_code", ()), before.get("code", UNKNOWN)} - {now["code"]} if before["runs"] else set()
    noted = {"other_code": sorted(other)} if other else {}
    return {**before, **joined, "code": now["code"], **noted}


@lru_cache(maxsize=1)
def code_sha256() -> str:
    """Of the source of all of `plugin`, names and content: trials of one hash were made by the same code."""
    root = Path(plugin.__file__).parent
    found = sha256()
    for path in sorted(root.rglob("*.py")):
        content = path.read_bytes()
        found.update(f"{path.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return found.hexdigest()


def _digests(corpus: Mapping[str, Any]) -> set[str]:
    """Of the file and of what it holds compressed; older manifests have the first alone."""
    return {corpus[name] for name in ("sha256", "content_sha256") if name in corpus}


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
        "code": code_sha256(),
        "versions": {"assay": __version__, "python": platform.python_version()}
        | {name: version(name) for name in _LIBRARIES},
        "machine": f"{platform.system()} {platform.machine()}",
    }
