"""Grids by name. An option given beside a preset goes before it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from plugin.experiment.grid import REVIEWED, WEAK, WHOLE, WINDOW
from plugin.experiment.satellites import SATELLITES


@dataclass(frozen=True, slots=True)
class Preset:
    arms: tuple[str, ...]
    budgets: tuple[float, ...]
    pools: tuple[str, ...]
    labels: tuple[str, ...]
    seeds: int
    further_budgets: tuple[float, ...] = ()
    baselines: bool = True
    satellites: tuple[str, ...] = ()
    time_limit_minutes: float | None = None


ARMS = ("random", "random-2", "entropy", "el2n-10-90", "el2n-hard", "default")

PRESETS: Mapping[str, Preset] = {
    # A laptop of two cores, a quarter of an hour, and which way each strategy goes.
    "quick": Preset(
        arms=ARMS, budgets=(10.0,), pools=(WHOLE,), labels=(REVIEWED, WEAK), seeds=10, baselines=False,
        time_limit_minutes=14.0,
    ),
    # The reference result of docs/benchmark.md.
    "core": Preset(
        arms=ARMS, budgets=(5.0, 10.0, 20.0), pools=(WHOLE, WINDOW), labels=(REVIEWED, WEAK), seeds=10,
        further_budgets=(40.0,),
    ),
    # What docs/benchmark.md has beside it; in the folder of `core` it shares that one's trials.
    "satellites": Preset(
        arms=(), budgets=(), pools=(), labels=(), seeds=10, baselines=False, satellites=tuple(SATELLITES),
    ),
}  # fmt: skip
