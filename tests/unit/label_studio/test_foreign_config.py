"""What somebody else's labelling configuration can hold of a review."""

from __future__ import annotations

import pytest

from plugin.label_studio.foreign_config import (
    CannotHoldError,
    can_hold_labels,
    holders,
    is_ours,
    parse_controls,
    regions,
)
from plugin.label_studio.queues import LabelSet, project_settings
from plugin.records import Hypothesis, Slot

CONFIG = """
<View>
  <Header value="What is meant?"/>
  <Labels name="slots" toName="utt"><Label value="artist"/><Label value="the song" alias="song"/></Labels>
  <Text name="utt" value="$text"/>
  <Choices name="domain" toName="utt"><View><Choice value="music"/><Choice value="radio"/></View></Choices>
  <Choices name="intent" toName="utt"><Choice value="play"/></Choices>
  <Taxonomy name="tree" toName="utt">
    <Choice value="music"><Choice value="play"/></Choice>
    <Choice value="radio"><Choice value="play"/><Choice value="tune"/></Choice>
  </Taxonomy>
  <Choices name="ok" toName="utt"><Choice value="accept"/><Choice value="fix"/><Choice value="reject"/></Choices>
  <Choices name="open" toName="utt" value="$options"/>
  <HyperText name="page" value="$html"/>
  <Labels name="spots" toName="page"><Label value="artist"/></Labels>
</View>
"""
CONTROLS = parse_controls(CONFIG)
TEXT = "play thriller"
PLAY = Hypothesis("music", "play", (Slot(5, 13, "song"),))
WHOLE = {"domain": "domain", "intent": "intent", "slots": "slots"}


def test_controls_are_told_with_their_choices_and_the_text_they_are_about() -> None:
    assert {name: (control.kind, control.reads) for name, control in CONTROLS.items()} == {
        "slots": ("labels", "text"), "domain": ("choices", "text"), "intent": ("choices", "text"),
        "tree": ("taxonomy", "text"), "ok": ("choices", "text"), "open": ("choices", "text"),
        "spots": ("labels", None),
    }  # fmt: skip
    assert CONTROLS["slots"].options == {("artist",), ("song",)}
    assert CONTROLS["domain"].options == {("music",), ("radio",)}
    assert ("radio", "tune") in CONTROLS["tree"].options
    assert parse_controls("<View") == {}


def test_a_review_becomes_regions_under_the_projects_own_controls() -> None:
    made = regions(PLAY, "fix", TEXT, {**WHOLE, "verdict": "ok"}, CONTROLS)
    assert [(region["from_name"], region["type"], region["value"]) for region in made] == [
        ("ok", "choices", {"choices": ["fix"]}),
        ("domain", "choices", {"choices": ["music"]}),
        ("intent", "choices", {"choices": ["play"]}),
        ("slots", "labels", {"start": 5, "end": 13, "text": "thriller", "labels": ["song"]}),
    ]
    assert {region["to_name"] for region in made} == {"utt"}
    assert len({region["id"] for region in made}) == 4


def test_a_taxonomy_holds_the_intent_below_its_domain() -> None:
    chosen = {"intent": "tree", "slots": "slots"}
    [made] = regions(Hypothesis("radio", "play"), "accept", TEXT, chosen, CONTROLS)
    assert made["value"] == {"taxonomy": [["radio", "play"]]}
    assert can_hold_labels(chosen, CONTROLS)
    with pytest.raises(CannotHoldError, match="'tree' has no 'tune' below 'music'"):
        regions(Hypothesis("music", "tune"), "accept", TEXT, chosen, CONTROLS)


@pytest.mark.parametrize(
    ("label", "chosen", "message"),
    [
        (Hypothesis("news", "play"), WHOLE, "the control 'domain' has no choice 'news'"),
        (Hypothesis("music", "hum"), WHOLE, "the control 'intent' has no choice 'hum'"),
        (Hypothesis("music", "play", (Slot(0, 4, "verb"),)), WHOLE, "the control 'slots' has no choice 'verb'"),
        (PLAY, {"domain": "domain", "intent": "intent"}, "no control holds the slots"),
        (PLAY, {"intent": "intent", "slots": "slots"}, "no control holds the domain"),
        (PLAY, {**WHOLE, "domain": "gone"}, "no control 'gone' any more"),
        (None, WHOLE, "it was rejected, and no control holds a verdict"),
    ],
)
def test_what_has_no_place_is_told(label: Hypothesis | None, chosen: dict[str, str], message: str) -> None:
    with pytest.raises(CannotHoldError, match=message):
        regions(label, "reject" if label is None else "fix", TEXT, chosen, CONTROLS)


def test_a_rejection_is_held_where_a_control_has_verdicts() -> None:
    [made] = regions(None, "reject", TEXT, {**WHOLE, "verdict": "ok"}, CONTROLS)
    assert made["value"] == {"choices": ["reject"]}


def test_choices_that_come_with_each_task_are_taken_on_trust() -> None:
    made = regions(PLAY, "fix", TEXT, {**WHOLE, "domain": "open"}, CONTROLS)
    assert made[0]["value"] == {"choices": ["music"]}


def test_controls_are_found_by_what_was_asked_then_read_then_by_their_name() -> None:
    assert holders(CONTROLS, "text", {}, {}) == WHOLE
    assert holders(CONTROLS, "text", {"verdict": "ok"}, {"intent": "tree"}) == {
        **WHOLE,
        "intent": "tree",
        "verdict": "ok",
    }
    assert not can_hold_labels(holders({}, "text", {}, {}), {})
    with pytest.raises(CannotHoldError, match=r"slots=spots: the project has no control .* can hold it; it has slots"):
        holders(CONTROLS, "text", {"slots": "spots"}, {})
    with pytest.raises(CannotHoldError, match=r"slots=slots: .*; it has none of the kind labels"):
        holders(CONTROLS, "another", {"slots": "slots"}, {})
    assert "slots" not in holders(CONTROLS, "another", {}, {"slots": "slots"})


def test_our_own_projects_are_known_by_their_marker() -> None:
    labels = LabelSet({"music": ["play"]}, ["song"])
    assert is_ours(project_settings("en-US", "music", labels)["label_config"])
    assert not is_ours(CONFIG)
    assert not is_ours("<View")
