"""What people and programs may leave in a task, and what is read of it: the fake and the real Label Studio alike."""

from __future__ import annotations

from typing import Any

import pytest

from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.queues import label_regions
from tests.integration.label_studio.conftest import PLAY, Site, queue_tasks

RELATION = {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right", "labels": []}


def accepted(text: str) -> list[dict[str, Any]]:
    return label_regions(PLAY, text)


def test_a_relation_between_regions_is_left_out_of_the_label(site: Site) -> None:
    project = site.queue()
    task, *_ = queue_tasks(1)
    (task_id,) = site.publish(project, [task])
    site.annotators[0].submit_annotation(task_id, [*accepted(task.text), RELATION])
    (state,) = site.admin.list_tasks(project)
    assert [review.label for review in state.reviews] == [PLAY]
    assert state.problems == ()


def test_an_annotation_that_cannot_be_read_leaves_the_others_of_the_project(site: Site) -> None:
    project = site.queue()
    tasks = queue_tasks(2)
    first, second = site.publish(project, tasks)
    site.annotators[0].submit_annotation(first, [{"from_name": "domain", "value": {"choices": {"a": 1}}}])
    site.annotators[0].submit_annotation(second, accepted(tasks[1].text))
    states = list(site.admin.list_tasks(project))
    assert [len(state.problems) for state in states] == [1, 0]
    assert [len(state.reviews) for state in states] == [0, 1]


def test_a_negative_lead_time_is_no_lead_time(site: Site) -> None:
    project = site.queue()
    task, *_ = queue_tasks(1)
    (task_id,) = site.publish(project, [task])
    site.annotators[0].submit_annotation(task_id, accepted(task.text), lead_time_s=-3.2)
    (state,) = site.admin.list_tasks(project)
    assert [review.lead_time_s for review in state.reviews] == [None]
    assert state.problems == ()


def test_a_glance_tells_the_size_the_newest_change_and_the_time(site: Site) -> None:
    project = site.queue()
    empty = site.admin.glance(project)
    assert (empty.task_count, empty.newest) == (0, None)
    tasks = queue_tasks(3)
    ids = site.publish(project, tasks)
    site.annotators[0].submit_annotation(ids[0], accepted(tasks[0].text))
    glance = site.admin.glance(project)
    states = {state.task_id: state for state in site.admin.list_tasks(project)}
    assert (glance.task_count, glance.newest) == (3, states[ids[0]].updated_at)
    site.annotators[0].submit_annotation(ids[1], accepted(tasks[1].text))
    later = site.admin.glance(project).newest
    assert glance.clock is not None
    assert later is not None
    assert states[ids[0]].updated_at.replace(microsecond=0) <= glance.clock <= later


def test_a_glance_at_no_project_is_not_found(site: Site) -> None:
    with pytest.raises(LabelStudioError, match="project 99999999: status 404"):
        site.admin.glance(99999999)
