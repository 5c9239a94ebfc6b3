"""One person's two answers are one opinion."""

from __future__ import annotations

import pytest

from plugin.label_studio.payloads import DrawnTask
from tests.fakes.label_studio import FakeLabelStudio
from tests.integration.agreement.conftest import Team, accept, volume


def second_task(team: Team, server: FakeLabelStudio) -> DrawnTask:
    """The only second opinion's task, as who opens it from the list of tasks sees it."""
    [task] = server.project(team.project("second")).tasks.values()
    return DrawnTask(task["id"], task["data"]["utterance_id"], task["data"]["text"], None, None)


def test_nobody_is_served_what_they_have_reviewed(team: Team) -> None:
    team.begin(4)
    mine = {team.answer(0) for _ in range(2)}
    others = {team.answer(1) for _ in range(2)}
    team.collect()
    assert {team.answer(0, "second") for _ in range(2)} == others
    assert team.draw(0, "second") is None
    assert {team.answer(1, "second") for _ in range(2)} == mine


def test_with_a_single_annotator_it_waits(team: Team, server: FakeLabelStudio) -> None:
    team.begin(2)
    for _ in range(2):
        team.answer(0)
    for _ in range(4):
        team.collect()
        assert team.draw(0, "second") is None
    assert set(team.states("second").values()) == {"published"}
    assert team.reworks() == []
    assert [len(project.tasks) for project in server.projects.values()] == [2, 2]


def test_a_second_answer_given_all_the_same_does_not_count_and_goes_to_somebody_else(
    team: Team, server: FakeLabelStudio
) -> None:
    team.begin(1)
    team.answer(0)
    team.collect()
    team.submit(0, second_task(team, server), volume)
    team.collect()
    [answer] = team.annotations("second")
    assert answer.withdrawn_at is not None
    assert team.queue("adjudication") is None
    assert list(team.states("second").values()) == ["published"]
    assert [(row.reason, row.taken_back_at is not None) for row in team.reworks()] == [("same person", True)]
    assert team.draw(0, "second") is None
    team.answer(1, "second", accept)
    team.collect()
    assert list(team.states("second").values()) == ["annotated"]
    assert [row.annotator for row in team.annotations("second") if row.withdrawn_at is None] == [team.emails[1]]


def test_an_answer_that_is_given_again_and_again_never_counts(team: Team, server: FakeLabelStudio) -> None:
    """The skip that was made of it is opened and submitted: the same annotation is an answer once more."""
    team.begin(1)
    team.answer(0)
    team.collect()
    annotation_id = team.submit(0, second_task(team, server), volume)
    for _ in range(3):
        [task] = server.project(team.project("second")).tasks.values()
        [annotation] = [item for item in task["annotations"] if item["id"] == annotation_id]
        annotation.update(was_cancelled=False, updated_at=server.now())
        task["updated_at"] = annotation["updated_at"]
        team.collect()
        assert annotation["was_cancelled"]
        assert team.draw(0, "second") is None
        assert list(team.states("second").values()) == ["published"]
    assert len(team.annotations("second")) == len(team.reworks()) == 1


def test_the_answer_of_another_beside_it_counts(team: Team, server: FakeLabelStudio) -> None:
    team.begin(1)
    team.answer(0)
    team.collect()
    team.submit(0, second_task(team, server), volume)
    team.submit(1, second_task(team, server), volume)
    team.collect()
    assert list(team.states("second").values()) == ["annotated"]
    assert {row.annotator: row.withdrawn_at is None for row in team.annotations("second")} == {
        team.emails[0]: False,
        team.emails[1]: True,
    }
    assert team.queue("adjudication") is not None


def test_who_cannot_be_told_by_an_address_is_asked_all_the_same(team: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who is gone from Label Studio cannot be kept from anything."""
    team.begin(1)
    team.answer(0)
    monkeypatch.setattr(type(team.admin), "keep_from", lambda *_: False)
    team.collect()
    assert team.draw(1, "second") is not None


def test_our_own_skips_that_keep_people_away_are_no_skips(team: Team) -> None:
    team.begin(2)
    for _ in range(2):
        team.answer(0)
    for _ in range(3):
        team.collect()
    assert team.reworks() == []
    assert team.draw(0, "second") is None
