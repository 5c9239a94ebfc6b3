"""Transfer across domains: selected among half of the domains, what becomes of the other half?"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Literal

from plugin.experiment.analysis.comparisons import ratio
from plugin.experiment.analysis.intervals import Change, summarise
from plugin.experiment.analysis.results import ALL, NOTHING, Pair, Results, Setting, Trial, is_random
from plugin.experiment.halves import half_of

KEY = "domains_half"
Where = Literal["selected", "other"]


@dataclass(frozen=True, slots=True)
class Transfer:
    """Errors in the domains that were selected from, or in the others; both halves in turn, pooled over them.

    against   `random` (of the same half), or `nothing`: nothing added
    """

    corpus: str
    arm: str
    metric: str
    where: Where
    against: str
    change: Change


def transfers(results: Results, metrics: Sequence[str]) -> list[Transfer]:
    """Each arm against random of the same half, and random of a half against nothing added."""
    found = []
    settings = [setting for setting in results.settings if [key for key, _ in setting.extra] == [KEY]]
    for corpus in sorted({setting.corpus for setting in settings}):
        mine = [setting for setting in settings if setting.corpus == corpus]
        domains = _domains(results, corpus)
        halves = {setting: half_of(domains, int(dict(setting.extra)[KEY])) for setting in mine}
        arms = sorted(
            {arm for setting in mine for arm in results.arms(setting)}, key=lambda arm: (arm != "random", arm)
        )
        for arm in arms:
            if is_random(arm) and arm != "random":
                continue
            against = "nothing" if arm == "random" else "random"
            for metric in metrics:
                for where in ("selected", "other"):
                    change = summarise(_changes(results, halves, arm, metric, where, against))
                    if change:
                        found.append(Transfer(corpus, arm, metric, where, against, change))
    return found


def _domains(results: Results, corpus: str) -> frozenset[str]:
    """All of the corpus, as far as trials have told: those of the test set, and of what was selected."""
    trials = [trial for trial in results.trials if trial.setting.corpus == corpus]
    tested = {domain for trial in trials for domain in trial.errors.get("irer", {})} - {ALL}
    return frozenset(tested.union(*(trial.selected.get("domains") or {} for trial in trials)))


def _changes(
    results: Results, halves: dict[Setting, frozenset[str]], arm: str, metric: str, where: Where, against: str
) -> dict[Pair, float]:
    """The mean over both halves of the relative change, per pair that has them."""
    by_pair: dict[Pair, list[float]] = defaultdict(list)
    for setting, selected in halves.items():
        for pair, trial in results.arms(setting).get(arm, {}).items():
            base = results.random_trials(replace(setting, budget=NOTHING) if against == "nothing" else setting, pair)
            domains = _side(trial, selected, where)
            rates = [_rate(other, metric, domains) for other in base]
            change = ratio(_rate(trial, metric, domains), sum(rates) / len(rates)) if rates else None
            if change is not None:
                by_pair[pair].append(change)
    return {pair: sum(found) / len(found) for pair, found in by_pair.items() if len(found) == len(halves)}


def _side(trial: Trial, selected: Collection[str], where: Where) -> list[str]:
    domains = [domain for domain in trial.errors.get("irer", {}) if domain != ALL]
    return [domain for domain in domains if (domain in selected) is (where == "selected")]


def _rate(trial: Trial, metric: str, domains: Iterable[str]) -> float:
    terms = [trial.terms(metric, domain) for domain in domains]
    over, under = sum(term[0] for term in terms), sum(term[1] for term in terms)
    return over / under if under else float("nan")
