"""Whether a difference between two systems, or one of many, may be chance."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray

from plugin.quality.blocks import blocks

Float = NDArray[np.float64]

EXACT_SIGN_FLIPS = 16


def sign_flip_test(differences: ArrayLike, *, resamples: int = 100_000, seed: int = 0) -> float:
    r"""Two-sided p that differences paired by seed have mean 0, by flipping their signs.

    .. math:: p = P_{s \in \{-1, +1\}^n} \left( |\overline{s d}| \ge |\overline{d}| \right)

    All :math:`2^n` flips up to n = 16, else `resamples` random ones and the observed one.

    Args:
        differences: (n,) finite, one per seed: new minus base.
        resamples: random flips for n > 16.
        seed: of the random flips.

    Returns:
        p in [2 / 2^n, 1]: with 5 seeds never below 0.0625. NaN when n = 0.

    Raises:
        ValueError: not one axis, or a difference that is not finite.

    Source: Fisher 1935; as scipy.stats.permutation_test(permutation_type="samples").

    >>> sign_flip_test([1.0, 2.0, 3.0, 4.0, 5.0])
    0.0625
    """
    d = np.asarray(differences, dtype=np.float64)
    if d.ndim != 1 or not np.isfinite(d).all():
        raise ValueError(f"differences must be finite numbers of shape (n,), not of shape {d.shape}")
    if d.size == 0:
        return math.nan
    # Flips that give the same sum but for rounding count as equal.
    threshold = abs(d.sum()) - 1e-9 * np.abs(d).sum()
    if d.size <= EXACT_SIGN_FLIPS:
        sums = np.zeros(1)
        for value in d:  # (2^i,) -> (2^(i+1),)
            sums = np.concatenate([sums + value, sums - value])
        return float(np.mean(np.abs(sums) >= threshold))
    rng = np.random.default_rng(seed)
    extreme = sum(
        int(np.count_nonzero(np.abs((2.0 * rng.integers(0, 2, (size, d.size)) - 1.0) @ d) >= threshold))
        for size in blocks(resamples, d.size)
    )
    return (extreme + 1) / (resamples + 1)


def holm(p_values: ArrayLike) -> Float:
    r"""Adjusted p-values that control the family-wise error, step-down (Holm).

    .. math:: \tilde p_{(i)} = \max_{j \le i} \min(1, (m - j + 1)\, p_{(j)})

    Args:
        p_values: (m,) in [0, 1].

    Returns:
        (m,) in [0, 1], in the given order, each at least its p-value. Compare with the level as it is.

    Raises:
        ValueError: not one axis, or a value outside [0, 1].

    Source: Holm 1979.

    >>> holm([0.01, 0.04, 0.03]).round(4).tolist()
    [0.03, 0.06, 0.06]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError("p_values must be (m,) numbers in [0, 1]")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(np.minimum(p[order] * np.arange(p.size, 0, -1), 1.0))
    adjusted = np.empty_like(p)
    adjusted[order] = stepped
    return adjusted
