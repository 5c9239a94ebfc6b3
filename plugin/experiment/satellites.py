"""Questions beside the core grid: one thing is changed at a time, on a few worlds, at one budget.

Each satellite brings the trials of the core that it is compared with; those that are done are not run twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from plugin.experiment import arms, choosing
from plugin.experiment.grid import OUTSIDE, PRIMARY_BUDGET, REVIEWED, WEAK, WHOLE, WINDOW, Extra, Trial

RANDOMS = ("random", "random-2")
THREE = (*RANDOMS, "entropy", "el2n-10-90", "default")
STRATEGIES = THREE[len(RANDOMS) :]
COMPOSITIONS = ("el2n-10-90", "el2n-20-80", "el2n-50-50", "el2n-hard")
ALLOCATED = tuple(f"{arm}@{name}" for arm in ("entropy", "default") for name in ("proportional", "equal"))
NOISE = (0.0, 10.0, 20.0)
REPLICATES = (1, 2, 3, 10)  # the core has 5
EPOCHS = (1, 2, 8, 16)  # the core takes a fifth of all
MANY_ROUNDS = 9
PLACES = 2

Cell = tuple[str, str, float, str, Extra]  # pool, labels, noise, arm, what is done differently


def _plain(names: Iterable[str], pool: str = WHOLE, labels: str = REVIEWED, noise: float = 0.0) -> list[Cell]:
    return [(pool, labels, noise, arm, ()) for arm in names]


def _changed(names: Iterable[str], name: str, values: Iterable[str | int]) -> list[Cell]:
    return [(WHOLE, REVIEWED, 0.0, arm, ((name, value),)) for value in values for arm in names]


def _compositions(_: str) -> list[Cell]:
    return [cell for labels in (REVIEWED, WEAK) for cell in _plain((*RANDOMS, *COMPOSITIONS), labels=labels)]


def _noise(_: str) -> list[Cell]:
    """Weak labels that are wrong, where the paper trains on them; and reviewed ones, as annotators err."""
    settings = ((WINDOW, WEAK), (WHOLE, REVIEWED))
    return [cell for pool, labels in settings for noise in NOISE for cell in _plain(THREE, pool, labels, noise)]


def _rounds(_: str) -> list[Cell]:
    """The bandit has nothing to go by in a first round, and in three little: more rounds are its test."""
    few = _changed((*STRATEGIES, arms.BANDIT), choosing.ROUNDS, (3,))
    return _plain(THREE) + few + _changed((arms.DEFAULT, arms.BANDIT), choosing.ROUNDS, (MANY_ROUNDS,))


def _outside(_: str) -> list[Cell]:
    return [cell for labels in (REVIEWED, WEAK) for cell in _plain(THREE, OUTSIDE, labels)]


def _replicates(_: str) -> list[Cell]:
    return _plain(THREE) + _changed(STRATEGIES, choosing.REPLICATES, REPLICATES)


def _epochs(_: str) -> list[Cell]:
    hard = ("el2n-10-90", "el2n-hard")
    changed = _changed(hard, choosing.EPOCH, EPOCHS) + _changed(hard, choosing.IN_SAMPLE, (2,))
    return _plain((*RANDOMS, *hard)) + changed


def _allocations(_: str) -> list[Cell]:
    return _plain((*THREE, *ALLOCATED))


def _locales(other: str) -> list[Cell]:
    """Scores of another locale's model; only a parallel corpus of several locales has one.

    Only what both pools hold may enter, so random is drawn from that too.
    """
    return _plain(THREE) + _changed(THREE, choosing.SCORES_FROM, (other,)) if other else []


def _domains(_: str) -> list[Cell]:
    """Selected in half of the domains: what becomes of the other half stands in the errors by domain."""
    return _plain(THREE) + _changed(THREE, choosing.HALF, (1, 2))


SATELLITES: Mapping[str, Callable[[str], list[Cell]]] = {
    "compositions": _compositions,
    "noise": _noise,
    "rounds": _rounds,
    "outside": _outside,
    "replicates": _replicates,
    "epochs": _epochs,
    "allocations": _allocations,
    "locales": _locales,
    "domains": _domains,
}


def satellite_trials(names: Sequence[str], places: Sequence[tuple[str, str]], seeds: Sequence[int]) -> list[Trial]:
    """The trials of those satellites on the first two places, each once: all of a world follow each other.

    A world, whose seed model takes longer than a training, is made once for them; seeds are outermost.

    Raises:
        ValueError: a name that is no satellite's.
    """
    for name in names:
        if name not in SATELLITES:
            raise ValueError(f"no satellite is called {name!r}; there is {', '.join(SATELLITES)}")
    trials = (
        Trial(corpus, locale, seed, pool, labels, noise, PRIMARY_BUDGET, arm, extra)
        for seed in seeds
        for corpus, locale in places[:PLACES]
        for name in names
        for pool, labels, noise, arm, extra in SATELLITES[name](_other(places, corpus, locale))
    )
    return list(dict.fromkeys(trials))


def _other(places: Sequence[tuple[str, str]], corpus: str, locale: str) -> str:
    """The next locale of the corpus, the first after the last; empty where there is none."""
    mine = [name for of_corpus, name in places if of_corpus == corpus]
    after = mine[(mine.index(locale) + 1) % len(mine)]
    return after if after != locale else ""
