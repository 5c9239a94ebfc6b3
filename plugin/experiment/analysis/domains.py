"""Arms against random within each domain, shrunken towards what they do over all domains.

Axes: D domains, S seeds.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import stdtrit

from plugin.experiment.analysis.intervals import FEWEST_SEEDS, LEVEL
from plugin.experiment.analysis.results import ALL, Results, Setting, Trial
from plugin.quality.shrinkage import between_variance as between_variance
from plugin.quality.shrinkage import shrink

Float = NDArray[np.float64]

FEWEST_UTTERANCES = 200  # of test; below, a domain's change is mostly noise


@dataclass(frozen=True, slots=True)
class DomainChange:
    """`arm` against `against` (random unless named) in one domain, a fraction; the domain by reference.

    raw         from the domain alone
    value       shrunken, with its 95 % interval; raw where there are fewer than three domains or seeds
    utterances  of test, in one locale
    """

    setting: Setting
    arm: str
    metric: str
    domain: str
    raw: float
    value: float
    low: float | None
    high: float | None
    utterances: int
    seeds: int
    against: str = "random"


def large_domains(results: Results, setting: Setting) -> dict[str, int]:
    """Domains with enough test utterances -> how many, in the median trial; by name."""
    sizes: dict[str, list[float]] = defaultdict(list)
    for pairs in results.arms(setting).values():
        for trial in pairs.values():
            for domain, (_, utterances) in trial.errors.get("irer", {}).items():
                sizes[domain].append(utterances)
    found = {domain: int(median(counts)) for domain, counts in sizes.items() if domain != ALL}
    return {domain: size for domain, size in sorted(found.items()) if size >= FEWEST_UTTERANCES}


def per_domain(
    results: Results, setting: Setting, arm: str, metric: str, *, against: str | None = None
) -> list[DomainChange]:
    """The arm's change in each large domain: errors over all pairs by random's errors over the same pairs.

    A domain of one locale has few errors, so they are summed before they are compared. The standard error
    is that of a ratio of sums over seeds (linearised); domains are then shrunken by empirical Bayes.
    """
    sizes = large_domains(results, setting)
    found = {domain: _ratio(results, setting, arm, against, metric, domain) for domain in sizes}
    known = {domain: one for domain, one in found.items() if one is not None}
    shrunken = _shrunken(known)
    return [
        DomainChange(
            setting, arm, metric, domain, raw, *shrunken[domain], sizes[domain], seeds, against or "random"
        )
        for domain, (raw, _, seeds) in known.items()
    ]  # fmt: skip


Found = tuple[float, float, int]  # change, standard error, seeds


def _ratio(results: Results, setting: Setting, arm: str, against: str | None, metric: str, domain: str) -> Found | None:
    sums: dict[int, Float] = defaultdict(lambda: np.zeros(2))
    for pair, trial in results.arms(setting).get(arm, {}).items():
        other = results.trial(setting, against, pair) if against else None
        base = [other] if other else [] if against else results.random_trials(setting, pair)
        terms = _terms(trial, base, metric, domain)
        if terms is not None:
            sums[pair.seed] += terms
    if not sums:
        return None
    new, old = np.array([sums[seed] for seed in sorted(sums)]).T  # (S,), (S,)
    if old.sum() <= 0.0:
        return None
    change = new.sum() / old.sum()
    return float(change) - 1.0, ratio_error(new, old), len(sums)


def _terms(trial: Trial, base: Sequence[Trial], metric: str, domain: str) -> Float | None:
    """The arm's and the base's errors on the trial's own denominator."""
    numerator, denominator = trial.terms(metric, domain)
    rates = [other.rate(metric, domain) for other in base]
    if not denominator or not rates or not all(map(math.isfinite, rates)):
        return None
    return np.array([numerator, math.fsum(rates) / len(rates) * denominator])


def ratio_error(new: ArrayLike, old: ArrayLike) -> float:
    r"""Standard error of a ratio of sums over S independent units, linearised.

    .. math:: \frac{1}{\sum b} \sqrt{\frac{S}{S-1} \sum_s (a_s - R\, b_s)^2}, \quad R = \sum a / \sum b

    Args:
        new: (S,) numerators a.
        old: (S,) denominators b, of positive sum.

    Returns:
        At least 0; NaN below two units.

    Source: Cochran 1977, section 6.

    >>> ratio_error([1.0, 2.0, 3.0], [2.0, 4.0, 6.0])
    0.0
    """
    a, b = np.asarray(new, dtype=np.float64), np.asarray(old, dtype=np.float64)
    if a.size < 2:
        return math.nan
    residual = a - a.sum() / b.sum() * b  # (S,)
    return float(math.sqrt(a.size / (a.size - 1) * (residual @ residual)) / b.sum())


def _shrunken(known: Mapping[str, Found]) -> dict[str, tuple[float, float | None, float | None]]:
    """Domain -> value, low, high."""
    seeds = min((seeds for _, _, seeds in known.values()), default=0)
    if seeds < FEWEST_SEEDS:
        return {domain: (raw, None, None) for domain, (raw, _, _) in known.items()}
    raw, error = np.array([(raw, error) for raw, error, _ in known.values()]).T
    if len(known) < FEWEST_SEEDS or not (error > 0.0).all():
        value, spread = raw, error
    else:
        value, spread = shrink(raw, error)
    # The errors are estimates from few seeds, so Student's quantile; the interval is that of one domain.
    reach = stdtrit(seeds - 1, (1.0 + LEVEL) / 2.0) * spread
    # No rate falls by more than all of it, whatever a symmetric interval says.
    low = np.maximum(value - reach, -1.0)
    ends = zip(known, value, low, value + reach, strict=True)
    return {domain: (float(at), float(below), float(above)) for domain, at, below, above in ends}
