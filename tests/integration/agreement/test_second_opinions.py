"""Who is asked a second time, about what, and what they are shown."""

from __future__ import annotations

import json

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import SelectionRow
from plugin.label_studio.payloads import DrawnTask
from plugin.quality.selection import is_overlap
from plugin.records import Hypothesis
from plugin.services import policies
from tests.fakes.label_studio import FakeLabelStudio
from tests.integration.agreement.conftest import Team, accept, reject, revise, volume

SECRET = Hypothesis("weather", "weather_query")


def weather(task: DrawnTask) -> Hypothesis:
    return SECRET


def test_nobody_is_asked_twice_without_an_overlap(team: Team) -> None:
    team.begin(3, overlap_share=0.0)
    for _ in range(3):
        team.answer(0)
    team.collect()
    assert team.queue("second") is None
    assert {task.overlap for task in team.tasks("review")} == {False}


def test_the_overlap_is_the_seeds_draw_of_each_utterance(team: Team) -> None:
    team.begin(40, seed=7, overlap_share=0.4)
    reviewed = [team.answer(0) for _ in range(30)]
    team.collect()
    drawn = {id_ for id_ in reviewed if is_overlap(7, id_, 0.4)}
    assert 0 < len(drawn) < 30
    assert team.states("second") == dict.fromkeys(drawn, "published")
    stored = {task.utterance_id: task.overlap for task in team.tasks("review")}
    assert stored == {id_: id_ in drawn if id_ in reviewed else None for id_ in stored}


def test_the_draw_is_kept_whatever_the_policy_and_the_round_become(team: Team) -> None:
    team.begin(8, seed=1, overlap_share=0.5)
    reviewed = {team.answer(0) for _ in range(4)}
    team.collect()
    before = {task.utterance_id: task.overlap for task in team.tasks("review") if task.utterance_id in reviewed}
    assert set(before.values()) == {True, False}
    with team.transaction() as session:
        policies.change(session, team.locale, "*", {"overlap_share": 1.0}, changed_by="test", comment="")
    team.refresh(seed=2)
    later = {team.answer(0) for _ in range(4)}
    team.collect()
    drawn = {task.utterance_id: task.overlap for task in team.tasks("review")}
    assert drawn == before | dict.fromkeys(later, True)


def test_second_opinions_come_in_the_order_of_the_first(team: Team) -> None:
    team.begin(6)
    reviewed = [team.answer(person) for person in (0, 1, 0) for _ in range(2)]
    team.collect()
    served = []
    while task := team.draw(2, "second"):
        served.append(task.utterance_id)
        team.submit(2, task)
    assert served == reviewed
    codes = [task.rank_code for task in team.tasks("second")]
    assert codes == sorted(set(codes))


def test_later_ones_queue_up_behind_without_another_order(team: Team, server: FakeLabelStudio) -> None:
    team.begin(4)
    first = [team.answer(0) for _ in range(2)]
    team.collect()
    version = server.project(team.project("second")).settings["model_version"]
    later = [team.answer(1) for _ in range(2)]
    team.collect()
    assert server.project(team.project("second")).settings["model_version"] == version
    assert [team.answer(2, "second") for _ in range(4)] == first + later


def test_the_first_answer_is_nowhere_in_the_task(team: Team, server: FakeLabelStudio) -> None:
    team.begin(1)
    team.answer(0, say=weather)
    team.collect()
    project = server.project(team.project("second"))
    [task] = project.tasks.values()
    assert "weather" not in json.dumps(task)
    assert all(not annotation["result"] for annotation in task["annotations"])
    drawn = team.draw(1, "second")
    assert drawn is not None
    assert drawn.shown == Hypothesis("music", "music_play")


def test_it_is_filled_in_as_the_first_person_saw_it(team: Team, server: FakeLabelStudio) -> None:
    team.begin(1)
    [before] = server.project(team.project()).tasks.values()
    team.answer(0)
    team.collect()
    [after] = server.project(team.project("second")).tasks.values()
    assert after["data"] == before["data"]
    assert after["predictions"][0]["result"] == before["predictions"][0]["result"]


