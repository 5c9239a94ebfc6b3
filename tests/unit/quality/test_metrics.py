"""Error counting: golden cases worked out by hand, other people's implementations, and what must always hold."""

from __future__ import annotations

import math
import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from nervaluate import Evaluator
from seqeval.metrics import f1_score

from plugin.quality.metrics import (
    HIGHER_IS_BETTER,
    METRICS,
    DomainPolicy,
    ErrorCounts,
    SlotPolicy,
    calibration_error,
    count_errors,
)
from plugin.records import Hypothesis, Slot


def label(written: str) -> Hypothesis | None:
    """`weather/query date:0-5 city:9-14`, or `-` for no hypothesis."""
    if written == "-":
        return None
    head, *slots = written.split()
    domain, intent = head.split("/")
    found = [re.fullmatch(r"(\w+):(\d+)-(\d+)", slot) for slot in slots]
    return Hypothesis(domain, intent, tuple(Slot(int(m[2]), int(m[3]), m[1]) for m in found if m))


def gold(written: str) -> Hypothesis:
    found = label(written)
    assert found is not None
    return found


def count(reference: str, hypothesis: str, **options: Any) -> ErrorCounts:
    return count_errors([gold(reference)], [label(hypothesis)], **options)


# reference, hypothesis, domain error, intent error, matched, substitutions, deletions, insertions
GOLDEN = [
    # Nothing wrong.
    ("w/q", "w/q", 0, 0, 0, 0, 0, 0),
    ("w/q date:0-5", "w/q date:0-5", 0, 0, 1, 0, 0, 0),
    ("w/q date:0-5 city:9-14", "w/q date:0-5 city:9-14", 0, 0, 2, 0, 0, 0),
    # Domain and intent only.
    ("w/q", "w/other", 0, 1, 0, 0, 0, 0),
    ("w/q", "m/play", 1, 1, 0, 0, 0, 0),
    ("w/q", "m/q", 1, 1, 0, 0, 0, 0),
    ("w/q date:0-5", "w/other date:0-5", 0, 1, 1, 0, 0, 0),
    ("w/q date:0-5", "m/q date:0-5", 1, 1, 1, 0, 0, 0),
    # One slot.
    ("w/q date:0-5", "w/q", 0, 0, 0, 0, 1, 0),
    ("w/q", "w/q date:0-5", 0, 0, 0, 0, 0, 1),
    ("w/q date:0-5", "w/q time:0-5", 0, 0, 0, 1, 0, 0),
    ("w/q date:0-5", "w/q date:0-6", 0, 0, 0, 1, 0, 0),
    ("w/q date:0-5", "w/q date:7-9", 0, 0, 0, 1, 0, 0),
    # Several slots.
    ("w/q date:0-5 city:9-14", "w/q date:0-5", 0, 0, 1, 0, 1, 0),
    ("w/q date:0-5", "w/q date:0-5 city:9-14", 0, 0, 1, 0, 0, 1),
    ("w/q date:0-5 city:9-14", "w/q city:0-5 date:9-14", 0, 0, 0, 2, 0, 0),
    ("w/q date:0-5 city:9-14", "w/q date:0-14", 0, 0, 0, 1, 1, 0),
    ("w/q date:0-14", "w/q date:0-5 city:9-14", 0, 0, 0, 1, 0, 1),
    ("w/q a:0-1 b:2-3 c:4-5", "w/q x:0-1 y:2-3 z:4-5", 0, 0, 0, 3, 0, 0),
    ("w/q a:0-1 b:2-3 c:4-5", "w/q a:0-1 z:4-5", 0, 0, 1, 1, 1, 0),
    ("w/q a:0-1 a:2-3", "w/q a:0-1 a:4-5", 0, 0, 1, 1, 0, 0),
    # Intent and slots together.
    ("w/q date:0-5", "w/other", 0, 1, 0, 0, 1, 0),
    ("w/q date:0-5", "m/play title:0-5", 1, 1, 0, 1, 0, 0),
    ("w/q", "m/play title:0-5 artist:6-9", 1, 1, 0, 0, 0, 2),
    # No hypothesis.
    ("w/q", "-", 1, 1, 0, 0, 0, 0),
    ("w/q date:0-5 city:9-14", "-", 1, 1, 0, 0, 2, 0),
]


