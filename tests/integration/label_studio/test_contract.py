"""What Assay rests on, held against the fake and against a real Label Studio alike."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from plugin.label_studio.controls import NOTE, REJECT
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.queues import (
    LabelSet,
    between,
    label_regions,
    prediction_json,
    project_settings,
    rank_codes,
    region,
    task_json,
)
from plugin.label_studio.screen import queue_marker
from plugin.label_studio.simulated_annotator import SIMULATED_NOTE, SimulatedAnnotator
from plugin.records import Hypothesis, RejectReason, Verdict
from tests.integration.label_studio.conftest import LABELS, PLAY, Site, queue_tasks, slot

LONG_AGO = datetime.now(UTC) - timedelta(days=2)


def draw(client: LabelStudio, project: int) -> int | None:
    task = client.next_task(project)
    return None if task is None else task.utterance_id


def submit_next(client: LabelStudio, project: int) -> int | None:
    task = client.next_task(project)
    assert task is not None
    label = task.shown or PLAY
    regions = label_regions(label, task.text)
    client.submit_annotation(task.task_id, regions, lead_time_s=2.5, parent_prediction=task.prediction_id)
    return task.utterance_id


def test_tokens_belong_to_their_owners(site: Site) -> None:
    assert site.admin.version()
    assert [client.whoami() for client in site.annotators] == site.emails


def test_tasks_are_served_in_rank_order_to_four_people_without_a_repeat(site: Site) -> None:
    project = site.queue()
    site.publish(project, queue_tasks(9)[::-1])  # imported backwards: the rank code decides
    served = [submit_next(client, project) for _ in range(2) for client in site.annotators]
    assert served == [100, 101, 102, 103, 104, 105, 106, 107]
    assert [draw(client, project) for client in site.annotators] == [108, None, None, None]


def test_one_change_of_model_version_orders_the_queue_anew_and_holders_keep_their_task(site: Site) -> None:
    project = site.queue()
    tasks = queue_tasks(6)
    ids = site.publish(project, tasks)
    holder, other, third, _ = site.annotators
    assert draw(holder, project) == 100
    backwards = [
        {"task": task_id, **prediction_json(replace(task, rank_code=1 - task.rank_code), "round-2", LABELS)}
        for task, task_id in zip(tasks, ids, strict=True)
    ]
    assert site.admin.import_predictions(project, backwards) == 6
    assert draw(other, project) == 101  # nothing changes before the switch
    site.admin.set_order(project, "round-2")
    assert draw(third, project) == 105
    assert draw(holder, project) == 100
    assert draw(other, project) == 101


def test_a_late_arrival_slips_in_between_its_neighbours(site: Site) -> None:
    project = site.queue()
    site.publish(project, queue_tasks(3))
    assert submit_next(site.annotators[0], project) == 100
    first, second = rank_codes(2)
    late = replace(queue_tasks(1)[0], utterance_id=999, rank_code=between(first, second)[0])
    site.admin.import_tasks(project, [task_json(late, "round-1", LABELS)])
    assert [submit_next(site.annotators[0], project) for _ in range(3)] == [999, 101, 102]


def test_importing_again_makes_no_double_task_and_no_double_prediction(site: Site) -> None:
    project = site.queue()
    tasks = queue_tasks(7)
    ids = site.publish(project, tasks[:4])
    again = site.publish(project, tasks)
    assert again[:4] == ids
    assert site.publish(project, tasks[::-1]) == again[::-1]
    predictions = [
        {"task": task_id, **prediction_json(task, "round-2", LABELS)}
        for task, task_id in zip(tasks, again, strict=True)
    ]
    assert site.admin.import_predictions(project, predictions[:3]) == 3
    assert site.admin.import_predictions(project, predictions) == 4
    assert site.admin.import_predictions(project, predictions) == 0
    assert site.admin.task_ids(project) == {
        task_id: task.utterance_id for task, task_id in zip(tasks, again, strict=True)
    }
    found = site.admin.get_project(project)
    assert (found["task_number"], found["total_predictions_number"]) == (7, 14)
    assert {frozenset(state.scores) for state in site.admin.list_tasks(project)} == {frozenset({"round-1", "round-2"})}


def test_no_prediction_is_doubled_after_many_rounds(site: Site) -> None:
    """Label Studio's column of model versions ends after 500 characters; ten such names do not fit."""
    project = site.queue()
    task = queue_tasks(1)[0]
    [task_id] = site.publish(project, [task])
    rounds = [f"round-{number}-{'x' * 50}" for number in range(10)]
    predictions = [{"task": task_id, **prediction_json(task, version, LABELS)} for version in rounds]
    sent = [site.admin.import_predictions(project, [prediction]) for prediction in predictions]
    assert sent == [1] * 10
    assert [site.admin.import_predictions(project, [prediction]) for prediction in predictions] == [0] * 10
    assert site.admin.get_project(project)["total_predictions_number"] == 11


