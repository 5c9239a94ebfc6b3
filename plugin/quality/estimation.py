r"""What selected annotations say of all that they were selected from: inverse-probability weighting, with predictions.

Annotations are of hard items first, and queues are worked off from the front: their plain mean says little. Each review
is weighted by how likely it was to be asked for *and* reached; what a model predicts of every row of the frame takes
the noise out of that as far as it is right, and does no harm where it is wrong.

Axes: N rows of a frame, n reviewed ones, K predictions of a row.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri, stdtrit

from plugin.quality.selection.rounds import PROBABILITY_DECIMALS, SelectedItem
from plugin.records import Arm

Float = NDArray[np.float64]

# A review at least this likely stands for itself and hardly for others.
CERTAIN = 0.5
FEW = 10


@dataclass(frozen=True, slots=True)
class Estimated:
    """A mean over a frame; NaN where it is not defined.

    std_error   of the mean
    effective   how many reviews, drawn at random from the whole frame, would say as much
    n           reviews
    """

    value: float
    std_error: float
    low: float
    high: float
    effective: float
    n: int


def reached_probabilities(items: Sequence[SelectedItem], reached: Collection[int], control: float) -> dict[int, float]:
    r"""How likely each item of a round was to be asked for within the part of the queues that people got through.

    With :math:`\pi` stored for the whole round and c / N the control's share of the frame, the strategy would have
    taken an item with :math:`\pi_s`. What the control holds stands among the control's, whatever else holds it:

    .. math:: \pi_s = 1 - \frac{1 - \pi}{1 - c/N}, \quad
        \pi' = \frac{c}{N} \rho_c + \left(1 - \frac{c}{N}\right) \pi_s\, \rho_s

    Queue by queue. Control items stand in random order, and so do those that a strategy drew: of these :math:`\rho` is
    the share of such items that was reached, or of all where there is none. Ranked items stand by their rank, which is
    no chance: :math:`\rho_s` is 1 for what lies before the last that was reached, and 0 for what lies behind; for an
    item of the control under a strategy that gives no scores to compare, the share of ranked items that was reached.
    Suspects of the noise arm are certain once reached.

    Args:
        items: of the round, as `plugin.quality.selection.select` gives them.
        reached: ids of those that were reviewed.
        control: c / N, in [0, 1].

    Returns:
        id -> probability in (0, 1], of the items that were reached. The rows of a domain in which no control item could
        be reached (`reached_shares` says 0) have no chance of their own: leave them out of the frame.

    Raises:
        ValueError: `control` is outside of [0, 1].

    Source: Horvitz and Thompson 1952.

    >>> round_ = [
    ...     SelectedItem(1, "music", 1, (Arm.CONTROL,), None, 0.2, None),
    ...     SelectedItem(2, "music", 2, (Arm.STRATEGY,), "hard", 1.0, 0.9),
    ...     SelectedItem(3, "music", 3, (Arm.CONTROL,), None, 0.2, None),
    ... ]
    >>> reached_probabilities(round_, {1, 2}, control=0.2)
    {1: 0.1, 2: 0.9}
    """
    if not 0.0 <= control <= 1.0:
        raise ValueError(f"control must lie in [0, 1], not {control}")
    found: dict[int, float] = {}
    for queue in _queues(items).values():
        parts = _Parts(queue, reached)
        of_control = _share(parts.control, reached, queue)
        for item in queue:
            if item.utterance_id not in reached:
                continue
            by_strategy = 1.0 - (1.0 - item.inclusion_probability) / (1.0 - control) if control < 1.0 else 0.0
            of_strategy = parts.reached_by_strategy(item)
            probability = control * of_control + (1.0 - control) * min(max(by_strategy, 0.0), 1.0) * of_strategy
            found[item.utterance_id] = round(probability, PROBABILITY_DECIMALS)
    return found


class _Parts:
    """How far people got in each part of a queue."""

    def __init__(self, queue: Sequence[SelectedItem], reached: Collection[int]) -> None:
        self._queue, self._reached = queue, reached
        self.control = [item for item in queue if Arm.CONTROL in item.arms]
        others = [item for item in queue if Arm.CONTROL not in item.arms and Arm.NOISE not in item.arms]
        self._ranked = [item for item in others if item.composition == "hard"]
        self._drawn = [item for item in others if item.composition != "hard"]
        self._is_whole = all(item.utterance_id in reached for item in queue)
        got = [item.score for item in self._ranked if item.utterance_id in reached and item.score is not None]
        self._last = min(got, default=math.inf)
        self._has_scores = any(item.score is not None for item in self._ranked)

    def reached_by_strategy(self, item: SelectedItem) -> float:
        """rho_s: whether, or how likely, people would have got to it where the strategy puts it."""
        is_control = Arm.CONTROL in item.arms
        if self._is_whole or (not is_control and (Arm.NOISE in item.arms or item.composition == "hard")):
            return 1.0
        is_ranked = item.composition == "hard" or (item.composition is None and not self._drawn)
        if not is_ranked:
            return _share(self._drawn, self._reached, self._queue)
        if self._has_scores and item.score is not None:
            return float(item.score >= self._last)
        return _share(self._ranked, self._reached, self._queue)


def reached_shares(items: Sequence[SelectedItem], reached: Collection[int]) -> dict[str, float]:
    """Domain -> the part of its control items that people got to, or of all its items where the control has none there.

    >>> round_ = [SelectedItem(n, "music", n, (Arm.CONTROL,), None, 0.2, None) for n in (1, 2)]
    >>> reached_shares(round_, {1})
    {'music': 0.5}
    """
    return {
        domain: _share([item for item in queue if Arm.CONTROL in item.arms], reached, queue)
        for domain, queue in _queues(items).items()
    }


def _queues(items: Sequence[SelectedItem]) -> dict[str, list[SelectedItem]]:
    queues: dict[str, list[SelectedItem]] = defaultdict(list)
    for item in items:
        queues[item.domain].append(item)
    return queues


def _share(part: Sequence[SelectedItem], reached: Collection[int], queue: Sequence[SelectedItem]) -> float:
    """Of a part of a queue; of the whole queue where it has nothing of the part."""
    of = part or queue
    return sum(item.utterance_id in reached for item in of) / len(of)


def selected_mean(
    values: ArrayLike,
    probability: ArrayLike,
    predictions: ArrayLike,
    everywhere: ArrayLike,
    *,
    queues: int = 1,
    level: float = 0.95,
) -> Estimated:
    r"""Share of a frame of N rows from n of them, drawn with known probabilities, and predictions of all N.

    .. math::
        \hat\theta = \frac{1}{N} \left( \sum_{i=1}^N \lambda^\top f_i
            + \sum_{i \in s} \frac{y_i - \lambda^\top f_i}{\pi_i} \right)

    :math:`\lambda` is what makes the variance least, :math:`Var(a)^{-1} Cov(a, b)` with the N-vectors
    :math:`a_i = f_i (\xi_i / \pi_i - 1)` and :math:`b_i = y_i \xi_i / \pi_i` (:math:`\xi_i`: whether i was drawn). A
    prediction that is 1 everywhere makes the weights add up to N; one that says nothing gets no weight. The standard
    error is that of the mean of the N rectified terms, as for a frame that is itself a sample.

    The interval is of this frame. Reviews that were nearly certain (:math:`\pi \ge 1/2`) stand for little but
    themselves; of the rest of the frame few reviews speak, and errors there may be too rare to have shown. So the rest
    has Wilson's interval, for the number of plain reviews that would be as sure and with Student's quantile, and the
    two are put together by their distances from the estimate (MOVER).

    Args:
        values: (n,) y in [0, 1].
        probability: (n,) pi in (0, 1].
        predictions: (n, K) f of the reviewed rows, finite; K may be 0.
        everywhere: (N, K) f of all rows, the reviewed ones among them.
        queues: how many queues the reach was read off: each costs a degree of freedom, as each prediction does.
        level: coverage, in (0, 1).

    Returns:
        The share, and an interval within [0, 1]. All NaN without a review.

    Raises:
        ValueError: shapes that do not agree, values or probabilities outside their range, more reviews than rows.

    Source: Zrnic and Candes 2024, 'Active statistical inference'; Angelopoulos et al. 2023 (PPI++); Korn and Graubard
    1998 (intervals of survey proportions); Zou and Donner 2008 (MOVER).

    >>> found = selected_mean([1.0, 0.0, 0.0, 1.0], [1.0, 0.5, 0.5, 0.5], np.ones((4, 1)), np.ones((7, 1)))
    >>> round(found.value, 3), found.low < 0.3 < found.high
    (0.429, True)
    """
    y, pi = np.asarray(values, dtype=np.float64), np.asarray(probability, dtype=np.float64)
    f, of_all = np.asarray(predictions, dtype=np.float64), np.asarray(everywhere, dtype=np.float64)
    if y.ndim != 1 or pi.shape != y.shape or of_all.ndim != 2 or f.shape != (y.size, of_all.shape[1]):
        raise ValueError(f"shapes do not agree: {y.shape}, {pi.shape}, {f.shape}, {of_all.shape}")
    if not ((y >= 0.0) & (y <= 1.0)).all() or not ((pi > 0.0) & (pi <= 1.0)).all():
        raise ValueError("values must lie in [0, 1], and probabilities in (0, 1]")
    if y.size > len(of_all) or not np.isfinite(of_all).all() or not np.isfinite(f).all():
        raise ValueError("predictions must be finite, and there are no more reviews than rows")
    size = len(of_all)
    if not y.size:
        return Estimated(math.nan, math.nan, math.nan, math.nan, 0.0, 0)
    weight = _least_variance(y, pi, f, of_all)  # (K,)
    residual = y - f @ weight  # (n,)
    everyone, left = of_all @ weight, residual / pi  # (N,), (n,)
    value = float((everyone.sum() + left.sum()) / size)
    # The N rectified terms: their sum of squares needs no places of the reviewed rows.
    squares = float(everyone @ everyone + (2.0 * (f @ weight) + left) @ left)
    variance = max(squares - size * value**2, 0.0) / max(size - 1, 1) / size
    low, high = _interval(value, y, pi, residual, size, weight.size + queues - 1, level)
    inside = min(max(value, 0.0), 1.0)
    effective = inside * (1.0 - inside) / variance if variance > 0.0 else float(y.size)
    return Estimated(inside, math.sqrt(variance), low, high, effective, y.size)


def _least_variance(y: Float, pi: Float, f: Float, of_all: Float) -> Float:
    """(K,): Var(a)^-1 Cov(a, b) over the N rows, of which the unreviewed ones have a = -f and b = 0."""
    size = len(of_all)
    a, b = f * (1.0 / pi - 1.0)[:, None], y / pi  # (n, K), (n,)
    sums = a.sum(axis=0) - (of_all.sum(axis=0) - f.sum(axis=0))  # (K,)
    products = a.T @ a + of_all.T @ of_all - f.T @ f
    variance = products - np.outer(sums, sums) / size
    covariance = a.T @ b - sums * b.sum() / size
    weight: Float = np.linalg.lstsq(variance, covariance, rcond=1e-10)[0]
    return weight


def _interval(
    value: float, y: Float, pi: Float, residual: Float, size: int, fitted: int, level: float
) -> tuple[float, float]:
    """Of the frame's own share: the nearly certain reviews and the rest of the frame, put together."""
    sure = pi >= CERTAIN
    known = min(float((1.0 / pi[sure]).sum()) / size, 1.0)  # the part of the frame that the sure ones stand for
    of_known = float((y[sure] / pi[sure]).sum()) / size
    spread = (1.0 - pi[sure]) / pi[sure] ** 2 * (residual[sure] - residual[sure].mean()) ** 2 if sure.any() else 0.0
    reach_known = float(ndtri(0.5 + level / 2.0)) * math.sqrt(float(np.sum(spread))) / size
    rest = 1.0 - known
    if rest <= 0.0:
        return max(value - reach_known, 0.0), min(value + reach_known, 1.0)
    drawn = int((~sure).sum())
    if drawn < 2:
        return max(of_known - reach_known, 0.0), min(of_known + rest + reach_known, 1.0)
    share = min(max((value - of_known) / rest, 0.0), 1.0)
    low, high = _wilson(share, y[~sure], pi[~sure], residual[~sure], rest * size, fitted, level)
    below, above = math.hypot(rest * (share - low), reach_known), math.hypot(rest * (high - share), reach_known)
    return max(value - below, 0.0), min(value + above, 1.0)


def _wilson(
    share: float, y: Float, pi: Float, residual: Float, size: float, fitted: int, level: float
) -> tuple[float, float]:
    """Of the part of the frame that few reviews speak for."""
    weight = 1.0 / pi
    plain = float(np.average(y, weights=weight))
    is_rare = min(float(y.sum()), float((1.0 - y).sum())) < FEW
    # Of few errors one cannot tell how well they are predicted.
    terms, mean = (y, plain) if is_rare else (residual, share)
    centred = terms - np.average(terms, weights=weight)
    kish = float(weight.sum() ** 2 / (weight**2).sum())
    degrees = max(kish - 1.0 - fitted, 1.0)
    variance = float(((1.0 - pi) * weight**2 * centred**2).sum()) * kish / degrees / size**2
    effective = mean * (1.0 - mean) / variance if variance > 0.0 and 0.0 < mean < 1.0 else kish
    z = float(stdtrit(degrees, 0.5 + level / 2.0))
    scale = 1.0 + z * z / effective
    middle = (share + z * z / (2.0 * effective)) / scale
    half = z * math.sqrt(share * (1.0 - share) / effective + z * z / (4.0 * effective**2)) / scale
    return middle - half, middle + half
