"""Tests of significance against scipy, by hand, and against bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from plugin.quality.significance import holm, sign_flip_test


@pytest.mark.parametrize("n", [2, 5, 6, 10, 14])
def test_sign_flips_agree_with_scipy(n: int) -> None:
    differences = np.random.default_rng(n).normal(0.4, 1.0, n)
    expected = scipy.stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert sign_flip_test(differences) == pytest.approx(expected)


def test_random_sign_flips_agree_with_all_of_them() -> None:
    differences = np.random.default_rng(0).normal(0.5, 1.0, 17)
    expected = scipy.stats.permutation_test(
        (differences,), np.mean, permutation_type="samples", n_resamples=np.inf
    ).pvalue
    assert sign_flip_test(differences) == pytest.approx(expected, abs=0.005)
    assert sign_flip_test(differences) == sign_flip_test(differences)
    assert sign_flip_test(np.ones(40), resamples=999) == 0.001


def test_sign_flips_at_the_edges() -> None:
    assert sign_flip_test([0.3]) == 1.0
    assert sign_flip_test([1.0] * 5) == 0.0625
    assert sign_flip_test([1.0] * 6) == 0.03125
    assert sign_flip_test([0.0, 0.0]) == 1.0
    assert sign_flip_test([0.1, 0.2, -0.3]) == 1.0
    assert sign_flip_test([0.1] * 3 + [-0.1]) == sign_flip_test([1] * 3 + [-1]) == 0.625
    assert math.isnan(sign_flip_test([]))
    with pytest.raises(ValueError, match="finite"):
        sign_flip_test([math.nan])
    with pytest.raises(ValueError, match="shape"):
        sign_flip_test([[1.0]])


@pytest.mark.parametrize(
    ("given_p", "expected"),
    [
        ([], []),
        ([0.04], [0.04]),
        ([0.01, 0.02, 0.03], [0.03, 0.04, 0.04]),
        ([0.03, 0.01, 0.02], [0.04, 0.03, 0.04]),
        ([0.5, 0.9, 0.001], [1.0, 1.0, 0.003]),
        ([0.0125, 0.0125], [0.025, 0.025]),
    ],
)
def test_holm_by_hand(given_p: list[float], expected: list[float]) -> None:
    np.testing.assert_allclose(holm(given_p), expected, rtol=1e-12)


@given(p=st.lists(st.floats(0.0, 1.0), min_size=1, max_size=12), level=st.floats(0.001, 0.2))
def test_holm_rejects_what_stepping_down_rejects(p: list[float], level: float) -> None:
    adjusted = holm(p)
    assert (adjusted >= np.array(p)).all()
    assert adjusted.min() == min(1.0, min(p) * len(p))
    assert adjusted.max() <= 1.0
    rejected = set()
    for step, index in enumerate(sorted(range(len(p)), key=lambda i: p[i])):
        if p[index] * (len(p) - step) > level:
            break
        rejected.add(index)
    assert {int(index) for index in np.flatnonzero(adjusted <= level)} == rejected


def test_holm_refuses_what_is_no_probability() -> None:
    for bad in ([1.1], [-0.1], [math.nan], [[0.5]]):
        with pytest.raises(ValueError, match=r"numbers in \[0, 1\]"):
            holm(bad)
