"""Where two people differ a third decides, and that is the label."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from db.models import QueueTask
from db.repositories import examples, selections
from plugin.label_studio.controls import REASON
from plugin.label_studio.payloads import DrawnTask
from plugin.label_studio.queues import label_regions
from plugin.records import Hypothesis, Slot
from tests.fakes.label_studio import FakeLabelStudio
from tests.integration.agreement.conftest import Say, Team, accept, reject, volume

PLAY = Hypothesis("music", "music_play")


def as_slot(label: str) -> Say:
    def say(task: DrawnTask) -> Hypothesis:
        return Hypothesis("music", "music_play", (Slot(0, 9, label),))

    return say


def stop(task: DrawnTask) -> Hypothesis:
    return Hypothesis("music", "music_stop")


def weather(task: DrawnTask) -> Hypothesis:
    return Hypothesis("weather", "weather_query")


def two_say(team: Team, one: Say, other: Say) -> int:
    """One utterance with both answers, collected."""
    team.begin(1)
    utterance_id = team.answer(0, say=one)
    team.collect()
    team.answer(1, "second", other)
    team.collect()
    return utterance_id


def reason(server: FakeLabelStudio, team: Team) -> str:
    [task] = server.project(team.project("adjudication")).tasks.values()
    [found] = [item for item in task["predictions"][0]["result"] if item["from_name"] == REASON]
    return "\n".join(found["value"]["text"])


def test_what_two_agree_on_is_not_adjudicated(team: Team) -> None:
    two_say(team, volume, volume)
    assert team.queue("adjudication") is None


@pytest.mark.parametrize(
    ("one", "other"),
    [(accept, volume), (accept, stop), (accept, as_slot("artist")), (as_slot("artist"), as_slot("date")),
     (accept, reject), (reject, volume)],
)  # fmt: skip
def test_what_two_differ_on_is(team: Team, one: Say, other: Say) -> None:
    utterance_id = two_say(team, one, other)
    assert team.states("adjudication") == {utterance_id: "published"}
    assert team.admin.get_project(team.project("adjudication"))["title"] == "Assay · en-US · adjudication"


def test_two_rejections_agree_whatever_the_reason(team: Team) -> None:
    two_say(team, reject, reject)
    assert team.queue("adjudication") is None


def test_both_answers_are_shown_without_names_in_an_order_that_says_nothing(
    team: Team, server: FakeLabelStudio
) -> None:
    team.begin(24)
    for _ in range(24):
        team.answer(0, say=as_slot("artist"))
    team.collect()
    for _ in range(24):
        team.answer(1, "second", reject)
    team.collect()
    texts = [
        "\n".join(region["value"]["text"])
        for task in server.project(team.project("adjudication")).tasks.values()
        for region in task["predictions"][0]["result"]
        if region["from_name"] == REASON
    ]
    assert all("music, music_play; artist “\u2068utterance\u2069”" in text for text in texts)
    assert all("it cannot be labelled (unintelligible)" in text for text in texts)
    assert not any(email.split("@")[0] in text for text in texts for email in team.emails)
    first = sum(text.index("music_play") < text.index("cannot") for text in texts)
    assert 4 <= first <= 20
    assert all(not task["annotations"] for task in server.project(team.project("adjudication")).tasks.values())


@pytest.mark.parametrize(
    ("one", "other", "filled_in"),
    [(accept, as_slot("artist"), PLAY), (accept, volume, None), (accept, reject, None)],
)
def test_what_both_said_is_filled_in_and_the_rest_left_open(
    team: Team, one: Say, other: Say, filled_in: Hypothesis | None
) -> None:
    two_say(team, one, other)
    task = team.draw(2, "adjudication")
    assert task is not None
    assert task.shown == filled_in


def test_an_intent_that_two_differ_on_is_left_open(team: Team, server: FakeLabelStudio) -> None:
    two_say(team, accept, stop)
    [task] = server.project(team.project("adjudication")).tasks.values()
    names = [region["from_name"] for region in task["predictions"][0]["result"]]
    assert names == [REASON, "domain"]
    assert "music_stop" in reason(server, team)


def test_the_adjudicated_label_is_the_one_that_trains_and_counts_once(team: Team) -> None:
    utterance_id = two_say(team, accept, volume)
    team.answer(2, "adjudication", weather)
    team.collect()
    with team.transaction() as session:
        [example] = examples.reviewed(session, team.locale)
        outcomes = selections.outcomes(session, team.locale, "*", "*")
    assert (example.utterance_id, example.domain) == (utterance_id, "weather")
    assert outcomes == [("random", 1, 1)]
    assert list(team.states("adjudication").values()) == ["annotated"]


def test_an_adjudicated_verdict_is_on_what_the_assistant_understood(team: Team) -> None:
    """Not on the part that was filled in: else who adjudicates for the assistant would be said to have fixed it."""

    def play(task: DrawnTask) -> Hypothesis:
        return PLAY

    two_say(team, accept, volume)
    team.answer(2, "adjudication", play)
    team.collect()
    assert [row.verdict for row in team.annotations("adjudication")] == ["accept"]


def test_an_adjudicated_rejection_leaves_no_example(team: Team) -> None:
    two_say(team, accept, volume)
    team.answer(2, "adjudication", reject)
    team.collect()
    with team.transaction() as session:
        assert examples.reviewed(session, team.locale) == []


def test_who_comes_to_agree_needs_no_adjudication(team: Team, server: FakeLabelStudio) -> None:
    utterance_id = two_say(team, accept, volume)
    [task] = server.project(team.project()).tasks.values()
    [annotation] = task["annotations"]
    annotation.update(
        result=label_regions(Hypothesis("audio", "audio_volume"), "utterance number 0"), updated_at=server.now()
    )
    task["updated_at"] = annotation["updated_at"]
    team.collect()
    assert team.states("adjudication") == {utterance_id: "leaving"}
    with team.transaction() as session:
        long_ago = QueueTask.state_since - timedelta(hours=3)
        session.execute(update(QueueTask).where(QueueTask.state == "leaving").values(state_since=long_ago))
    team.tidy()
    assert team.states("adjudication") == {utterance_id: "removed"}
    assert server.project(team.project("adjudication")).tasks == {}


def test_who_comes_to_differ_again_is_adjudicated_again(team: Team, server: FakeLabelStudio) -> None:
    utterance_id = two_say(team, accept, volume)
    [task] = server.project(team.project()).tasks.values()
    [annotation] = task["annotations"]
    for label, state in [(Hypothesis("audio", "audio_volume"), "leaving"), (PLAY, "published")]:
        annotation.update(result=label_regions(label, "utterance number 0"), updated_at=server.now())
        task["updated_at"] = annotation["updated_at"]
        team.collect()
        assert team.states("adjudication") == {utterance_id: state}
    assert len(server.project(team.project("adjudication")).tasks) == 1
    assert team.draw(2, "adjudication") is not None


def test_what_is_adjudicated_stays_so_whatever_the_two_say_later(team: Team, server: FakeLabelStudio) -> None:
    two_say(team, accept, volume)
    team.answer(2, "adjudication", weather)
    team.collect()
    [task] = server.project(team.project()).tasks.values()
    [annotation] = task["annotations"]
    annotation.update(
        result=label_regions(Hypothesis("audio", "audio_volume"), "utterance number 0"), updated_at=server.now()
    )
    task["updated_at"] = annotation["updated_at"]
    team.collect()
    with team.transaction() as session:
        [example] = examples.reviewed(session, team.locale)
    assert example.domain == "weather"
    assert list(team.states("adjudication").values()) == ["annotated"]


def test_the_oldest_difference_comes_first(team: Team) -> None:
    team.begin(4)
    for _ in range(4):
        team.answer(0)
    team.collect()
    differ = [team.answer(1, "second", volume) for _ in range(2)]
    team.collect()
    differ += [team.answer(1, "second", volume) for _ in range(2)]
    team.collect()
    assert [team.answer(2, "adjudication", accept_any) for _ in range(4)] == differ


def accept_any(task: DrawnTask) -> Hypothesis:
    return PLAY
