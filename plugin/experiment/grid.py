"""The grid of trials, in an order in which every prefix is a balanced design.

A run is often cut off. So the comparison that was named beforehand comes first, for every locale and seed;
then its other budgets; then the paper's own setting; then the rest. Within a block seeds are outermost:
wherever it stops, every locale has about as many seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any, NamedTuple

from plugin.experiment.arms import EVERYTHING, NOTHING, RANDOM

WHOLE, WINDOW, OUTSIDE = "whole", "window", "outside"
POOLS = (WHOLE, WINDOW, OUTSIDE)
REVIEWED, WEAK = "reviewed", "weak"
LABELS = (REVIEWED, WEAK)
NONE = "none"  # pool and labels of the arm `nothing`
PRIMARY_BUDGET = 10.0
EVERYTHING_BUDGET = 100.0
# After the primary comparison: the rest of its setting, the paper's setting, the other two.
SETTINGS = ((WHOLE, REVIEWED), (WINDOW, WEAK), (WHOLE, WEAK), (WINDOW, REVIEWED), (OUTSIDE, REVIEWED), (OUTSIDE, WEAK))

Extra = tuple[tuple[str, str | int], ...]
Cell = tuple[str, str, float, str]  # pool, labels, budget, arm


class WorldKey(NamedTuple):
    """One draw of trusted data and pool from one locale of one corpus."""

    corpus: str
    locale: str
    seed: int


@dataclass(frozen=True, slots=True)
class Trial:
    """One training: what is added to the trusted data of a world, with which labels.

    pool    which part of the pool may be selected from: `whole`, `window` or `outside`
    labels  `reviewed` (gold) or `weak` (the hypothesis)
    noise   per cent of the labels that are made wrong
    budget  per cent of that part of the pool
    extra   what a satellite does differently, such as ("rounds", 3): see `plugin.experiment.satellites`
    """

    corpus: str
    locale: str
    seed: int
    pool: str
    labels: str
    noise: float
    budget: float
    arm: str
    extra: Extra = ()

    @property
    def world(self) -> WorldKey:
        return WorldKey(self.corpus, self.locale, self.seed)

    @property
    def key(self) -> str:
        """Names the trial in the results: the same trial is never run twice."""
        return (
            f"{self.corpus}/{self.locale}/{self.seed}/{self.pool}/{self.labels}"
            f"/n{self.noise:g}/b{self.budget:g}/{self.arm}" + "".join(f"/{name}={value}" for name, value in self.extra)
        )

    def option(self, name: str) -> str | int | None:
        return dict(self.extra).get(name)

    def to_json(self) -> dict[str, Any]:
        values = {name: getattr(self, name) for name in _FIELDS}
        return {**values, "noise": _whole(self.noise), "budget": _whole(self.budget), **dict(self.extra)}


_FIELDS = ("corpus", "locale", "seed", "pool", "labels", "noise", "budget", "arm")


def trial_from_json(values: dict[str, Any]) -> Trial:
    """Raises KeyError, TypeError or ValueError for what is no trial."""
    return Trial(
        str(values["corpus"]), str(values["locale"]), int(values["seed"]), str(values["pool"]),
        str(values["labels"]), float(values["noise"]), float(values["budget"]), str(values["arm"]),
        tuple((name, value) for name, value in values.items() if name not in _FIELDS),
    )  # fmt: skip


def _whole(value: float) -> float | int:
    return int(value) if value == int(value) else value


@dataclass(frozen=True, slots=True)
class Grid:
    """`further_budgets` are those of the arm `random` alone: the curve that says how many labels were saved.

    `satellites` come last, as they are given.
    """

    places: Sequence[tuple[str, str]]  # (corpus, locale)
    seeds: Sequence[int]
    pools: Sequence[str]
    labels: Sequence[str]
    budgets: Sequence[float]
    arms: Sequence[str]
    further_budgets: Sequence[float] = ()
    baselines: bool = True
    satellites: Sequence[Trial] = ()

    def trials(self) -> list[Trial]:
        """Every trial once, in the order in which they run."""
        return list(dict.fromkeys(trial for block in self.blocks() for trial in block))

    def blocks(self) -> list[list[Trial]]:
        primary = [PRIMARY_BUDGET] if PRIMARY_BUDGET in self.budgets else []
        settings = [(pool, labels) for pool, labels in SETTINGS if pool in self.pools and labels in self.labels]
        nothing = [(NONE, NONE, 0.0, NOTHING)] if self.baselines else []
        first = [(*setting, budget, arm) for setting in settings[:1] for budget in primary for arm in self.arms]
        blocks = [self._block([*nothing, *first])]
        # Two settings at a time: a world, whose seed model is trained anew for each block, serves both.
        pairs = (settings[:2], settings[2:4], settings[4:])
        blocks += [self._block([cell for setting in pair for cell in self._cells(setting)]) for pair in pairs]
        if self.baselines:
            blocks.append(self._block([(*setting, EVERYTHING_BUDGET, EVERYTHING) for setting in settings]))
        return [block for block in [*blocks, list(self.satellites)] if block]

    def _cells(self, setting: tuple[str, str]) -> list[Cell]:
        """Of one setting, the primary budget first."""
        budgets = sorted(self.budgets, key=lambda budget: budget != PRIMARY_BUDGET)
        cells = [(*setting, budget, arm) for budget in budgets for arm in self.arms]
        return cells + [(*setting, budget, RANDOM) for budget in self.further_budgets]

    def _block(self, cells: Sequence[Cell]) -> list[Trial]:
        """Seeds outermost, then worlds; a block's cells follow each other in a world, which is made once for them."""
        return [
            Trial(corpus, locale, seed, pool, labels, 0.0, budget, arm)
            for seed in self.seeds
            for corpus, locale in self.places
            for pool, labels, budget, arm in cells
        ]


def units(trials: Iterable[Trial]) -> list[list[Trial]]:
    """Trials that follow each other in one world: what a worker takes at a time."""
    return [list(group) for _, group in groupby(trials, key=lambda trial: trial.world)]
