from __future__ import annotations

from dataclasses import replace
from xml.etree import ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from plugin.label_studio.checking import InvalidPredictionError, check_tasks
from plugin.label_studio.guide import instruction
from plugin.label_studio.payloads import read_result
from plugin.label_studio.queues import (
    TITLE_CHARACTERS,
    MetricLine,
    QueueTask,
    between,
    describe,
    label_regions,
    prediction_result,
    project_settings,
    project_title,
    rank_codes,
    task_json,
)
from plugin.label_studio.screen import (
    BLIND,
    REJECT_KEYS,
    LabelSet,
    has_marker,
    label_config,
    queue_marker,
    shortcuts,
)
from plugin.records import Hypothesis, RejectReason, Slot

LABELS = LabelSet({"music": ["play_song", "stop"], "R&B <x>": ['say "hi"']}, ["artist", "a & b"])
TEXT = "play 🎵 Queen now"
TASK = QueueTask(7, TEXT, Hypothesis("music", "play_song", (Slot(7, 12, "artist"),)), "Chosen for review.", 0.5)
CONFIG = label_config("en-US", "music", LABELS)


def parsed(config: str) -> ET.Element:
    return ET.fromstring(config)  # noqa: S314


def test_rank_codes_ascend_within_what_label_studio_takes() -> None:
    codes = rank_codes(50_000)
    assert codes == sorted(set(codes))
    assert codes[0] > 0
    assert codes[-1] < 0.05
    assert rank_codes(2, after=codes[-1])[0] > codes[-1]
    with pytest.raises(ValueError, match="order the whole queue anew"):
        rank_codes(2, after=1.0)


@given(st.lists(st.integers(min_value=0, max_value=10**6), min_size=1, max_size=25))
def test_arrivals_always_find_a_place_between_neighbours(places: list[int]) -> None:
    codes = rank_codes(3)
    for place in places:
        at = place % (len(codes) + 1)
        low = codes[at - 1] if at else None
        high = codes[at] if at < len(codes) else None
        codes[at:at] = between(low, high)
    assert codes == sorted(set(codes))
    assert codes[0] > 0
    assert codes[-1] <= 1


def test_no_room_between_neighbours_is_said() -> None:
    assert between(0.25, 0.5, 3) == [0.3125, 0.375, 0.4375]
    assert between(None, None, 2) == rank_codes(2)
    with pytest.raises(ValueError, match="no room for 1 rank codes"):
        between(0.5, 0.5 + 2**-53)


def test_labels_are_escaped_and_read_back() -> None:
    root = parsed(CONFIG)
    domains = [choice.get("value") for choice in root.findall(".//Choices[@name='domain']/Choice")]
    slots = [label.get("value") for label in root.findall(".//Labels/Label")]
    assert domains == ["music", "R&B <x>"]
    assert slots == ["artist", "a & b"]
    guide = instruction("R&B <x>", LABELS)
    assert "R&amp;B &lt;x&gt;" in guide
    assert "<x>" not in guide


def test_each_shortcut_stands_once_even_with_more_labels_than_keys() -> None:
    many = LabelSet(
        {f"d{number}": [f"i{number}-{each}" for each in range(4)] for number in range(18)},
        [f"s{number}" for number in range(55)],
    )
    root = parsed(label_config("en-US", "d3", many))
    keys = [node.get("hotkey") for node in root.iter() if node.get("hotkey")]
    assert len(keys) == len(set(keys))
    assert {node.get("value"): node.get("hotkey") for node in root.findall(".//Choices[@name='reject']/Choice")} == {
        str(reason): key for reason, key in REJECT_KEYS.items()
    }
    assert "u" not in keys, "Label Studio's own: it unselects"
    own = shortcuts("d3", many)
    assert [own["d3", f"i3-{each}"] for each in range(4)] == ["1", "2", "3", "4"]


@pytest.mark.parametrize(
    ("locale", "direction", "granularity"),
    [
        ("en-US", "ltr", "word"),
        ("ur-PK", "rtl", "word"),
        ("he_IL", "rtl", "word"),
        ("th-TH", "ltr", "symbol"),
        ("zh-CN", "ltr", "symbol"),
    ],
)
def test_scripts_decide_direction_and_granularity(locale: str, direction: str, granularity: str) -> None:
    root = parsed(label_config(locale, "music", LABELS))
    text = root.find(".//Text")
    box = root.find("View[@className='assay-utterance']")
    assert text is not None
    assert text.get("granularity") == granularity
    assert box is not None
    assert box.get("style") == f"direction: {direction}"


def test_a_project_is_known_by_its_marker_not_its_title() -> None:
    assert has_marker(CONFIG, queue_marker("en-US", "music"))
    assert not has_marker(CONFIG, queue_marker("en-US", "weather"))
    assert not has_marker("<View/>", queue_marker("en-US", "music"))
    assert not has_marker("no XML", queue_marker("en-US", "music"))
    assert project_title("sw-KE", "music") == "Assay · sw-KE · music"
    assert len(project_title("sw-KE", "x" * 80)) == TITLE_CHARACTERS


@pytest.mark.parametrize("name", ["", " padded", "$text", "new\nline"])
def test_names_that_label_studio_would_misread_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match="a name must not"):
        LabelSet({"music": ["play"]}, [name])
    with pytest.raises(ValueError, match="a name must not"):
        LabelSet({"music": [name]}, [])
    with pytest.raises(ValueError, match="comma"):
        LabelSet({"music, video": ["play"]}, [])
    with pytest.raises(ValueError, match="stands twice"):
        LabelSet({"music": ["play", "play"]}, [])


