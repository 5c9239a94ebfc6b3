"""Many noisy estimates of similar things, drawn towards their mean as far as they are noise. Axis: D estimates."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import brentq

Float = NDArray[np.float64]


def shrink(values: ArrayLike, errors: ArrayLike) -> tuple[Float, Float]:
    r"""Empirical Bayes of a normal-normal model: estimates drawn towards their mean as far as they are noise.

    .. math:: y_d \sim N(\theta_d, s_d^2), \quad \theta_d \sim N(\mu, \tau^2)

    :math:`\tau^2` by Paule and Mandel (the value at which the weighted sum of squares is D - 1), 0 when the
    spread is no more than noise explains. The returned spread adds the uncertainty of :math:`\mu`.

    Args:
        values: (D,) estimates, D at least 2.
        errors: (D,) their standard errors, positive.

    Returns:
        (D,) means and (D,) standard deviations of theta given the data.

    Raises:
        ValueError: shapes that differ, fewer than two values, an error that is not positive.

    Source: Paule and Mandel 1982; Morris 1983.

    >>> means, _ = shrink([-0.10, 0.10], [0.2, 0.2])  # no more than noise: both are the mean
    >>> bool(np.allclose(means, 0.0))
    True
    """
    y, s = np.asarray(values, dtype=np.float64), np.asarray(errors, dtype=np.float64)
    if y.ndim != 1 or y.shape != s.shape or y.size < 2:
        raise ValueError(f"values and errors must be (D,) each with D of 2 or more, not {y.shape} and {s.shape}")
    if not (s > 0.0).all():
        raise ValueError("standard errors must be positive")
    tau2 = between_variance(y, s)
    weights = 1.0 / (s**2 + tau2)
    mean = weights @ y / weights.sum()
    own = tau2 / (tau2 + s**2)  # (D,) how much of its own estimate a domain keeps
    variance = own * s**2 + (1.0 - own) ** 2 / weights.sum()
    return own * y + (1.0 - own) * mean, np.sqrt(variance)


def between_variance(values: Float, errors: Float) -> float:
    r"""Paule and Mandel's :math:`\tau^2`: the root of :math:`\sum_d w_d (y_d - \mu_w)^2 = D - 1`, or 0.

    Args:
        values: (D,).
        errors: (D,) positive.

    Returns:
        At least 0.

    >>> between_variance(np.array([0.0, 2.0]), np.array([1.0, 1.0]))
    1.0
    """

    def excess(tau2: float) -> float:
        weights = 1.0 / (errors**2 + tau2)
        mean = weights @ values / weights.sum()
        return float(weights @ (values - mean) ** 2) - (len(values) - 1)

    if excess(0.0) <= 0.0:
        return 0.0
    high = float(np.var(values, ddof=1)) + 1e-12
    while excess(high) > 0.0:
        high *= 2.0
    return float(brentq(excess, 0.0, high, xtol=1e-15))
