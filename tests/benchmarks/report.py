"""The table of a run, for people and for programs."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any

import psutil
import torch
from rich import box
from rich.console import Console
from rich.table import Table

from plugin import __version__
from plugin.model.network import resolve_device
from plugin.settings import Settings
from plugin.wiring_ml import use_device
from tests.benchmarks.compare import Comparison, Spread


def machine(settings: Settings) -> dict[str, Any]:
    """`load` is that of the last minute before the run: others' work slows both sides, and not always alike."""
    device = use_device(settings)
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "assay": __version__,
        "cores": os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "device": str(resolve_device(device)),
        "threads": torch.get_num_threads(),
        "load": round(os.getloadavg()[0], 2),
    }


def to_json(about: dict[str, Any], found: Sequence[Comparison], repeat: int) -> dict[str, Any]:
    return {"machine": about, "repeat": repeat, "results": [asdict(comparison) for comparison in found]}


def print_table(console: Console, about: dict[str, Any], found: Sequence[Comparison], repeat: int) -> None:
    table = Table(
        title=f"utterances a second: median, range of {repeat}",
        title_justify="left",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for column in ("", "n", "Assay", "reference", "ratio"):
        table.add_column(column, justify="right" if column else "left", overflow="fold")
    for one in found:
        table.add_row(
            f"{one.name}\nvs {one.against}",
            f"{one.size:,}",
            cell(one.ours, ",.0f"),
            cell(one.reference, ",.0f"),
            cell(one.ratio, ".3f"),
        )
    console.print(table)
    console.print(
        f"{about['date']} · Assay {about['assay']} · {about['cores']} cores {about['architecture']}, "
        f"{about['memory_gib']} GiB · load {about['load']} at the start\n"
        f"Python {about['python']} · torch {about['torch']} on {about['device']}, threads: {about['threads']}",
        highlight=False,
    )


def cell(spread: Spread, form: str) -> str:
    return f"{spread.median:{form}}\n{spread.low:{form}}–{spread.high:{form}}"
