from __future__ import annotations

import json
import math
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.formats import checks
from plugin.formats.record import (
    LabelledUtterance,
    RecordError,
    content_hash,
    gold_to_json,
    parse_gold,
    parse_utterance,
    to_json,
)
from plugin.records import Hypothesis, Slot, Utterance

TEXT = "niamshe saa kumi na moja kesho"


def record(**changes: Any) -> dict[str, Any]:
    """A record that uses every field; a change to None removes the field."""
    obj: dict[str, Any] = {
        "format": 1,
        "id": "u-1",
        "locale": "sw-KE",
        "text": TEXT,
        "hypothesis": {
            "domain": "alarm",
            "intent": "alarm_set",
            "slots": [[25, 30, "date"], [8, 24, "time"]],
        },
        "nlu_score": 0.61,
        "domain_scores": {"calendar": 0.2, "alarm": 0.7},
        "defect": True,
        "occurred_at": "2026-03-01T11:30:00+03:00",
    }
    obj.update(changes)
    return {name: value for name, value in obj.items() if value is not None}


def meaning(**changes: Any) -> dict[str, Any]:
    return {"domain": "alarm", "intent": "alarm_set", "slots": [], **changes}


def test_every_field_is_read() -> None:
    assert parse_utterance(record()) == Utterance(
        id="u-1",
        locale="sw-KE",
        text=TEXT,
        hypothesis=Hypothesis("alarm", "alarm_set", (Slot(8, 24, "time"), Slot(25, 30, "date"))),
        nlu_score=0.61,
        domain_scores={"alarm": 0.7, "calendar": 0.2},
        defect=True,
        occurred_at=datetime(2026, 3, 1, 8, 30, tzinfo=UTC),
    )


def test_three_fields_are_enough() -> None:
    assert parse_utterance({"id": "1", "locale": "th", "text": "ปลุกฉัน"}) == Utterance("1", "th", "ปลุกฉัน")


def test_null_is_the_same_as_absent() -> None:
    optional = ("hypothesis", "nlu_score", "domain_scores", "defect", "occurred_at", "format")
    bare = {"id": "1", "locale": "en", "text": "hi"}
    assert parse_utterance({**bare, **dict.fromkeys(optional)}) == parse_utterance(bare)


def test_foreign_fields_are_left_alone() -> None:
    assert parse_utterance(record(x_device={"kind": "car"})) == parse_utterance(record())


@pytest.mark.parametrize("locale", ["en", "sw-KE", "haw", "zh-Hant-TW", "sr-Latn", "es-419"])
def test_locales_taken(locale: str) -> None:
    assert parse_utterance(record(locale=locale)).locale == locale