@pytest.mark.parametrize("case", GOLDEN, ids=lambda case: f"{case[0]} | {case[1]}")
def test_golden(case: tuple[str, str, int, int, int, int, int, int]) -> None:
    reference, hypothesis, *expected = case
    counts = count(reference, hypothesis)
    fields = ("domain_error", "intent_error", "matched", "substitutions", "deletions", "insertions")
    assert [int(getattr(counts, field)[0]) for field in fields] == expected
    slots = len(gold(reference).slots)
    assert counts.rate("semer") == sum(expected[1:2] + expected[3:]) / (1 + slots)
    assert counts.rate("irer") == float(sum(expected[1:2] + expected[3:]) > 0)
    assert counts.rate("exact_match") == 1.0 - counts.rate("irer")


# reference, hypothesis, domain policy, slot policy, SEMER, F-SEMER
OPTIONS: list[tuple[str, str, DomainPolicy, SlotPolicy, float, float]] = [
    # A slot with another label: one substitution, or a deletion and an insertion.
    ("w/q date:0-5", "w/q time:0-5", "intent", "paired", 1 / 2, 2 / 4),
    ("w/q date:0-5", "w/q time:0-5", "intent", "name", 2 / 2, 4 / 4),
    # A slot with another span is a substitution either way.
    ("w/q date:0-5", "w/q date:0-6", "intent", "paired", 1 / 2, 2 / 4),
    ("w/q date:0-5", "w/q date:0-6", "intent", "name", 1 / 2, 2 / 4),
    # Two wrong spans of one label pair once each.
    ("w/q date:0-5 date:6-9", "w/q date:0-4", "intent", "name", 2 / 3, 4 / 5),
    ("w/q date:0-5 city:6-9", "w/q date:0-4 time:6-9", "intent", "name", 3 / 3, 6 / 6),
    # A wrong domain spoils slots that were right, but only under "all".
    ("w/q date:0-5", "m/q date:0-5", "intent", "paired", 1 / 2, 2 / 4),
    ("w/q date:0-5", "m/q date:0-5", "all", "paired", 2 / 2, 4 / 4),
    ("w/q date:0-5", "m/q date:0-5", "all", "name", 2 / 2, 4 / 4),
    ("w/q date:0-5 city:6-9", "m/q date:0-5", "all", "paired", 3 / 3, 6 / 5),
    ("w/q date:0-5", "w/other date:0-5", "all", "paired", 1 / 2, 2 / 4),
    ("w/q", "m/q", "all", "paired", 1 / 1, 2 / 2),
    # No hypothesis deletes every slot, under every option.
    ("w/q date:0-5", "-", "intent", "paired", 2 / 2, 4 / 3),
    ("w/q date:0-5", "-", "all", "name", 2 / 2, 4 / 3),
    # Insertions can lift SEMER above 1; F-SEMER weighs them less.
    ("w/q", "w/q a:0-1 b:2-3 c:4-5", "intent", "paired", 3 / 1, 6 / 5),
]


@pytest.mark.parametrize(("reference", "hypothesis", "domain", "slot", "semer", "f_semer"), OPTIONS)
def test_options(
    reference: str, hypothesis: str, domain: DomainPolicy, slot: SlotPolicy, semer: float, f_semer: float
) -> None:
    counts = count(reference, hypothesis, domain_policy=domain, slot_policy=slot)
    assert counts.rate("semer") == pytest.approx(semer)
    assert counts.rate("f_semer") == pytest.approx(f_semer)


def test_a_longer_span_is_an_error() -> None:
    """alexa/massive pull request 14: gold `[datetime: today]`, predicted `[datetime: is the weather today]`.

    A comparison of tags token by token, without the spans, had counted this as right.
    """
    text = "how is the weather today"
    today, whole = Slot(19, 24, "datetime"), Slot(4, 24, "datetime")
    assert (text[today.start : today.end], text[whole.start : whole.end]) == ("today", "is the weather today")
    counts = count_errors([Hypothesis("weather", "query", (today,))], [Hypothesis("weather", "query", (whole,))])
    assert counts.rates() == pytest.approx(
        {"semer": 0.5, "f_semer": 0.5, "irer": 1.0, "dcer": 0.0, "icer": 0.0, "slot_f1": 0.0, "exact_match": 0.0}
    )