def test_rank_codes_survive_to_the_last_bit(site: Site) -> None:
    project = site.queue()
    low, high = rank_codes(2)
    codes = [low, between(low, high)[0], high, 1.0]
    tasks = [replace(task, rank_code=code) for task, code in zip(queue_tasks(4), codes, strict=True)]
    site.publish(project, tasks)
    assert [state.scores["round-1"] for state in site.admin.list_tasks(project)] == codes


def test_a_prediction_for_a_task_that_is_gone_is_refused(site: Site) -> None:
    project = site.queue()
    task = queue_tasks(1)[0]
    with pytest.raises(LabelStudioError, match="no tasks"):
        site.admin.import_predictions(project, [{"task": 10**8, **prediction_json(task, "round-1", LABELS)}])


def test_a_locale_without_slots_has_a_queue_too(site: Site) -> None:
    """Label Studio refuses a control that offers nothing."""
    labels = LabelSet({"music": ["stop"]}, [])
    project = site.admin.create_project(project_settings("en-US", "music", labels))
    task = replace(queue_tasks(1)[0], hypothesis=Hypothesis("music", "stop"))
    site.admin.import_tasks(project, [task_json(task, "round-1", labels)])
    shown = site.annotators[0].next_task(project)
    assert shown is not None
    assert shown.shown == Hypothesis("music", "stop")


def test_project_settings_are_kept_and_found_again_by_title_and_marker(site: Site) -> None:
    settings = project_settings("sw-KE", "home & garden", LABELS, "SEMER 23.1 %")
    marker = queue_marker("sw-KE", "home & garden")
    stranger = site.admin.create_project({**settings, "label_config": "<View/>"})
    project = site.admin.ensure_project(settings, marker)
    assert project != stranger
    assert site.admin.ensure_project(settings, marker) == project
    found = site.admin.get_project(project)
    for name in settings:
        assert found[name] == settings[name], name
    site.admin.update_project(project, description="SEMER 21.9 %")
    assert site.admin.get_project(project)["description"] == "SEMER 21.9 %"


@pytest.mark.parametrize(
    ("locale", "text", "value"),
    [
        ("en-US", "play 🎵👩‍👩‍👧 thriller by Queen 🎸 now", "Queen"),
        ("th-TH", "เปิดเพลงของบอดี้สแลมหน่อย", "บอดี้สแลม"),
        ("ur-PK", "عاطف اسلم کا گانا چلاؤ", "عاطف اسلم"),
        ("en-US", "  two  spaces & <b>Queen</b>\u00a0", "Queen"),
    ],
)
def test_accept_fix_and_reject_come_back_as_records(site: Site, locale: str, text: str, value: str) -> None:
    project = site.queue(locale)
    label = replace(PLAY, slots=(slot(text, value, "artist"),))
    fixed = Hypothesis("home & garden", "lights_on", (slot(text, value, "device <x>"),))
    site.publish(project, queue_tasks(4, text, label))
    client = site.annotators[0]
    reject = region("r", REJECT, "choices", {"choices": ["private or offensive"]})
    for submitted in (
        label_regions(label, text),
        label_regions(fixed, text),
        [reject],
        [*label_regions(label, text), reject],  # what was filled in before somebody rejected it
    ):
        task = client.next_task(project)
        assert task is not None
        assert task.shown == label
        result = [*submitted, region("n", NOTE, "textarea", {"text": ["so ✓"]})]
        client.submit_annotation(task.task_id, result, lead_time_s=2.5, parent_prediction=task.prediction_id)
    reviews = [review for state in site.admin.list_tasks(project) for review in state.reviews]
    assert [(review.verdict, review.label) for review in reviews] == [
        (Verdict.ACCEPT, label),
        (Verdict.FIX, fixed),
        (Verdict.REJECT, None),
        (Verdict.REJECT, None),
    ]
    assert [review.reject_reason for review in reviews] == [None, None, *[RejectReason.PRIVATE_OR_OFFENSIVE] * 2]
    assert not any(review.shown_blind for review in reviews)
    assert [review.utterance_id for review in reviews] == [100, 101, 102, 103]
    assert {(review.annotator, review.lead_time_s) for review in reviews} == {(site.emails[0], 2.5)}
    assert {review.note for review in reviews} == {"so ✓"}


def test_a_blind_task_is_served_in_its_place_with_nothing_filled_in(site: Site) -> None:
    project = site.queue()
    tasks = [replace(task, blind=number == 1) for number, task in enumerate(queue_tasks(3))]
    site.publish(project, tasks)
    shown = []
    for expected in (100, 101, 102):
        task = site.annotators[0].next_task(project)
        assert task is not None
        assert task.utterance_id == expected
        shown.append(task.shown)
        site.annotators[0].submit_annotation(
            task.task_id, label_regions(PLAY, task.text), parent_prediction=task.prediction_id
        )
    assert shown == [PLAY, None, PLAY]
    reviews = [review for state in site.admin.list_tasks(project) for review in state.reviews]
    assert [review.shown_blind for review in reviews] == [False, True, False]
    assert [review.label for review in reviews] == [PLAY] * 3


