"""The questions beside the core grid: one thing is changed, and the core stands beside it on the same pairs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from plugin.experiment.analysis.comparisons import Comparison, compare, core_strategies, strategies
from plugin.experiment.analysis.names import hard_share, split
from plugin.experiment.analysis.results import Pair, Results, Setting

COMPOSITION, ALLOCATION, OTHER = "composition", "allocation", "other strategies"
NOISE = "noise"


@dataclass(frozen=True, slots=True)
class Satellite:
    """Comparisons on the same pairs, core first, of one corpus.

    name    what is changed: the keys beyond the core's, `noise`, `composition`, `allocation` or
            `other strategies`, the arms that were run on few pairs only
    pairs   how many pairs of locale and seed the satellite was run on
    """

    name: str
    corpus: str
    comparisons: Sequence[Comparison]
    pairs: int
    locales: Sequence[str]


def satellites(results: Results, core: Sequence[Setting], metrics: Sequence[str]) -> list[Satellite]:
    return [*_changed_settings(results, metrics), *_further_arms(results, core, metrics)]


def _changed_settings(results: Results, metrics: Sequence[str]) -> list[Satellite]:
    """Settings with noise or keys of their own, grouped by corpus and by what was changed."""
    groups: dict[tuple[str, str], list[Setting]] = {}
    for setting in results.settings:
        if not setting.is_core and strategies(results, setting):
            groups.setdefault((_name(setting), setting.corpus), []).append(setting)
    found = []
    for (name, corpus), group in groups.items():
        comparisons: list[Comparison] = []
        base = dict.fromkeys(replace(setting, extra=(), noise=0.0) for setting in group)
        pairs = _pairs(results, group)
        for setting in (*base, *group):
            wanted = {arm for other in group for arm in strategies(results, other)}
            arms = [arm for arm in strategies(results, setting) if arm in wanted]
            comparisons += compare(results, setting, arms, metrics, among=pairs)
        found.append(_satellite(name, corpus, comparisons, pairs))
    return found


def _name(setting: Setting) -> str:
    keys = [key for key, _ in setting.extra]
    return ", ".join([*keys, NOISE] if setting.noise else keys)


def _further_arms(results: Results, core: Sequence[Setting], metrics: Sequence[str]) -> list[Satellite]:
    """Arms within core settings that vary one property, or that were run on few pairs only."""
    found = []
    for setting in core:
        arms = strategies(results, setting)
        few = [arm for arm in arms if arm not in core_strategies(results, setting)]
        kinds: list[tuple[str, list[str]]] = [
            (COMPOSITION, _varied(arms, few, lambda arm: hard_share(arm) is not None and not split(arm)[1])),
            (ALLOCATION, _allocations(arms)),
        ]
        shown = {arm for _, family in kinds for arm in family}
        kinds.append((OTHER, [arm for arm in few if arm not in shown]))
        for name, family in kinds:
            if family:
                rare = [arm for arm in family if arm in few] or family
                pairs = {pair for arm in rare for pair in results.arms(setting)[arm]}
                comparisons = compare(results, setting, family, metrics, among=pairs)
                found.append(_satellite(name, setting.corpus, comparisons, pairs))
    return found


def _varied(arms: Sequence[str], few: Sequence[str], belongs: Callable[[str], bool]) -> list[str]:
    """At least three compositions, or one that the core does not have."""
    family = [arm for arm in arms if belongs(arm)]
    return sorted(family, key=lambda arm: hard_share(arm) or 0.0) if len(family) > 2 or set(family) & set(few) else []


def _allocations(arms: Sequence[str]) -> list[str]:
    """Strategies that were run under several allocations, each beside itself without a quota."""
    allocated = {split(arm)[0] for arm in arms if split(arm)[1]}
    return sorted(arm for arm in arms if split(arm)[0] in allocated)


def _pairs(results: Results, settings: Iterable[Setting]) -> set[Pair]:
    return {pair for setting in settings for pairs in results.arms(setting).values() for pair in pairs}


def _satellite(name: str, corpus: str, comparisons: Sequence[Comparison], pairs: set[Pair]) -> Satellite:
    return Satellite(name, corpus, comparisons, len(pairs), sorted({pair.locale for pair in pairs}))
