"""Intervals against scipy, against the truth of simulated data, and against bad input."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from plugin.quality.inference import (
    Float,
    Method,
    ratio_interval,
    relative_change_interval,
    weighted_mean,
)
from plugin.quality.selection import Frame, select
from plugin.records import Policy, Strategy


def error_terms(seed: int, n: int, rate: float = 0.2) -> tuple[Float, Float]:
    """Errors and 1 + slots, as SEMER has them."""
    rng = np.random.default_rng(seed)
    slots = rng.poisson(1.2, n)
    return rng.binomial(1 + slots, rate).astype(np.float64), (1 + slots).astype(np.float64)


def pooled(numerator: Float, denominator: Float, axis: int = -1) -> Float:
    rate: Float = numerator.sum(axis=axis) / denominator.sum(axis=axis)
    return rate


@pytest.mark.parametrize(("method", "theirs"), [("percentile", "percentile"), ("bca", "BCa")])
@pytest.mark.parametrize("n", [25, 400])
def test_ratio_interval_agrees_with_scipy(method: Method, theirs: str, n: int) -> None:
    terms = error_terms(0, n)
    ours = ratio_interval(*terms, method=method, resamples=20_000)
    expected = scipy.stats.bootstrap(
        terms, pooled, paired=True, vectorized=True, method=theirs, n_resamples=20_000, batch=2000, rng=1
    ).confidence_interval
    assert ours.value == pytest.approx(pooled(*terms))
    noise = 0.03 * (expected.high - expected.low)
    assert ours.low == pytest.approx(expected.low, abs=noise)
    assert ours.high == pytest.approx(expected.high, abs=noise)


def test_bca_corrects_a_skewed_rate_as_scipy_does() -> None:
    rng = np.random.default_rng(4)
    terms = rng.exponential(size=30) ** 2, np.ones(30)
    plain = ratio_interval(*terms, method="percentile", resamples=20_000)
    ours = ratio_interval(*terms, method="bca", resamples=20_000)
    expected = scipy.stats.bootstrap(
        terms, pooled, paired=True, vectorized=True, method="BCa", n_resamples=20_000, batch=2000, rng=1
    ).confidence_interval
    assert ours.low == pytest.approx(expected.low, rel=0.03)
    assert ours.high == pytest.approx(expected.high, rel=0.03)
    assert ours.high > 1.1 * plain.high


def test_relative_change_agrees_with_scipy() -> None:
    terms = (*error_terms(1, 300, 0.18), *error_terms(2, 300, 0.2))

    def change(a: Float, b: Float, c: Float, d: Float, axis: int = -1) -> Float:
        return pooled(a, b, axis) / pooled(c, d, axis) - 1.0

    ours = relative_change_interval(*terms, resamples=20_000)
    expected = scipy.stats.bootstrap(
        terms, change, paired=True, vectorized=True, method="BCa", n_resamples=20_000, batch=2000, rng=1
    ).confidence_interval
    noise = 0.03 * (expected.high - expected.low)
    assert ours.value == pytest.approx(float(change(*terms)))
    assert ours.low == pytest.approx(expected.low, abs=noise)
    assert ours.high == pytest.approx(expected.high, abs=noise)


def test_pairing_narrows_the_interval() -> None:
    numerator, denominator = error_terms(3, 500)
    better = np.where(np.arange(500) % 20 == 0, 0.0, numerator)
    paired = relative_change_interval(better, denominator, numerator, denominator)
    order = np.random.default_rng(0).permutation(500)
    unpaired = relative_change_interval(better[order], denominator[order], numerator, denominator)
    assert paired.value == pytest.approx(unpaired.value)
    assert paired.high - paired.low < 0.5 * (unpaired.high - unpaired.low)


@pytest.mark.parametrize("method", ["percentile", "bca"])
def test_intervals_cover_the_truth(method: Method) -> None:
    found = [ratio_interval(*error_terms(seed, 150), method=method, resamples=400) for seed in range(300)]
    covered = sum(interval.low <= 0.2 <= interval.high for interval in found)
    assert 0.91 <= covered / 300 <= 0.98


@given(
    terms=st.lists(st.tuples(st.integers(0, 4), st.integers(1, 5)), min_size=1, max_size=30),
    method=st.sampled_from(["percentile", "bca"]),
)
def test_intervals_are_ordered_and_repeatable(terms: list[tuple[int, int]], method: Method) -> None:
    numerator, denominator = zip(*terms, strict=True)
    one = ratio_interval(numerator, denominator, method=method, resamples=200)
    assert one == ratio_interval(numerator, denominator, method=method, resamples=200)
    ratios = [a / b for a, b in terms]
    assert min(ratios) - 1e-12 <= one.low <= one.high <= max(ratios) + 1e-12
    assert one.n == len(terms)


def test_intervals_do_not_depend_on_the_order_of_utterances() -> None:
    numerator, denominator = error_terms(5, 200)
    assert ratio_interval(numerator, denominator) == ratio_interval(numerator[::-1], denominator[::-1])


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    terms = error_terms(6, 60)
    whole = ratio_interval(*terms)
    monkeypatch.setattr("plugin.quality.blocks.BLOCK_CELLS", 100)
    assert ratio_interval(*terms) == whole


def test_a_constant_has_an_interval_of_no_width() -> None:
    for method in ("percentile", "bca"):
        found = ratio_interval([0, 0, 0], [1, 2, 3], method=method)
        assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)
    found = relative_change_interval([1, 2], [1, 1], [1, 2], [1, 1])
    assert (found.value, found.low, found.high) == (0.0, 0.0, 0.0)


def test_undefined_rates_have_no_interval() -> None:
    for found in (
        ratio_interval([], []),
        ratio_interval([0, 0], [0, 0]),
        relative_change_interval([1, 0], [1, 1], [0, 0], [1, 1]),
    ):
        assert all(math.isnan(end) for end in (found.value, found.low, found.high))


def test_a_base_that_may_be_zero_has_no_upper_end() -> None:
    found = relative_change_interval([1, 1, 1, 1], [1] * 4, [1, 0, 0, 0], [1] * 4, method="percentile")
    assert (found.value, found.high) == (3.0, math.inf)


@pytest.mark.parametrize(
    ("numerator", "denominator", "options", "message"),
    [
        ([1, 2], [1], {}, r"terms must be \(N,\) each"),
        ([[1]], [[1]], {}, r"terms must be \(N,\) each"),
        ([math.nan], [1], {}, "terms must be finite"),
        ([1, 1], [3, -1], {}, "a denominator is negative"),
        ([1], [1], {"method": "basic"}, "method must be 'bca' or 'percentile'"),
        ([1], [1], {"level": 1.0}, r"level must lie in \(0, 1\)"),
        ([1], [1], {"resamples": 0}, "resamples must be at least 1"),
    ],
)
def test_bad_input_is_refused(numerator: Any, denominator: Any, options: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ratio_interval(numerator, denominator, **options)


def test_weights_undo_the_selection() -> None:
    """Hard utterances are wrong more often: the plain mean of a round says too much, the weighted one does not."""
    rng = np.random.default_rng(0)
    score = rng.random(2000)
    wrong = (rng.random(2000) < score**3).astype(np.float64)
    frame = Frame(np.arange(2000), np.full(2000, "a"), {"entropy": score})
    plain, weighted = [], []
    for seed in range(100):
        items = select(frame, Policy(strategy=Strategy.ENTROPY, budget=400, hard_share=0.5, seed=seed))
        seen = wrong[[item.utterance_id for item in items]]
        plain.append(seen.mean())
        weighted.append(weighted_mean(seen, [item.inclusion_probability for item in items]))
    assert np.mean(plain) > wrong.mean() + 0.1
    assert abs(np.mean(weighted) - wrong.mean()) < 3.0 * np.std(weighted) / 10.0 + 1e-3


def test_weighted_mean_at_the_edges() -> None:
    assert weighted_mean([1.0, 3.0], [0.5, 0.5]) == 2.0
    assert math.isnan(weighted_mean([], []))
    for bad in ([0.0], [1.5], [math.nan]):
        with pytest.raises(ValueError, match=r"inclusion_probability must lie|finite"):
            weighted_mean([1.0], bad)
