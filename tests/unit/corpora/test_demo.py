from __future__ import annotations

import random
from collections import Counter

import pytest

from plugin.corpora.demo import demo_corpus, demo_locales
from plugin.corpora.marked import MarkedText, roughen
from plugin.corpora.templates import TemplatesError, intent_name
from plugin.formats.record import gold_to_json, parse_gold
from plugin.records import Slot


@pytest.fixture(scope="module", params=["en", "cy", "sw"])
def locale(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_utterances_are_distinct_valid_gold_records(locale: str) -> None:
    corpus = demo_corpus(locale, 1500)
    assert len({row.text for row in corpus}) == len({row.id for row in corpus}) == 1500
    assert all(parse_gold(gold_to_json(row)) == row for row in corpus)
    assert all(row.text == row.text.strip() and "  " not in row.text for row in corpus)
    assert all(row.label.intent.startswith(row.label.domain) for row in corpus)


def test_the_default_has_enough_for_a_pool_and_gold_in_many_domains() -> None:
    corpus = demo_corpus()
    domains = Counter(row.label.domain for row in corpus)
    assert len(corpus) == 12_000
    assert sum(count >= 200 for count in domains.values()) >= 8
    assert len({row.label.intent for row in corpus}) >= 40
    slots = [slot for row in corpus for slot in row.label.slots]
    assert len({slot.label for slot in slots}) >= 15
    assert 0.8 < len(slots) / len(corpus) < 3


def test_without_noise_slot_values_are_those_of_the_lists() -> None:
    corpus = demo_corpus("en", 2000, noise=0)
    values = {
        label: {row.text[slot.start : slot.end] for row in corpus for slot in row.label.slots if slot.label == label}
        for label in ("color", "brightness", "volume_step", "fan_mode")
    }
    assert (
        {"red", "blue", "white"}
        <= values["color"]
        <= {*["white", "black", "red", "orange", "yellow", "green", "blue", "purple", "brown", "pink", "turquoise"]}
    )
    assert {"on", "off", "low"} <= values["fan_mode"]
    assert all(value[0].isdigit() or value.replace(" ", "").isalpha() for value in values["brightness"])


def test_same_arguments_same_corpus() -> None:
    assert demo_corpus("is", 200, seed=3) == demo_corpus("is", 200, seed=3)
    assert demo_corpus("is", 200, seed=3) != demo_corpus("is", 200, seed=4)


def test_noise_is_the_share_asked_for() -> None:
    clean = {row.text for row in demo_corpus("cy", 3000, noise=0)}
    assert all(row.text for row in demo_corpus("cy", 300, noise=1))
    assert len(clean & {row.text for row in demo_corpus("cy", 3000, noise=1)}) < 600


def test_unknown_locale() -> None:
    with pytest.raises(TemplatesError, match="no sentence templates for 'xx', only for af, "):
        demo_corpus("xx", 10)


def test_more_than_the_templates_give() -> None:
    with pytest.raises(TemplatesError, match=r"the templates of mn give about .* not 90000"):
        demo_corpus("mn", 90_000, noise=0)


def test_locales_come_best_supplied_first() -> None:
    locales = demo_locales()
    counts = [count for _, count in locales]
    assert counts == sorted(counts, reverse=True)
    assert len(locales) >= 60
    assert {"en", "sw", "cy", "is", "th", "ur"} <= {name for name, _ in locales}


@pytest.mark.parametrize(
    ("intent", "domain", "name"),
    [
        ("HassTurnOn", "light", "light_turn_on"),
        ("HassLightSet", "light", "light_set"),
        ("HassStartTimer", "homeassistant", "homeassistant_start_timer"),
    ],
)
def test_intents_belong_to_one_domain(intent: str, domain: str, name: str) -> None:
    assert intent_name(intent, domain) == name


def marked(*parts: tuple[str, str]) -> MarkedText:
    text = MarkedText()
    for words, label in parts:
        text.write(words, text.open_slot(label) if label else -1)
    return text


def test_tidying_keeps_spans_on_their_words() -> None:
    text = marked(("  Turn  on,\tthe ", ""), (" Desk  Lamp ", "name"), (" in the", ""), ("KITCHEN", "area"), ("? ", ""))
    tidy = text.tidied()
    assert tidy.text == "turn on the desk lamp in thekitchen"
    assert [tidy.text[slot.start : slot.end] for slot in tidy.slots] == ["desk lamp", "kitchen"]


def test_a_letter_whose_lower_case_is_longer_moves_no_span() -> None:
    tidy = marked(("İİ ", ""), ("İzmir", "place")).tidied()
    assert tidy.slots == (Slot(5, 11, "place"),)
    assert tidy.text[5:11] == "i̇zmir"


@pytest.mark.parametrize("seed", range(300))
def test_mistakes_never_tear_or_lose_a_slot(seed: int) -> None:
    random_ = random.Random(seed)
    text = marked(
        ("turn on the ", ""), ("bedside lamp", "name"), (" in ", ""), ("kitchen", "area"), ("ið", "")
    ).tidied()
    rough = roughen(text, random_)
    assert rough.text != ""
    name, area = ("".join(rough.text[slot.start : slot.end].split()) for slot in rough.slots)
    assert [slot.label for slot in rough.slots] == ["name", "area"]
    assert set(name) <= set("bedsidelamp")
    assert set(area) <= set("kitchen")
    assert len(rough.text) <= 2 * len(text.text)
