"""The questions beside the core grid: one thing is changed, and the core stands beside it on the same pairs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
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
    return [
        _satellite(name, corpus, _beside_the_core(results, group, metrics), _pairs(results, group))
        for (name, corpus), group in groups.items()
    ]


def _beside_the_core(results: Results, group: Sequence[Setting], metrics: Sequence[str]) -> list[Comparison]:
    """Where a value belongs to one locale (scores from another one), so does the core beside it."""
    cells: dict[tuple[Setting, frozenset[Pair]], None] = {}
    for setting in group:
        pairs = frozenset(_pairs(results, [setting]))
        cells[replace(setting, extra=(), noise=0.0), pairs] = None
        cells[setting, pairs] = None
    every = {pair.locale for pair in _pairs(results, group)}
    wanted = {arm for setting in group for arm in strategies(results, setting)}
    found = []
    for setting, pairs in sorted(cells, key=lambda cell: (cell[0].order, sorted(cell[1]))):
        locales = {pair.locale for pair in pairs}
        arms = [arm for arm in strategies(results, setting) if arm in wanted]
        only = locales.pop() if len(locales) == 1 < len(every) else None
        found += compare(results, setting, arms, metrics, among=pairs, locale=only)
    return found


def _name(setting: Setting) -> str:
    keys = [key for key, _ in setting.extra]
    return ", ".join([*keys, NOISE] if setting.noise else keys)


def _further_arms(results: Results, core: Sequence[Setting], metrics: Sequence[str]) -> list[Satellite]:
    """Arms within core settings that vary one property, or that were run on few pairs only."""
    groups: dict[tuple[str, str], tuple[list[Comparison], set[Pair]]] = {}
    for setting in core:
        for name, arms, rare in _families(results, setting):
            comparisons, pairs = groups.setdefault((name, setting.corpus), ([], set()))
            among = {pair for arm in rare for pair in results.arms(setting)[arm]}
            comparisons += compare(results, setting, arms, metrics, among=among)
            pairs |= among
    return [_satellite(name, corpus, *group) for (name, corpus), group in groups.items()]


def _families(results: Results, setting: Setting) -> list[tuple[str, list[str], list[str]]]:
    """Name, arms, and those of them whose pairs all are compared on."""
    arms = strategies(results, setting)
    core = core_strategies(results, setting)
    few = [arm for arm in arms if arm not in core]
    compositions, allocations = _compositions(arms, few), _allocations(arms)
    others = [arm for arm in few if arm not in compositions and arm not in allocations]
    families = ((COMPOSITION, compositions), (ALLOCATION, allocations), (OTHER, others))
    return [(name, family, [arm for arm in family if arm in few] or family) for name, family in families if family]


def _compositions(arms: Sequence[str], few: Sequence[str]) -> list[str]:
    """From easy to hard: at least three, or one that the core does not have."""
    family = [arm for arm in arms if hard_share(arm) is not None and not split(arm)[1]]
    return sorted(family, key=lambda arm: hard_share(arm) or 0.0) if len(family) > 2 or set(family) & set(few) else []


def _allocations(arms: Sequence[str]) -> list[str]:
    """Strategies that were run under several allocations, each beside itself without a quota."""
    allocated = {split(arm)[0] for arm in arms if split(arm)[1]}
    return sorted(arm for arm in arms if split(arm)[0] in allocated)


def _pairs(results: Results, settings: Iterable[Setting]) -> set[Pair]:
    return {pair for setting in settings for pairs in results.arms(setting).values() for pair in pairs}


def _satellite(name: str, corpus: str, comparisons: Sequence[Comparison], pairs: set[Pair]) -> Satellite:
    return Satellite(name, corpus, comparisons, len(pairs), sorted({pair.locale for pair in pairs}))
