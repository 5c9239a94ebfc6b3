"""What sources rest on in somebody else's project, held against the fake and a real Label Studio alike."""

from __future__ import annotations

from datetime import timedelta

import pytest

from plugin.label_studio.errors import LabelStudioError
from tests.integration.sources.conftest import MUSIC, Studio, said

JUST = timedelta(microseconds=1)


def predict(studio: Studio, project: int, task_ids: list[int], version: str) -> None:
    predictions = [{"task": task_id, "model_version": version, "score": 1.0, "result": [MUSIC]} for task_id in task_ids]
    studio.client.send_predictions(project, predictions)


def test_a_glance_counts_tasks_and_predictions_and_knows_the_newest_change(studio: Studio) -> None:
    project = studio.project()
    empty = studio.client.source_glance(project)
    assert (empty.task_count, empty.predictions, empty.newest) == (0, 0, None)
    ids = studio.add(project, "play jazz", "stop", result=[MUSIC])
    glance = studio.client.source_glance(project)
    newest = max(task.updated_at for task in studio.client.source_tasks(project))
    assert (glance.task_count, glance.predictions, glance.newest) == (2, 2, newest)
    assert glance.clock is not None
    predict(studio, project, ids, "nlu-2")
    later = studio.client.source_glance(project)
    assert (later.predictions, later.newest) == (4, newest)  # in bulk they come without a task being changed
    with pytest.raises(LabelStudioError, match="status 404"):
        studio.client.source_glance(99999999)


def test_tasks_come_in_pages_by_id_with_what_is_asked_for(studio: Studio) -> None:
    project = studio.project()
    ids = studio.add(project, "a", "b", "c", "d", result=[MUSIC], lang="en-US")
    first = studio.client.source_tasks(project, limit=3)
    rest = studio.client.source_tasks(project, after=first[-1].task_id, limit=3)
    assert [task.task_id for task in [*first, *rest]] == ids
    assert first[0].data == {"utterance": "a", "lang": "en-US"}
    assert first[0].created_at
    assert studio.client.source_tasks(project, after=ids[-1]) == []
    assert first[0].predictions == ()
    [task] = studio.client.source_tasks_of(project, [ids[1], 10**8], with_predictions=True)
    assert [(item["model_version"], item["score"]) for item in task.predictions] == [("nlu", 0.5)]
    assert task.predictions[0]["result"][0]["value"] == {"choices": ["music"]}
    assert studio.client.all_task_ids(project) == set(ids)


def test_what_changed_is_listed_by_its_time_and_bulk_writes_change_nothing(studio: Studio) -> None:
    project = studio.project()
    ids = studio.add(project, "a", "b", "c")
    mark = max(task.updated_at for task in studio.client.source_tasks(project)) + JUST
    studio.client.add_data_field(project, ids, "assay_domain", "music")
    predict(studio, project, ids, "nlu-2")
    assert studio.client.source_tasks(project, updated_since=mark) == []
    studio.hands.edit(ids[1], {"utterance": "changed"})
    [changed] = studio.client.source_tasks(project, updated_since=mark)
    assert (changed.task_id, changed.data) == (ids[1], {"utterance": "changed"})
    studio.person.submit_annotation(ids[2], [MUSIC])
    assert [task.task_id for task in studio.client.source_tasks(project, updated_since=mark)] == ids[1:]


def test_deleted_tasks_lack_in_the_list_of_ids(studio: Studio) -> None:
    project = studio.project()
    ids = studio.add(project, "a", "b", "c")
    studio.hands.delete(project, ids[:2])
    assert studio.client.all_task_ids(project) == {ids[2]}
    assert studio.client.source_glance(project).task_count == 1
    assert [task.task_id for task in studio.client.source_tasks_of(project, ids)] == [ids[2]]


def test_predictions_become_annotations_in_bulk_and_never_twice(studio: Studio) -> None:
    project = studio.project()
    ids = studio.add(project, "a", "b", "c", result=[MUSIC])
    predict(studio, project, ids[:2], "assay-review")
    for _ in range(2):
        studio.client.annotate_from_predictions(project, ids[:2], ["assay-review"])
    work = studio.client.source_work(project, ids, [])
    versions = [[ours.version for ours in work[task_id].ours.values()] for task_id in ids]
    assert versions == [["assay-review"], ["assay-review"], []]
    assert [work[task_id].by_people for task_id in ids] == [frozenset()] * 3
    assert [work[task_id].predicted for task_id in ids] == [{"assay-review"}, {"assay-review"}, frozenset()]
    [ours] = work[ids[0]].ours.values()
    assert [(region["from_name"], region["value"]) for region in ours.result] == [("domain", {"choices": ["music"]})]


def test_annotations_outlive_the_predictions_they_were_made_of(studio: Studio) -> None:
    project = studio.project()
    ids = studio.add(project, "a", "b", result=[MUSIC])
    predict(studio, project, ids, "assay-review")
    studio.client.annotate_from_predictions(project, ids, ["assay-review"])
    [ours] = studio.client.source_work(project, ids, [])[ids[0]].ours
    before = studio.client.source_glance(project)
    studio.client.drop_predictions(project, "assay-review")
    after = studio.client.source_glance(project)
    assert (after.predictions, after.newest) == (before.predictions - 2, before.newest)
    still = studio.client.source_work(project, ids, [ours])[ids[0]].ours
    assert [(id_, annotation.version) for id_, annotation in still.items()] == [(ours, "")]
    assert studio.client.source_work(project, ids, [])[ids[0]].by_people == {ours}
    studio.client.delete_annotation(ours)
    assert studio.client.source_work(project, ids, [ours])[ids[0]].ours == {}


def test_the_work_of_people_is_told_apart_from_ours(studio: Studio) -> None:
    project = studio.project()
    skipped, drafted, labelled, edited = ids = studio.add(project, "a", "b", "c", "d")
    predict(studio, project, [edited], "assay-review-2")
    studio.client.annotate_from_predictions(project, ids, ["assay-review", "assay-review-2"])
    [ours] = studio.client.source_work(project, ids, [])[edited].ours
    studio.hands.edit_annotation(ours, [said("domain", "choices", choices=["weather"])])
    studio.person.submit_annotation(skipped, [], skipped=True)
    studio.hands.draft(project, drafted)
    theirs = studio.person.submit_annotation(labelled, [MUSIC])
    work = studio.client.source_work(project, ids, [ours])
    assert [work[task_id].by_people for task_id in ids] == [frozenset(), frozenset(), {theirs}, {ours}]
    assert [work[task_id].has_draft for task_id in ids] == [False, True, False, False]
    assert not any(work[task_id].ours for task_id in ids)


def test_a_webhook_is_made_once_and_removed(studio: Studio) -> None:
    project = studio.project()
    url = "http://127.0.0.1:9/webhooks/label-studio"
    for _ in range(2):
        studio.client.ensure_webhook(project, url, "secret", ("TASKS_CREATED", "TASKS_DELETED"))
    studio.client.remove_webhook(project, url)
    studio.client.remove_webhook(project, url)
