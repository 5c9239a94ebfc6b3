r"""What an arm brings against another on one test set: differences of rates, labels saved, labels that are missing.

An *arm* is a way of choosing training data; each was trained with the same S seeds. Rates are pooled over seeds.

Axes: C columns, S seeds, N utterances, G domains.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri, stdtrit

from plugin.quality.crossed import LEVEL, RESAMPLES, Crossed, Estimate, Statistic, cross, estimate
from plugin.quality.metrics import METRICS, ErrorCounts, Metric

Float = NDArray[np.float64]

POWER = 0.8
# A domain's rate of errors may be 0: it is taken as if so many utterances at the rate of all domains were in it too.
SMOOTHING = 10.0
_MOST_LABELS = 10_000_000


class Pair(NamedTuple):
    """The columns of a rate: numerator over denominator."""

    top: int
    bottom: int


@dataclass(frozen=True, slots=True, eq=False)
class Board:
    """All arms' metrics on one test set, resampled together. `domains` are the groups, sorted by name."""

    crossed: Crossed
    domains: tuple[str, ...]
    pairs: Mapping[tuple[str, Metric], Pair]

    def size(self, group: int = -1) -> int:
        return int(self.crossed.sizes[group])


def board(counts: Mapping[str, Sequence[ErrorCounts]], *, resamples: int = RESAMPLES, seed: int = 0) -> Board:
    """Lay out the errors of all arms for `rate`, `difference`, `relative` and `labels_saved`.

    Args:
        counts: arm -> what went wrong with each of the S seeds, of the same utterances in the same order.
        resamples, seed: as in `cross`.

    Raises:
        ValueError: no arm, arms with different numbers of seeds or utterances.

    >>> from plugin.quality.metrics import count_errors
    >>> from plugin.records import Hypothesis
    >>> gold = [Hypothesis("music", "play")] * 4
    >>> found = board({"random": [count_errors(gold, [Hypothesis("weather", "query"), *gold[1:]])]})
    >>> rate(found, "random", "dcer").value
    0.25
    """
    if not counts or len({(len(parts), *map(len, parts)) for parts in counts.values()}) != 1:
        raise ValueError("arms must have equally many seeds, all of the same utterances")
    columns: list[Float] = []
    known: dict[bytes, int] = {}

    def column(rows: list[Float]) -> int:
        table = np.stack(rows)  # (S, N)
        key = table.tobytes()
        if key not in known:
            known[key] = len(columns)
            columns.append(table)
        return known[key]

    pairs = {}
    for arm, parts in counts.items():
        for metric in METRICS:
            terms = [part.terms(metric) for part in parts]
            pairs[arm, metric] = Pair(column([top for top, _ in terms]), column([bottom for _, bottom in terms]))
    names, groups = np.unique(next(iter(counts.values()))[0].domains, return_inverse=True)
    crossed = cross(np.stack(columns), groups, resamples=resamples, seed=seed)
    return Board(crossed, tuple(names.tolist()), pairs)


def rate(found: Board, arm: str, metric: Metric, group: int = -1) -> Estimate:
    """An arm's rate in one domain, by its number; -1 is all of them.

    >>> rate(_example(), "entropy", "dcer").value
    0.25
    """
    return estimate(_ratio(found.pairs[arm, metric]), found.crossed, group)


def difference(found: Board, arm: str, other: str, metric: Metric, group: int = -1) -> Estimate:
    """The rate of `arm` less that of `other`, paired: of error rates, negative is better.

    >>> difference(_example(), "entropy", "random", "dcer").value
    -0.25
    """
    new, base = _ratio(found.pairs[arm, metric]), _ratio(found.pairs[other, metric])
    return estimate(lambda sums: new(sums) - base(sums), found.crossed, group)


def relative(found: Board, arm: str, other: str, metric: Metric, group: int = -1) -> Estimate:
    """The same as a share of the rate of `other`: -0.05 is 5 % fewer errors. NaN where `other` makes none.

    >>> relative(_example(), "entropy", "random", "dcer").value
    -0.5
    """
    new, base = _ratio(found.pairs[arm, metric]), _ratio(found.pairs[other, metric])
    return estimate(lambda sums: new(sums) / base(sums) - 1.0, found.crossed, group)


def smoothed_rate(found: Board, arm: str, metric: Metric, group: int) -> float:
    r"""An arm's rate in a domain, as if ten more utterances at its overall rate were in it.

    .. math:: (a_d + k \bar b\, r) / (b_d + k \bar b), \quad r = a / b

    with k = `SMOOTHING` and :math:`\bar b` the mean denominator of an utterance. A domain's difference over this is a
    relative change that few errors do not make wild.

    >>> round(smoothed_rate(_example(), "random", "dcer", group=0), 3)
    0.5
    """
    top, bottom = found.pairs[arm, metric]
    whole, part = found.crossed.sums[-1], found.crossed.sums[group]
    if not whole[bottom] > 0.0:
        return math.nan
    weight = SMOOTHING * whole[bottom] / max(found.size(), 1)
    return float((part[top] + weight * whole[top] / whole[bottom]) / (part[bottom] + weight))


