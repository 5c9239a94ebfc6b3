"""Effects: what is pooled, what is drawn towards the mean, and that both are what the definition says."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from plugin.quality.effects import _SPREADS, DOMAINS, STRATEGIES, drawn, effects, pooled

Float = NDArray[np.float64]
GONE = math.inf


def some(rng: np.random.Generator, domains: int = 6, strategies: int = 3) -> tuple[Float, Float]:
    errors = rng.uniform(0.02, 0.2, (domains, strategies))
    values = rng.normal(-0.03, 0.1, errors.shape)
    errors[rng.random(errors.shape) < 0.3] = GONE
    return values, errors


def by_conditioning(values: Float, errors: Float, spread: float) -> tuple[Float, Float, float]:
    """One strategy: theta and mu as one Gaussian vector, conditioned on what was measured; and the evidence."""
    size = len(values)
    joint = np.full((size + 1, size + 1), STRATEGIES**2)  # theta_1 .. theta_D, mu
    joint[:size, :size] += np.eye(size) * spread**2
    known = np.flatnonzero(np.isfinite(errors))
    covariance = joint[np.ix_(known, known)] + np.diag(errors[known] ** 2)
    gain = np.linalg.solve(covariance, joint[known]).T
    mean = gain @ values[known]
    variance = np.diag(joint - gain @ joint[known])
    evidence = stats.multivariate_normal(np.zeros(known.size), covariance).logpdf(values[known]) if known.size else 0.0
    return mean, np.sqrt(variance), float(evidence)


@pytest.mark.parametrize("seed", range(8))
def test_effects_are_those_of_the_joint_normal_under_the_likeliest_spread(seed: int) -> None:
    values, errors = some(np.random.default_rng(seed))
    found = effects(values, errors)
    likely = []
    for spread in _SPREADS:
        parts = [by_conditioning(values[:, k], errors[:, k], spread) for k in range(values.shape[1])]
        prior = stats.halfnorm(scale=DOMAINS).logpdf(spread) + math.log(spread)
        likely.append((prior + sum(evidence for *_, evidence in parts), spread, parts))
    _, spread, parts = max(likely, key=lambda one: one[0])
    assert found.spread == spread
    for k, (mean, deviation, _) in enumerate(parts):
        np.testing.assert_allclose(found.mean[:, k], mean[:-1], atol=1e-12)
        np.testing.assert_allclose(found.deviation[:, k], deviation[:-1], atol=1e-12)
        assert found.elsewhere[k] == pytest.approx(mean[-1])
        assert found.elsewhere_deviation[k] == pytest.approx(math.hypot(deviation[-1], spread))


def test_alike_domains_lend_each_other_strength_and_different_ones_keep_their_own() -> None:
    rng = np.random.default_rng(0)
    alike = effects(rng.normal(-0.05, 0.05, (20, 1)), np.full((20, 1), 0.05))
    assert alike.spread <= 0.03
    assert np.ptp(alike.mean) < 0.06
    assert alike.elsewhere[0] == pytest.approx(-0.05, abs=0.03)
    own = np.where(np.arange(20) % 2, 0.15, -0.15)[:, None]
    different = effects(rng.normal(own, 0.05), np.full((20, 1), 0.05))
    assert different.spread >= 0.1
    assert (np.sign(different.mean) == np.sign(own)).all()


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    rng = np.random.default_rng(1)
    inside = []
    for _ in range(400):
        spread = abs(rng.normal(0.0, DOMAINS))
        truth = rng.normal(0.0, STRATEGIES, 4) + rng.normal(0.0, spread, (12, 4))
        errors = rng.uniform(0.03, 0.12, truth.shape)
        errors[rng.random(truth.shape) < 0.4] = GONE
        noise = np.where(np.isfinite(errors), errors, 0.0) * rng.standard_normal(truth.shape)
        found = effects(truth + noise, errors)
        inside.append(np.abs(found.mean - truth) < 1.96 * found.deviation)
    assert np.mean(inside) == pytest.approx(0.95, abs=0.015)


def test_nothing_measured_leaves_the_prior() -> None:
    found = effects(np.zeros((0, 3)), np.zeros((0, 3)))
    assert found.mean.shape == (0, 3)
    assert found.elsewhere.tolist() == [0.0, 0.0, 0.0]
    np.testing.assert_allclose(found.elsewhere_deviation, math.hypot(STRATEGIES, found.spread))
    empty = effects(np.full((2, 3), np.nan), np.full((2, 3), GONE))
    np.testing.assert_allclose(empty.mean, 0.0)


@given(
    rows=st.lists(st.tuples(st.floats(-1.0, 1.0), st.floats(0.01, 0.5), st.floats(0.05, 1.0)), min_size=1, max_size=20),
    shared=st.floats(0.0, 0.95),
)
def test_pooled_lies_within_what_was_measured_and_knows_no_more_than_all(
    rows: list[tuple[float, float, float]], shared: float
) -> None:
    values, errors, weights = np.array(rows).T
    value, error = pooled(values, errors, weights, shared)
    assert values.min() - 1e-12 <= value <= values.max() + 1e-12
    assert error >= math.sqrt(1.0 / (1.0 / errors**2).sum()) * (1.0 - 1e-9)
    plain = math.sqrt(1.0 / (weights / errors**2).sum())
    assert pooled(values, errors, weights)[1] == pytest.approx(plain)
    assert error >= plain * (1.0 - 1e-9)


def test_what_errs_together_is_worth_less() -> None:
    """Equal variances: that of a mean of M equally correlated measurements."""
    for count in (1, 2, 7):
        value, error = pooled([0.1] * count, [0.2] * count, [1.0] * count, shared=0.5)
        assert value == pytest.approx(0.1)
        assert error == pytest.approx(0.2 * math.sqrt(0.5 / count + 0.5))
    assert pooled([0.1], [0.2], [0.25], shared=0.5)[1] == pytest.approx(0.4)


def test_draws_follow_the_posterior() -> None:
    lots = (np.arange(2000) + 0.5) / 2000
    values = drawn(np.full(2000, -0.05), np.full(2000, 0.02), lots)
    np.testing.assert_allclose(stats.norm(-0.05, 0.02).cdf(values), lots, atol=1e-9)
    assert drawn(-0.05, 0.02, lots, reshaped=0.5).std() == pytest.approx(0.01, rel=0.01)
    assert (drawn(-0.05, 0.02, lots, reshaped=0.0) == -0.05).all()


@pytest.mark.parametrize(
    ("values", "errors", "weights", "shared", "said"),
    [
        ([], [], [], 0.0, r"must be \(M,\) each"),
        ([0.1], [0.1, 0.1], [1.0], 0.0, r"must be \(M,\) each"),
        ([math.nan], [0.1], [1.0], 0.0, "must be finite"),
        ([0.1], [0.0], [1.0], 0.0, "above 0"),
        ([0.1], [math.inf], [1.0], 0.0, "above 0"),
        ([0.1], [0.1], [0.0], 0.0, "weights must lie"),
        ([0.1], [0.1], [1.1], 0.0, "weights must lie"),
        ([0.1], [0.1], [1.0], 1.0, "shared must lie"),
    ],
)
def test_what_cannot_be_pooled_is_refused(
    values: list[float], errors: list[float], weights: list[float], shared: float, said: str
) -> None:
    with pytest.raises(ValueError, match=said):
        pooled(values, errors, weights, shared)


def test_impossible_effects_and_draws_are_refused() -> None:
    with pytest.raises(ValueError, match=r"must be \(D, K\)"):
        effects([0.1], [0.1])
    with pytest.raises(ValueError, match="standard errors must be above 0"):
        effects([[0.1]], [[0.0]])
    with pytest.raises(ValueError, match="must be finite"):
        effects([[math.nan]], [[0.1]])
    with pytest.raises(ValueError, match="priors must be above 0"):
        effects([[0.1]], [[0.1]], strategies=0.0)
    with pytest.raises(ValueError, match="lots must lie"):
        drawn(0.0, 1.0, 1.0)
    with pytest.raises(ValueError, match="must not be negative"):
        drawn(0.0, -1.0, 0.5)
