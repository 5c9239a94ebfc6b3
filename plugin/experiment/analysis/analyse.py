"""All of an experiment's numbers, ready to be shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from plugin.experiment.analysis import comparisons as compared
from plugin.experiment.analysis.comparisons import Comparison, compare, core_strategies, noise_floor, strategies
from plugin.experiment.analysis.costs import Cost, Selection, costs, selections
from plugin.experiment.analysis.curves import Curve, LabelsSaved, labels_saved, random_curve
from plugin.experiment.analysis.domains import DomainChange, large_domains, per_domain
from plugin.experiment.analysis.intervals import summarise
from plugin.experiment.analysis.names import hard_share, split
from plugin.experiment.analysis.results import EVERYTHING, NOTHING, Pair, Results, Setting
from plugin.experiment.analysis.reviews import Review, reviews
from plugin.experiment.analysis.satellites import Satellite, satellites
from plugin.experiment.analysis.transfer import Transfer, transfers

# Named beforehand, in the issue that asked for the experiment.
PRIMARY_POOL, PRIMARY_LABELS, PRIMARY_BUDGET = "whole", "reviewed", 0.10
PRIMARY_METRICS = ("dcer", "semer")
PAPER_POOL, PAPER_LABELS = "window", "weak"
ENTROPY = "entropy"


@dataclass(frozen=True)
class Analysis:
    """Everything that the report shows; one entry per comparison, the settings inside.

    primary         the comparison named beforehand, or what comes closest (`is_primary` is False)
    comparisons     core strategies against random, all metrics, every core setting
    floors          random against the other random draws (A/A)
    ends            nothing added and everything added, against random at the primary budget
    by_locale       the primary comparison locale by locale
    by_domain       the primary comparison in large domains; `duel_by_domain` is EL2N against entropy there
    duels           EL2N against entropy in every core setting
    saved           labels saved in every core setting; `saved_by_locale` in the primary one
    curves          random's learning curves, by setting (at no budget) and metric
    """

    results: Results
    primary: Setting
    is_primary: bool
    arms: tuple[str, ...]
    comparisons: Sequence[Comparison]
    floors: Sequence[Comparison]
    ends: Sequence[Comparison]
    by_locale: Sequence[Comparison]
    domains: Mapping[str, int]
    by_domain: Sequence[DomainChange]
    duels: Sequence[Comparison]
    duel_by_domain: Sequence[DomainChange]
    saved: Sequence[LabelsSaved]
    saved_by_locale: Sequence[LabelsSaved]
    curves: Mapping[tuple[Setting, str], Curve]
    reviews: Sequence[Review]
    costs: Sequence[Cost]
    selections: Sequence[Selection]
    satellites: Sequence[Satellite]
    transfers: Sequence[Transfer]

    def of(self, setting: Setting, metric: str) -> list[Comparison]:
        return [item for item in self.comparisons if item.setting == setting and item.metric == metric]

    def floor(self, setting: Setting, metric: str) -> Comparison | None:
        return next((item for item in self.floors if item.setting == setting and item.metric == metric), None)

    def labels_saved(self, setting: Setting, arm: str, metric: str) -> LabelsSaved | None:
        found = (item for item in self.saved if (item.setting, item.arm, item.metric) == (setting, arm, metric))
        return next(found, None)


def analyse(results: Results) -> Analysis:
    """The numbers of an experiment, finished or not; the same results give the same numbers."""
    core = [setting for setting in results.settings if setting.is_core and strategies(results, setting)]
    primary, is_primary = _primary(results, core)
    arms = {setting: core_strategies(results, setting) for setting in core}
    every = tuple(dict.fromkeys([*arms.get(primary, ()), *(arm for found in arms.values() for arm in found)]))
    shown = tuple(sorted(every, key=_arm_order))
    locales = sorted({pair.locale for pairs in results.arms(primary).values() for pair in pairs})
    mine = sorted(arms.get(primary, ()), key=_arm_order)
    return Analysis(
        results=results,
        primary=primary,
        is_primary=is_primary,
        arms=shown,
        comparisons=[item for setting in core for item in compare(results, setting, _in_order(arms[setting]))],
        floors=[item for setting in core for item in noise_floor(results, setting)],
        ends=_ends(results, primary),
        by_locale=[
            item for locale in locales for item in compare(results, primary, mine, PRIMARY_METRICS, locale=locale)
        ],
        domains=large_domains(results, primary),
        by_domain=[
            item for arm in mine for metric in PRIMARY_METRICS for item in per_domain(results, primary, arm, metric)
        ],
        duels=[item for setting in core for item in _duels(results, setting, _in_order(arms[setting]))],
        duel_by_domain=[
            item
            for arm in mine if hard_share(arm) is not None and ENTROPY in mine
            for metric in PRIMARY_METRICS
            for item in per_domain(results, primary, arm, metric, against=ENTROPY)
        ],
        saved=[
            item
            for setting in core
            for arm in _in_order(arms[setting])
            for metric in PRIMARY_METRICS
            if (item := labels_saved(results, setting, arm, metric))
        ],
        saved_by_locale=[
            item
            for arm in mine
            for locale in locales
            for metric in PRIMARY_METRICS
            if (item := labels_saved(results, primary, arm, metric, locale=locale))
        ],
        curves=_curves(results, core),
        reviews=reviews(results, core, {setting: _in_order(arms[setting]) for setting in core}, PRIMARY_METRICS),
        costs=costs(results, primary, ["random", *mine]),
        selections=selections(results, primary, ["random", *mine]),
        satellites=satellites(results, core, PRIMARY_METRICS),
        transfers=transfers(results, PRIMARY_METRICS),
    )  # fmt: skip


def paper_setting(primary: Setting) -> Setting:
    """The paper's own: weak labels within the window of NLU scores."""
    return replace(primary, pool=PAPER_POOL, labels=PAPER_LABELS)


