from __future__ import annotations

import numpy as np
import pytest

from db.repositories.evaluations import Metric
from plugin.quality.contrasts import board
from plugin.records import Hypothesis, Slot
from plugin.services.evaluation import measure

MUSIC, RAIN = Hypothesis("music", "play", (Slot(0, 4, "artist"),)), Hypothesis("weather", "query")


def rows(measured: list[Metric]) -> dict[tuple[str, str], Metric]:
    found = {(row.domain, row.metric): row for row in measured}
    assert len(found) == len(measured)
    return found


def compare(
    gold: list[Hypothesis], said: dict[str, list[Hypothesis]], *, seed: int = 0, weights: list[int] | None = None
) -> dict[str, list[Metric]]:
    """One seed."""
    counts = measure.count(gold, {arm: [rows] for arm, rows in said.items()})
    return measure.metric_rows(board(counts, seed=seed), counts, weights or [1] * len(gold), against="baseline")


def test_rates_are_pooled_over_all_and_per_gold_domain() -> None:
    gold = [MUSIC] * 4 + [RAIN] * 6
    said = [MUSIC] * 3 + [RAIN] * 6 + [MUSIC]
    found = rows(compare(gold, {"baseline": said})["baseline"])
    assert found["*", "dcer"].value == 0.2
    # A missed domain with its slot missing: 2 errors; a wrong domain with a slot too many: 2. N + S = 14.
    assert found["*", "semer"].value == pytest.approx(4 / 14)
    assert found["music", "semer"].value == pytest.approx(2 / 8)
    assert found["weather", "semer"].value == pytest.approx(2 / 6)
    assert (found["music", "dcer"].n, found["*", "dcer"].n) == (4, 10)
    assert {domain for domain, _ in found} == {"*", "music", "weather"}


def test_the_change_is_paired_so_a_constant_gain_is_sure() -> None:
    rng = np.random.default_rng(0)
    hard = rng.random(400) < 0.5
    gold = [RAIN] * 400
    baseline = [MUSIC if wrong else RAIN for wrong in hard]
    fixed = iter(range(400))
    candidate = [MUSIC if wrong and next(fixed) % 10 else RAIN for wrong in hard]
    measured = compare(gold, {"baseline": baseline, "candidate": candidate})
    base, new = rows(measured["baseline"]), rows(measured["candidate"])
    change = new["*", "dcer_change"]
    assert change.value == pytest.approx(new["*", "dcer"].value / base["*", "dcer"].value - 1)
    assert change.ci_high is not None
    assert change.ci_high < 0
    # The two rates by themselves could not tell: their intervals overlap.
    assert new["*", "dcer"].ci_high > base["*", "dcer"].ci_low  # type: ignore[operator]
    assert not any(metric.endswith("_change") for _, metric in base)


def test_what_is_not_defined_has_no_row_and_what_does_not_vary_no_interval() -> None:
    measured = compare([RAIN] * 5, {"baseline": [RAIN] * 5, "candidate": [MUSIC] * 5})
    base, new = rows(measured["baseline"]), rows(measured["candidate"])
    assert ("*", "slot_f1") not in base  # no slot anywhere
    assert ("*", "dcer_change") not in new  # from 0
    assert (base["*", "dcer"].value, base["*", "dcer"].ci_low, base["*", "dcer"].ci_high) == (0.0, None, None)
    assert new["*", "exact_match_change"].value == -1.0


def test_the_same_seed_gives_the_same_rows() -> None:
    rng = np.random.default_rng(3)
    gold = [MUSIC if flip else RAIN for flip in rng.random(60) < 0.5]
    said = [MUSIC if flip else RAIN for flip in rng.random(60) < 0.5]
    runs = [compare(gold, {"baseline": said}, seed=5) for _ in range(2)]
    assert runs[0] == runs[1]
    assert all(row.ci_low is None or row.ci_low < row.value < row.ci_high for row in runs[0]["baseline"])  # type: ignore[operator]


def test_rates_are_pooled_over_seeds() -> None:
    counts = measure.count([MUSIC, RAIN], {"baseline": [[MUSIC, RAIN], [MUSIC, MUSIC]]})
    found = rows(measure.metric_rows(board(counts), counts, [1, 1], against="baseline")["baseline"])
    assert (found["*", "dcer"].value, found["*", "dcer"].n) == (0.25, 2)
    assert found["weather", "dcer"].value == 0.5


def test_the_weighted_rate_counts_what_is_said_often_as_often() -> None:
    said = {"baseline": [MUSIC, MUSIC, MUSIC]}
    found = rows(compare([MUSIC, RAIN, RAIN], said, weights=[7, 2, 1])["baseline"])
    assert found["*", "dcer"].value == pytest.approx(2 / 3)
    assert found["*", "dcer"].weighted_value == pytest.approx(0.3)
    assert found["weather", "dcer"].weighted_value == 1.0
    assert found["music", "slot_f1"].weighted_value == 1.0
    assert compare([RAIN], {"baseline": [RAIN]})["baseline"][0].weighted_value == 0.0
