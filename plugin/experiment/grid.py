"""The grid of trials, in an order in which every prefix is a balanced design.

A run is often cut off. So the comparison that was named beforehand comes first, for every locale and seed;
then its other budgets; then the paper's own setting; then the rest. Within a block seeds are outermost:
wherever it stops, every locale has about as many seeds.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import Any, NamedTuple

from plugin.experiment.arms import EVERYTHING, NOTHING

WHOLE, WINDOW, OUTSIDE = "whole", "window", "outside"
POOLS = (WHOLE, WINDOW, OUTSIDE)
REVIEWED, WEAK = "reviewed", "weak"
LABELS = (REVIEWED, WEAK)
NONE = "none"  # pool and labels of the arm `nothing`
PRIMARY_BUDGET = 10.0
EVERYTHING_BUDGET = 100.0
# After the primary comparison: the rest of its setting, the paper's setting, the other two.
SETTINGS = ((WHOLE, REVIEWED), (WINDOW, WEAK), (WHOLE, WEAK), (WINDOW, REVIEWED), (OUTSIDE, REVIEWED), (OUTSIDE, WEAK))


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
    """

    corpus: str
    locale: str
    seed: int
    pool: str
    labels: str
    noise: float
    budget: float
    arm: str

    @property
    def world(self) -> WorldKey:
        return WorldKey(self.corpus, self.locale, self.seed)

    @property
    def key(self) -> str:
        """Names the trial in the results: the same trial is never run twice."""
        return (
            f"{self.corpus}/{self.locale}/{self.seed}/{self.pool}/{self.labels}"
            f"/n{self.noise:g}/b{self.budget:g}/{self.arm}"
        )

    def to_json(self) -> dict[str, Any]:
        values = asdict(self)
        return {**values, "noise": _whole(self.noise), "budget": _whole(self.budget)}


def trial_from_json(values: dict[str, Any]) -> Trial:
    """Raises KeyError, TypeError or ValueError for what is no trial."""
    return Trial(
        str(values["corpus"]), str(values["locale"]), int(values["seed"]), str(values["pool"]),
        str(values["labels"]), float(values["noise"]), float(values["budget"]), str(values["arm"]),
    )  # fmt: skip


def _whole(value: float) -> float | int:
    return int(value) if value == int(value) else value


@dataclass(frozen=True, slots=True)
class Grid:
    """`further_budgets` are those of the arm `random` alone: the curve that says how many labels were saved."""

    places: Sequence[tuple[str, str]]  # (corpus, locale)
    seeds: Sequence[int]
    pools: Sequence[str]
    labels: Sequence[str]
    budgets: Sequence[float]
    arms: Sequence[str]
    further_budgets: Sequence[float] = ()
    noise: float = 0.0
    baselines: bool = True

    def trials(self) -> list[Trial]:
        """Every trial once, in the order in which they run."""
        return list(dict.fromkeys(trial for block in self.blocks() for trial in block))

    def blocks(self) -> list[list[Trial]]:
        primary = [PRIMARY_BUDGET] if PRIMARY_BUDGET in self.budgets else []
        others = [budget for budget in self.budgets if budget not in primary]
        settings = [(pool, labels) for pool, labels in SETTINGS if pool in self.pools and labels in self.labels]
        blocks = []
        for number, (pool, labels) in enumerate(settings):
            first = number == 0
            curve = [(budget, "random") for budget in self.further_budgets]
            head = [(budget, arm) for budget in primary for arm in self.arms]
            tail = [(budget, arm) for budget in others for arm in self.arms] + curve
            parts = [head, tail] if first else [head + tail]
            blocks += [self._block(pool, labels, part) for part in parts]
        if self.baselines:
            blocks[:1] = [self._block(NONE, NONE, [(0.0, NOTHING)], noise=0.0), *blocks[:1]]
            blocks = [_interleaved(blocks[:2]), *blocks[2:]]
            blocks += [self._block(pool, labels, [(EVERYTHING_BUDGET, EVERYTHING)]) for pool, labels in settings]
        return [block for block in blocks if block]

    def _block(
        self, pool: str, labels: str, cells: Iterable[tuple[float, str]], noise: float | None = None
    ) -> list[Trial]:
        return [
            Trial(corpus, locale, seed, pool, labels, self.noise if noise is None else noise, budget, arm)
            for seed in self.seeds
            for corpus, locale in self.places
            for budget, arm in cells
        ]


def _interleaved(blocks: Sequence[Sequence[Trial]]) -> list[Trial]:
    """Blocks with the same worlds as one: world after world, so that each world is made once."""
    worlds = dict.fromkeys(trial.world for block in blocks for trial in block)
    return [trial for world in worlds for block in blocks for trial in block if trial.world == world]


def units(trials: Iterable[Trial]) -> list[list[Trial]]:
    """Trials that follow each other in one world: what a worker takes at a time."""
    return [list(group) for _, group in groupby(trials, key=lambda trial: trial.world)]
