"""Learning curves over budgets, and how many labels a strategy saves.

Axes: P pairs of locale and seed, K budgets of the random curve, B resamples (or 1), G grid points.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.interpolate import PchipInterpolator

from plugin.experiment.analysis.comparisons import mean_rate
from plugin.experiment.analysis.intervals import FEWEST_SEEDS, LEVEL, SEED
from plugin.experiment.analysis.results import EVERYTHING, NOTHING, Pair, Results, Setting, is_random
from plugin.quality.crossed import expanded_level
from plugin.quality.metrics import HIGHER_IS_BETTER

Float = NDArray[np.float64]

RESAMPLES = 2_000
GRID = 501
# A budget that fewer of the pairs have than this share does not join the curve, so that its pairs can.
CURVE_COVERAGE = 0.5


@dataclass(frozen=True, slots=True)
class Curve:
    """The reference's mean rate at each budget over the pairs that have all of them.

    everything   the mean rate with the whole pool added; None where not all of these pairs have it
    """

    budgets: tuple[float, ...]
    rates: tuple[float, ...]
    pairs: int
    everything: float | None = None


@dataclass(frozen=True, slots=True)
class LabelsSaved:
    """How much smaller the arm's budget is than the one at which random reaches its error.

    equivalent     budget at which random reaches the arm's error at `budget`
    saved          1 - budget / equivalent; negative where random needs less
    low, high      95 % interval of `saved` over seeds
    Where random's curve ends before the error is reached, `saved` is the least it can be (`at_least`); where
    the arm is worse than adding nothing, it is minus infinity (`worse_than_nothing`).
    """

    setting: Setting
    arm: str
    metric: str
    equivalent: float
    saved: float
    low: float | None
    high: float | None
    at_least: bool
    high_at_least: bool
    worse_than_nothing: bool
    largest: float
    pairs: int
    seeds: int
    locale: str | None = None


def random_budgets(results: Results, setting: Setting) -> list[float]:
    """Budgets below everything at which random was measured in this setting, nothing added included."""
    found = {
        other.budget
        for other, arms in results.settings.items()
        if replace(other, budget=setting.budget) == setting and any(map(is_random, arms))
    }
    if any(corpus == setting.corpus for corpus, _ in results.nothing_added):
        found.add(NOTHING)
    return sorted(found - {EVERYTHING})


def random_curve(results: Results, setting: Setting, metric: str) -> Curve | None:
    """Random's learning curve in the setting (its budget is of no account); None where there is none."""
    budgets = random_budgets(results, setting)
    pairs = {pair for budget in budgets for pair in _pairs(results, replace(setting, budget=budget))}
    budgets, complete, table = _random_table(results, setting, metric, budgets, pairs)
    if not complete:
        return None
    ends = [mean_rate(results.random_trials(replace(setting, budget=EVERYTHING), pair), metric) for pair in complete]
    everything = math.fsum(ends) / len(ends)
    return Curve(
        tuple(budgets),
        tuple(table.mean(axis=0).tolist()),
        len(complete),
        everything if math.isfinite(everything) else None,
    )


def labels_saved(
    results: Results, setting: Setting, arm: str, metric: str, *, locale: str | None = None, resamples: int = RESAMPLES
) -> LabelsSaved | None:
    """How many labels the arm saves at the setting's budget; None where random was not measured beyond it.

    Pairs that have the arm and all of random's budgets are used. Each pair's rates are divided by its mean
    rate over random's budgets, so that a hard locale counts no more than an easy one, and averaged; random's
    curve is made monotone (isotonic), drawn through with a monotone cubic (PCHIP) and read backwards.
    The interval resamples seeds, with all their locales, through all of it.
    """
    trials = {p: trial for p, trial in results.arms(setting).get(arm, {}).items() if locale in (None, p.locale)}
    budgets, pairs, table = _random_table(results, setting, metric, random_budgets(results, setting), trials)
    if len(budgets) < 2 or budgets[-1] <= setting.budget or not pairs:
        return None
    level = table.mean(axis=1)  # (P, K) -> (P,)
    arm_rates = np.array([trials[pair].rate(metric) for pair in pairs]) / level
    weights = _seed_weights(pairs, resamples)  # (1 + B, P), the first row all ones
    curves = weights @ (table / level[:, None]) / weights.sum(axis=1, keepdims=True)  # (1 + B, K)
    reached = weights @ arm_rates / weights.sum(axis=1)  # (1 + B,)
    found = equivalent_budget(np.array(budgets), curves, reached, rising=metric in HIGHER_IS_BETTER)
    seeds = len({pair.seed for pair in pairs})
    low, high = _interval(found[1:], seeds)
    top = budgets[-1]
    return LabelsSaved(
        setting, arm, metric,
        equivalent=float(min(found[0], top)),
        saved=share_saved(setting.budget, min(float(found[0]), top)),
        low=None if low is None else share_saved(setting.budget, min(low, top)),
        high=None if high is None else share_saved(setting.budget, min(high, top)),
        at_least=bool(found[0] > top),
        high_at_least=high is not None and high > top,
        worse_than_nothing=bool(found[0] <= 0.0),
        largest=top,
        pairs=len(pairs),
        seeds=seeds,
        locale=locale,
    )  # fmt: skip


def share_saved(budget: float, equivalent: float) -> float:
    """1 - budget / equivalent; minus infinity where no label at all is as good.

    >>> round(share_saved(0.10, 0.15), 3), share_saved(0.10, 0.0)
    (0.333, -inf)
    """
    return 1.0 - budget / equivalent if equivalent > 0.0 else -math.inf


