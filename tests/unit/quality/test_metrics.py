"""Error counts as they are used: refusals, slices, labels, and parts pooled into a whole.

The rules of counting: test_metrics_golden.py. Other implementations: test_metrics_oracles.py.
"""

from __future__ import annotations

import doctest
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from plugin.quality.inference import ratio_interval
from plugin.quality.metrics import (
    HIGHER_IS_BETTER,
    METRICS,
    SLOT_METRICS,
    Bucket,
    ErrorCounts,
    count_errors,
    length_buckets,
    pool,
)
from tests.unit.quality.annotated import label

DOCUMENT = Path(__file__).parents[3] / "docs" / "metrics.md"

# Right; a slot missed; the domain wrong; a slot too many and the intent wrong.
GOLD = [
    label("weather/query: weather [date: today]"),
    label("weather/query: weather in [city: paris] [date: today]"),
    label("music/play: play [song: hello]"),
    label("music/play: play something"),
]
SAID = [
    label("weather/query: weather [date: today]"),
    label("weather/query: weather in paris [date: today]"),
    label("weather/play: play [song: hello]"),
    label("music/stop: play [song: something]"),
]
LOCALES = ["en-US", "sw-KE", "en-US", "sw-KE"]


@pytest.fixture
def counts() -> ErrorCounts:
    return count_errors(GOLD, SAID)


def alike(one: ErrorCounts, other: ErrorCounts) -> bool:
    """Equal rates of every kind, over all and by label; NaN equals NaN."""
    return (len(one), repr(one.rates())) == (len(other), repr(other.rates())) and {
        name: repr(slots.rates()) for name, slots in one.slots.by_label().items()
    } == {name: repr(slots.rates()) for name, slots in other.slots.by_label().items()}


def test_the_document_tells_what_the_code_does() -> None:
    found = doctest.testfile(str(DOCUMENT), module_relative=False)
    assert found.failed == 0
    assert found.attempted > 5


def test_metrics_of_which_more_is_better_are_metrics() -> None:
    assert set(METRICS) >= HIGHER_IS_BETTER == {"slot_f1", "exact_match"}


def test_undefined_rates_are_nan() -> None:
    empty = count_errors([], [])
    assert len(empty) == len(empty.slots) == 0
    assert (empty.by_domain(), empty.by([]), empty.slots.by_label()) == ({}, {}, {})
    assert all(math.isnan(empty.rate(metric)) for metric in METRICS)
    assert all(math.isnan(empty.slots.rate(metric)) for metric in SLOT_METRICS)
    without_slots = count_errors(GOLD[3:], GOLD[3:])
    assert math.isnan(without_slots.rate("slot_f1"))
    assert without_slots.rate("semer") == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"domain_policy": "none"}, "domain_policy must be"),
        ({"slot_policy": "pair"}, "slot_policy must be"),
        ({"texts": (["a"], ["a"] * 4)}, "1 texts for 4 labels"),
        ({"texts": (["a"] * 4, ["a"] * 5)}, "5 texts for 4 labels"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        count_errors(GOLD, SAID, **options)


def test_bad_calls_are_refused(counts: ErrorCounts) -> None:
    with pytest.raises(ValueError, match="1 references but 0 hypotheses"):
        count_errors(GOLD[:1], [])
    with pytest.raises(ValueError, match="unknown metric 'wer'"):
        counts.terms("wer")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="unknown slot metric 'semer'"):
        counts.slots.terms("semer")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="nothing to pool"):
        pool([])


def test_a_comparison_of_tags_would_miss_a_longer_span() -> None:
    """alexa/massive pull request 14: only the words that gold has in a slot had been compared."""
    gold = label("weather/query: what is the weather [datetime: today]")
    said = label("weather/query: what [datetime: is the weather today]")
    gold_tags = ["Other", "Other", "Other", "Other", "datetime"]
    said_tags = ["Other", "datetime", "datetime", "datetime", "datetime"]
    compared = [(true, tag) for true, tag in zip(gold_tags, said_tags, strict=True) if true != "Other"]
    assert all(true == tag for true, tag in compared)  # the mistake: nothing seems wrong
    assert count_errors([gold], [said]).rates() == pytest.approx(
        {"semer": 0.5, "f_semer": 0.5, "irer": 1.0, "dcer": 0.0, "icer": 0.0, "slot_f1": 0.0, "exact_match": 0.0}
    )


def test_slots_by_label(counts: ErrorCounts) -> None:
    labels = counts.slots.by_label()
    assert list(labels) == ["city", "date", "song"]
    assert labels["date"].rates() == {"precision": 1.0, "recall": 1.0, "f1": 1.0}
    assert labels["song"].rates() == {"precision": 0.5, "recall": 1.0, "f1": 2 / 3}
    assert math.isnan(labels["city"].rate("precision"))
    assert (labels["city"].rate("recall"), labels["city"].rate("f1")) == (0.0, 0.0)
    assert counts.slots.rate("f1") == counts.rate("slot_f1") == 6 / 8
    assert (counts.slots.rate("precision"), counts.slots.rate("recall")) == (3 / 4, 3 / 4)