BAD: list[tuple[str, object, str]] = [
    ("", [], "a record must be a JSON object, not a list"),
    ("", None, "a record must be a JSON object, not null"),
    ("id", record(id=None), "is missing"),
    ("id", record(id=7), "must be a string, not a number"),
    ("id", record(id=" "), "must not be blank"),
    ("id", record(id="a\nb"), "control characters"),
    ("id", record(id="i" * 256), "at most 255 characters, not 256"),
    ("locale", record(locale=None), "is missing"),
    ("locale", record(locale="sw_KE"), "language tag"),
    ("locale", record(locale="Swahili"), "language tag"),
    ("locale", record(locale="en-us"), "language tag"),
    ("text", record(text=None), "is missing"),
    ("text", record(text="\u2003\n"), "must not be blank"),
    ("text", record(text="\u200b"), "has nothing that can be read"),
    ("text", record(text="\ufeff"), "has nothing that can be read"),
    ("text", record(text=" \x07\u202e\u2028\ue000"), "has nothing that can be read"),
    ("text", record(text="\u200c\u200d"), "has nothing that can be read"),
    ("text", record(text=["hi"]), "must be a string, not a list"),
    ("text", record(text=TEXT + "\x00"), "NUL or lone surrogates"),
    ("text", record(text=TEXT + "\ud800"), "NUL or lone surrogates"),
    ("text", record(text="a" * 4097), "at most 4096 characters"),
    ("format", record(format=2), "must be 1"),
    ("format", record(format=True), "must be 1"),
    ("format", record(format="1"), "must be 1"),
    ("nlu_score", record(nlu_score="0.5"), "must be a number, not a string"),
    ("nlu_score", record(nlu_score=True), "must be a number, not true or false"),
    ("nlu_score", record(nlu_score=math.nan), "must lie in [0, 1], not NaN"),
    ("nlu_score", record(nlu_score=math.inf), "must lie in [0, 1], not Infinity"),
    ("nlu_score", record(nlu_score=1.0001), "must lie in [0, 1]"),
    ("nlu_score", record(nlu_score=-0.1), "must lie in [0, 1]"),
    ("nlu_score", record(nlu_score=10**5000), "must lie in [0, 1]"),
    ("defect", record(defect=1), "must be true or false, not 1"),
    ("defect", record(defect="no"), "must be true or false"),
    ("occurred_at", record(occurred_at="2026-03-01T08:30:00"), "needs a time zone"),
    ("occurred_at", record(occurred_at="yesterday"), "ISO 8601"),
    ("occurred_at", record(occurred_at=1_772_353_800), "must be a string like"),
    ("occurred_at", record(occurred_at="1969-12-31T23:59:59Z"), "before 1970"),
    ("occurred_at", record(occurred_at="9999-12-31T23:59:59-01:00"), "out of range"),
    ("domain_scores", record(domain_scores=[]), "must be an object"),
    ("domain_scores", record(domain_scores={}), "must name 1 to 1000 domains, not 0"),
    ("domain_scores", record(domain_scores={"a": 0.6, "b": 0.5}), "must not sum to more than 1, but to 1.1"),
    ("domain_scores", record(domain_scores={"a": 0.0, "b": 0}), "are all 0"),
    ('domain_scores."a"', record(domain_scores={"a": math.nan}), "must lie in [0, 1], not NaN"),
    ("nlu_sore", record(nlu_sore=0.5), "did you mean nlu_score?"),
    ("session", record(session=1), "fields of your own begin with x_"),
    ("label", record(label=meaning()), "belongs to gold annotations"),
    ("hypothesis", record(hypothesis="alarm"), "must be an object with domain, intent and slots"),
    ("hypothesis.domain", record(hypothesis=meaning(domain=None)), "is missing"),
    ("hypothesis.domain", record(hypothesis=meaning(domain="*")), "must not be *"),
    ("hypothesis.domain", record(hypothesis=meaning(domain=" alarm")), "begin or end with white space"),
    ("hypothesis.intent", record(hypothesis=meaning(intent="")), "must not be blank"),
    ("hypothesis.intent", record(hypothesis=meaning(intent="a\tb")), "control characters"),
    ("hypothesis.intent", record(hypothesis=meaning(intent="i" * 129)), "at most 128 characters"),
    ("hypothesis.score", record(hypothesis=meaning(score=1)), "is not a field"),
    ("hypothesis.slots", record(hypothesis=meaning(slots={})), "must be a list"),
    ("hypothesis.slots", record(hypothesis=meaning(slots=[[0, 1, "a"]] * 129)), "at most 128 slots"),
    ("hypothesis.slots", record(hypothesis=meaning(slots=[[5, 9, "b"], [0, 6, "a"]])), "0:6 a and 5:9 b overlap"),
    ("hypothesis.slots[0]", record(hypothesis=meaning(slots=[[0, 1]])), "must be [start, end, label]"),
    ("hypothesis.slots[0]", record(hypothesis=meaning(slots=[[0, 1.0, "a"]])), "must be whole numbers"),
    ("hypothesis.slots[0]", record(hypothesis=meaning(slots=[[False, 1, "a"]])), "must be whole numbers"),
    ("hypothesis.slots[0]", record(hypothesis=meaning(slots=[[3, 3, "a"]])), "0 <= start < end <= 30"),
    ("hypothesis.slots[0]", record(hypothesis=meaning(slots=[[-1, 3, "a"]])), "0 <= start < end <= 30"),
    ("hypothesis.slots[1]", record(hypothesis=meaning(slots=[[0, 1, "a"], [2, 31, "a"]])), "<= 30"),
    ("hypothesis.slots[0]", record(hypothesis=meaning(slots=[[7, 8, "a"]])), "covers only white space"),
    ("hypothesis.slots[0].label", record(hypothesis=meaning(slots=[[0, 1, None]])), "is missing"),
]  # fmt: skip


@pytest.mark.parametrize(("field", "obj", "reason"), BAD, ids=[f"{field}-{reason}" for field, _, reason in BAD])
def test_bad_records_name_the_field_and_the_reason(field: str, obj: object, reason: str) -> None:
    with pytest.raises(RecordError) as caught:
        parse_utterance(obj)
    assert caught.value.field == field
    assert reason in caught.value.reason
    assert len(str(caught.value)) < 300


def test_spans_count_code_points() -> None:
    text = "ปลุกฉัน 😀 ตีห้า"
    start = text.index("ตีห้า")
    slots = [[start, start + 5, "time"]]
    hypothesis = parse_utterance(record(text=text, hypothesis=meaning(slots=slots))).hypothesis
    assert hypothesis is not None
    assert text[hypothesis.slots[0].start : hypothesis.slots[0].end] == "ตีห้า"


def test_float32_softmax_may_exceed_one_by_rounding() -> None:
    scores = {"a": 0.50002, "b": 0.50002}
    assert parse_utterance(record(domain_scores=scores)).domain_scores == scores


def test_gold_needs_a_label_and_keeps_the_partition() -> None:
    slots = [[8, 24, "time"]]
    gold = parse_gold(record(label=meaning(intent="alarm_query", slots=slots), partition="dev"))
    label = Hypothesis("alarm", "alarm_query", (Slot(8, 24, "time"),))
    assert gold == LabelledUtterance("u-1", "sw-KE", TEXT, label, "dev")
    assert parse_gold(gold_to_json(gold)) == gold