def test_what_was_shown_blind_is_blind_again(team: Team, server: FakeLabelStudio) -> None:
    team.begin(8, blind_share=0.5)
    blind = {task.utterance_id for task in team.tasks("review") if task.blind}
    assert 0 < len(blind) < 8
    for _ in range(8):
        team.answer(0, say=volume)
    team.collect()
    assert {task.utterance_id for task in team.tasks("second") if task.blind} == blind
    shown = {}
    while task := team.draw(1, "second"):
        shown[task.utterance_id] = task.shown
        team.submit(1, task, volume)
    assert {id_ for id_, label in shown.items() if label is None} == blind


def test_one_project_for_all_domains_of_a_locale(team: Team) -> None:
    team.begin(1)
    team.answer(0)
    team.collect()
    project = team.admin.get_project(team.project("second"))
    assert project["title"] == "Assay · en-US · second opinions"
    assert all(f'value="{domain}"' in project["label_config"] for domain in ("audio", "music", "weather"))
    assert (project["sampling"], project["maximum_annotations"]) == ("Uncertainty sampling", 1)
    assert "Somebody else has reviewed" in project["expert_instruction"]


def test_a_record_that_was_revised_is_asked_about_as_the_first_person_saw_it(team: Team, session: Session) -> None:
    team.begin(1)
    utterance_id = team.answer(0)
    revise(session, utterance_id, "another text")
    team.collect()
    task = team.draw(1, "second")
    assert task is not None
    assert task.text == "utterance number 0"
    team.submit(1, task)
    team.collect()
    assert [row.revision for row in team.annotations("second")] == [1]


def test_collecting_again_changes_nothing(team: Team, server: FakeLabelStudio) -> None:
    team.begin(3)
    for say in (accept, reject, volume):
        team.answer(0, say=say)
    team.collect()
    for _ in range(2):
        team.answer(1, "second")
    team.collect()
    before = (team.states("second"), team.states("adjudication"), len(team.annotations("second")))
    tasks = {id_: len(project.tasks) for id_, project in server.projects.items()}
    for _ in range(3):
        team.collect()
    assert (team.states("second"), team.states("adjudication"), len(team.annotations("second"))) == before
    assert {id_: len(project.tasks) for id_, project in server.projects.items()} == tasks


def test_a_review_that_is_taken_back_leaves_the_second_opinion_alone(team: Team, server: FakeLabelStudio) -> None:
    team.begin(1)
    team.answer(0)
    team.collect()
    team.answer(1, "second")
    team.collect()
    [task] = server.project(team.project()).tasks.values()
    team.admin.take_back(task["annotations"][0]["id"])
    team.collect()
    assert team.states("review") == dict.fromkeys(team.states("second"), "published")
    [second] = team.annotations("second")
    assert second.withdrawn_at is None


def test_whose_review_comes_after_their_own_second_opinion_is_asked_for_no_other(
    team: Team, server: FakeLabelStudio
) -> None:
    """The first review was taken back, and the second person reviewed it instead: one person, one opinion."""
    team.begin(1)
    team.answer(0)
    team.collect()
    team.answer(1, "second")
    team.collect()
    [task] = server.project(team.project()).tasks.values()
    team.admin.take_back(task["annotations"][0]["id"])
    team.collect()
    team.answer(1)
    team.collect()
    [second] = team.annotations("second")
    assert second.withdrawn_at is not None
    assert list(team.states("second").values()) == ["published"]
    assert team.draw(1, "second") is None
    team.answer(2, "second")
    team.collect()
    assert [row.annotator for row in team.annotations("second") if row.withdrawn_at is None] == [team.emails[2]]


def test_a_round_of_before_the_overlap_was_known_has_none(team: Team) -> None:
    team.begin(1)
    with team.transaction() as session:
        for row in session.scalars(select(SelectionRow)):
            row.policy = {
                domain: {name: value for name, value in rule.items() if name != "overlap_share"}
                for domain, rule in row.policy.items()
            }
    team.answer(0)
    team.collect()
    assert team.queue("second") is None