def test_terms_of_a_label_have_one_row_for_each_utterance(counts: ErrorCounts) -> None:
    song = counts.slots.by_label()["song"]
    numerator, denominator = song.terms("f1")
    assert (numerator.tolist(), denominator.tolist()) == ([0.0, 0.0, 2.0, 0.0], [0.0, 0.0, 2.0, 1.0])
    found = ratio_interval(numerator, denominator)
    assert (found.value, found.n) == (song.rate("f1"), 4)


def test_slices_by_value(counts: ErrorCounts) -> None:
    parts = counts.by(LOCALES)
    assert list(parts) == ["en-US", "sw-KE"]
    assert alike(parts["en-US"], count_errors(GOLD[::2], SAID[::2]))
    assert alike(parts["sw-KE"], count_errors(GOLD[1::2], SAID[1::2]))
    assert parts["sw-KE"].domains.tolist() == ["weather", "music"]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([1, 2, 1, 2], [1, 2]),
        ([True, False, True, False], [False, True]),
        (np.array(["b", "a", "b", "a"]), ["a", "b"]),
        (iter("baba"), ["a", "b"]),
        ([("test", 2), ("test", 1), ("test", 2), ("dev", 9)], [("dev", 9), ("test", 1), ("test", 2)]),
    ],
)
def test_slices_by_values_of_many_kinds(counts: ErrorCounts, values: Any, names: list[Any]) -> None:
    parts = counts.by(values)
    assert list(parts) == names
    assert [type(name) for name in parts] == [type(name) for name in names]
    assert sum(len(part) for part in parts.values()) == 4


@pytest.mark.parametrize(
    ("values", "error", "message"),
    [
        (["a"], ValueError, "1 values for 4 utterances"),
        ([1.0, math.nan, 1.0, 1.0], ValueError, "NaN names no slice"),
        (["a", None, "a", "a"], TypeError, "not supported between"),
    ],
)
def test_values_that_name_no_slices_are_refused(
    counts: ErrorCounts, values: list[Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        counts.by(values)


def test_slices_by_domain_are_those_of_the_reference(counts: ErrorCounts) -> None:
    assert {name: (len(part), part.rate("dcer")) for name, part in counts.by_domain().items()} == {
        "music": (2, 0.5),
        "weather": (2, 0.0),
    }


def test_slices_of_slices(counts: ErrorCounts) -> None:
    assert alike(counts.by(LOCALES)["sw-KE"].by_domain()["music"], count_errors(GOLD[3:], SAID[3:]))
    assert alike(counts.where([False, True, True, True]).where([False, False, True]), counts.by(range(4))[3])


@pytest.mark.parametrize(
    "ask",
    [lambda counts, rows: counts.where(rows), lambda counts, rows: counts.slots.where(rows)],
    ids=["all", "slots"],
)
@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([1, 0, 1, 0], "a mask of booleans, not of int64"),  # would be rows 1 and 0, not 0 and 2
        ([0, 2], "a mask of booleans"),
        ([True, False], r"of shape \(4,\), not \(2,\)"),
        ([[True] * 4], r"of shape \(4,\), not \(1, 4\)"),
        ([], r"of shape \(4,\), not \(0,\)"),
    ],
)
def test_what_is_no_mask_is_refused(
    counts: ErrorCounts, ask: Callable[[ErrorCounts, Any], Any], rows: list[Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        ask(counts, rows)


def test_length_buckets_sort_by_length(counts: ErrorCounts) -> None:
    lengths = np.array([12, 3, 10, 1])
    parts = counts.by(length_buckets(lengths, starts=(1, 2, 10)))
    assert [str(bucket) for bucket in parts] == ["1", "2-9", "10+"]
    assert [len(part) for part in parts.values()] == [1, 1, 2]
    assert parts[Bucket(10, None)].domains.tolist() == ["weather", "music"]


def test_every_length_lies_in_its_bucket() -> None:
    for length, (low, high) in zip(range(1, 40), length_buckets(range(1, 40)), strict=True):
        assert low <= length <= (high or length)
    assert length_buckets([]) == []


@pytest.mark.parametrize(
    ("lengths", "starts", "message"),
    [
        ([1.5], (1, 4), "must be whole numbers"),
        ([[1]], (1, 4), "must be whole numbers"),
        ([0, 3], (1, 4), "a length of 0 lies below the first bucket, which starts at 1"),
        ([3], (1, 1), "starts must ascend"),
        ([3], (4, 1), "starts must ascend"),
        ([3], (), "starts must ascend"),
    ],
)
def test_bad_lengths_are_refused(lengths: list[Any], starts: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        length_buckets(lengths, starts)


def test_a_pool_is_the_whole_in_the_order_of_its_parts(counts: ErrorCounts) -> None:
    parts = [count_errors(GOLD[:1], SAID[:1]), count_errors([], []), count_errors(GOLD[1:], SAID[1:])]
    whole = pool(parts)
    assert alike(whole, counts)
    assert whole.domains.tolist() == counts.domains.tolist()
    assert alike(whole.by(LOCALES)["sw-KE"], counts.by(LOCALES)["sw-KE"])


def test_a_pool_is_no_mean_of_rates() -> None:
    whole = pool([count_errors(GOLD[:2], SAID[:2]), count_errors(GOLD[3:], SAID[3:])])
    assert whole.rate("semer") == 3 / 6 != pytest.approx((1 / 5 + 2 / 1) / 2)