def test_format_characters_are_part_of_names() -> None:
    joiner = "क्\u200dष"
    labels = LabelSet({joiner: [joiner]}, [joiner])
    task = QueueTask(7, TEXT, Hypothesis(joiner, joiner, (Slot(7, 12, joiner),)), "", 0.5)
    check_tasks([task], label_config("hi-IN", joiner, labels), labels)
    assert read_result(prediction_result(task, labels), TEXT).label == task.hypothesis


def test_a_prediction_is_read_back_as_it_was() -> None:
    assert read_result(prediction_result(TASK, LABELS), TEXT).label == TASK.hypothesis
    check_tasks([TASK], CONFIG, LABELS)


def test_who_rejects_need_not_choose_a_label() -> None:
    """Required controls are asked for only where they are shown."""
    root = parsed(CONFIG)
    parents = {child: parent for parent in root.iter() for child in parent}
    required = [node for node in root.iter() if node.get("required") == "true"]
    assert {node.get("name") for node in required} == {"domain", "intent:music", "intent:R&B <x>", "why"}
    for node in required:
        conditions = []
        above = node
        while above in parents:
            above = parents[above]
            conditions.append((above.get("visibleWhen"), above.get("whenTagName"), above.get("whenChoiceValue")))
        if node.get("name") == "why":
            assert ("choice-selected", "reject", str(RejectReason.OTHER)) in conditions
        else:
            assert ("choice-unselected", "reject", None) in conditions


def test_a_blind_prediction_fills_in_nothing_and_says_so() -> None:
    blind = replace(TASK, blind=True)
    [line] = prediction_result(blind, LABELS)
    assert (line["from_name"], line["value"]["text"], line["readonly"]) == ("reason", [BLIND], True)
    assert read_result([line], TEXT).is_empty
    assert not read_result(prediction_result(TASK, LABELS), TEXT).is_empty
    check_tasks([blind], CONFIG, LABELS)


def test_an_intent_of_another_domain_is_left_open() -> None:
    torn = replace(TASK, hypothesis=Hypothesis("music", 'say "hi"'))
    reading = read_result(prediction_result(torn, LABELS), TEXT)
    assert (reading.domain, reading.intent) == ("music", None)
    check_tasks([torn], CONFIG, LABELS)


def test_without_a_hypothesis_only_the_reason_is_shown() -> None:
    bare = replace(TASK, hypothesis=None)
    assert [region["from_name"] for region in prediction_result(bare, LABELS)] == ["reason"]
    assert prediction_result(replace(bare, reason=""), LABELS) == []


def hypothesis(*slots: Slot, domain: str = "music") -> Hypothesis:
    return Hypothesis(domain, "play_song", slots)


@pytest.mark.parametrize(
    ("task", "problem"),
    [
        (replace(TASK, hypothesis=hypothesis(Slot(12, 99, "artist"))), "outside a text of 16"),
        (replace(TASK, hypothesis=hypothesis(Slot(3, 3, "artist"))), "outside a text"),
        (replace(TASK, hypothesis=hypothesis(Slot(0, 4, "artist"), Slot(2, 6, "artist"))), "overlap"),
        (replace(TASK, hypothesis=hypothesis(Slot(0, 4, "actor"))), "actor"),
        (replace(TASK, hypothesis=hypothesis(domain="sport")), "sport"),
        (replace(TASK, rank_code=1.5), "rank code"),
        (replace(TASK, rank_code=float("nan")), "rank code"),
        (replace(TASK, text="  "), "empty"),
    ],
)
def test_what_label_studio_would_swallow_is_refused_before_sending(task: QueueTask, problem: str) -> None:
    with pytest.raises(InvalidPredictionError, match=problem) as caught:
        check_tasks([TASK, replace(task, utterance_id=8)], CONFIG, LABELS)
    assert "utterance 8" in str(caught.value)
    assert "utterance 7" not in str(caught.value)


def test_a_task_holds_what_is_fixed_and_nothing_of_scores_or_arms() -> None:
    made = task_json(replace(TASK, columns={"locale": "en-US"}), "round-1", LABELS)
    assert made["data"] == {"utterance_id": 7, "text": TEXT, "locale": "en-US"}
    assert [item["model_version"] for item in made["predictions"]] == ["round-1"]
    with pytest.raises(ValueError, match="Assay's own"):
        task_json(replace(TASK, columns={"text": "x"}), "round-1", LABELS)
    with pytest.raises(ValueError, match="comma"):
        task_json(TASK, "round,1", LABELS)


def test_settings_hold_what_the_serving_order_rests_on() -> None:
    settings = project_settings("en-US", "music", LABELS)
    assert settings["sampling"] == "Uncertainty sampling"
    assert settings["maximum_annotations"] == 1


def test_the_description_is_short_and_says_the_metrics() -> None:
    lines = [MetricLine("SEMER", 0.2314, 0.2101, 0.2533), MetricLine("DCER", 0.0512)]
    text = describe("sw-KE", "music", lines, evaluated="24 November on gold")
    assert "Evaluation 24 November on gold: SEMER 23.1% [21.0%, 25.3%] · DCER 5.1%" in text
    assert describe("sw-KE", "music").count("\n") == 0


@given(st.text(min_size=1).filter(str.strip), st.data())
def test_any_text_and_span_survives_the_round_trip(text: str, data: st.DataObject) -> None:
    start = data.draw(st.integers(0, len(text) - 1))
    end = data.draw(st.integers(start + 1, len(text)))
    if text[start:end] != text[start:end].strip():
        return
    label = Hypothesis("music", "stop", (Slot(start, end, "artist"),))
    assert read_result(label_regions(label, text), text).label == label
