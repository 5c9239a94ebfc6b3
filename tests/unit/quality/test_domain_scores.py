"""Top-N lists of class scores become distributions, and whatever ingest takes can be scored."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import softmax

from plugin.formats.checks import RecordError, domain_scores
from plugin.quality import scores


def test_rest_takes_the_missing_mass() -> None:
    assert scores.complete_with_rest({"music": 0.75, "weather": 0.25}) == {"music": 0.75, "weather": 0.25}
    assert scores.complete_with_rest({"music": 0.5}) == {"music": 0.5, "rest": 0.5}
    assert scores.complete_with_rest({"rest": 0.25, "music": 0.5}) == {"rest": 0.5, "music": 0.5}


def test_what_rounding_leaves_is_divided_away() -> None:
    assert scores.complete_with_rest({"music": 0.99995}) == {"music": 1.0}
    found = scores.complete_with_rest({"music": 0.5, "video": 0.501})
    assert found == pytest.approx({"music": 0.5 / 1.001, "video": 0.501 / 1.001}, rel=1e-12)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"music": 0.75, "weather": 0.5}, "sum to 1.25: more than 1"),
        ({"music": 0.5, "weather": 0.502}, "sum to 1.002: more than 1"),
        ({"music": -0.1}, "'music' must lie in"),
        ({"music": math.nan}, "'music' must lie in"),
        ({"music": math.inf}, "'music' must lie in"),
        ({}, "empty"),
    ],
)
def test_scores_that_are_no_distribution_are_refused(given: dict[str, float], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        scores.complete_with_rest(given)


def scored(given: dict[str, float]) -> None:
    """Score what ingest took, as an external source is scored."""
    whole = scores.complete_with_rest(domain_scores(given))
    assert math.fsum(whole.values()) == pytest.approx(1.0, abs=1e-12)
    probs = [list(whole.values())]
    for score in (scores.entropy, scores.margin, scores.least_confidence):
        assert np.isfinite(score(probs)).all()


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"d0": 0.3803, "d1": 0.2823, "d2": 0.3375}, id="1.0001, more or less by the way it is summed"),
        pytest.param({"d0": 0.5005, "d1": 0.5005}, id="the whole excess that two domains may have"),
        pytest.param({f"d{k}": 0.143 for k in range(7)}, id="seven sevenths, rounded up"),
        pytest.param({"d0": 0.3333, "d1": 0.3333, "d2": 0.3333}, id="1.0001 short"),
    ],
)
def test_sums_at_the_edge_are_taken_and_scored(given: dict[str, float]) -> None:
    scored(given)


@given(
    logits=st.lists(st.floats(-8.0, 8.0), min_size=2, max_size=60),
    decimals=st.sampled_from([3, 4, 6]),
)
def test_a_rounded_softmax_is_taken_and_scored(logits: list[float], decimals: int) -> None:
    scored({f"d{k}": round(value, decimals) for k, value in enumerate(softmax(logits).tolist())})


@given(values=st.lists(st.integers(0, 10_000), min_size=1, max_size=60), excess=st.floats(0.9, 1.1))
def test_what_ingest_takes_scoring_takes(values: list[int], excess: float) -> None:
    total = max(sum(values), 1)
    given = {f"d{k}": min(1.0, value / total * excess) for k, value in enumerate(values)}
    try:
        domain_scores(given)
    except RecordError:
        with pytest.raises(ValueError, match=r"more than 1|all 0"):
            scores.complete_with_rest(given)
    else:
        scored(given)
