"""How a task is served again, and to whom: skips, answers that become skips, and tasks kept from a person."""

from __future__ import annotations

import pytest

from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.queues import label_regions
from tests.integration.label_studio.conftest import PLAY, Site, queue_tasks

LAST = 0.75


def draw(client: LabelStudio, project: int) -> int | None:
    task = client.next_task(project)
    return None if task is None else task.utterance_id


def answer(client: LabelStudio, project: int, *, skipped: bool = False) -> int:
    task = client.next_task(project)
    assert task is not None
    regions = [] if skipped else label_regions(PLAY, task.text)
    return client.submit_annotation(task.task_id, regions, skipped=skipped)


def test_a_skip_says_whose_it_is(site: Site) -> None:
    project = site.queue()
    site.publish(project, queue_tasks(1))
    first, second = (answer(client, project, skipped=True) for client in site.annotators[:2])
    (state,) = site.admin.list_tasks(project)
    assert {(skip.annotation_id, skip.annotator) for skip in state.skips} == {
        (first, site.emails[0]),
        (second, site.emails[1]),
    }
    assert state.skipped == 2


def test_a_skipped_task_never_comes_back_to_who_skipped_it_of_itself(site: Site) -> None:
    project = site.queue()
    site.publish(project, queue_tasks(1))
    answer(site.annotators[0], project, skipped=True)
    assert draw(site.annotators[0], project) is None


def test_a_skip_that_is_taken_back_brings_the_task_back_and_a_move_puts_it_last(site: Site) -> None:
    project = site.queue()
    ids = site.publish(project, queue_tasks(3))
    alone = site.annotators[0]
    skip = answer(alone, project, skipped=True)
    site.admin.move_task(ids[0], "round-1", LAST)
    site.admin.take_back(skip)
    site.admin.take_back(skip)  # twice is once
    assert [state.skipped for state in site.admin.list_tasks(project)] == [0, 0, 0]
    assert draw(alone, project) == 101
    answer(alone, project)
    answer(alone, project)
    assert draw(alone, project) == 100


def test_a_move_is_within_one_order_and_leaves_the_others(site: Site) -> None:
    project = site.queue()
    (task_id, *_) = site.publish(project, queue_tasks(2))
    before = [state.scores for state in site.admin.list_tasks(project)]
    site.admin.move_task(task_id, "round-0", LAST)
    assert [state.scores for state in site.admin.list_tasks(project)] == before
    site.admin.move_task(task_id, "round-1", LAST)
    assert [state.scores["round-1"] for state in site.admin.list_tasks(project)] == [LAST, before[1]["round-1"]]


def test_an_answer_made_a_skip_opens_the_task_to_everybody_but_its_author(site: Site) -> None:
    project = site.queue()
    site.publish(project, queue_tasks(2))
    author, other, *_ = site.annotators
    annotation = answer(author, project)
    site.admin.make_skip(annotation)
    (state, _) = site.admin.list_tasks(project)
    assert state.reviews == ()
    assert [(skip.annotation_id, skip.annotator) for skip in state.skips] == [(annotation, site.emails[0])]
    assert draw(author, project) == 101
    assert draw(other, project) == 100


def test_a_task_that_is_kept_from_a_person_is_served_to_the_others_in_its_place(site: Site) -> None:
    project = site.queue()
    ids = site.publish(project, queue_tasks(2))
    assert site.admin.keep_from(ids[0], site.emails[0])
    (state, _) = site.admin.list_tasks(project)
    assert [skip.annotator for skip in state.skips] == [site.emails[0]]
    assert draw(site.annotators[0], project) == 101
    assert draw(site.annotators[1], project) == 100
    answer(site.annotators[1], project)
    (state, _) = site.admin.list_tasks(project)
    assert [review.annotator for review in state.reviews] == [site.emails[1]]


def test_a_queue_that_is_kept_from_its_only_annotator_is_empty_to_them(site: Site) -> None:
    project = site.queue()
    ids = site.publish(project, queue_tasks(1))
    site.admin.keep_from(ids[0], site.emails[0])
    assert draw(site.annotators[0], project) is None
    assert draw(site.annotators[1], project) == 100


def test_a_task_cannot_be_kept_from_who_is_no_user(site: Site) -> None:
    project = site.queue()
    ids = site.publish(project, queue_tasks(1))
    assert not site.admin.keep_from(ids[0], "user 7")
    assert [state.skips for state in site.admin.list_tasks(project)] == [()]


@pytest.mark.label_studio
def test_requeue_for_me_would_keep_a_skipped_task_from_everybody_else(real_site: Site) -> None:
    """Why queues do not rest on it: it comes back last, but to who skipped it alone; and two skips shut it for ever."""
    project = real_site.queue()
    real_site.admin.update_project(project, skip_queue="REQUEUE_FOR_ME")
    ids = real_site.publish(project, queue_tasks(2))
    first, second, *_ = real_site.annotators
    answer(first, project, skipped=True)
    assert draw(second, project) == 101
    answer(second, project)
    assert draw(second, project) is None
    assert draw(first, project) == 100
    second.submit_annotation(ids[0], [], skipped=True)
    assert [draw(client, project) for client in (first, second)] == [None, None]