def equivalent_budget(budgets: Float, curves: Float, reached: Float, *, rising: bool = False) -> Float:
    r"""The smallest budget at which each curve reaches a rate, :math:`\min \{x : f(x) \le y\}`.

    Args:
        budgets: (K,) ascending, not negative, at least 2. Interpolated over log(budget + the smallest above 0).
        curves: (B, K) error rates at the budgets; noise that makes one rise is pooled away.
        reached: (B,) the rate to reach.
        rising: more is better, so reach from below.

    Returns:
        (B,) in [budgets[0], budgets[-1]]; infinity where the curve ends above the rate. A rate above the whole
        curve gives budgets[0].

    Raises:
        ValueError: fewer than 2 budgets, or budgets that do not ascend.

    Source: isotonic regression (Barlow 1972), PCHIP (Fritsch and Carlson 1980).

    >>> budgets = np.array([0.0, 0.05, 0.1, 0.2])
    >>> error = 0.3 * (budgets[None] + 0.1) ** -0.5
    >>> equivalent_budget(budgets, error, np.array([0.3 * 0.25**-0.5])).round(3).tolist()
    [0.15]
    """
    if len(budgets) < 2 or (np.diff(budgets) <= 0.0).any():
        raise ValueError("a curve needs two ascending budgets at least")
    sign = -1.0 if rising else 1.0
    fitted = falling(sign * curves)  # (B, K)
    shift = budgets[budgets > 0.0].min()
    axis = np.log(budgets + shift)  # error falls as a power of the labels, so this is nearly a line
    grid = np.union1d(np.linspace(axis[0], axis[-1], GRID), axis)
    values = PchipInterpolator(axis, fitted.T)(grid).T  # (G, B) -> (B, G)
    target = sign * reached
    # Interpolation must not put a knot above itself by rounding.
    below = values <= target[:, None] + 1e-12 * np.abs(target[:, None])  # (B, G)
    first = below.argmax(axis=1)  # (B,)
    rows = np.arange(len(target))
    last = np.maximum(first - 1, 0)  # (B,) the grid point before
    before, after = values[rows, last], values[rows, first]
    with np.errstate(divide="ignore", invalid="ignore"):
        step = np.clip((before - target) / (before - after), 0.0, 1.0)
    exact = grid[last] + np.where(before > after, step, 0.0) * (grid[first] - grid[last])
    found = np.clip(np.exp(exact) - shift, budgets[0], budgets[-1])
    return np.where(below.any(axis=1), np.where(first > 0, found, budgets[0]), np.inf)


def falling(rows: Float) -> Float:
    r"""Least-squares fit that never rises, row by row: :math:`\min_{i \le k} \max_{j \ge k} \bar y_{i..j}`.

    Args:
        rows: (B, K), equal weights.

    Returns:
        (B, K).

    Source: the min-max form of isotonic regression (Barlow 1972), as scipy.optimize.isotonic_regression.

    >>> falling(np.array([[3.0, 1.0, 2.0]])).tolist()
    [[3.0, 1.5, 1.5]]
    """
    size = rows.shape[1]
    sums = np.concatenate([np.zeros((len(rows), 1)), np.cumsum(rows, axis=1)], axis=1)  # (B, K + 1)
    fitted = np.empty_like(rows)
    for k in range(size):
        highest = [
            np.max([(sums[:, j + 1] - sums[:, i]) / (j + 1 - i) for j in range(k, size)], axis=0) for i in range(k + 1)
        ]
        fitted[:, k] = np.min(highest, axis=0)
    return fitted


def _random_table(
    results: Results, setting: Setting, metric: str, budgets: Sequence[float], among: Collection[Pair]
) -> tuple[list[float], list[Pair], Float]:
    """Budgets, the pairs that have random at all of them, and its rates (P, K)."""
    rates = {
        budget: {
            pair: rate
            for pair in among
            if math.isfinite(rate := mean_rate(results.random_trials(replace(setting, budget=budget), pair), metric))
        }
        for budget in budgets
    }
    kept = [budget for budget in budgets if rates[budget] and len(rates[budget]) >= CURVE_COVERAGE * len(among)]
    pairs = sorted(pair for pair in among if kept and all(pair in rates[budget] for budget in kept))
    table = np.array([[rates[budget][pair] for budget in kept] for pair in pairs]).reshape(len(pairs), len(kept))
    usable = table.mean(axis=1) > 0.0 if kept else np.zeros(len(pairs), dtype=bool)
    return kept, [pair for pair, good in zip(pairs, usable, strict=True) if good], table[usable]


def _pairs(results: Results, setting: Setting) -> list[Pair]:
    return [pair for arm, pairs in results.arms(setting).items() if is_random(arm) for pair in pairs]


def _seed_weights(pairs: Sequence[Pair], resamples: int) -> Float:
    """(1 + B, P): ones, then how often each pair's seed was drawn."""
    seeds, rows = np.unique([pair.seed for pair in pairs], return_inverse=True)
    rng = np.random.default_rng(SEED)
    drawn = rng.multinomial(len(seeds), np.full(len(seeds), 1.0 / len(seeds)), size=resamples)  # (B, S)
    return np.concatenate([np.ones((1, len(pairs))), drawn[:, rows]])


def _interval(equivalents: Float, seeds: int) -> tuple[float | None, float | None]:
    """Of the budget, not of the share: a budget beyond the curve is still a larger budget."""
    if seeds < FEWEST_SEEDS:
        return None, None
    tail = (1.0 - expanded_level(seeds, LEVEL)) / 2.0
    low, high = np.quantile(equivalents, [tail, 1.0 - tail], method="inverted_cdf")
    return float(low), float(high)
