"""Arms against random, paired by locale and seed, and the families in which their p-values are corrected."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plugin.experiment.analysis.intervals import Change, summarise
from plugin.experiment.analysis.names import hard_share
from plugin.experiment.analysis.results import ALL, EVERYTHING, NOTHING, Pair, Results, Setting, Trial, is_random
from plugin.quality.metrics import HIGHER_IS_BETTER, METRICS
from plugin.quality.significance import holm

RANDOM = "random"
# Of a core arm at least this share of the pairs of the best covered core arm is there.
CORE_COVERAGE = 0.5


@dataclass(frozen=True, slots=True)
class Comparison:
    """`arm` against `against` in one setting by one metric; `locale` where it is of that one alone."""

    setting: Setting
    arm: str
    metric: str
    change: Change
    against: str = RANDOM
    locale: str | None = None

    @property
    def gain(self) -> float:
        """The change, with its sign such that more is better."""
        return self.change.value if self.metric in HIGHER_IS_BETTER else -self.change.value


def mean_rate(trials: Iterable[Trial], metric: str, domain: str = ALL) -> float:
    """The mean of the trials' rates; NaN without a trial, or where one is not defined."""
    rates = [trial.rate(metric, domain) for trial in trials]
    return math.fsum(rates) / len(rates) if rates else math.nan


def ratio(rate: float, base: float) -> float | None:
    """The relative change; None where it is not defined.

    >>> ratio(0.09, 0.1) is not None, ratio(0.1, 0.0), ratio(math.nan, 0.1)
    (True, None, None)
    """
    return rate / base - 1.0 if base > 0.0 and math.isfinite(rate) else None


def against_random(results: Results, setting: Setting, arm: str, metric: str) -> dict[Pair, float]:
    """The relative change of the arm's rate against the mean of all random draws, per pair.

    `random` itself is compared with the *other* random draws: what it shows is noise (A/A).
    """
    changes = {}
    for pair, trial in results.arms(setting).get(arm, {}).items():
        others = [other for other in results.random_trials(setting, pair) if other.arm != arm]
        change = ratio(trial.rate(metric), mean_rate(others, metric))
        if change is not None:
            changes[pair] = change
    return changes


def against_arm(results: Results, setting: Setting, arm: str, other: str, metric: str) -> dict[Pair, float]:
    """The relative change of one arm's rate against another's, per pair that has both."""
    base = results.arms(setting).get(other, {})
    found = {
        pair: ratio(trial.rate(metric), base[pair].rate(metric))
        for pair, trial in results.arms(setting).get(arm, {}).items()
        if pair in base
    }
    return {pair: change for pair, change in found.items() if change is not None}


def across_settings(
    results: Results, new: tuple[Setting, str], base: tuple[Setting, str | None], metric: str
) -> dict[Pair, float]:
    """The relative change between arms of two settings; an arm of None is the random reference."""
    setting, arm = new
    changes = {}
    for pair, trial in results.arms(setting).get(arm, {}).items():
        change = ratio(trial.rate(metric), _base_rate(results, base, pair, metric))
        if change is not None:
            changes[pair] = change
    return changes


def _base_rate(results: Results, base: tuple[Setting, str | None], pair: Pair, metric: str) -> float:
    setting, arm = base
    if arm is None:
        return mean_rate(results.random_trials(setting, pair), metric)
    trial = results.trial(setting, arm, pair)
    return trial.rate(metric) if trial else math.nan


def strategies(results: Results, setting: Setting) -> list[str]:
    """The arms of a setting that choose, and not at random, as EL2N with none of the hardest does."""
    if setting.budget in (NOTHING, EVERYTHING):
        return []
    return [arm for arm in results.arms(setting) if not is_random(arm) and hard_share(arm) != 0.0]


def core_strategies(results: Results, setting: Setting) -> list[str]:
    """Those that the commands named for the setting, and that are there on about as many pairs as the best covered one.

    Arms that satellites brought are not of the family, however many pairs they have; where no command had the
    setting in its grid, coverage alone says. An arm that was tried on two locales only is not of the family
    either: its mean is one over other pairs.
    """
    arms = results.arms(setting)
    named = _named(results, setting)
    found = [arm for arm in strategies(results, setting) if named is None or arm in named]
    most = max((len(arms[arm]) for arm in found), default=0)
    return [arm for arm in found if len(arms[arm]) >= CORE_COVERAGE * most]


def _named(results: Results, setting: Setting) -> set[str] | None:
    """The arms of the grids that had the setting, by the manifest; None where none had, or there is no manifest."""
    grids = [run["grid"] for run in results.manifest.get("runs", []) if isinstance(run.get("grid"), dict)]
    found = [set(grid["arms"]) for grid in grids if "arms" in grid and _has(grid, setting)]
    return set.union(*found) if found else None


def _has(grid: Mapping[str, Any], setting: Setting) -> bool:
    return (
        setting.corpus in {corpus for corpus, _ in grid.get("places", [])}
        and setting.pool in grid.get("pools", [])
        and setting.labels in grid.get("labels", [])
        and setting.budget in {round(budget / 100.0, 9) for budget in grid.get("budgets", [])}
    )


def compare(
    results: Results,
    setting: Setting,
    arms: Sequence[str],
    metrics: Sequence[str] = METRICS,
    *,
    among: Collection[Pair] | None = None,
    locale: str | None = None,
) -> list[Comparison]:
    """Every arm by every metric against random, p-values corrected over the arms (Holm) within a metric."""
    found = []
    for metric in metrics:
        family = []
        for arm in arms:
            changes = against_random(results, setting, arm, metric)
            change = summarise(_only(changes, among, locale))
            if change:
                family.append(Comparison(setting, arm, metric, change, locale=locale))
        found += corrected(family)
    return found


def noise_floor(results: Results, setting: Setting, metrics: Sequence[str] = METRICS) -> list[Comparison]:
    """Random against the other random draws: about 0, and as wide as chance makes it."""
    return [
        Comparison(setting, RANDOM, metric, change, against="random-2, random-3, ...")
        for metric in metrics
        if (change := summarise(against_random(results, setting, RANDOM, metric)))
    ]


def head_to_head(
    results: Results, setting: Setting, arms: Sequence[str], other: str, metrics: Sequence[str]
) -> list[Comparison]:
    """Arms against one other arm instead of against random."""
    found = []
    for metric in metrics:
        changes = {arm: summarise(against_arm(results, setting, arm, other, metric)) for arm in arms}
        family = [Comparison(setting, arm, metric, change, other) for arm, change in changes.items() if change]
        found += corrected(family)
    return found


def corrected(family: Sequence[Comparison]) -> list[Comparison]:
    """The same with `p_holm`, the p-value corrected over the family."""
    adjusted = holm([item.change.p for item in family]).tolist()
    return [replace(item, change=replace(item.change, p_holm=p)) for item, p in zip(family, adjusted, strict=True)]


def _only(changes: Mapping[Pair, float], among: Collection[Pair] | None, locale: str | None) -> Mapping[Pair, float]:
    return {
        pair: change
        for pair, change in changes.items()
        if locale in (None, pair.locale) and (among is None or pair in among)
    }
