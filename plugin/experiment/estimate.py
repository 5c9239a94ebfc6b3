"""How long a run takes, by arithmetic: trainings times seconds, measured on this machine in a short calibration."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from plugin.experiment.arms import EVERYTHING, NOTHING
from plugin.experiment.choosing import ROUNDS
from plugin.experiment.grid import WHOLE, Trial, units
from plugin.experiment.laboratory import Laboratory
from plugin.experiment.setup import Setup
from plugin.experiment.sources import Source

# Of a world's pool, what lies in the window or outside of it; differs by corpus, hence an estimate.
_SHARE_OF_PART = 0.3
_CALIBRATION_EPOCHS = 2


@dataclass(frozen=True, slots=True)
class Speed:
    """Seconds: of training per utterance and epoch, of prediction per utterance; of the seed model and of an arm's."""

    seed_train: float
    seed_predict: float
    train: float
    predict: float


@dataclass(frozen=True, slots=True)
class Estimate:
    trainings: int
    worlds: int
    seconds: float  # of one worker

    def wall_seconds(self, workers: int) -> float:
        return self.seconds / workers


def calibrate(laboratory: Laboratory) -> Speed:
    """Train and predict briefly on some of the first corpus; a few seconds."""
    setup = replace(laboratory.setup, epochs=_CALIBRATION_EPOCHS, seed_epochs=_CALIBRATION_EPOCHS)
    short = replace(laboratory, setup=setup)
    rows = next(iter(laboratory.sources.values())).read()[: setup.trusted]
    texts, locales = [row.text for row in rows], [row.locale for row in rows]
    found = []
    for trainer in (short.seed_trainer(), short.trainer()):
        begun = time.perf_counter()
        model = trainer.train(rows, [], seed=0)
        trained = time.perf_counter()
        model.predict(texts, locales)
        found.append((trained - begun) / len(rows) / _CALIBRATION_EPOCHS)
        found.append((time.perf_counter() - trained) / len(rows))
    return Speed(*found)


def estimate(
    trials: Sequence[Trial], setup: Setup, sources: Mapping[tuple[str, str], Source], speed: Speed
) -> Estimate:
    """What is left to do: a world is made anew for each unit of trials."""
    work = units(trials)
    seconds = 0.0
    for unit in work:
        world = unit[0].world
        pool = max(1, sources[world.corpus, world.locale].utterances - setup.trusted - setup.dev - setup.test)
        seed_model = setup.trusted * setup.seed_epochs * speed.seed_train + (pool + setup.dev) * speed.seed_predict
        seconds += seed_model * (1 + _further_models(unit))
        for trial in unit:
            seconds += _size(trial, setup, pool) * setup.epochs * speed.train + setup.test * speed.predict
    return Estimate(len(trials), len(work), seconds)


def _further_models(unit: Sequence[Trial]) -> int:
    """Satellites train models of their own to score with: shared by the arms, but for those of several rounds."""
    shared = {trial.extra for trial in unit if trial.extra and not trial.option(ROUNDS)}
    return len(shared) + sum(int(trial.option(ROUNDS) or 1) - 1 for trial in unit)


def _size(trial: Trial, setup: Setup, pool: int) -> float:
    if trial.arm == NOTHING:
        return setup.trusted
    part = pool if trial.pool == WHOLE else pool * _SHARE_OF_PART
    return setup.trusted + part * (1.0 if trial.arm == EVERYTHING else trial.budget / 100.0)
