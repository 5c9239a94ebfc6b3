"""The worked cases of metrics_cases.txt, counted by hand, and that they are what they claim to be."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from plugin.quality.metrics import ErrorCounts, Metric, SlotMetric, count_errors
from plugin.records import Hypothesis, Slot
from tests.unit.quality.annotated import annotated

CASES = Path(__file__).with_name("metrics_cases.txt")
COUNTS = {"C": "matched", "S": "substitutions", "D": "deletions", "I": "insertions"}
RATES: dict[str, Metric] = {
    "SEMER": "semer",
    "F-SEMER": "f_semer",
    "IRER": "irer",
    "DCER": "dcer",
    "ICER": "icer",
    "F1": "slot_f1",
}
SLOT_RATES: dict[str, SlotMetric] = {"P": "precision", "R": "recall", "F1": "f1"}
OPTIONS: dict[str, dict[str, Any]] = {"all": {"domain_policy": "all"}, "name": {"slot_policy": "name"}, "texts": {}}


class Expected(NamedTuple):
    """`kind` is counts, label or domain; `of` its options, or which label or domain; `figures` by their sign."""

    kind: str
    of: str
    figures: dict[str, str]


class Case(NamedTuple):
    rule: str
    pairs: list[tuple[str, str]]
    expected: list[Expected]


def read_cases() -> Iterator[Case]:
    lines = [line for line in CASES.read_text(encoding="utf-8").splitlines() if not line.startswith("#")]
    for block in re.split(r"\n\n+", "\n".join(lines).strip()):
        rule, *rest = block.splitlines()
        told = [line.split(maxsplit=1) for line in rest if line.startswith(("  gold ", "  said "))]
        expected = [line for line in rest if not line.startswith(("  gold ", "  said "))]
        pairs = list(zip(told[::2], told[1::2], strict=True))
        assert all((gold[0], said[0]) == ("gold", "said") for gold, said in pairs), rule
        yield Case(rule, [(gold[1], said[1]) for gold, said in pairs], [read_expected(line) for line in expected])


def read_expected(line: str) -> Expected:
    found = re.fullmatch(r"  (counts|label|domain) ?\(?([\w, ]*)\)?: (.+)", line)
    assert found is not None, line
    figures = found[3].split()
    return Expected(found[1], found[2], dict(zip(figures[::2], figures[1::2], strict=True)))


ALL = list(read_cases())


def count(case: Case, options: str = "") -> ErrorCounts:
    gold = [annotated(gold) for gold, _ in case.pairs]
    said = [None if said == "-" else annotated(said) for _, said in case.pairs]
    given = [name for name in options.split(", ") if name]
    keywords = {key: value for name in given for key, value in OPTIONS[name].items()}
    if "texts" in given:
        keywords["texts"] = [one.text for one in gold], [one.text if one else "" for one in said]
    return count_errors([one.label for one in gold], [one.label if one else None for one in said], **keywords)


def ids(expected: tuple[Case, Expected]) -> str:
    case, line = expected
    return f"{case.rule} | {line.kind} {line.of}".rstrip()


@pytest.mark.parametrize("told", [(case, line) for case in ALL for line in case.expected], ids=ids)
def test_golden(told: tuple[Case, Expected]) -> None:
    case, line = told
    if line.kind == "label":
        slots = count(case).slots.by_label()[line.of]
        for sign, slot_metric in SLOT_RATES.items():
            check_rate(line.figures[sign], slots.terms(slot_metric), slots.rate(slot_metric))
        assert line.figures.keys() == SLOT_RATES.keys()
        return
    counts = count(case).by_domain()[line.of] if line.kind == "domain" else count(case, line.of)
    for sign, field in COUNTS.items():
        assert (sign, int(getattr(counts, field).sum())) == (sign, int(line.figures[sign]))
    for sign, metric in RATES.items():
        check_rate(line.figures[sign], counts.terms(metric), counts.rate(metric))
    assert line.figures.keys() == COUNTS.keys() | RATES.keys()
    right = counts.terms("exact_match")[0].sum() + counts.terms("irer")[0].sum()
    assert right == len(counts)


def check_rate(written: str, terms: tuple[Any, Any], rate: float) -> None:
    numerator, denominator = map(int, written.split("/"))
    assert [int(side.sum()) for side in terms] == [numerator, denominator]
    assert math.isnan(rate) if denominator == 0 else rate == numerator / denominator


def test_there_are_enough_cases_and_none_is_there_twice() -> None:
    assert len({tuple(case.pairs) for case in ALL}) == len(ALL) >= 50
    assert len({case.rule for case in ALL}) >= 50
    kinds = [(line.kind, line.of) for case in ALL for line in case.expected]
    for options in ("", "all", "name", "all, name", "texts"):
        assert ("counts", options) in kinds


@pytest.mark.parametrize("case", ALL, ids=lambda case: case.rule)
def test_gold_and_said_are_of_one_text_unless_texts_are_compared(case: Case) -> None:
    heard = all("texts" in line.of for line in case.expected if line.kind == "counts")
    for gold, said in case.pairs:
        assert said == "-" or heard or annotated(gold).text == annotated(said).text


def test_annotations_are_read_as_written() -> None:
    found = annotated("weather/query: [date: heute] in [city+place: Köln] [x: a b]!")
    assert found.text == "heute in Köln a b!"
    slots = (Slot(0, 5, "date"), Slot(9, 13, "city"), Slot(9, 13, "place"), Slot(14, 17, "x"))
    assert found.label == Hypothesis("weather", "query", slots)
