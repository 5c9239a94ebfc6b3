from __future__ import annotations

from typing import Any

import pytest

from db.repositories.verdicts import Verdict
from plugin.services.evaluation.sentences import sentence

SPAN: dict[str, Any] = {"shrunken": -0.12, "shrunken_low": -0.2, "shrunken_high": -0.04}


@pytest.mark.parametrize(
    ("state", "columns", "said"),
    [
        (
            "better",
            {**SPAN, "labels_saved": 0.38, "labels_saved_low": 0.22, "labels_saved_high": 0.51},
            "entropy saved 38 % [22, 51] of labels in weather",
        ),
        ("better", SPAN, "entropy makes 12 % [4, 20] fewer domain errors than random choice in weather"),
        (
            "worse",
            {"shrunken": 0.3, "shrunken_low": 0.1, "shrunken_high": 0.5},
            "entropy makes 30 % [10, 50] more domain errors than random choice in weather",
        ),
        (
            "no difference",
            {"shrunken": 0.01, "shrunken_low": -0.02, "shrunken_high": 0.04},
            "entropy and random choice make equally many domain errors in weather (+1 % [-2, +4] domain errors so far)",
        ),
        (
            "not enough evidence",
            {"shrunken": -0.1, "shrunken_low": -0.3, "shrunken_high": 0.1, "control_labels_needed": 1200},
            (
                "not enough evidence on entropy in weather: about 1,200 more control labels needed"
                " (-10 % [-30, +10] domain errors so far)"
            ),
        ),
        (
            "not enough evidence",
            {"shrunken": -0.1, "shrunken_low": -0.3, "shrunken_high": 0.1},
            (
                "not enough evidence on entropy in weather: more control labels needed than can be foreseen"
                " (-10 % [-30, +10] domain errors so far)"
            ),
        ),
        (
            "not enough evidence",
            {"seeds": 2},
            "not enough evidence on entropy in weather: 2 training seeds cannot decide, and 6 are the fewest that can",
        ),
        (
            "not enough evidence",
            {},
            (
                "not enough evidence on entropy in weather: no domain errors tell it from random choice"
                " on 500 test utterances"
            ),
        ),
    ],
)
def test_a_verdict_is_one_plain_sentence(state: str, columns: dict[str, Any], said: str) -> None:
    values = {
        "domain": "weather", "metric": "dcer", "arm": "entropy", "control": "random", "n": 500, "seeds": 6,
        "state": state, "sentence": "", **columns,
    }  # fmt: skip
    assert sentence(Verdict(**values), fewest_seeds=6) == said


def test_over_all_domains_no_domain_is_named() -> None:
    verdict = Verdict("*", "semer", "bald", "random", 500, 6, "better", "", **SPAN)
    assert sentence(verdict, fewest_seeds=6) == "bald makes 12 % [4, 20] fewer semantic errors than random choice"