def test_rates_are_pooled_and_not_averaged() -> None:
    counts = count_errors(
        [gold("w/q a:0-1 b:2-3 c:4-5"), gold("m/play"), gold("m/play t:0-4")],
        [label("w/q a:0-1 b:2-3"), label("w/q"), label("m/stop t:0-4")],
    )
    # Errors 1 + 1 + 1 over 3 utterances with 4 slots.
    assert counts.rates() == pytest.approx(
        {
            "semer": 3 / 7,
            "f_semer": 6 / 13,
            "irer": 1.0,
            "dcer": 1 / 3,
            "icer": 2 / 3,
            "slot_f1": 6 / 7,
            "exact_match": 0.0,
        }
    )
    music, weather = counts.by_domain().values()
    assert list(counts.by_domain()) == ["m", "w"]
    assert (len(music), music.rate("semer"), music.rate("dcer")) == (2, 2 / 3, 0.5)
    assert (len(weather), weather.rate("semer"), weather.rate("dcer")) == (1, 1 / 4, 0.0)


def test_undefined_rates_are_nan() -> None:
    empty = count_errors([], [])
    assert len(empty) == 0
    assert empty.by_domain() == {}
    assert all(math.isnan(empty.rate(metric)) for metric in METRICS)
    without_slots = count("w/q", "w/q")
    assert math.isnan(without_slots.rate("slot_f1"))
    assert without_slots.rate("semer") == 0.0