def labels_saved(
    found: Board, nothing: str, control: str, arm: str, metric: Metric, group: int = -1
) -> Estimate | None:
    r"""How many of its labels an arm could have done without and still be as good as the control.

    With error rates :math:`e_0` without labels, :math:`e_c` of the control and :math:`e_a` of the arm at equal size,

    .. math:: 1 - \frac{e_0 - e_c}{e_0 - e_a}

    which is one less the control's budget over the arm's, read off a straight line from no labels to all. Learning
    curves fall ever more slowly, so the line lies above them: of an arm that is better, this is the least it saves.

    Args:
        nothing, control, arm: names of arms; `control` and `arm` with equally many labels beside those of `nothing`.
        metric: an error rate.

    Returns:
        At most 1, negative where the arm needs more. None where it cannot be told: unless arm and control both clearly
        gain on no labels at all (their 95 % intervals leave out 0).

    >>> labels_saved(_example(), "random", "random", "entropy", "dcer") is None
    True
    """
    gains = [difference(found, one, nothing, metric, group) for one in (control, arm)]
    if not all(gain.is_known and gain.high < 0.0 for gain in gains):
        return None
    rates = [_ratio(found.pairs[one, metric]) for one in (nothing, control, arm)]

    def saved(sums: Float) -> Float:
        without, by_control, by_arm = (of(sums) for of in rates)
        gained = without - by_arm
        share: Float = np.where(gained > 0.0, 1.0 - (without - by_control) / gained, -np.inf)
        return share

    told = estimate(saved, found.crossed, group)
    return told if told.is_known else None


def labels_needed(
    change: Estimate, relevant: float, *, utterances: int, labels: int, level: float = LEVEL, power: float = POWER
) -> int | None:
    r"""How many more control labels would likely settle a difference, of which half train and half test.

    The least k with

    .. math::
        \frac{\delta\,(1 + k / 2m)}{\sqrt{v_u\, n / (n + k/2) + v_s}} \ge t_{\nu,(1+level)/2} + \Phi^{-1}(power)

    where :math:`\delta` is the difference that matters, or the one that was seen if that is larger; with m labels in
    each arm it grows in proportion to them, as it does while labels are few beside the data they are added to.
    :math:`v_s` is the observed variance of seeds, :math:`v_u` that of n test utterances, which the k/2 join.

    Args:
        change: of the arm against the control.
        relevant: delta, above 0, in the unit of the change.
        utterances: n.
        labels: m, at least 1.
        level, power: of the two-sided test.

    Returns:
        At least 1, rounded up to two digits. None where the noise is not known, or ten million would not do.

    Raises:
        ValueError: `relevant` or `labels` is not positive.

    Source: the usual power calculation (Cohen 1988), with the variance components of `estimate`.

    >>> noisy = Estimate(0.001, 0.010, -0.02, 0.02, of_seeds=0.00002, degrees=20.0, p=0.9)
    >>> labels_needed(noisy, 0.01, utterances=2000, labels=100)
    370
    """
    if not relevant > 0.0 or labels < 1:
        raise ValueError(f"relevant and labels must be above 0, not {relevant} and {labels}")
    if not change.is_known:
        return None
    of_rows = max(change.std_error**2 - change.of_seeds, 0.0)
    wanted = float(stdtrit(change.degrees, (1.0 + level) / 2.0) + ndtri(power))
    # Where the noise is low enough for what matters and yet nothing is settled, what was seen is what is to be shown.
    deltas = [max(relevant, abs(change.value)), abs(change.value)]

    def is_enough(delta: float, more: float) -> bool:
        noise = math.sqrt(of_rows * utterances / (utterances + more / 2.0) + change.of_seeds)
        return delta * (1.0 + more / (2.0 * labels)) >= wanted * noise

    for delta in deltas:
        if delta > 0.0 and is_enough(delta, _MOST_LABELS) and not is_enough(delta, 0.0):
            low, high = 0, _MOST_LABELS
            while high - low > 1:
                middle = (low + high) // 2
                low, high = (low, middle) if is_enough(delta, middle) else (middle, high)
            return _two_digits(high)
    return None


def _ratio(pair: Pair) -> Statistic:
    def ratio(sums: Float) -> Float:
        quotient: Float = sums[..., pair.top] / sums[..., pair.bottom]
        return quotient

    return ratio


def _two_digits(count: int) -> int:
    """Up: a promise of 138 labels would be more exact than it can be."""
    unit: int = 10 ** max(len(str(count)) - 2, 0)
    return -(-count // unit) * unit


def _example() -> Board:
    """Four utterances, two arms, one seed: what the docstrings show."""
    from plugin.quality.metrics import count_errors
    from plugin.records import Hypothesis

    right, wrong = Hypothesis("music", "play"), Hypothesis("weather", "query")
    said = {"random": [wrong, wrong, right, right], "entropy": [wrong, right, right, right]}
    return board({arm: [count_errors([right] * 4, rows)] for arm, rows in said.items()})
