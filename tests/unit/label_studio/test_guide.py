"""The guide that opens when labelling starts."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from plugin.label_studio.guide import EXAMPLE_CHARACTERS, LIMIT_CHARACTERS, Guide, instruction
from plugin.label_studio.screen import REJECT_KEYS, LabelSet

LABELS = LabelSet({"music": ["play_song", "stop"], "R&B <x>": ['say "hi"']}, ["a & b", "artist", "date"])
GUIDE = Guide(
    intents={"play_song": ["play <b>jazz</b> & blues", "گانا چلاؤ", "three"]},
    slots={"artist": ["ella <i>"], "a & b": ["x"]},
    quality=["Reviewed so far: 3 < 4."],
)


class Page(HTMLParser):
    """The tags that are opened and closed, and the words between them."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not attrs
        if tag != "br":  # which has no end
            self.open.append(tag)
        self.tags.add(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data


def read(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    assert page.open == []
    return page


def test_examples_stand_beside_their_labels_and_nothing_of_them_is_html() -> None:
    page = read(instruction("music", LABELS, GUIDE))
    assert page.tags == {"p", "b", "br", "h4"}
    words = re.sub("[\u2068\u2069]", "", page.words)
    assert "play_song: play <b>jazz</b> & blues · گانا چلاؤ · three" in words
    assert "artist: ella <i>" in words
    assert "Others: date" in words
    assert "Reviewed so far: 3 < 4." in words
    assert "stop" in words
    assert "say" not in words, "another domain's intents are no part of it"


def test_every_key_to_reject_is_explained() -> None:
    words = read(instruction("music", LABELS)).words
    for reason, key in REJECT_KEYS.items():
        assert f"{key} {reason}" in words


@pytest.mark.parametrize("domain", ["music", "R&B <x>", "unheard of"])
def test_it_needs_nothing_but_labels(domain: str) -> None:
    assert f"Intents of \u2068{domain}\u2069" in read(instruction(domain, LABELS)).words


def test_without_slots_there_is_no_heading_for_them() -> None:
    assert "Slots" not in read(instruction("music", LabelSet({"music": ["stop"]}, []))).words


@pytest.mark.parametrize("examples", [1, 3])
def test_it_is_never_too_long(examples: int) -> None:
    intents = [f"intent_{number}_{'i' * 60}" for number in range(400)]
    slots = [f"slot_{number}_{'s' * 60}" for number in range(400)]
    many = Guide(
        intents={intent: ["word " * 40] * examples for intent in intents},
        slots={slot: ["value " * 40] * examples for slot in slots},
    )
    whole = instruction("music", LabelSet({"music": intents}, slots), many)
    assert len(whole) <= LIMIT_CHARACTERS
    words = read(whole).words
    assert "Ctrl+Enter" in words
    assert " more" in words


def test_few_labels_keep_all_their_examples_and_long_ones_are_cut() -> None:
    long = Guide(intents={"stop": ["x" * 300, "a", "b"]})
    words = read(instruction("music", LABELS, long)).words
    assert "x" * (EXAMPLE_CHARACTERS - 1) + "…" in words
    assert "x" * EXAMPLE_CHARACTERS not in words
