"""The numbers of agreement: what counts, for whom, and with whom."""

from __future__ import annotations

from typing import Any

import pytest

from plugin.label_studio.payloads import DrawnTask
from plugin.quality.agreement import cohen_kappa, krippendorff_alpha
from plugin.records import Hypothesis
from plugin.services import agreement
from tests.fakes.label_studio import FakeLabelStudio
from tests.integration.agreement.conftest import INSTANCE, Say, Team, accept, reject, volume


def play(task: DrawnTask) -> Hypothesis:
    return Hypothesis("music", "music_play")


def report(team: Team) -> dict[str, Any]:
    with team.transaction() as session:
        [found] = agreement.report(session, INSTANCE, team.locale)
    return found


def talk(team: Team, first: list[Say], second: list[Say], *, people: tuple[int, int] = (0, 1)) -> None:
    for say in first:
        team.answer(people[0], say=say)
    team.collect()
    for say in second:
        team.answer(people[1], "second", say)
    team.collect()


def test_nothing_is_reported_before_two_have_answered_the_same(team: Team) -> None:
    team.begin(2)
    team.answer(0)
    team.collect()
    with team.transaction() as session:
        assert agreement.report(session, INSTANCE) == []


def test_agreement_is_of_the_pairs_overall_and_per_domain(team: Team) -> None:
    team.begin(6)
    talk(team, [accept, accept, volume, reject, accept, volume], [accept, volume, volume, reject, volume, volume])
    found = report(team)
    overall = found["overall"]
    assert (overall["pairs"], found["differ"], found["adjudicated"]) == (6, 2, 0)
    assert overall["whole"]["value"] == pytest.approx(4 / 6)
    assert overall["domain"]["value"] == krippendorff_alpha("mmvrmv", "mvvrvv").value
    assert overall["domain"]["ci_low"] < overall["domain"]["value"] < overall["domain"]["ci_high"]
    assert overall["slots"]["value"] is None
    assert found["domains"] == {"music": overall}
    assert found["filled_in"] == overall
    assert found["blind"]["pairs"] == 0


def test_a_person_is_compared_with_the_others_whoever_was_first(team: Team) -> None:
    team.begin(6)
    first: list[Say] = [accept, volume, accept]
    talk(team, first, [accept, volume, volume])
    talk(team, [accept, accept, volume], [volume, accept, volume], people=(1, 0))
    found = report(team)["annotators"]
    anna, ben = (found[team.emails[person]] for person in (0, 1))
    assert anna["pairs"] == ben["pairs"] == 6
    assert anna["domain"]["value"] == cohen_kappa("mvmvmv", "mvvmmv").value
    assert ben["domain"]["value"] == cohen_kappa("mvvmmv", "mvmvmv").value


def test_who_was_upheld_is_told_by_the_adjudication(team: Team) -> None:
    team.begin(3)
    talk(team, [accept, accept, accept], [volume, volume, volume])
    for say in (play, volume, reject):
        team.answer(2, "adjudication", say)
    team.collect()
    found = report(team)
    assert (found["differ"], found["adjudicated"]) == (3, 3)
    assert team.emails[2] not in found["annotators"]
    for person in (0, 1):
        upheld = found["annotators"][team.emails[person]]["upheld"]
        assert (upheld["value"], upheld["n"]) == (pytest.approx(1 / 3), 3)


def test_an_adjudication_is_no_third_opinion(team: Team) -> None:
    team.begin(2)
    talk(team, [accept, accept], [volume, accept])
    before = report(team)["overall"]
    team.answer(2, "adjudication", volume)
    team.collect()
    assert report(team)["overall"] == before


def test_a_second_answer_of_one_person_is_no_agreement(team: Team, server: FakeLabelStudio) -> None:
    team.begin(1)
    team.answer(0)
    team.collect()
    [task] = server.project(team.project("second")).tasks.values()
    team.submit(0, DrawnTask(task["id"], 0, task["data"]["text"], Hypothesis("music", "music_play"), None))
    team.collect()
    with team.transaction() as session:
        assert agreement.report(session, INSTANCE) == []


def test_what_was_taken_back_is_no_agreement(team: Team, server: FakeLabelStudio) -> None:
    team.begin(1)
    talk(team, [accept], [accept])
    [task] = server.project(team.project("second")).tasks.values()
    team.admin.take_back(task["annotations"][-1]["id"])
    team.collect()
    with team.transaction() as session:
        assert agreement.report(session, INSTANCE) == []


def test_locales_are_apart(team: Team) -> None:
    team.begin(1)
    talk(team, [accept], [accept])
    with team.transaction() as session:
        assert [block["locale"] for block in agreement.report(session, INSTANCE)] == ["en-US"]
        assert agreement.report(session, INSTANCE, "sw-KE") == []
        assert agreement.report(session, "elsewhere") == []


def test_what_waits_for_somebody_else_says_so(team: Team) -> None:
    team.begin(2)
    for _ in range(2):
        team.answer(0)
    team.collect()
    with team.transaction() as session:
        [line] = agreement.waiting(session, INSTANCE)
    assert line == {"locale": "en-US", "annotator": team.emails[0], "tasks": 2, "why": "second opinion"}
    team.answer(1, "second")
    team.collect()
    with team.transaction() as session:
        assert agreement.waiting(session, INSTANCE) == []  # somebody else is there


def test_what_somebody_keeps_skipping_says_so(team: Team) -> None:
    team.begin(1, overlap_share=0.0)
    for _ in range(3):
        team.skip(0)
        team.collect()
    with team.transaction() as session:
        [line] = agreement.waiting(session, INSTANCE)
    assert line == {"locale": "en-US", "annotator": team.emails[0], "tasks": 1, "why": "skipped"}
    team.answer(1)
    team.collect()
    with team.transaction() as session:
        assert agreement.waiting(session, INSTANCE) == []
