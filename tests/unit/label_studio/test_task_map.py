"""A foreign task becomes a record as the user said, or an error that says what to write instead."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from plugin.formats.checks import RecordError
from plugin.formats.record import parse_utterance
from plugin.label_studio.foreign_config import parse_controls
from plugin.label_studio.payloads.sources import SourceTask
from plugin.label_studio.task_map import MapError, TaskMap, check_map, parse_map
from plugin.label_studio.task_values import look_up
from plugin.records import Hypothesis, Slot, Utterance

CONFIG = """
<View>
  <Labels name="ner" toName="utt"><Label value="artist"/><Label value="song name" alias="song"/></Labels>
  <Text name="utt" value="$utterance"/>
  <Choices name="domain" toName="utt"><Choice value="music"/><Choice value="weather"/></Choices>
  <Taxonomy name="tree" toName="utt">
    <Choice value="music"><Choice value="play"/><Choice value="stop"/></Choice>
  </Taxonomy>
  <TextArea name="note" toName="utt"/>
</View>
"""
CONTROLS = parse_controls(CONFIG)
TEXT = "play thriller 🎵 by  Queen "


def task(data: dict[str, Any] | None = None, result: list[dict[str, Any]] | None = None, **more: Any) -> SourceTask:
    prediction = {"id": 1, "model_version": "nlu-3", "score": 0.4, "result": result or []}
    given: dict[str, Any] = {
        "task_id": 7, "data": {"utterance": TEXT, **(data or {})}, "meta": {"time": "2026-03-01T08:30:00Z"},
        "created_at": "2026-11-25T19:03:45.088641Z", "updated_at": datetime(2026, 11, 25, tzinfo=UTC),
        "predictions": (prediction,) if result is not None else (),
    }  # fmt: skip
    return SourceTask(**{**given, **more})


def said(name: str, kind: str, **value: Any) -> dict[str, Any]:
    return {"from_name": name, "to_name": "utt", "type": kind, "value": value}


MUSIC = said("domain", "choices", choices=["music"])


def utterance(source: SourceTask, *items: str, version: str = "") -> Utterance:
    given = {item.partition("=")[0] for item in items}
    defaults = [item for item in ("text=data.utterance", "locale=en-US") if item.partition("=")[0] not in given]
    return parse_utterance(TaskMap(parse_map([*defaults, *items]), CONTROLS, version).record(source))


def test_the_least_that_a_task_must_tell() -> None:
    found = utterance(task())
    assert found == Utterance(id="7", locale="en-US", text=TEXT)


def test_fields_of_data_and_meta_are_read_by_dotted_paths() -> None:
    source = task({"lang": "sw-KE", "nlu": [{"d": "music", "i": "play", "slots": [[5, 13, "song"]]}], "a.b": {"c": 5}})
    found = utterance(
        source, "locale=data.lang", "domain=data.nlu.0.d", "intent=data.nlu.0.i", "slots=data.nlu.0.slots",
        "occurred_at=meta.time", "id=data.a.b.c",
    )  # fmt: skip
    assert (found.id, found.locale, found.occurred_at) == ("5", "sw-KE", datetime(2026, 3, 1, 8, 30, tzinfo=UTC))
    assert found.hypothesis == Hypothesis("music", "play", (Slot(5, 13, "song"),))


def test_what_a_spreadsheet_made_of_the_values_is_taken_back() -> None:
    source = task(
        {"d": "music", "i": "play", "s": '[[5, 13, "song"]]', "p": "0.25", "ds": '{"music": 0.9}', "bad": "True"}
    )
    items = ("domain=data.d", "intent=data.i", "slots=data.s", "nlu_score=data.p", "domain_scores=data.ds")
    found = utterance(source, *items, "defect=data.bad")
    assert found.hypothesis == Hypothesis("music", "play", (Slot(5, 13, "song"),))
    assert (found.nlu_score, found.domain_scores, found.defect) == (0.25, {"music": 0.9}, True)


@pytest.mark.parametrize("span", [{"label": "song"}, {"labels": ["song"]}])
def test_spans_as_label_studio_writes_them_are_slots(span: dict[str, Any]) -> None:
    source = task({"d": "music", "i": "play", "s": [{"start": 5, "end": 13, **span}]})
    found = utterance(source, "domain=data.d", "intent=data.i", "slots=data.s")
    assert found.hypothesis == Hypothesis("music", "play", (Slot(5, 13, "song"),))


@pytest.mark.parametrize("empty", [{}, {"d": None, "i": ""}, {"d": "", "i": "", "s": []}])
def test_a_task_without_a_hypothesis_is_still_an_utterance(empty: dict[str, Any]) -> None:
    assert utterance(task(empty), "domain=data.d", "intent=data.i", "slots=data.s").hypothesis is None
    assert utterance(task(empty), "domain=music", "intent=data.i").hypothesis is None


def test_half_a_hypothesis_is_none_that_can_be_taken() -> None:
    with pytest.raises(RecordError, match=r"hypothesis\.intent: is missing"):
        utterance(task({"d": "music"}), "domain=data.d", "intent=data.i")


def test_predictions_are_read_by_the_controls_of_the_labelling_configuration() -> None:
    result = [
        said("domain", "choices", choices=["music"]),
        said("tree", "taxonomy", taxonomy=[["music", "play"]]),
        said("ner", "labels", start=15, end=26, text=" by  Queen ", labels=["artist"]),
        said("ner", "labels", start=5, end=13, text="thriller", labels=["song"]),
        {"type": "relation", "from_id": "a", "to_id": "b"},
    ]
    items = ("domain=prediction.domain", "intent=prediction.tree", "slots=prediction.ner", "nlu_score=prediction.score")
    found = utterance(task(result=result), *items)
    assert found.hypothesis is not None
    assert found.hypothesis == Hypothesis("music", "play", (Slot(5, 13, "song"), Slot(16, 25, "artist")))
    assert [TEXT[slot.start : slot.end] for slot in found.hypothesis.slots] == ["thriller", "by  Queen"]
    assert found.nlu_score == pytest.approx(0.4)
    levels = utterance(task(result=result), "domain=prediction.tree.0", "intent=prediction.tree.1")
    assert levels.hypothesis == Hypothesis("music", "play")


def test_the_prediction_that_the_project_shows_counts_else_the_latest() -> None:
    versions = [("nlu-1", "weather"), ("nlu-2", "music")]
    predictions = tuple(
        {"id": number, "model_version": version, "score": None, "result": [said("domain", "choices", choices=[domain])]}
        for number, (version, domain) in enumerate(versions)
    )
    items = ("domain=prediction.domain", "intent=data.i")
    source = task({"i": "x"}, predictions=predictions)
    shown = [utterance(source, *items, version=version).hypothesis for version in ("nlu-1", "nlu-2", "", "gone")]
    assert [one.domain for one in shown if one] == ["weather", "music", "music", "music"]


@pytest.mark.parametrize(
    ("result", "message"),
    [
        ([MUSIC, said("domain", "choices", choices=["weather"])], "says several things under 'domain'"),
        ([MUSIC, said("ner", "labels", start=0, end=4, text="stop", labels=["song"])], '"stop", the text has "play"'),
        ([MUSIC, said("ner", "labels", start=0, end=400, labels=["song"])], "span 0:400 must be"),
    ],
)
def test_a_prediction_that_contradicts_its_text_or_itself_is_told(result: list[dict[str, Any]], message: str) -> None:
    items = ("domain=prediction.domain", "intent=data.i", "slots=prediction.ner")
    with pytest.raises(RecordError, match=message):
        utterance(task({"i": "play"}, result=result), *items)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"utterance": ""}, "text: is missing"),
        ({"utterance": 5}, "text: must be a string, not a number"),
        ({"lang": "english"}, "locale: must be a language tag"),
        ({"p": "high"}, "nlu_score: must be a number, not a string"),
        ({"s": "[["}, "slots: is text and not JSON"),
    ],
)
def test_bad_values_are_named_by_their_field(data: dict[str, Any], message: str) -> None:
    source = task({"lang": "en-US", "d": "music", "i": "play", **data})
    items = ("locale=data.lang", "nlu_score=data.p", "domain=data.d", "intent=data.i", "slots=data.s")
    with pytest.raises(RecordError, match=message):
        utterance(source, *items)


@pytest.mark.parametrize(
    ("items", "message"),
    [
        (["text=data.text"], "lacks locale: say where it stands, like locale=en-US"),
        (["locale=en-US"], "lacks text: say where it stands, like text=data.text"),
        (["text"], "--map text: must be FIELD=PLACE"),
        (["text=data.a", "text=data.b"], "text is mapped twice"),
        (["txet=data.a"], "'txet' is not a field of the record format; did you mean text?"),
        (["text=utterance"], "would be the same for every task; to read it from them write text=data.utterance"),
        (["text='data.x'"], "to read it from them write text=data.x"),
        (["text=data"], "'data' does not say which field of data, like data.name"),
        (["text=data."], "does not say which field of data"),
        (["occurred_at=task.age"], "of a task itself only id, created_at, updated_at"),
        (["domain=data.assay_domain"], "is written by Assay"),
        (["domain=''"], "the value is empty"),
    ],
)
def test_a_map_that_cannot_be_understood_says_what_to_write(items: list[str], message: str) -> None:
    with pytest.raises(MapError) as caught:
        parse_map(items)
    assert message in str(caught.value)


def test_constants_stand_without_a_root_or_in_quotation_marks() -> None:
    found = utterance(
        task({"i": "x"}), "domain='data.x'", "intent=data.i", "locale=sw-KE", 'defect="true"', "nlu_score=0.5"
    )
    assert (found.locale, found.defect, found.nlu_score) == ("sw-KE", True, 0.5)
    assert found.hypothesis == Hypothesis("data.x", "x")


@pytest.mark.parametrize(
    ("item", "message"),
    [
        ("domain=lang", "the tasks have a field lang; write domain=data.lang to read it"),
        ("domain=data.domian", "no task has a field 'domian'; did you mean data.domain?"),
        ("id=data.x", "no task has a field 'x'; they have domain, lang, utterance"),
        ("domain=prediction.topic", "no control 'topic'; it has domain, ner, note, tree, score, model_version"),
        ("domain=prediction.ner", "'ner' holds labels, and domain needs a value"),
        ("slots=prediction.domain", "'domain' holds choices, and slots needs labels"),
        ("intent=prediction.domain.0", "only a taxonomy's levels can be told apart"),
    ],
)
def test_a_map_that_does_not_fit_the_project_says_what_would(item: str, message: str) -> None:
    places = parse_map(["text=data.utterance", "locale=en-US", item])
    with pytest.raises(MapError) as caught:
        check_map(places, CONTROLS, ["utterance", "lang", "domain"])
    assert message in str(caught.value)


def test_spans_of_another_text_than_the_mapped_one_are_refused() -> None:
    places = parse_map(["text=data.lang", "locale=en-US", "slots=prediction.ner"])
    with pytest.raises(MapError, match=r"its spans are in data\.utterance, and the text is mapped from data\.lang"):
        check_map(places, CONTROLS, ["utterance", "lang"])


def test_a_map_is_stored_as_it_was_written_and_read_back() -> None:
    items = ["text=data.utterance", "locale=en-US", "domain='data.x'", "intent=prediction.tree"]
    first = TaskMap(parse_map(items), CONTROLS)
    again = parse_map([f"{field}={place}" for field, place in first.to_json().items()])
    assert again == first.places
    assert first.read_from == {"intent": "tree"}


def test_the_longest_key_that_is_there_counts() -> None:
    node = {"a": {"b": 1, "b.c": 2}, "a.b": {"c": 3}, "list": [{"x": 4}, 5]}
    assert [look_up(node, path) for path in ("a.b", "a.b.c", "list.0.x", "list.1")] == [{"c": 3}, 3, 4, 5]
    assert [look_up(node, path) for path in ("a.z", "list.2", "list.x", "a.b.c.d")] == [None] * 4
