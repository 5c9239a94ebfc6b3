"""Whether a probability means what it says. Axis: N predictions."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike


def calibration_error(confidence: ArrayLike, correct: ArrayLike, *, bins: int = 15) -> float:
    r"""Expected calibration error, :math:`\sum_b \frac{|B_b|}{N} |\mathrm{acc}(B_b) - \mathrm{conf}(B_b)|`.

    Bins of equal width, (low, high], the first one closed.

    Args:
        confidence: (N,) in [0, 1], the probability given to the class that was chosen.
        correct: (N,) boolean, or 0 and 1.
        bins: at least 1.

    Returns:
        In [0, 1]; 0 is best. NaN when N = 0.

    Raises:
        ValueError: shapes that differ, a confidence outside [0, 1], correct not boolean, bins below 1.

    Source: Guo et al. 2017 (arXiv 1706.04599), equation 3.

    >>> round(calibration_error([0.9, 0.9, 0.6, 0.6], [True, True, True, False]), 4)
    0.1
    """
    sure = np.asarray(confidence, dtype=np.float64)
    right = np.asarray(correct)
    if sure.ndim != 1 or sure.shape != right.shape:
        raise ValueError(f"confidence and correct must both be (N,), not {sure.shape} and {right.shape}")
    if not ((sure >= 0.0) & (sure <= 1.0)).all():
        raise ValueError("confidence must lie in [0, 1]")
    if not np.isin(right, (0, 1)).all():
        raise ValueError("correct must hold only true and false")
    if bins < 1:
        raise ValueError(f"bins must be at least 1, not {bins}")
    if sure.size == 0:
        return math.nan
    # k / bins, as a person would write the edge: neither sure * bins nor linspace meets it exactly.
    edges = np.arange(1, bins) / bins
    index = np.searchsorted(edges, sure, side="left")  # (N,) in [0, bins)
    gap = np.bincount(index, weights=right.astype(np.float64) - sure, minlength=bins)  # |B| (acc - conf)
    return float(np.abs(gap).sum() / sure.size)
