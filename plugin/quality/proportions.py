r"""Shares of successes: how sure one may be of one, and of the difference between two independent ones.

Both intervals are Wilson's or built on them: they hold for few cases and for shares near 0 and 1, where what is shown
blind begins.
"""

from __future__ import annotations

import math

from scipy.special import ndtri

from plugin.quality.inference import Interval


def share_interval(successes: int, n: int, *, level: float = 0.95) -> Interval:
    r"""Wilson's score interval of :math:`\hat p = k / n`.

    :math:`\left(\hat p + \frac{z^2}{2n} \pm z \sqrt{\frac{\hat p (1 - \hat p)}{n} + \frac{z^2}{4n^2}}\right) \Big/
    \left(1 + \frac{z^2}{n}\right)`

    Args:
        successes: k, in [0, n].
        n: cases; with none, the value is NaN and the interval all of [0, 1].
        level: in (0, 1).

    Raises:
        ValueError: a count or the level is out of range.

    Source: Wilson 1927.

    >>> found = share_interval(0, 20)
    >>> round(found.low, 3), round(found.high, 3)
    (0.0, 0.161)
    """
    if not 0 <= successes <= n:
        raise ValueError(f"successes must lie in [0, {n}], not {successes}")
    if not 0.0 < level < 1.0:
        raise ValueError(f"level must lie in (0, 1), not {level}")
    if n == 0:
        return Interval(math.nan, 0.0, 1.0, level, 0)
    z = float(ndtri(0.5 + level / 2.0))
    share, scale = successes / n, 1.0 + z * z / n
    middle = (share + z * z / (2 * n)) / scale
    half = z * math.sqrt(share * (1.0 - share) / n + z * z / (4 * n * n)) / scale
    # Rounding may leave the ends a hair beyond what they are by algebra.
    low = 0.0 if successes == 0 else middle - half
    return Interval(share, low, 1.0 if successes == n else middle + half, level, n)


def difference_interval(one: tuple[int, int], other: tuple[int, int], *, level: float = 0.95) -> Interval:
    r"""Newcombe's hybrid score interval of :math:`\hat p_1 - \hat p_2`, independent samples.

    With Wilson's :math:`[l_i, u_i]`: from :math:`\hat p_1 - \hat p_2 - \sqrt{(\hat p_1 - l_1)^2 + (u_2 - \hat p_2)^2}`
    to :math:`\hat p_1 - \hat p_2 + \sqrt{(u_1 - \hat p_1)^2 + (\hat p_2 - l_2)^2}`.

    Args:
        one, other: (successes, cases) each; with no case on a side, the value is NaN and the interval all of [-1, 1].

    Raises:
        ValueError: as `share_interval`.

    Returns:
        `n` counts the cases of both.

    Source: Newcombe 1998, method 10.

    >>> found = difference_interval((56, 70), (48, 80))
    >>> round(found.low, 4), round(found.high, 4)
    (0.0524, 0.3339)
    """
    first, second = share_interval(*one, level=level), share_interval(*other, level=level)
    if not first.n or not second.n:
        return Interval(math.nan, -1.0, 1.0, level, first.n + second.n)
    difference = first.value - second.value
    below = math.hypot(first.value - first.low, second.high - second.value)
    above = math.hypot(first.high - first.value, second.value - second.low)
    return Interval(difference, difference - below, difference + above, level, first.n + second.n)
