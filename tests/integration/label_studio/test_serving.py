"""The undocumented rules that the queues rest on, and what breaks them: the fake and the real Label Studio alike."""

from __future__ import annotations

from dataclasses import replace

import pytest

from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.queues import prediction_json, task_json
from tests.integration.label_studio.conftest import LABELS, Site, queue_tasks

MANY = 12  # as many in order by chance: once in 479 million times


def finish(client: LabelStudio, project: int) -> int | None:
    """Draw and submit, whatever it is."""
    task = client.next_task(project)
    if task is None:
        return None
    client.submit_annotation(task.task_id, [], parent_prediction=task.prediction_id)
    return task.utterance_id


def finish_all(client: LabelStudio, project: int) -> list[int | None]:
    return list(iter(lambda: finish(client, project), None))


def flip(site: Site, project: int, ids: list[int], count: int) -> None:
    """The same tasks the other way round, under another model version."""
    turned = [replace(task, rank_code=1 - task.rank_code) for task in queue_tasks(count)]
    predictions = [
        {"task": id_, **prediction_json(task, "round-2", LABELS)} for id_, task in zip(ids, turned, strict=True)
    ]
    site.admin.import_predictions(project, predictions)
    site.admin.set_order(project, "round-2")


def test_a_task_that_was_held_when_the_order_changed_is_submitted_and_not_served_again(site: Site) -> None:
    project = site.queue()
    ids = site.publish(project, queue_tasks(4))
    holder, other, *_ = site.annotators
    held = holder.next_task(project)
    assert held is not None
    flip(site, project, ids, 4)
    assert holder.submit_annotation(held.task_id, [], parent_prediction=held.prediction_id)
    assert finish_all(other, project) == [103, 102, 101]


def test_a_task_that_somebody_holds_is_served_to_nobody_else(site: Site) -> None:
    project = site.queue()
    site.publish(project, queue_tasks(3))
    holder, other, *_ = site.annotators
    first, again = holder.next_task(project), holder.next_task(project)
    assert first is not None
    assert again is not None
    assert first.task_id == again.task_id
    assert finish_all(other, project) == [101, 102]
    assert finish_all(holder, project) == [100]


def test_tasks_without_a_prediction_of_the_served_version_come_after_all_others(site: Site) -> None:
    project = site.queue()
    tasks = queue_tasks(6)
    versions = ["round-0", "round-1", "round-0", "round-1", "round-0", "round-1"]
    site.admin.import_tasks(
        project, [task_json(task, version, LABELS) for task, version in zip(tasks, versions, strict=True)]
    )
    site.admin.set_order(project, "round-1")
    served = finish_all(site.annotators[0], project)
    assert served[:3] == [101, 103, 105]
    assert set(served[3:]) == {100, 102, 104}


def test_the_first_import_of_predictions_sets_the_model_version_and_a_later_one_does_not(site: Site) -> None:
    project = site.queue()
    one, other = queue_tasks(2)
    for task, version in ((one, "round-1"), (other, "round-2")):
        site.admin.import_tasks(project, [task_json(task, version, LABELS)])
        assert site.admin.get_project(project)["model_version"] == "round-1"


def test_without_a_model_version_the_order_is_random(site: Site) -> None:
    project = site.queue()
    site.publish(project, queue_tasks(MANY))
    site.admin.update_project(project, model_version="")
    served = finish_all(site.annotators[0], project)
    assert sorted(map(int, served)) == list(range(100, 100 + MANY))  # type: ignore[arg-type]
    assert served != sorted(map(int, served))  # type: ignore[arg-type]


def test_several_annotations_a_task_put_begun_tasks_before_the_order(site: Site) -> None:
    project = site.queue()
    ids = site.publish(project, queue_tasks(4))
    site.admin.update_project(project, maximum_annotations=2)
    first, second, *_ = site.annotators
    first.submit_annotation(ids[2], [])
    assert finish(second, project) == 102


