"""Temperature scaling of the ensemble's mean probability (Guo et al., arXiv 1706.04599)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import softmax

Floats = NDArray[np.floating[Any]]

_LOWEST, _HIGHEST = 0.25, 8.0
_FEWEST = 20


def fit_temperature(logits: Floats, labels: NDArray[np.int64], voters: NDArray[np.bool_]) -> float:
    """The T that minimises the negative log-likelihood of the ensemble's mean probability.

        NLL(T) = -mean_n ln( mean over voters r of softmax(logits[r, n] / T)[labels[n]] )

    Args:
        logits: (R, N, K), not scaled.
        labels: (N,) class numbers; rows with a negative label are left out.
        voters: (R, N), whether replicate r may judge row n (it did not train on it); rows without a voter
            are left out.

    Returns:
        T in [0.25, 8]; above 1 the heads were too sure. 1.0 when fewer than 20 rows are left, too few to
        tell, or when there is a single class.
    """
    usable = (labels >= 0) & voters.any(0)
    if int(usable.sum()) < _FEWEST or logits.shape[-1] < 2:
        return 1.0
    kept = logits[:, usable].astype(np.float64)  # (R, n, K)
    truth = labels[usable]
    share = voters[:, usable] / voters[:, usable].sum(0)  # (R, n)

    def negative_log_likelihood(log_temperature: float) -> float:
        probs = softmax(kept / np.exp(log_temperature), axis=-1)[:, np.arange(len(truth)), truth]
        return float(-np.log(np.maximum((probs * share).sum(0), 1e-12)).mean())

    best = minimize_scalar(negative_log_likelihood, bounds=(np.log(_LOWEST), np.log(_HIGHEST)), method="bounded")
    return float(np.exp(best.x))
