"""What nobody needs to be asked any more is served last, deleted when nobody can hold it, and asked about no more."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import update

from db.models import QueueTask
from db.repositories import polls
from db.repositories import sources as source_rows
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.queues import label_regions
from plugin.records import Hypothesis
from tests.fakes.label_studio import FakeLabelStudio
from tests.integration.agreement.conftest import Team, volume

KINDS = ["second", "adjudication"]
PLAY = Hypothesis("music", "music_play")


def asked(team: Team, kind: str, count: int) -> list[int]:
    """So many utterances in a queue of this kind, planned and not yet published, the oldest first."""
    team.begin(count)
    for _ in range(count):
        team.answer(0)
    if kind == "adjudication":
        team.collect()
        for _ in range(count):
            team.answer(1, "second", volume)
    team.reconcile(team.project("review" if kind == "second" else "second"))
    assert set(team.states(kind).values()) == {"planned"}
    return [task.utterance_id for task in team.tasks(kind)]


def let_go(team: Team, *utterance_ids: int) -> None:
    """As when their tasks are deleted in the project that they came from."""
    with team.transaction() as session:
        source_rows.let_go(session, utterance_ids)


def wait(team: Team) -> None:
    """Until every lock of what leaves has run out."""
    with team.transaction() as session:
        long_ago = QueueTask.state_since - timedelta(hours=3)
        session.execute(update(QueueTask).where(QueueTask.state == "leaving").values(state_since=long_ago))


def there(team: Team, server: FakeLabelStudio, kind: str) -> set[int]:
    return {task["data"]["utterance_id"] for task in server.project(team.project(kind)).tasks.values()}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_gone_before_it_is_published_never_is(team: Team, server: FakeLabelStudio, kind: str) -> None:
    gone, stays = asked(team, kind, 2)
    let_go(team, gone)
    for _ in range(3):
        team.collect()
        assert team.states(kind) == {gone: "removed", stays: "published"}
    assert there(team, server, kind) == {stays}


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_gone_is_served_last_then_deleted_and_never_asked_again(
    team: Team, server: FakeLabelStudio, kind: str
) -> None:
    gone, stays = asked(team, kind, 2)
    team.publish()
    let_go(team, gone)
    team.collect()
    assert team.states(kind) == {gone: "leaving", stays: "published"}
    drawn = team.draw(2, kind)
    assert drawn is not None
    assert drawn.utterance_id == stays
    wait(team)
    for _ in range(3):
        team.collect()
        assert team.states(kind) == {gone: "removed", stays: "published"}
    assert there(team, server, kind) == {stays}


def test_what_comes_later_or_was_skipped_is_served_before_what_leaves(team: Team) -> None:
    team.begin(4)
    first, skipped = (team.answer(0) for _ in range(2))
    team.collect()
    let_go(team, first)
    team.collect()
    assert team.skip(1, "second") == skipped
    team.collect()
    later = [team.answer(0) for _ in range(2)]
    team.collect()
    assert [team.answer(2, "second") for _ in range(4)] == [*later, skipped, first]


def test_what_is_answered_before_it_goes_is_kept(team: Team, server: FakeLabelStudio) -> None:
    [gone] = asked(team, "second", 1)
    team.publish()
    let_go(team, gone)
    team.answer(1, "second", volume)
    team.collect()
    wait(team)
    team.collect()
    assert team.states("second") == {gone: "annotated"}
    assert [row.annotator for row in team.annotations("second")] == [team.emails[1]]
    assert team.queue("adjudication") is None


@pytest.mark.parametrize("kind", KINDS)
def test_the_time_of_leaving_begins_when_label_studio_serves_it_last(
    team: Team, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    [gone] = asked(team, kind, 1)
    team.publish()
    let_go(team, gone)

    def refuse(*_: object) -> None:
        raise LabelStudioError("move task", 503, "busy")

    with monkeypatch.context() as patch:
        patch.setattr(type(team.admin), "move_task", refuse)
        with pytest.raises(LabelStudioError):
            team.publish()
    assert team.states(kind) == {gone: "published"}
    with team.transaction() as session:
        session.execute(update(QueueTask).values(state_since=QueueTask.state_since - timedelta(hours=3)))
        before = polls.clock(session)
    team.tidy()
    assert there(team, server, kind) == {gone}
    team.collect()
    [task] = team.tasks(kind)
    assert task.state == "leaving"
    assert task.state_since > before
    assert there(team, server, kind) == {gone}


def test_what_was_deleted_by_hand_meanwhile_keeps_nothing_from_leaving(team: Team, server: FakeLabelStudio) -> None:
    asked(team, "second", 2)
    team.publish()
    let_go(team, *team.states("second"))
    project = team.project("second")
    server.delete_tasks(project, list(server.project(project).tasks)[:1])
    team.publish()
    assert set(team.states("second").values()) == {"leaving"}


def test_what_is_to_be_adjudicated_after_all_queues_up_behind_the_rest(team: Team, server: FakeLabelStudio) -> None:
    first, *others = asked(team, "adjudication", 3)
    team.publish()
    [task] = [
        task for task in server.project(team.project()).tasks.values() if task["data"]["utterance_id"] == first
    ]  # fmt: skip
    for label, order in [(Hypothesis("audio", "audio_volume"), [*others, first]), (PLAY, [*others, first])]:
        [annotation] = task["annotations"]
        annotation.update(result=label_regions(label, task["data"]["text"]), updated_at=server.now())
        task["updated_at"] = annotation["updated_at"]
        team.collect()
        scores = {
            task["data"]["utterance_id"]: task["predictions"][0]["score"]
            for task in server.project(team.project("adjudication")).tasks.values()
        }
        assert sorted(scores, key=scores.__getitem__) == order
        assert scores == {task.utterance_id: task.rank_code for task in team.tasks("adjudication")}
    assert team.states("adjudication") == dict.fromkeys([first, *others], "published")
    assert [team.answer(2, "adjudication", lambda _: PLAY) for _ in range(3)] == [*others, first]


def test_publishing_what_nothing_has_changed_in_moves_nothing(
    team: Team, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone, _ = asked(team, "adjudication", 2)
    team.publish()
    let_go(team, gone)
    team.collect()

    def refuse(*_: object) -> None:
        raise AssertionError("move_task")

    monkeypatch.setattr(type(team.admin), "move_task", refuse)
    for _ in range(2):
        with team.transaction() as session:
            queue = team.queue("adjudication")
            assert queue is not None
            session.get_one(type(queue), queue.id).dirty = True
        team.collect()
    assert sorted(team.states("adjudication").values()) == ["leaving", "published"]
    assert team.draw(2, "adjudication") is not None
