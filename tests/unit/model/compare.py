"""How two predictions are compared: to the bit, or up to the rounding of float32."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from plugin.model.ensemble import Predictions

NUMBERS = tuple(field.name for field in fields(Predictions) if field.name != "hypotheses")


def numbers(predictions: Predictions, name: str) -> NDArray[np.float32]:
    """An array of no numbers for what the ensemble does not give."""
    found: Any = getattr(predictions, name)
    if found is None:
        return np.empty(0, np.float32)
    assert isinstance(found, np.ndarray)
    return found


def identical(left: Predictions, right: Predictions) -> bool:
    return left.hypotheses == right.hypotheses and all(
        np.array_equal(numbers(left, name), numbers(right, name)) for name in NUMBERS
    )


def assert_close(left: Predictions, right: Predictions, tolerance: float = 1e-5) -> None:
    for name in NUMBERS:
        np.testing.assert_allclose(
            numbers(left, name), numbers(right, name), rtol=tolerance, atol=tolerance, err_msg=name
        )
    assert left.hypotheses == right.hypotheses