def _primary(results: Results, core: Sequence[Setting]) -> tuple[Setting, bool]:
    """Of the corpus with most trials there; else the setting that has most of its properties, then most trials."""
    if not core:
        first = next(iter(results.settings))
        return Setting(first.corpus, PRIMARY_POOL, PRIMARY_LABELS, 0.0, PRIMARY_BUDGET), False

    def closeness(setting: Setting) -> tuple[Any, ...]:
        same = (setting.pool == PRIMARY_POOL, setting.labels == PRIMARY_LABELS, setting.budget == PRIMARY_BUDGET)
        return (sum(same), *same, sum(map(len, results.arms(setting).values())))

    best = max(core, key=closeness)
    return best, all(closeness(best)[1:4])


def _arm_order(arm: str) -> tuple[Any, ...]:
    """The product's own first, then the paper's, then the others by name."""
    strategy, allocation = split(arm)
    share = hard_share(strategy)
    kind = 0 if strategy == "default" else 1 if strategy == ENTROPY else 2 if share is not None else 3
    return (kind, share or 0.0, strategy, allocation)


def _in_order(arms: Sequence[str]) -> list[str]:
    return sorted(arms, key=_arm_order)


def _duels(results: Results, setting: Setting, arms: Sequence[str]) -> list[Comparison]:
    el2n = [arm for arm in arms if hard_share(arm) is not None]
    return compared.head_to_head(results, setting, el2n, ENTROPY, PRIMARY_METRICS) if ENTROPY in arms else []


def _ends(results: Results, primary: Setting) -> list[Comparison]:
    """Nothing added, everything added: what the budget could bring at all."""
    found = []
    for budget in (NOTHING, EVERYTHING):
        setting = replace(primary, budget=budget)
        for metric in PRIMARY_METRICS:
            changes: dict[Pair, float] = {}
            for pair in results.arms(primary).get("random", {}):
                change = compared.ratio(
                    compared.mean_rate(results.random_trials(setting, pair), metric),
                    compared.mean_rate(results.random_trials(primary, pair), metric),
                )
                if change is not None:
                    changes[pair] = change
            if summary := summarise(changes):
                found.append(Comparison(setting, "nothing" if budget == NOTHING else "everything", metric, summary))
    return found


def _curves(results: Results, core: Sequence[Setting]) -> dict[tuple[Setting, str], Curve]:
    places = sorted({replace(setting, budget=NOTHING) for setting in core}, key=lambda setting: setting.order)
    return {
        (place, metric): curve
        for place in places
        for metric in PRIMARY_METRICS
        if (curve := random_curve(results, place, metric))
    }
