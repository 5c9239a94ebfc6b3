"""What a person skips comes back last: to somebody else, or to them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import update

from db.models import Queue, QueueTask
from db.repositories.opinions import LAST_CODES
from plugin.services import scoring, selection
from plugin.services.agreement.reworking import SKIPS
from tests import factories
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.scorer import FakeScorer
from tests.integration.agreement.conftest import INSTANCE, Team, volume


def test_a_skipped_task_comes_back_last_to_who_skipped_it(team: Team) -> None:
    team.begin(4, overlap_share=0.0)
    skipped = [team.skip(0) for _ in range(2)]
    team.collect()
    rest = [team.answer(0) for _ in range(4)]
    assert rest[2:] == skipped
    assert not set(rest[:2]) & set(skipped)
    assert team.draw(0) is None


def test_it_comes_last_to_everybody_else_too(team: Team) -> None:
    team.begin(4, overlap_share=0.0)
    skipped = team.skip(0)
    team.collect()
    assert [team.answer(1) for _ in range(4)][-1] == skipped


def test_it_waits_behind_what_leaves_and_keeps_its_place_by_the_time_of_skipping(team: Team) -> None:
    team.begin(3, overlap_share=0.0)
    first = team.skip(0)
    team.collect()
    second = team.skip(1)
    team.collect()
    codes = {task.utterance_id: task.rank_code for task in team.tasks("review")}
    assert LAST_CODES < codes[first] < codes[second] <= 1.0
    assert [code for id_, code in codes.items() if id_ not in (first, second)] == [
        code for code in codes.values() if code < LAST_CODES
    ]


def test_who_skips_a_task_for_the_third_time_is_not_asked_again(team: Team) -> None:
    team.begin(1, overlap_share=0.0)
    for _ in range(SKIPS):
        team.skip(0)
        team.collect()
    assert team.draw(0) is None
    assert [row.stays for row in team.reworks()] == [False] * (SKIPS - 1) + [True]
    for _ in range(3):
        team.collect()
    assert team.draw(0) is None
    assert team.draw(1) is not None


def test_others_have_their_own_three_times(team: Team) -> None:
    team.begin(1, overlap_share=0.0)
    for person in (0, 1):
        for _ in range(SKIPS):
            team.skip(person)
            team.collect()
    assert team.draw(1) is None
    assert team.draw(2) is not None


def test_a_skip_is_no_review_and_is_told_once(team: Team, server: FakeLabelStudio) -> None:
    team.begin(2, overlap_share=0.0)
    team.skip(0)
    found = team.collect()
    assert not any(collected.has_news for collected in found)
    for _ in range(3):
        team.collect()
    assert len(team.reworks()) == 1
    assert all(task["annotations"] == [] for task in server.project(team.project()).tasks.values())


def test_a_task_that_another_answered_meanwhile_is_left_alone(team: Team, server: FakeLabelStudio) -> None:
    team.begin(1, overlap_share=0.0)
    utterance_id = team.skip(0)
    assert team.answer(1) == utterance_id
    team.collect()
    assert team.reworks() == []
    assert team.states("review") == {utterance_id: "annotated"}
    [task] = server.project(team.project()).tasks.values()
    assert [annotation["was_cancelled"] for annotation in task["annotations"]] == [True, False]


def test_second_opinions_that_are_skipped_come_back_last_but_never_to_the_first_person(team: Team) -> None:
    team.begin(3)
    for _ in range(3):
        team.answer(0)
    team.collect()
    skipped = team.skip(1, "second")
    team.collect()
    assert team.draw(0, "second") is None
    assert [team.answer(1, "second") for _ in range(3)][-1] == skipped


def test_adjudications_that_are_skipped_come_back_last(team: Team) -> None:
    team.begin(2)
    for _ in range(2):
        team.answer(0)
    team.collect()
    for _ in range(2):
        team.answer(1, "second", volume)
    team.collect()
    skipped = team.skip(2, "adjudication")
    team.collect()
    assert [team.answer(2, "adjudication", volume) for _ in range(2)][-1] == skipped


def test_a_new_round_leaves_skipped_tasks_last(team: Team) -> None:
    team.begin(6, overlap_share=0.0)
    skipped = [team.skip(0) for _ in range(2)]
    team.collect()
    team.refresh(seed=5)
    team.collect()
    served = [team.answer(1) for _ in range(6)]
    assert served[-2:] == skipped


def test_a_leaving_task_that_is_skipped_may_be_deleted(team: Team, server: FakeLabelStudio) -> None:
    team.begin(1, overlap_share=0.0)
    task = team.draw(0)
    assert task is not None
    with team.transaction() as session:
        session.execute(update(QueueTask).values(state="leaving", state_since=QueueTask.state_since - timedelta(1)))
        session.execute(update(Queue).values(dirty=False))
    team.people[0].submit_annotation(task.task_id, [], skipped=True)
    team.collect()
    assert server.project(team.project()).tasks == {}


def test_what_slips_in_later_comes_before_what_was_skipped(team: Team) -> None:
    team.begin(6, overlap_share=0.0)
    skipped = [team.skip(0) for _ in range(2)]
    team.collect()
    with team.transaction() as session:
        music: dict[str, Any] = {"domain": "music", "intent": "music_play", "nlu_score": 0.5}
        for row in factories.utterances(session, 6, source="later", locale=team.locale, **music):
            row.text = f"later, {row.text}"
        session.flush()
        [batch] = scoring.read_batches(session, 0, 2**62)
        scoring.write(session, scoring.compute(batch, FakeScorer()))
    selection.keep_up(team.transaction, team.locale, datetime.now(UTC) + timedelta(hours=1), INSTANCE)
    team.publish()
    assert team.published[-1].imported > 0
    served = []
    while task := team.draw(1):
        served.append(task.utterance_id)
        team.submit(1, task)
    assert served[-2:] == skipped
