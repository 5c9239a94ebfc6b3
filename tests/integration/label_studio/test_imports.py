"""Bulk imports by a caller who knows what is there: no listing, and the same care."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.queues import prediction_json, task_json
from tests.integration.label_studio.conftest import LABELS, Site, queue_tasks


def test_new_tasks_and_predictions_are_sent_as_they_are(site: Site) -> None:
    project = site.queue()
    tasks = queue_tasks(5)
    doubts: list[None] = []
    ids = site.admin.import_tasks(
        project,
        [task_json(task, "round-1", LABELS) for task in tasks],
        is_new=True,
        on_doubt=lambda: doubts.append(None),
    )
    again = [{"task": id_, **prediction_json(task, "round-2", LABELS)} for id_, task in zip(ids, tasks, strict=True)]
    assert site.admin.import_predictions(project, again, is_new=True) == 5
    assert doubts == []
    states = {state.task_id: state for state in site.admin.list_tasks(project)}
    assert [states[id_].utterance_id for id_ in ids] == [task.utterance_id for task in tasks]
    assert all(set(state.scores) == {"round-1", "round-2"} for state in states.values())


def test_a_task_that_is_gone_is_named(site: Site) -> None:
    project = site.queue()
    tasks = queue_tasks(3)
    ids = site.publish(project, tasks)
    site.admin.delete_tasks(project, ids[:1], leaving_since=datetime.now(UTC) - timedelta(days=2))
    new = [{"task": id_, **prediction_json(task, "round-2", LABELS)} for id_, task in zip(ids, tasks, strict=True)]
    with pytest.raises(LabelStudioError, match=rf"status 404: no tasks \[{ids[0]}\]"):
        site.admin.import_predictions(project, new, is_new=True)


def test_nothing_to_send_asks_nothing(site: Site) -> None:
    assert site.admin.import_tasks(0, []) == []
    assert site.admin.import_predictions(0, []) == 0
