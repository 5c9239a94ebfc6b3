"""What strategies bring, domain by domain: noisy changes against random choice, drawn towards what each does over all.

An effect is a relative change of an error rate against random choice of the same size: -0.05 is 5 % fewer errors.

Axes: M measurements, D domains, K strategies.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri

Float = NDArray[np.float64]

# Before any verdict a strategy is no better and no worse than random choice, by so much (standard deviation). In the
# benchmark the means of four strategies over domains lay within 0.04 of each other, by DCER and by SEMER.
STRATEGIES = 0.05
# How much the effect of one strategy differs between domains: half-normal of this scale. There 0.03 to 0.14 by DCER,
# 0.015 to 0.11 by SEMER.
DOMAINS = 0.1
# What is tried for it. The likeliest is taken, not averaged over: one number that can be shown.
_SPREADS = (0.01, 0.02, 0.03, 0.045, 0.065, 0.1, 0.14, 0.2)


@dataclass(frozen=True, slots=True)
class Effects:
    """What is known of K strategies in D domains: normal means and standard deviations.

    mean, deviation                  (D, K)
    elsewhere, elsewhere_deviation   (K,) in a domain that nothing was measured in
    spread                           how much domains differ: the standard deviation of a strategy's effects over them
    """

    mean: Float
    deviation: Float
    elsewhere: Float
    elsewhere_deviation: Float
    spread: float


def pooled(values: ArrayLike, errors: ArrayLike, weights: ArrayLike, shared: float = 0.0) -> tuple[float, float]:
    r"""Several measurements of one effect as one, each worth what its age leaves of it.

    .. math::
        \hat y = \sum_m p_m y_m / \sum_m p_m, \quad p_m = \frac{w_m}{(1 - \rho) s_m^2}, \quad
        s^2 = \frac{1}{\sum_m p_m} + \frac{\rho\, \bar s^2}{\max_m w_m}

    where :math:`\bar s^2` is the mean of :math:`s_m^2` under the weights p. Measurements on the same test utterances
    with the same seeds err together: the part rho of their variance stays however many there are.

    Args:
        values: (M,) effects, M at least 1.
        errors: (M,) their standard errors, above 0.
        weights: (M,) in (0, 1], 1 for the newest: a weight of w makes a variance 1 / w times as large.
        shared: rho in [0, 1).

    Returns:
        The effect and its standard error. Of one measurement of weight 1 these are its own, whatever rho.

    Raises:
        ValueError: shapes that differ, nothing to pool, values that are not finite, anything outside its range.

    Source: Borenstein et al. 2009, chapters 11 and 24 (weights of inverse variance; correlated outcomes of one study).

    >>> [round(one, 4) for one in pooled([-0.1, -0.2], [0.1, 0.1], [1.0, 1.0])]
    [-0.15, 0.0707]
    >>> round(pooled([-0.1, -0.2], [0.1, 0.1], [1.0, 1.0], shared=0.5)[1], 4)
    0.0866
    """
    y, s, w = (np.asarray(column, dtype=np.float64) for column in (values, errors, weights))
    if y.ndim != 1 or not y.size or not y.shape == s.shape == w.shape:
        raise ValueError(f"values, errors and weights must be (M,) each, not {y.shape}, {s.shape}, {w.shape}")
    if not (np.isfinite(y).all() and np.isfinite(s).all() and (s > 0.0).all()):
        raise ValueError("values must be finite, and standard errors finite and above 0")
    if not ((w > 0.0) & (w <= 1.0)).all():
        raise ValueError("weights must lie in (0, 1]")
    if not 0.0 <= shared < 1.0:
        raise ValueError(f"shared must lie in [0, 1), not {shared}")
    precision = w / ((1.0 - shared) * s**2)  # (M,)
    total = precision.sum()
    variance = 1.0 / total + shared * (precision @ s**2) / total / w.max()
    return float(precision @ y / total), math.sqrt(variance)


def effects(
    values: ArrayLike, errors: ArrayLike, *, strategies: float = STRATEGIES, domains: float = DOMAINS
) -> Effects:
    r"""The posterior of effects under a hierarchical normal model.

    .. math::
        y_{dk} \sim N(\theta_{dk}, s_{dk}^2), \quad
        \theta_{dk} \sim N(\mu_k, \tau^2), \quad \mu_k \sim N(0, \sigma^2), \quad \tau \sim N^+(0, \delta^2)

    A domain that was measured well keeps its own effect; one that was not takes the strategy's mean over domains, and
    a strategy that was never tried is as good as random choice, with much room either way. :math:`\tau`, one for all
    strategies, is the likeliest of a few values given the data, its prior per step of its logarithm; the rest is in
    closed form given :math:`\tau`.

    Args:
        values: (D, K) measured effects; what was not measured is not looked at.
        errors: (D, K) their standard errors, above 0; inf where nothing was measured.
        strategies: sigma, above 0.
        domains: delta, above 0.

    Returns:
        Means and standard deviations, finite even of what was never measured.

    Raises:
        ValueError: shapes that differ, a standard error that is not above 0, a measured value that is not finite, a
            prior that is not above 0.

    Source: Gelman et al. 2013, section 5.4 (the normal model) and Gelman 2006 (the prior of tau).

    >>> measured = effects([[-0.10, 0.00], [-0.12, 0.02], [0.0, 0.0]], [[0.02, 0.02], [0.02, 0.02], [np.inf, np.inf]])
    >>> measured.mean.round(2).tolist()
    [[-0.1, 0.0], [-0.11, 0.02], [-0.09, 0.01]]
    """
    s = np.asarray(errors, dtype=np.float64)
    y = np.asarray(values, dtype=np.float64)
    if y.ndim != 2 or y.shape != s.shape:
        raise ValueError(f"values and errors must be (D, K) each, not {y.shape} and {s.shape}")
    if not (s > 0.0).all():
        raise ValueError("standard errors must be above 0")
    if not (strategies > 0.0 and domains > 0.0):
        raise ValueError(f"priors must be above 0, not {strategies} and {domains}")
    known = np.isfinite(s)
    if not np.isfinite(y[known]).all():
        raise ValueError("measured values must be finite")
    y, variance = np.where(known, y, 0.0), np.where(known, s, 1.0) ** 2
    likely = [_log_posterior(y, variance, known, spread, strategies, domains) for spread in _SPREADS]
    spread = _SPREADS[int(np.argmax(likely))]
    weight, mean, mean_variance = _overall(y, variance, known, spread, strategies)
    own = spread**2 * weight  # (D, K) how much of its own measurement an effect keeps: tau^2 / (tau^2 + s^2), or 0
    posterior = np.where(known, own * variance, spread**2) + (1.0 - own) ** 2 * mean_variance
    return Effects(
        mean=own * y + (1.0 - own) * mean,
        deviation=np.sqrt(posterior),
        elsewhere=mean,
        elsewhere_deviation=np.sqrt(spread**2 + mean_variance),
        spread=spread,
    )


def _overall(
    y: Float, variance: Float, known: NDArray[np.bool_], spread: float, strategies: float
) -> tuple[Float, ...]:
    """(D, K) precisions of what each measurement says of mu; (K,) its mean; (K,) its variance."""
    weight = np.where(known, 1.0 / (variance + spread**2), 0.0)
    mean_variance = 1.0 / (1.0 / strategies**2 + weight.sum(axis=0))
    return weight, mean_variance * (weight * y).sum(axis=0), mean_variance


def _log_posterior(
    y: Float, variance: Float, known: NDArray[np.bool_], spread: float, strategies: float, domains: float
) -> float:
    """Of tau, mu and theta integrated out, up to a constant."""
    weight, mean, mean_variance = _overall(y, variance, known, spread, strategies)
    of_data = 0.5 * np.log(weight[known]).sum() - 0.5 * (weight * y**2).sum()
    of_means = 0.5 * (mean**2 / mean_variance + np.log(mean_variance)).sum()
    of_prior = -0.5 * (spread / domains) ** 2 + math.log(spread)
    return float(of_data + of_means + of_prior)


def drawn(mean: ArrayLike, deviation: ArrayLike, lots: ArrayLike, reshaped: float = 1.0) -> Float:
    r"""One draw of each effect: Thompson sampling plays the best of them.

    .. math:: \tilde\theta = m + \alpha\, \Phi^{-1}(u)\, s

    Args:
        mean: (...) m.
        deviation: (...) s, not negative.
        lots: (...) u in (0, 1), uniform.
        reshaped: alpha, not negative: 1 plays each as often as it is likely to be the best; less tries less, which
            over few rounds costs less than it misses.

    Returns:
        (...), rising with mean and lots.

    Raises:
        ValueError: a negative deviation or alpha, a lot outside (0, 1).

    Source: Thompson 1933; Chapelle and Li 2011 (posterior reshaping).

    >>> drawn([0.0, -0.1], [0.1, 0.0], [0.5, 0.9]).tolist()
    [0.0, -0.1]
    """
    m, s, u = (np.asarray(values, dtype=np.float64) for values in (mean, deviation, lots))
    if not (s >= 0.0).all() or not reshaped >= 0.0:
        raise ValueError("deviations and what reshapes them must not be negative")
    if not ((u > 0.0) & (u < 1.0)).all():
        raise ValueError("lots must lie in (0, 1)")
    values: Float = m + reshaped * ndtri(u) * s
    return values