def test_two_membership_rows_make_the_queue_random(site: Site) -> None:
    project = site.queue()
    site.publish(project, queue_tasks(MANY))
    site.hands.set_members(project, 1)
    assert finish(site.annotators[0], project) == 100
    site.hands.set_members(project, 2)
    served = [finish(site.annotators[0], project) for _ in range(MANY - 1)]
    assert served != list(range(101, 100 + MANY))


def test_another_sampling_makes_the_queue_random(site: Site) -> None:
    project = site.queue()
    site.publish(project, queue_tasks(MANY))
    site.admin.update_project(project, sampling="Uniform sampling")
    assert finish_all(site.annotators[0], project) != list(range(100, 100 + MANY))


def test_sequential_sampling_serves_in_order_of_import_and_locks(site: Site) -> None:
    """The fallback, should the scores ever cease to count."""
    project = site.queue()
    site.publish(project, queue_tasks(8)[::-1])
    site.admin.update_project(project, sampling="Sequential sampling")
    drawn = [client.next_task(project) for client in site.annotators]
    assert [task and task.utterance_id for task in drawn] == [107, 106, 105, 104]
    late = replace(queue_tasks(1)[0], utterance_id=999)
    site.admin.import_tasks(project, [task_json(late, "round-1", LABELS)])
    assert finish_all(site.annotators[0], project) == [107, 103, 102, 101, 100, 999]


def test_the_last_task_takes_the_tabs_with_it(site: Site) -> None:
    project = site.queue()
    ids = site.publish(project, queue_tasks(2))
    site.admin.ensure_tabs(project)
    tabs = site.admin.tabs(project)
    site.hands.delete_tasks(project, ids[:1])
    assert site.admin.tabs(project) == tabs
    site.hands.delete_tasks(project, ids[1:])
    assert site.admin.tabs(project) == []


def test_a_model_version_that_no_prediction_has_is_refused(site: Site) -> None:
    project = site.queue()
    site.publish(project, queue_tasks(1))
    with pytest.raises(LabelStudioError, match=r"status 400: .*Model version doesn't exist"):
        site.admin.set_order(project, "round-2")
    assert site.admin.get_project(project)["model_version"] == "round-1"


def test_hiding_predictions_forgets_the_model_version(site: Site) -> None:
    project = site.queue()
    site.publish(project, queue_tasks(1))
    site.admin.update_project(project, show_collab_predictions=False)
    assert not site.admin.get_project(project)["model_version"]


def test_an_ml_backend_becomes_the_model_version_of_a_project_that_has_none(site: Site) -> None:
    project = site.queue()
    assert site.admin.ml_backends(project) == []
    site.hands.connect_ml_backend(project, "helper")
    assert site.admin.ml_backends(project) == ["helper"]
    assert site.admin.get_project(project)["model_version"] == "helper"


def test_an_ml_backend_leaves_the_model_version_that_is_set(site: Site) -> None:
    project = site.queue()
    site.publish(project, queue_tasks(1))
    site.hands.connect_ml_backend(project, "helper")
    assert site.admin.get_project(project)["model_version"] == "round-1"


def test_a_prediction_sent_twice_is_there_twice(site: Site) -> None:
    project = site.queue()
    task, *_ = queue_tasks(1)
    (task_id,) = site.publish(project, [task])
    prediction = {"task": task_id, **prediction_json(task, "round-2", LABELS)}
    for _ in range(2):
        site.bulk.send_predictions(project, [prediction])
    assert site.admin.get_project(project)["total_predictions_number"] == 3


def test_a_prediction_whose_score_is_out_of_range_is_dropped_without_a_word(site: Site) -> None:
    project = site.queue()
    task, *_ = queue_tasks(1)
    (task_id,) = site.publish(project, [task])
    with pytest.raises(LabelStudioError, match="status 201"):
        site.bulk.send_predictions(
            project, [{"task": task_id, **prediction_json(task, "round-2", LABELS), "score": 7.0}]
        )
    assert site.admin.get_project(project)["total_predictions_number"] == 1


def test_a_project_that_was_deleted_is_not_found(site: Site) -> None:
    project = site.queue()
    site.admin.delete_project(project)
    with pytest.raises(LabelStudioError) as caught:
        site.admin.get_project(project)
    assert caught.value.status == 404
