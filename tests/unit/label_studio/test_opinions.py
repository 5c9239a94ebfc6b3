from __future__ import annotations

import pytest

from plugin.label_studio.checking import check_tasks
from plugin.label_studio.opinions import both_said, common, name_of, opinion_settings, said
from plugin.label_studio.queues import QueueTask, prediction_result, project_settings
from plugin.label_studio.screen import LabelSet, has_marker, queue_marker
from plugin.records import Hypothesis, Slot

LABELS = LabelSet({"music": ["play", "stop"], "weather": ["query"]}, ["artist", "song"])
TEXT = "play thriller by queen"
SONG, ARTIST = Slot(5, 13, "song"), Slot(17, 22, "artist")
PLAY = Hypothesis("music", "play", (SONG, ARTIST))


@pytest.mark.parametrize("kind", ["second", "adjudication"])
def test_their_projects_serve_as_a_queue_does_and_are_known_apart(kind: str) -> None:
    settings = opinion_settings(kind, "en-US", LABELS, "3 wait")
    review = project_settings("en-US", "music", LABELS)
    words = {"title", "description", "label_config", "expert_instruction"}
    assert {name: value for name, value in settings.items() if name not in words} == {
        name: value for name, value in review.items() if name not in words
    }
    assert settings["description"].endswith("\n3 wait")
    assert has_marker(settings["label_config"], queue_marker("en-US", name_of(kind, "*")))
    assert name_of(kind, "*") == f"*{kind}"
    assert name_of("review", "music") == "music"
    assert len(settings["title"]) <= 50


def test_the_guide_tells_what_the_screen_of_its_kind_does() -> None:
    """Both keep the keys; nothing that is asked of adjudicators is what the assistant understood, or left out."""
    second, adjudication = (
        opinion_settings(kind, "en-US", LABELS)["expert_instruction"] for kind in ("second", "adjudication")
    )
    for words in ("Ctrl+Enter", "Reject what cannot be labelled", "Ctrl+Space"):
        assert (second.count(words), adjudication.count(words)) == (1, 1)
    for words in ("as the assistant understood", "accepts", "Now and then nothing is filled in"):
        assert (second.count(words), adjudication.count(words)) == (1, 0)


def test_every_label_of_every_domain_can_be_chosen() -> None:
    config = opinion_settings("second", "en-US", LABELS)["label_config"]
    assert all(f'value="{name}"' in config for name in ("music", "weather", "play", "stop", "query", "artist", "song"))


@pytest.mark.parametrize(
    ("other", "shared"),
    [
        (PLAY, PLAY),
        (Hypothesis("music", "play", (SONG,)), Hypothesis("music", "play", (SONG,))),
        (Hypothesis("music", "play", (Slot(5, 13, "artist"), ARTIST)), Hypothesis("music", "play", (ARTIST,))),
        (Hypothesis("music", "stop", (ARTIST,)), Hypothesis("music", "", (ARTIST,))),
        (Hypothesis("weather", "play", PLAY.slots), None),
        (None, None),
    ],
)
def test_what_two_answers_share(other: Hypothesis | None, shared: Hypothesis | None) -> None:
    assert common(PLAY, other) == shared
    assert common(other, PLAY) == shared


def test_an_intent_that_is_open_is_not_filled_in_and_label_studio_takes_the_rest() -> None:
    shared = common(PLAY, Hypothesis("music", "stop", (ARTIST,)))
    task = QueueTask(1, TEXT, shared, both_said("one", "other"), 0.5)
    assert [region["id"] for region in prediction_result(task, LABELS)] == ["reason", "domain", "slot0"]
    check_tasks([task], opinion_settings("adjudication", "en-US", LABELS)["label_config"], LABELS)


def test_an_answer_is_a_line_and_its_words_keep_their_direction() -> None:
    assert said(PLAY, TEXT) == "music, play; song “\u2068thriller\u2069”, artist “\u2068queen\u2069”"
    assert said(Hypothesis("music", "stop"), TEXT) == "music, stop; no slots"
    assert said(None, TEXT, "other language") == "it cannot be labelled (other language)"
    assert said(None, TEXT) == "it cannot be labelled"
    assert both_said("a", "b").splitlines() == ["Two people differ.", "One says: a", "The other says: b"]
