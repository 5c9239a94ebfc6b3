"""The calibration error by hand, against a loop over its definition, and with input that it must refuse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from plugin.quality.metrics import calibration_error


@pytest.mark.parametrize(
    ("confidence", "correct", "bins", "expected"),
    [
        ([1.0, 1.0], [True, True], 15, 0.0),
        ([1.0, 1.0], [False, False], 15, 1.0),
        ([0.0, 0.0], [0, 0], 15, 0.0),
        ([0.75, 0.75, 0.75, 0.75], [1, 1, 1, 0], 15, 0.0),
        ([0.9, 0.6], [1, 0], 1, 0.25),
        ([0.9, 0.6], [1, 0], 10, 0.35),
        ([0.5, 0.5000001], [1, 0], 2, 0.5),
        ([0.7, 0.65], [1, 0], 10, 0.175),
        ([0.07, 0.065], [1, 0], 100, 0.4325),
    ],
)
def test_calibration_error_by_hand(confidence: list[float], correct: list[int], bins: int, expected: float) -> None:
    assert calibration_error(confidence, correct, bins=bins) == pytest.approx(expected, abs=1e-6)


def test_calibration_error_agrees_with_a_loop() -> None:
    rng = np.random.default_rng(3)
    confidence = rng.random(5000)
    correct = rng.random(5000) < confidence**2
    expected = 0.0
    for number in range(15):
        inside = (confidence > number / 15) & (confidence <= (number + 1) / 15)
        if inside.any():
            expected += inside.mean() * abs(correct[inside].mean() - confidence[inside].mean())
    assert calibration_error(confidence, correct) == pytest.approx(expected)
    assert math.isnan(calibration_error([], []))


@pytest.mark.parametrize(
    ("confidence", "correct", "bins", "message"),
    [
        ([0.5], [1, 0], 15, r"must both be \(N,\)"),
        ([1.5], [1], 15, r"must lie in \[0, 1\]"),
        ([math.nan], [1], 15, r"must lie in \[0, 1\]"),
        ([0.5], [2], 15, "only true and false"),
        ([0.5], [1], 0, "bins must be at least 1"),
    ],
)
def test_bad_calibration_input_is_refused(confidence: list[float], correct: list[int], bins: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        calibration_error(confidence, correct, bins=bins)