@pytest.mark.parametrize(
    ("field", "obj"),
    [
        ("label", record()),
        ("label.intent", record(label={"domain": "alarm"})),
        ("hypothesis.intent", record(label=meaning(), hypothesis={"domain": "alarm"})),
        ("partition", record(label=meaning(), partition=3)),
        ("labl", record(label=meaning(), labl=3)),
    ],
)
def test_bad_gold(field: str, obj: object) -> None:
    with pytest.raises(RecordError) as caught:
        parse_gold(obj)
    assert caught.value.field == field


def labels() -> st.SearchStrategy[str]:
    return st.from_regex(r"[a-z_]{1,12}", fullmatch=True)


@st.composite
def utterances(draw: st.DrawFn) -> Utterance:
    text = draw(st.text(st.characters(exclude_categories=["Cs", "Cc", "Zs"]), min_size=1, max_size=60))
    cuts = sorted(draw(st.sets(st.integers(0, len(text)), max_size=6)))
    slots = tuple(
        Slot(start, end, draw(labels()))
        for start, end in zip(cuts[::2], cuts[1::2], strict=False)
        if not text[start:end].isspace()
    )
    names = draw(st.lists(labels(), unique=True, max_size=4))
    offset = timezone(timedelta(minutes=draw(st.integers(-14 * 60, 14 * 60))))
    when = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 12, 30), timezones=st.just(offset))  # noqa: DTZ001
    return Utterance(
        id=draw(labels()),
        locale=draw(st.sampled_from(["en", "sw-KE"])),
        text=text if any(char.isprintable() and char != " " for char in text) else "a" + text,
        hypothesis=draw(st.none() | st.builds(Hypothesis, labels(), labels(), st.just(slots))),
        nlu_score=draw(st.none() | st.floats(0, 1)),
        domain_scores={name: 1 / len(names) for name in names} or None,
        defect=draw(st.booleans()),
        occurred_at=draw(st.none() | when),
    )


@given(utterances())
def test_what_is_written_reads_back_equal(utterance: Utterance) -> None:
    again = parse_utterance(json.loads(json.dumps(to_json(utterance))))
    assert again == utterance
    assert content_hash(again) == content_hash(utterance)


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


@given(st.sampled_from(sorted(record(label=meaning()))), JSON_VALUES)
@pytest.mark.parametrize("parse", [parse_utterance, parse_gold])
def test_no_value_of_any_field_raises_anything_else(
    parse: Callable[[object], object], field: str, value: object
) -> None:
    with suppress(RecordError):
        parse(record(**{field: value}))


CHANGES: list[dict[str, Any]] = [
    {"locale": "sw-TZ"},
    {"text": TEXT + "!"},
    {"hypothesis": None},
    {"hypothesis": meaning()},
    {"nlu_score": 0.62},
    {"nlu_score": None},
    {"domain_scores": {"calendar": 0.2, "alarm": 0.71}},
    {"domain_scores": None},
    {"defect": False},
    {"occurred_at": "2026-03-01T11:30:01+03:00"},
    {"occurred_at": None},
]


@pytest.mark.parametrize("change", CHANGES, ids=str)
def test_content_hash_sees_every_field(change: dict[str, Any]) -> None:
    assert content_hash(parse_utterance(record(**change))) != content_hash(parse_utterance(record()))


def test_content_hash_ignores_the_id_and_how_a_record_is_written() -> None:
    before = parse_utterance(record())
    other = record(
        id="u-2",
        occurred_at="2026-03-01T08:30:00Z",
        domain_scores={"alarm": 0.7, "calendar": 0.2},
        hypothesis={
            "slots": [[8, 24, "time"], [25, 30, "date"]],
            "intent": "alarm_set",
            "domain": "alarm",
        },
    )
    assert content_hash(parse_utterance(other)) == content_hash(before)


def test_content_hash_does_not_change_between_releases() -> None:
    """Stored hashes decide what is a new revision: a change here makes every stored record look changed."""
    assert content_hash(parse_utterance(record())).hex() == (
        "f564846dff17478444439addb1160fe6882a7d980c8a8118f90ec86b22c1f25a"
    )


def test_content_hash_of_gold() -> None:
    gold = parse_gold(record(label=meaning()))
    assert content_hash(gold) != content_hash(replace(gold, label=Hypothesis("alarm", "alarm_query")))
    assert content_hash(gold) != content_hash(replace(gold, partition="test"))
    assert content_hash(gold) == content_hash(replace(gold, id="other"))


def test_limits_are_those_of_the_documentation() -> None:
    assert (checks.MAX_ID_LENGTH, checks.MAX_LABEL_LENGTH, checks.MAX_TEXT_LENGTH) == (255, 128, 4096)
    assert (checks.MAX_SLOTS, checks.MAX_DOMAIN_SCORES) == (128, 1000)
