from __future__ import annotations

import itertools
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.formats import checks
from plugin.formats.checks import RecordError
from plugin.model.text import bio_tags, slots_of_tags
from plugin.records import Slot
from plugin.tokens import is_unspaced, plain, token_spans


def tokens(text: str) -> list[str]:
    return [text[start:end] for start, end in token_spans(text)]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wake me at 7am", ["wake", "me", "at", "7am"]),
        ("john's, please!", ["john", "'", "s", ",", "please", "!"]),
        ("मौसम कैसा है", ["मौसम", "कैसा", "है"]),
        ("ما هو الطقس؟", ["ما", "هو", "الطقس", "؟"]),
        ("明天的天气", ["明", "天", "的", "天", "气"]),
        ("テレビをつけて2番", ["テ", "レ", "ビ", "を", "つ", "け", "て", "2", "番"]),
        ("ตั้งปลุก ตี5", ["ตั้", "ง", "ป", "ลุ", "ก", "ตี", "5"]),
        ("내일 날씨", ["내일", "날씨"]),
        ("party 🎉❤️", ["party", "🎉", "❤️"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("caf\u0065\u0301 tonight", ["caf\u0065\u0301", "tonight"]),
        ("\u200b\u200bsaa\tsaba\u2028", ["saa", "saba"]),
        ("", []),
        (" \n\t\u200e", []),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert tokens(text) == expected


def test_limit_keeps_the_first_tokens() -> None:
    assert token_spans("a b c d", 2) == [(0, 1), (2, 3)]


@given(st.text())
def test_spans_are_ordered_and_lose_nothing_but_blanks(text: str) -> None:
    spans = token_spans(text)
    assert all(start < end for start, end in spans)
    assert all(left[1] <= right[0] for left, right in itertools.pairwise(spans))
    inside = {position for start, end in spans for position in range(start, end)}
    assert plain("".join(char for position, char in enumerate(text) if position not in inside)).strip() == ""


def test_only_scripts_without_spaces_are_unspaced() -> None:
    assert is_unspaced("天")
    assert is_unspaced("ตั้")
    assert not is_unspaced("날씨")
    assert not is_unspaced("weather")


def test_bio_tags_begin_and_continue() -> None:
    text = "play bad guy by billie eilish"
    slots = [Slot(5, 12, "song"), Slot(16, 29, "artist")]
    assert bio_tags(token_spans(text), slots, {"artist": 0, "song": 1}) == [0, 3, 4, 0, 1, 2]


def test_a_slot_that_cuts_a_token_takes_the_whole_token() -> None:
    tags = bio_tags(token_spans("in newyorkcity"), [Slot(3, 10, "place")], {"place": 0})
    assert tags == [0, 1]
    assert slots_of_tags(tags, token_spans("in newyorkcity"), ["place"]) == (Slot(3, 14, "place"),)


def test_the_first_of_two_slots_on_a_token_keeps_it() -> None:
    assert bio_tags([(0, 5)], [Slot(0, 2, "a"), Slot(2, 5, "b")], {"a": 0, "b": 1}) == [1]


def test_slots_beyond_the_limit_and_unknown_labels_are_outside() -> None:
    spans = token_spans("one two three four", 2)
    assert bio_tags(spans, [Slot(8, 13, "a"), Slot(0, 3, "new")], {"a": 0}) == [0, 0]


def test_neighbouring_slots_of_one_label_stay_two() -> None:
    spans = token_spans("明天后天")
    slots = (Slot(0, 2, "date"), Slot(2, 4, "date"))
    tags = bio_tags(spans, slots, {"date": 0})
    assert tags == [1, 2, 1, 2]
    assert slots_of_tags(tags, spans, ["date"]) == slots


@given(st.data())
def test_tags_and_slots_are_inverse_on_whole_tokens(data: st.DataObject) -> None:
    spans = token_spans(" ".join("abcdefgh"))
    cuts = sorted(data.draw(st.sets(st.integers(0, 8), max_size=6)))
    labels = ["x", "y"]
    slots = tuple(
        Slot(spans[left][0], spans[right - 1][1], data.draw(st.sampled_from(labels)))
        for left, right in zip(cuts[::2], cuts[1::2], strict=False)
    )
    tags = bio_tags(spans, slots, {label: number for number, label in enumerate(labels)})
    assert slots_of_tags(tags, spans, labels) == slots


@given(text=st.text(st.characters(exclude_categories=["L", "N"]), min_size=1, max_size=4))
def test_every_text_that_a_record_may_have_has_a_token(text: str) -> None:
    with suppress(RecordError):
        assert token_spans(checks.text({"text": text}))
