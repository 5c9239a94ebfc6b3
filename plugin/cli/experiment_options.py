"""What the options of `assay experiment run` say, checked, and how a run is told of in the manifest."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from plugin.cli.errors import CliError
from plugin.experiment.grid import Grid


def words(text: str | None) -> tuple[str, ...]:
    return tuple(dict.fromkeys(word.strip() for word in (text or "").split(",") if word.strip()))


def shares(text: str | None) -> tuple[float, ...]:
    try:
        found = tuple(float(word) for word in words(text))
    except ValueError:
        raise CliError(f"budgets are per cents of the pool, such as 5,10,20, not {text!r}") from None
    if any(not 0.0 < share <= 100.0 for share in found):
        raise CliError(f"a budget must lie in (0, 100] per cent of the pool: {text}")
    return found


def each_of(chosen: tuple[str, ...], known: tuple[str, ...], name: str) -> tuple[str, ...]:
    for word in chosen:
        if word not in known:
            raise CliError(f"{name} {word!r} is not one of {', '.join(known)}")
    return chosen


def check_satellites(asked: Sequence[str], places: Sequence[tuple[str, str]]) -> None:
    """`locales` would be silently empty where no corpus has two."""
    corpora = [corpus for corpus, _ in places]
    if "locales" in asked and len(set(corpora)) == len(corpora):
        raise CliError("satellite 'locales' needs a corpus of two locales or more: its scores come from another one's")


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def grid_to_json(grid: Grid, satellites: Sequence[str]) -> dict[str, Any]:
    return {
        "places": [list(place) for place in grid.places],
        "seeds": list(grid.seeds),
        **{name: list(getattr(grid, name)) for name in ("pools", "labels", "budgets", "arms", "further_budgets")},
        "baselines": grid.baselines,
        "satellites": list(satellites),
    }


def command() -> str:
    """As it was given, files by name alone: the folder they were in says nothing elsewhere."""
    said, given = [], iter(sys.argv[1:])
    for word in given:
        option, sign, value = word.partition("=")
        if word in ("--corpus", "--out"):
            said.append(f"{word} {_file_name(next(given, ''))}")
        elif sign and option in ("--corpus", "--out"):
            said.append(f"{option} {_file_name(value)}")
        else:
            said.append(word)
    return " ".join(["assay", *said])


def _file_name(value: str) -> str:
    name, sign, path = value.rpartition("=")
    return f"{name}{sign}{Path(path).name}"
