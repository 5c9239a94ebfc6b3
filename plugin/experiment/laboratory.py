"""What trials are made with: trainers, worlds, and other models' scores of a world's pool."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from plugin.experiment import arms
from plugin.experiment.grid import WorldKey
from plugin.experiment.setup import Setup
from plugin.experiment.sources import Source
from plugin.experiment.world import Bool, Labelled, World, make_world, parallel_id, score
from plugin.quality.selection import needs
from plugin.records import TrainingExample
from plugin.services.ports import Trainer

# How often a strategy that needs it has the seed model look, by score column.
SIGNALS: Mapping[str, tuple[str, int]] = {
    "dropout_mutual_information": ("dropout_passes", 10),
    "variability": ("snapshots", 10),
    "forgetting": ("snapshots", 10),
}
# Those of a unit of trials, and one to transfer from.
_WORLDS_KEPT = 2
# Scores of a pool by other models: the arms that share them follow each other.
_SCORED_KEPT = 2


def signals_of(arm_names: Iterable[str]) -> dict[str, int]:
    """What the seed model must give for those arms.

    >>> signals_of(["random", "variability", "nothing"])
    {'snapshots': 10}
    """
    chosen = {strategy for name in arm_names if name not in arms.BASELINES for strategy in arms.strategies(name)}
    scores = {needs(strategy).score or "" for strategy in chosen}
    return dict(sorted(SIGNALS[score] for score in scores & set(SIGNALS)))


@dataclass(frozen=True)
class Laboratory:
    """Of one process. The last worlds stay, with the scores that satellites gave their pools.

    `signals`: what the seed model is trained to give beside the usual, for the strategies that need it.
    `measured`: of which arms in which part of the pool this process knows what memory selecting needs.
    """

    setup: Setup
    sources: Mapping[tuple[str, str], Source]
    signals: Mapping[str, int] = field(default_factory=dict)
    measured: set[tuple[str, str]] = field(default_factory=set)
    _eligible: dict[tuple[WorldKey, str], Bool] = field(default_factory=dict)
    _worlds: dict[WorldKey, World] = field(default_factory=dict)
    _scored: dict[tuple[WorldKey, str, object], Labelled] = field(default_factory=dict)

    def world(self, key: WorldKey) -> World:
        if key not in self._worlds:
            while len(self._worlds) >= _WORLDS_KEPT:
                self._forget(next(iter(self._worlds)))
            rows = self.sources[key.corpus, key.locale].read()
            self._worlds[key] = make_world(rows, self.setup, key.seed, self.seed_trainer())
        return self._worlds[key]

    def eligible(self, key: WorldKey, pool: str) -> Bool:
        if (key, pool) not in self._eligible:
            self._eligible[key, pool] = self.world(key).eligible(pool)
        return self._eligible[key, pool].copy()

    def trainer(self) -> Trainer:
        """Of the evaluated model: one replicate that sees all it is given."""
        return self._trainer(1, {"epochs": self.setup.epochs, "bag_fraction": 1.0})

    def seed_trainer(self, replicates: int | None = None, **config: object) -> Trainer:
        return self._trainer(
            replicates or self.setup.seed_replicates, {"epochs": self.setup.seed_epochs, **self.signals, **config}
        )

    def with_replicates(self, key: WorldKey, replicates: int) -> Labelled:
        """The pool's scores by an ensemble of so many networks."""
        return self._rescored(key, "replicates", replicates, self.seed_trainer(replicates), self.world(key).trusted)

    def at_epoch(self, key: WorldKey, epoch: int) -> Labelled:
        """The pool's scores with EL2N after that epoch."""
        return self._rescored(key, "epoch", epoch, self.seed_trainer(early_epoch=epoch), self.world(key).trusted)

    def in_sample(self, key: WorldKey, epochs: int) -> Labelled:
        """The pool's scores by networks that have briefly learned its hypotheses too."""
        world = self.world(key)
        everything = range(world.size)
        learned = [*world.trusted, *world.examples(everything, world.labelled.hypotheses)]
        return self._rescored(key, "in-sample", epochs, self.seed_trainer(epochs=epochs, early_epoch=epochs), learned)

    def after(self, world: World, examples: Sequence[TrainingExample]) -> Labelled:
        """The pool's scores by a seed model that has learned those examples as well."""
        scorer = self.seed_trainer().train([*world.trusted, *examples], world.dev, seed=world.seed)
        return score(scorer, world.pool.truth, world.labelled.hypotheses)

    def transferred(self, key: WorldKey, locale: str) -> tuple[Labelled, Bool]:
        """The pool as the model of another locale scores the same utterances in its own language.

        Of a parallel corpus. Which rows both pools hold, (N,); what the scores of the others say means nothing. The
        two locales divide lists of different length, so a seed gives them other pools: one holds most of the other.
        """
        there = self.world(WorldKey(key.corpus, locale, key.seed))
        here = self.world(key)
        place = {parallel_id(row): number for number, row in enumerate(there.pool.truth)}
        rows = np.array([place.get(parallel_id(row), -1) for row in here.pool.truth], dtype=np.int64)
        found = there.labelled
        scores = {name: column[rows] for name, column in found.scores.items()}
        features = {name: matrix[rows] for name, matrix in found.features.items()}
        return Labelled(here.labelled.hypotheses, scores, features), rows >= 0

    def _rescored(
        self, key: WorldKey, kind: str, value: object, trainer: Trainer, examples: Sequence[TrainingExample]
    ) -> Labelled:
        if (key, kind, value) not in self._scored:
            world = self.world(key)
            scorer = trainer.train(examples, world.dev, seed=world.seed)
            while len(self._scored) >= _SCORED_KEPT:
                del self._scored[next(iter(self._scored))]
            self._scored[key, kind, value] = score(scorer, world.pool.truth, world.labelled.hypotheses)
        return self._scored[key, kind, value]

    def _forget(self, key: WorldKey) -> None:
        del self._worlds[key]
        for scored in [known for known in self._scored if known[0] == key]:
            del self._scored[scored]
        for part in [known for known in self._eligible if known[0] == key]:
            del self._eligible[part]

    def _trainer(self, replicates: int, config: Mapping[str, Any]) -> Trainer:
        from plugin.wiring_ml import TorchTrainer  # torch takes seconds to load, and only workers need it

        return TorchTrainer(self.setup.device, replicates, {"batch_size": self.setup.batch_size, **config})
