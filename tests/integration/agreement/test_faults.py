"""What goes wrong between Assay and Label Studio loses nothing and doubles nothing."""

from __future__ import annotations

from collections import Counter

import pytest

from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.payloads import DrawnTask
from plugin.records import Hypothesis
from tests.fakes.label_studio import FakeLabelStudio
from tests.integration.agreement.conftest import Team, volume


def utterances(server: FakeLabelStudio, project_id: int) -> Counter[int]:
    return Counter(task["data"]["utterance_id"] for task in server.project(project_id).tasks.values())


def refuse(*_: object, **__: object) -> None:
    raise LabelStudioError("a call", 503, "busy")


@pytest.mark.parametrize("call", ["keep_from", "import_tasks", "create_project", "ensure_tabs"])
def test_publishing_that_breaks_off_is_taken_up_again(
    team: Team, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    team.begin(3)
    for _ in range(3):
        team.answer(0)
    with monkeypatch.context() as patch:
        patch.setattr(type(team.admin), call, refuse)
        with pytest.raises(LabelStudioError):
            team.collect()
    assert set(team.states("second").values()) == {"planned"}
    team.collect()
    assert set(team.states("second").values()) == {"published"}
    assert utterances(server, team.project("second")) == dict.fromkeys(team.states("second"), 1)
    assert sum(project.settings["title"].endswith("second opinions") for project in server.projects.values()) == 1
    assert team.draw(0, "second") is None


def test_an_import_whose_answer_is_lost_doubles_nothing(team: Team, server: FakeLabelStudio) -> None:
    team.begin(3)
    for _ in range(3):
        team.answer(0)
    server.lost_answers = 1
    team.collect()
    assert utterances(server, team.project("second")) == dict.fromkeys(team.states("second"), 1)


@pytest.mark.parametrize("call", ["move_task", "take_back"])
def test_a_skip_that_cannot_be_taken_back_now_is_later(team: Team, monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    team.begin(2, overlap_share=0.0)
    skipped = team.skip(0)
    with monkeypatch.context() as patch:
        patch.setattr(type(team.admin), call, refuse)
        with pytest.raises(LabelStudioError):
            team.collect()
    assert [row.taken_back_at for row in team.reworks()] == [None]
    team.collect()
    assert [row.taken_back_at is None for row in team.reworks()] == [False]
    assert [team.answer(0) for _ in range(2)][-1] == skipped


def test_a_same_person_that_cannot_be_told_now_is_later_and_never_counts_meanwhile(
    team: Team, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    team.begin(1)
    team.answer(0)
    team.collect()
    [task] = server.project(team.project("second")).tasks.values()
    team.submit(0, DrawnTask(task["id"], 0, task["data"]["text"], None, None), volume)
    with monkeypatch.context() as patch:
        patch.setattr(type(team.admin), "make_skip", refuse)
        for _ in range(2):
            with pytest.raises(LabelStudioError):
                team.collect()
            assert [row.withdrawn_at is None for row in team.annotations("second")] == [False]
            assert team.queue("adjudication") is None
    team.collect()
    assert len(team.reworks()) == 1
    assert team.draw(1, "second") is not None


def test_what_was_deleted_by_hand_meanwhile_needs_no_telling(team: Team, server: FakeLabelStudio) -> None:
    team.begin(2, overlap_share=0.0)
    team.skip(0)
    team.reconcile(team.project())
    for task in server.project(team.project()).tasks.values():
        task["annotations"].clear()
    server.delete_tasks(team.project(), list(server.project(team.project()).tasks)[:1])
    team.tidy()
    assert [row.taken_back_at is None for row in team.reworks()] == [False]


@pytest.mark.parametrize("kind", ["second", "adjudication"])
def test_a_project_that_was_deleted_is_made_anew_with_what_is_still_open(
    team: Team, server: FakeLabelStudio, kind: str
) -> None:
    team.begin(4)
    for _ in range(4):
        team.answer(0)
    team.collect()
    for _ in range(3 if kind == "adjudication" else 1):
        team.answer(1, "second", volume)
    team.collect()
    if kind == "adjudication":
        team.answer(2, kind, volume)
        team.collect()
    before, lost = team.states(kind), team.project(kind)
    team.admin.delete_project(lost)
    team.collect()  # it is found to be gone
    with team.transaction() as session:
        queue = team.queue(kind)
        assert queue is not None
        session.get_one(type(queue), queue.id).dirty = True
    team.collect()
    assert team.project(kind) != lost
    assert team.states(kind) == before
    still_open = {utterance_id for utterance_id, state in before.items() if state == "published"}
    assert utterances(server, team.project(kind)) == dict.fromkeys(still_open, 1)


def test_a_task_that_was_deleted_by_hand_is_asked_about_again(team: Team, server: FakeLabelStudio) -> None:
    team.begin(2)
    for _ in range(2):
        team.answer(0)
    team.collect()
    gone, *_ = server.project(team.project("second")).tasks
    server.delete_tasks(team.project("second"), [gone])
    team.collect()
    assert set(team.states("second").values()) == {"published"}
    assert utterances(server, team.project("second")) == dict.fromkeys(team.states("second"), 1)


def test_an_answer_that_cannot_be_read_is_told_and_feeds_nothing(team: Team, server: FakeLabelStudio) -> None:
    team.begin(2)
    task = team.draw(0)
    assert task is not None
    team.people[0].submit_annotation(task.task_id, [{"from_name": "domain", "value": {"choices": ["music"]}}])
    team.answer(0)
    found = team.collect()
    assert sum(len(collected.problems) for collected in found) == 1
    assert len(team.states("second")) == 1


def test_a_label_that_only_people_have_said_can_be_chosen_in_adjudication(team: Team, server: FakeLabelStudio) -> None:
    def new(task: DrawnTask) -> Hypothesis:
        return Hypothesis("music", "music_dance")

    team.begin(1)
    team.answer(0)
    team.collect()
    team.answer(1, "second", new)
    team.collect()
    assert 'value="music_dance"' in server.project(team.project("adjudication")).settings["label_config"]
