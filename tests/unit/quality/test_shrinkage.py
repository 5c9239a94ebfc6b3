"""Empirical Bayes: how far estimates are noise, and what drawing them towards their mean brings."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from plugin.quality.shrinkage import between_variance, shrink


def test_the_variance_between_is_the_restricted_likelihoods_where_errors_are_equal() -> None:
    # With equal errors Paule-Mandel, DerSimonian-Laird and restricted maximum likelihood agree.
    values, errors = np.array([-0.2, -0.05, 0.0, 0.1, 0.3]), np.full(5, 0.05)

    def minus_likelihood(tau2: float) -> float:
        variance = errors**2 + tau2
        mean = np.average(values, weights=1 / variance)
        return float(np.log(variance).sum() + np.log((1 / variance).sum()) + ((values - mean) ** 2 / variance).sum())

    best = minimize_scalar(minus_likelihood, bounds=(0, 1), method="bounded", options={"xatol": 1e-10}).x
    assert between_variance(values, errors) == pytest.approx(best, rel=1e-4)


@given(st.lists(st.tuples(st.floats(-0.5, 0.5), st.floats(0.01, 0.3)), min_size=2, max_size=8), st.floats(-1.0, 1.0))
def test_shrinking_draws_towards_the_mean_and_moves_with_the_values(
    estimates: list[tuple[float, float]], shift: float
) -> None:
    values, errors = np.array(estimates).T
    means, spreads = shrink(values, errors)
    assert (means >= values.min() - 1e-9).all()
    assert (means <= values.max() + 1e-9).all()
    assert (spreads > 0).all()
    moved, same = shrink(values + shift, errors)
    assert moved == pytest.approx(means + shift, abs=1e-6)
    assert same == pytest.approx(spreads, abs=1e-6)


def test_shrunken_estimates_err_less_than_raw_ones() -> None:
    rng = np.random.default_rng(4)
    raw, drawn = 0.0, 0.0
    for _ in range(300):
        truth = rng.normal(-0.05, 0.03, 6)
        errors = rng.uniform(0.03, 0.1, 6)
        seen = rng.normal(truth, errors)
        means, _ = shrink(seen, errors)
        raw += float(((seen - truth) ** 2).sum())
        drawn += float(((means - truth) ** 2).sum())
    assert drawn < 0.6 * raw


@pytest.mark.parametrize(
    ("values", "errors"), [([0.1], [0.1]), ([0.1, 0.2], [0.1]), ([0.1, 0.2], [0.1, 0.0]), ([[0.1, 0.2]], [[0.1, 0.2]])]
)
def test_what_cannot_be_shrunken_is_refused(values: list[float], errors: list[float]) -> None:
    with pytest.raises(ValueError):
        shrink(values, errors)