@pytest.mark.parametrize(
    ("options", "message"),
    [({"domain_policy": "none"}, "domain_policy must be"), ({"slot_policy": "pair"}, "slot_policy must be")],
)
def test_unknown_options_are_refused(options: dict[str, str], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        count("w/q", "w/q", **options)


def test_bad_calls_are_refused() -> None:
    with pytest.raises(ValueError, match="1 references but 0 hypotheses"):
        count_errors([gold("w/q")], [])
    with pytest.raises(ValueError, match="unknown metric 'wer'"):
        count("w/q", "w/q").terms("wer")  # type: ignore[arg-type]


# Random labels over a text of 12 places, cut into slots that do not overlap.
@st.composite
def labels(draw: st.DrawFn) -> Hypothesis:
    cuts = sorted(draw(st.sets(st.integers(0, 12), max_size=8)))
    spans = list(zip(cuts[::2], cuts[1::2], strict=False))
    slots = tuple(Slot(start, end, draw(st.sampled_from("abc"))) for start, end in spans)
    return Hypothesis(draw(st.sampled_from("DE")), draw(st.sampled_from("ij")), slots)


pairs = st.lists(st.tuples(labels(), labels()), min_size=1, max_size=12)
domain_policies = st.sampled_from(["intent", "all"])
slot_policies = st.sampled_from(["paired", "name"])


@given(pairs=pairs, domain=domain_policies, slot=slot_policies)
def test_f_semer_is_the_harmonic_mean_of_both_directions(
    pairs: list[tuple[Hypothesis, Hypothesis]], domain: DomainPolicy, slot: SlotPolicy
) -> None:
    truth, said = [a for a, _ in pairs], [b for _, b in pairs]
    there = count_errors(truth, said, domain_policy=domain, slot_policy=slot)
    back = count_errors(said, truth, domain_policy=domain, slot_policy=slot)
    np.testing.assert_array_equal(there.deletions, back.insertions)
    np.testing.assert_array_equal(there.substitutions, back.substitutions)
    a, b = there.rate("semer"), back.rate("semer")
    harmonic = 2 * a * b / (a + b) if a + b else 0.0
    assert there.rate("f_semer") == pytest.approx(harmonic, abs=1e-12)


@given(pairs=pairs, domain=domain_policies, slot=slot_policies)
def test_counts_always_add_up(
    pairs: list[tuple[Hypothesis, Hypothesis]], domain: DomainPolicy, slot: SlotPolicy
) -> None:
    truth, said = [a for a, _ in pairs], [b for _, b in pairs]
    counts = count_errors(truth, said, domain_policy=domain, slot_policy=slot)
    right = counts.reference - counts.deletions - counts.substitutions
    assert (right >= 0).all()
    np.testing.assert_array_equal(right, counts.hypothesis - counts.insertions - counts.substitutions)
    kept = (counts.domain_error == 0) | (domain == "intent")
    np.testing.assert_array_equal(right, np.where(kept, counts.matched, 0))
    assert (counts.intent_error >= counts.domain_error).all()
    rates = counts.rates()
    assert rates["irer"] + rates["exact_match"] == pytest.approx(1.0)
    assert rates["irer"] >= rates["icer"] >= rates["dcer"]
    exact = [a == b for a, b in pairs]
    assert rates["exact_match"] == pytest.approx(np.mean(exact))
    lenient = count_errors(truth, said)
    assert (counts.errors >= lenient.errors).all()


@given(pairs=pairs)
def test_domains_pool_to_the_whole(pairs: list[tuple[Hypothesis, Hypothesis]]) -> None:
    counts = count_errors([a for a, _ in pairs], [b for _, b in pairs])
    for metric in METRICS:
        parts = np.array([[side.sum() for side in part.terms(metric)] for part in counts.by_domain().values()])
        np.testing.assert_array_equal(parts.sum(axis=0), [side.sum() for side in counts.terms(metric)])
    assert set(METRICS) >= HIGHER_IS_BETTER


def random_tags(rng: np.random.Generator, length: int) -> list[str]:
    tags: list[str] = []
    while len(tags) < length:
        size = int(rng.integers(1, 4))
        if rng.random() < 0.5:
            tags += ["O"] * size
        else:
            name = str(rng.choice(["a", "b", "c"]))
            tags += [f"B-{name}"] + [f"I-{name}"] * (size - 1)
    return tags[:length]


def disturbed(rng: np.random.Generator, tags: list[str]) -> list[str]:
    """The same slots, some relabelled, dropped, or cut short by their last token; no new overlaps."""
    slots = as_label(tags).slots
    out = ["O"] * len(tags)
    for slot in slots:
        fate = rng.random()
        name = str(rng.choice(["a", "b", "c"])) if fate < 0.25 else slot.label
        end = slot.end - 1 if fate > 0.75 else slot.end
        if fate < 0.35 or fate > 0.5:
            out[slot.start : end] = [f"B-{name}"] + [f"I-{name}"] * (end - slot.start - 1) if end > slot.start else []
    free = [i for i, tag in enumerate(tags) if tag == "O"]
    for place in free:
        if rng.random() < 0.2:
            out[place] = "B-c"
    return out[: len(tags)]


def as_label(tags: list[str]) -> Hypothesis:
    slots: list[Slot] = []
    for place, tag in enumerate(tags):
        if tag.startswith("B-"):
            slots.append(Slot(place, place + 1, tag[2:]))
        elif tag.startswith("I-"):
            slots[-1] = Slot(slots[-1].start, place + 1, slots[-1].label)
    return Hypothesis("d", "i", tuple(slots))


def test_slot_counts_agree_with_nervaluate_strict() -> None:
    rng = np.random.default_rng(0)
    truth = [random_tags(rng, int(rng.integers(1, 15))) for _ in range(400)]
    said = [disturbed(rng, tags) for tags in truth]
    strict = Evaluator(truth, said, tags=["a", "b", "c"], loader="list").evaluate()["overall"]["strict"]
    counts = count_errors([as_label(tags) for tags in truth], [as_label(tags) for tags in said])
    assert counts.matched.sum() == strict.correct
    assert counts.reference.sum() == strict.correct + strict.incorrect + strict.missed
    assert counts.hypothesis.sum() == strict.correct + strict.incorrect + strict.spurious
    assert (counts.substitutions + counts.deletions).sum() == strict.incorrect + strict.missed
    assert (counts.substitutions + counts.insertions).sum() == strict.incorrect + strict.spurious
    assert strict.correct > 100
    assert strict.incorrect > 100
    assert strict.missed > 50
    assert strict.spurious > 50


def test_slot_f1_agrees_with_seqeval() -> None:
    rng = np.random.default_rng(1)
    truth = [random_tags(rng, int(rng.integers(1, 15))) for _ in range(400)]
    said = [disturbed(rng, tags) if rng.random() < 0.7 else random_tags(rng, len(tags)) for tags in truth]
    counts = count_errors([as_label(tags) for tags in truth], [as_label(tags) for tags in said])
    assert counts.rate("slot_f1") == pytest.approx(f1_score(truth, said))


def test_a_hundred_thousand_utterances_of_one_domain_are_its_counts() -> None:
    rng = np.random.default_rng(2)
    tags = [random_tags(rng, 8) for _ in range(1000)]
    truth = [as_label(some) for some in tags] * 100
    said = [as_label(disturbed(rng, some)) for some in tags] * 100
    assert len(count_errors(truth, said).by_domain()["d"]) == 100_000


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
