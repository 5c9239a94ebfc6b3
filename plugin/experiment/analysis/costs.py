"""What a strategy costs, and what it selects."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median

from plugin.experiment.analysis.results import Results, Setting, Trial


@dataclass(frozen=True, slots=True)
class Cost:
    """Medians over trials. Seconds and memory are per 1,000 utterances of the pool, or of the test set.

    select          the strategy's own seconds
    score           seconds for all scores, which are computed once and shared by every strategy
    peak_mb         the most memory the process had held by then, in all
    extra_mb        the most that selecting itself held; None where no trial measured it
    """

    arm: str
    select: float | None
    score: float | None
    train_seconds: float | None
    evaluate: float | None
    peak_mb: float | None
    extra_mb: float | None
    trials: int


@dataclass(frozen=True, slots=True)
class Selection:
    """Means over trials of what was selected.

    wrong, wrong_domain   share of hypotheses that were wrong, in all and in their domain
    domains               effective number of domains, exp of the entropy of their shares
    """

    arm: str
    wrong: float | None
    wrong_domain: float | None
    tokens: float | None
    domains: float | None
    size: float
    trials: int


def costs(results: Results, setting: Setting, arms: Sequence[str]) -> list[Cost]:
    return [_cost(results, setting, arm) for arm in arms if results.arms(setting).get(arm)]


def selections(results: Results, setting: Setting, arms: Sequence[str]) -> list[Selection]:
    return [
        _selection(arm, list(results.arms(setting)[arm].values())) for arm in arms if results.arms(setting).get(arm)
    ]


def _cost(results: Results, setting: Setting, arm: str) -> Cost:
    trials = list(results.arms(setting)[arm].values())
    return Cost(
        arm=arm,
        select=_median(trials, lambda trial: _per_1000(trial, "select", trial.pool_size)),
        score=_median(trials, lambda trial: _per_1000(trial, "score", trial.pool_size)),
        train_seconds=_median(trials, lambda trial: trial.seconds.get("train")),
        evaluate=_median(trials, lambda trial: _per_1000(trial, "evaluate", trial.terms("irer")[1])),
        peak_mb=_median(trials, lambda trial: trial.peak_rss_mb),
        extra_mb=_median(trials, _extra_mb),
        trials=len(trials),
    )


def _selection(arm: str, trials: Sequence[Trial]) -> Selection:
    return Selection(
        arm=arm,
        wrong=_mean(trial.selected.get("wrong_share") for trial in trials),
        wrong_domain=_mean(trial.selected.get("wrong_domain_share") for trial in trials),
        tokens=_mean(trial.selected.get("mean_tokens") for trial in trials),
        domains=_mean(effective_number((trial.selected.get("domains") or {}).values()) for trial in trials),
        size=_mean(trial.size for trial in trials) or 0.0,
        trials=len(trials),
    )


def effective_number(counts: Iterable[float]) -> float | None:
    r"""How many equally frequent kinds would be as diverse, :math:`\exp(-\sum_k p_k \ln p_k)`; None of nothing.

    >>> effective_number([5, 5]), effective_number([])
    (2.0, None)
    """
    positive = [count for count in counts if count > 0]
    total = sum(positive)
    return math.exp(-math.fsum(n / total * math.log(n / total) for n in positive)) if positive else None


def _per_1000(trial: Trial, part: str, utterances: float) -> float | None:
    seconds = trial.seconds.get(part)
    return None if seconds is None or not utterances else 1000.0 * seconds / utterances


def _extra_mb(trial: Trial) -> float | None:
    measured = trial.select_peak_mb
    return None if measured is None or not trial.pool_size else 1000.0 * measured / trial.pool_size


def _median(trials: Sequence[Trial], value: Callable[[Trial], float | None]) -> float | None:
    found = [one for trial in trials if (one := value(trial)) is not None and math.isfinite(one)]
    return median(found) if found else None


def _mean(values: Iterable[float | None]) -> float | None:
    found = [value for value in values if value is not None]
    return math.fsum(found) / len(found) if found else None
