from __future__ import annotations

import pytest

from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.queues import LabelSet, QueueTask, prediction_json, project_settings, rank_codes, task_json
from plugin.records import Hypothesis
from tests.fakes.label_studio import FakeClient, FakeLabelStudio

LABELS = LabelSet({"music": ["play_song"]}, ["artist"])


def tasks(count: int) -> list[QueueTask]:
    label = Hypothesis("music", "play_song")
    return [QueueTask(number, "play", label, "why", code) for number, code in enumerate(rank_codes(count))]


def json_of(count: int, version: str = "v1") -> list[dict[str, object]]:
    return [task_json(task, version, LABELS) for task in tasks(count)]


@pytest.fixture
def server() -> FakeLabelStudio:
    return FakeLabelStudio()


@pytest.fixture
def project(server: FakeLabelStudio) -> int:
    return server.client().create_project(project_settings("en-US", "music", LABELS))


def counts(server: FakeLabelStudio, project: int) -> tuple[object, object]:
    found = server.client().get_project(project)
    return found["task_number"], found["total_predictions_number"]


@pytest.mark.parametrize("lost", [1, 2])
def test_lost_answers_double_nothing(server: FakeLabelStudio, project: int, lost: int) -> None:
    server.lost_answers = lost
    ids = server.client().import_tasks(project, json_of(8))
    assert len(set(ids)) == 8
    assert counts(server, project) == (8, 8)


@pytest.mark.parametrize("pauses", [1, 3, 5])
def test_an_import_that_ends_after_its_connection_is_waited_for(
    server: FakeLabelStudio, project: int, pauses: int
) -> None:
    server.late_imports = [pauses]
    ids = server.client().import_tasks(project, json_of(8))
    server.finish_work()
    assert len(set(ids)) == 8
    assert counts(server, project) == (8, 8)
    assert server.bulk_requests == 3


def test_predictions_that_got_lost_are_added_to_the_tasks_without(server: FakeLabelStudio, project: int) -> None:
    server.dropped = 2
    server.client().import_tasks(project, json_of(8))
    assert counts(server, project) == (8, 8)
    assert all(len(state.scores) == 1 for state in server.client().list_tasks(project))


def test_it_gives_up_after_a_few_attempts_and_the_next_run_continues(server: FakeLabelStudio, project: int) -> None:
    server.lost_answers = 3
    with pytest.raises(LabelStudioError, match="import tasks: no answer"):
        server.client().import_tasks(project, json_of(30))
    before = counts(server, project)[0]
    assert before == 9  # three attempts, a chunk each
    assert len(server.client().import_tasks(project, json_of(30))) == 30
    assert counts(server, project) == (30, 30)


def test_lost_answers_to_predictions_double_nothing(server: FakeLabelStudio, project: int) -> None:
    ids = server.client().import_tasks(project, json_of(5))
    new = [
        {"task": task_id, **prediction_json(task, "v2", LABELS)} for task, task_id in zip(tasks(5), ids, strict=True)
    ]
    server.lost_answers, server.dropped = 2, 1
    assert server.client().import_predictions(project, new) == 5
    assert counts(server, project) == (5, 10)


def test_a_repeat_sends_nothing(server: FakeLabelStudio, project: int) -> None:
    server.client().import_tasks(project, json_of(5))
    sent = server.bulk_requests
    server.client().import_tasks(project, json_of(5))
    assert server.bulk_requests == sent


def test_the_same_utterance_twice_is_refused_before_anything_is_sent(server: FakeLabelStudio, project: int) -> None:
    with pytest.raises(ValueError, match="utterance_id stands twice"):
        server.client().import_tasks(project, json_of(2) + json_of(1))
    ids = server.client().import_tasks(project, json_of(1))
    twice = [{"task": ids[0], **prediction_json(tasks(1)[0], "v2", LABELS)}] * 2
    with pytest.raises(ValueError, match="two predictions of one model version"):
        server.client().import_predictions(project, twice)


class NothingListedError(AssertionError):
    pass


@pytest.fixture
def unlisted(server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch) -> FakeClient:
    """A client that fails when it lists the project."""

    def refuse(*_: object) -> None:
        raise NothingListedError

    monkeypatch.setattr(FakeClient, "present", refuse)
    return server.client()


def test_what_is_known_to_be_new_is_sent_without_a_look(
    server: FakeLabelStudio, project: int, unlisted: FakeClient
) -> None:
    ids = unlisted.import_tasks(project, json_of(8), is_new=True)
    new = [
        {"task": task_id, **prediction_json(task, "v2", LABELS)} for task, task_id in zip(tasks(8), ids, strict=True)
    ]
    assert unlisted.import_predictions(project, new, is_new=True) == 8
    assert counts(server, project) == (8, 16)
    with pytest.raises(NothingListedError):
        unlisted.import_tasks(project, json_of(9))


def test_a_lost_answer_is_looked_up_even_so_and_said(server: FakeLabelStudio, project: int) -> None:
    doubts: list[None] = []
    server.lost_answers = 1
    ids = server.client().import_tasks(project, json_of(8), is_new=True, on_doubt=lambda: doubts.append(None))
    assert len(set(ids)) == 8
    assert counts(server, project) == (8, 8)
    assert doubts


def test_a_task_that_somebody_deleted_is_named(server: FakeLabelStudio, project: int) -> None:
    ids = server.client().import_tasks(project, json_of(2))
    del server.project(project).tasks[ids[0]]
    new = [
        {"task": task_id, **prediction_json(task, "v2", LABELS)} for task, task_id in zip(tasks(2), ids, strict=True)
    ]
    for is_new in (False, True):
        with pytest.raises(LabelStudioError, match=rf"status 404: no tasks \[{ids[0]}\]"):
            server.client().import_predictions(project, new, is_new=is_new)