def test_a_prediction_with_nothing_in_it_orders_too(site: Site) -> None:
    project = site.queue()
    first, *others = queue_tasks(3)
    bare = replace(first, reason="", hypothesis=None)
    assert prediction_json(bare, "round-1", LABELS)["result"] == []
    site.publish(project, [*others, bare])
    assert [submit_next(client, project) for client in site.annotators[:3]] == [100, 101, 102]


def test_a_skipped_task_goes_to_somebody_else_and_is_no_review(site: Site) -> None:
    project = site.queue()
    site.publish(project, queue_tasks(2))
    first, second, *_ = site.annotators
    task = first.next_task(project)
    assert task is not None
    first.submit_annotation(task.task_id, [], skipped=True)
    assert draw(first, project) == 101
    assert draw(second, project) == 100
    states = list(site.admin.list_tasks(project))
    assert [(state.skipped, state.reviews, state.has_work) for state in states] == [(1, (), False), (0, (), False)]


def test_a_brief_list_tells_all_of_what_was_answered_and_of_the_rest_that_it_is_there(site: Site) -> None:
    project = site.queue()
    ids = site.publish(project, queue_tasks(4))
    answered, withdrawn, skipped, _ = ids
    site.annotators[0].submit_annotation(answered, label_regions(PLAY, "play thriller"))
    mistaken = site.annotators[0].submit_annotation(withdrawn, [])
    site.annotators[1].submit_annotation(skipped, [], skipped=True)
    site.admin.delete_annotation(mistaken)
    whole = {state.task_id: state for state in site.admin.list_tasks(project)}
    brief = {state.task_id: state for state in site.admin.list_tasks(project, brief=True)}
    assert list(brief) == ids
    for task_id, state in whole.items():
        is_told = task_id in (answered, skipped)
        assert brief[task_id] == (state if is_told else replace(state, utterance_id=None, scores={}))
    assert len(brief[answered].reviews) == len(brief[skipped].skips) == 1
    since = max(state.updated_at for state in whole.values())
    assert [state.task_id for state in site.admin.list_tasks(project, since, brief=True)] == [withdrawn]


def test_only_what_changed_is_listed_and_our_own_writes_make_no_echo(site: Site) -> None:
    project = site.queue()
    tasks = queue_tasks(3)
    ids = site.publish(project, tasks)
    watermark = max(state.updated_at for state in site.admin.list_tasks(project)) + timedelta(microseconds=1)
    site.admin.add_data_field(project, ids, "state at import", "hard")
    site.admin.import_predictions(project, [{"task": ids[0], **prediction_json(tasks[0], "round-2", LABELS)}])
    assert list(site.admin.list_tasks(project, watermark)) == []
    submit_next(site.annotators[0], project)
    assert [state.utterance_id for state in site.admin.list_tasks(project, watermark)] == [100]


def test_tasks_are_deleted_only_after_the_locks_and_never_when_begun(site: Site) -> None:
    project = site.queue()
    ids = site.publish(project, queue_tasks(4))
    submit_next(site.annotators[0], project)
    skipped = site.annotators[1].next_task(project)
    assert skipped is not None
    site.annotators[1].submit_annotation(skipped.task_id, [], skipped=True)
    assert site.admin.delete_tasks(project, ids, leaving_since=datetime.now(UTC)) == []
    assert len(site.admin.task_ids(project)) == 4
    assert site.admin.delete_tasks(project, ids, leaving_since=LONG_AGO) == ids[1:]  # a skip is no work
    assert sorted(site.admin.task_ids(project)) == ids[:1]
    assert site.admin.delete_tasks(project, ids[1:], leaving_since=LONG_AGO) == ids[1:]


def test_what_should_never_have_been_served_is_deleted_at_once_unless_begun(site: Site) -> None:
    project = site.queue()
    ids = site.publish(project, queue_tasks(3))
    submit_next(site.annotators[0], project)
    assert site.admin.delete_tasks(project, ids, leaving_since=None) == ids[1:]
    assert sorted(site.admin.task_ids(project)) == ids[:1]


def test_the_simulated_annotator_reviews_as_the_truth_says(site: Site) -> None:
    project = site.queue()
    site.publish(project, queue_tasks(3))
    truth = {100: PLAY, 101: Hypothesis("music", "stop"), 102: None}
    annotator = SimulatedAnnotator(site.annotators[0], truth.__getitem__, LABELS)
    assert annotator.review(project, 10) == 3
    assert annotator.done == {"accept": 1, "fix": 1, "reject": 1}
    reviews = [review for state in site.admin.list_tasks(project) for review in state.reviews]
    assert {review.utterance_id: review.label for review in reviews} == truth
    assert {review.note for review in reviews} == {SIMULATED_NOTE}


def test_a_missing_project_is_one_clear_error(site: Site) -> None:
    with pytest.raises(LabelStudioError, match="project 99999999: status 404") as caught:
        site.admin.get_project(99999999)
    assert caught.value.status == 404
    assert not caught.value.uncertain
