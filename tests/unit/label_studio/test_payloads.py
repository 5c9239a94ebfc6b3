from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from plugin.label_studio.payloads import (
    PayloadError,
    parse_review,
    parse_task,
    parse_webhook,
    read_result,
)
from plugin.records import Hypothesis, RejectReason, Slot, Verdict

TEXT = "play 🎵🎶 thriller by Queen 🎸 now please"
SHOWN = Hypothesis("music", "play_song", (Slot(20, 25, "artist"),))


def choice(control: str, value: str) -> dict[str, Any]:
    return {"from_name": control, "type": "choices", "value": {"choices": [value]}}


def span(start: int, end: int, label: str, text: str | None = None) -> dict[str, Any]:
    value = {"start": start, "end": end, "labels": [label], "text": TEXT[start:end] if text is None else text}
    return {"from_name": "slots", "type": "labels", "value": value}


def annotation(*result: dict[str, Any], **more: Any) -> dict[str, Any]:
    """As Label Studio 1.23.2 lists it."""
    return {
        "id": 5,
        "result": list(result),
        "created_username": " u1@example.org, 3",
        "completed_by": 3,
        "was_cancelled": False,
        "created_at": "2026-11-24T04:11:23.089727Z",
        "updated_at": "2026-11-24T04:11:23.089745Z",
        "lead_time": 5.084,
        "parent_prediction": 1,
    } | more


def task(*annotations: dict[str, Any], **more: Any) -> dict[str, Any]:
    prediction = {
        "id": 1,
        "model_version": "r1",
        "score": 0.25,
        "result": [span(20, 25, "artist"), choice("domain", "music"), choice("intent:music", "play_song")],
    }
    return {
        "id": 1,
        "project": 2,
        "data": {"utterance_id": 100, "text": TEXT},
        "annotations": list(annotations),
        "predictions": [prediction],
        "drafts": [],
        "draft_exists": False,
        "updated_at": "2026-11-24T04:11:23.132973Z",
    } | more


FILLED = (span(20, 25, "artist"), choice("domain", "music"), choice("intent:music", "play_song"))


def test_what_the_editor_submitted_in_a_browser() -> None:
    """Recorded: the domain was changed with a key, `please` was marked by mouse behind three emoji."""
    submitted = annotation(
        span(20, 25, "artist"),
        choice("domain", "weather"),
        {"from_name": "reason", "type": "textarea", "value": {"text": ["Chosen"]}, "readonly": True},
        span(32, 38, "song & name", "please"),
        choice("intent:weather", "query"),
    )
    state = parse_task(task(submitted))
    label = Hypothesis("weather", "query", (Slot(20, 25, "artist"), Slot(32, 38, "song & name")))
    (review,) = state.reviews
    assert (review.verdict, review.label, review.annotator) == (Verdict.FIX, label, "u1@example.org")
    assert review.lead_time_s == 5.084
    assert review.created_at == datetime(2026, 11, 24, 4, 11, 23, 89727, tzinfo=UTC)
    assert not review.shown_blind
    assert state.scores == {"r1": 0.25}


@pytest.mark.parametrize(
    ("regions", "verdict"),
    [
        (FILLED, Verdict.ACCEPT),
        (FILLED[::-1], Verdict.ACCEPT),
        (FILLED[1:], Verdict.FIX),
        ((*FILLED[:2], choice("intent:music", "stop")), Verdict.FIX),
        ((choice("reject", "unintelligible"),), Verdict.REJECT),
        ((*FILLED, choice("reject", "unintelligible")), Verdict.REJECT),
    ],
)
def test_what_was_submitted_is_the_verdict(regions: tuple[dict[str, Any], ...], verdict: Verdict) -> None:
    submitted = annotation(*regions)
    review = parse_review(submitted, task(submitted))
    assert review.verdict is verdict
    assert (review.label is None) == (verdict is Verdict.REJECT)
    assert review.reject_reason == (RejectReason.UNINTELLIGIBLE if verdict is Verdict.REJECT else None)


def test_other_comes_with_the_reason_that_was_typed_and_the_note() -> None:
    typed = [{"from_name": name, "type": "textarea", "value": {"text": [text]}} for name, text in NOTES.items()]
    submitted = annotation(choice("reject", "other"), *typed)
    review = parse_review(submitted, task(submitted))
    assert (review.reject_reason, review.note) == (RejectReason.OTHER, "two people at once ask Ann")


NOTES = {"why": "two people at once", "note": "ask Ann"}


def test_accept_means_the_hypothesis_that_was_shown_not_a_later_one() -> None:
    later = {"id": 9, "model_version": "r2", "score": 0.5, "result": [*FILLED[1:]]}
    given = task()
    given["predictions"].append(later)
    seen_first = annotation(*FILLED, parent_prediction=1)
    assert parse_review(seen_first, given).verdict is Verdict.ACCEPT
    seen_later = annotation(*FILLED, parent_prediction=9)
    assert parse_review(seen_later, given).verdict is Verdict.FIX


REASON = {"from_name": "reason", "type": "textarea", "value": {"text": ["On purpose"]}, "readonly": True}


@pytest.mark.parametrize("shown", [[], [REASON]])
def test_what_is_given_to_nothing_filled_in_is_blind(shown: list[dict[str, Any]]) -> None:
    """Its verdict waits for whoever knows the hypothesis."""
    blind = task()["predictions"][0] | {"result": shown}
    submitted = annotation(*FILLED)
    review = parse_review(submitted, task(submitted, predictions=[blind]))
    assert (review.verdict, review.shown_blind, review.label) == (Verdict.FIX, True, SHOWN)
    rejected = annotation(choice("reject", "unintelligible"))
    assert parse_review(rejected, task(rejected, predictions=[blind])).verdict is Verdict.REJECT


def test_a_task_without_a_prediction_is_blind_and_one_with_half_a_label_is_not() -> None:
    submitted = annotation(*FILLED, parent_prediction=None)
    assert parse_review(submitted, task(submitted, predictions=[])).shown_blind
    half = task()["predictions"][0] | {"result": [FILLED[1]]}
    review = parse_review(annotation(*FILLED), task(predictions=[half]))
    assert (review.verdict, review.shown_blind) == (Verdict.FIX, False)


def test_only_the_intent_of_the_chosen_domain_counts() -> None:
    reading = read_result([*FILLED, choice("intent:weather", "query")], TEXT)
    assert reading.label == SHOWN


def test_spans_lose_their_outer_spaces_and_doubles() -> None:
    reading = read_result([span(19, 26, "artist"), span(20, 25, "artist")], TEXT)
    assert reading.slots == (Slot(20, 25, "artist"),)


@pytest.mark.parametrize(
    ("regions", "problem"),
    [
        ((), "annotation 5 of task 1: neither rejected nor labelled"),
        ((FILLED[1],), "neither rejected nor labelled with a domain and an intent of that domain"),
        ((*FILLED, choice("reject", "bored")), "unknown reason to reject 'bored'"),
        ((*FILLED, span(22, 30, "song")), "slots overlap: artist 'Queen' and song"),
        ((*FILLED, span(30, 99, "song")), "outside the text of 38"),
        ((*FILLED, span(26, 27, "song", "Queen")), "says 'Queen', the text has"),
    ],
)
def test_what_cannot_be_read_is_a_problem_and_stops_nothing_else(
    regions: tuple[dict[str, Any], ...], problem: str
) -> None:
    good = annotation(*FILLED, id=6)
    state = parse_task(task(annotation(*regions), good))
    assert [review.annotation_id for review in state.reviews] == [6]
    assert len(state.problems) == 1
    assert problem in state.problems[0]
    assert state.has_work


@pytest.mark.parametrize(
    "odd",
    [
        {"type": "relation", "from_id": "a", "to_id": "b", "direction": "right", "labels": []},
        {"from_name": "utt", "type": "labels"},
        {"from_name": "slots", "value": None},
    ],
)
def test_a_region_without_a_control_or_a_value_says_nothing(odd: dict[str, Any]) -> None:
    submitted = annotation(*FILLED, odd)
    state = parse_task(task(submitted))
    assert [review.verdict for review in state.reviews] == [Verdict.ACCEPT]
    assert state.problems == ()


@pytest.mark.parametrize(
    "broken",
    [
        {"result": ["nonsense"]},
        {"result": None},
        {"result": [{"from_name": "domain", "value": {"choices": {"a": 1}}}]},
        {"result": [{"from_name": "slots", "value": {"start": 0, "end": 4, "labels": 7}}]},
        {"lead_time": "long"},
        {"created_at": "yesterday"},
        {"updated_at": None},
    ],
)
def test_an_annotation_of_another_shape_is_one_named_problem(broken: dict[str, Any]) -> None:
    good = annotation(*FILLED, id=6)
    bad = annotation(*FILLED, **broken) if "result" not in broken else annotation() | broken
    state = parse_task(task(bad, good))
    assert [review.annotation_id for review in state.reviews] == [6]
    assert len(state.problems) == 1
    assert state.problems[0].startswith("annotation 5 of task 1: ")


@pytest.mark.parametrize(("given", "kept"), [(-3.2, None), (0, 0.0), (float("nan"), None), (float("inf"), None)])
def test_an_impossible_lead_time_is_none(given: float, kept: float | None) -> None:
    submitted = annotation(*FILLED, lead_time=given)
    assert parse_review(submitted, task(submitted)).lead_time_s == kept


def test_a_skip_is_counted_and_a_draft_is_seen() -> None:
    skipped, begun = parse_task(task(annotation(was_cancelled=True))), parse_task(task(draft_exists=True))
    assert (skipped.skipped, skipped.has_work) == (1, False)
    assert (begun.has_draft, begun.has_work) == (True, True)
    assert not parse_task(task()).has_work


def test_a_task_imported_by_hand_is_nobodys_utterance() -> None:
    state = parse_task(task(annotation(*FILLED), data={"text": TEXT}))
    assert state.utterance_id is None
    assert "not one of Assay's" in state.problems[0]


def test_no_task_at_all_is_an_error() -> None:
    with pytest.raises(PayloadError, match="'project'"):
        parse_task({"id": 1, "data": {}})


@pytest.mark.parametrize("broken", [{"annotations": None}, {"data": None}, {"predictions": [{"score": "high"}]}])
def test_a_task_of_another_shape_is_one_named_problem(broken: dict[str, Any]) -> None:
    state = parse_task(task() | broken)
    assert not state.is_readable
    assert state.has_work
    assert state.problems[0].startswith("task 1 cannot be read: ")


def webhook(action: str, **more: Any) -> dict[str, Any]:
    return {"action": action, "project": {"id": 2}} | more


def test_webhooks_name_their_project_tasks_and_annotations() -> None:
    one = {"id": 5, "task": 1, "updated_at": "2026-11-24T04:11:23Z"}
    created = parse_webhook(webhook("ANNOTATION_CREATED", annotation=one, task={"id": 1}))
    assert (created.project_id, created.task_ids, created.annotation_ids) == (2, (1,), (5,))
    many = parse_webhook(webhook("ANNOTATIONS_CREATED", annotation=[one, one | {"id": 4, "task": 3}], task=[]))
    assert (many.task_ids, many.annotation_ids) == ((1, 3), (4, 5))
    deleted = parse_webhook(webhook("ANNOTATIONS_DELETED", annotations=[{"id": 5}]))
    assert (deleted.task_ids, deleted.annotation_ids) == ((), (5,))
    gone = parse_webhook(webhook("TASKS_DELETED", tasks=[{"id": 8}, {"id": 7}]))
    assert gone.task_ids == (7, 8)
    assert parse_webhook({"action": "PROJECT_UPDATED"}).project_id is None


def test_the_dedup_key_tells_events_apart_and_repeats_together() -> None:
    one = {"id": 5, "task": 1, "updated_at": "2026-11-24T04:11:23Z"}
    events = [
        webhook("ANNOTATION_UPDATED", annotation=one),
        webhook("ANNOTATION_UPDATED", annotation=one | {"lead_time": 3}),
        webhook("ANNOTATION_UPDATED", annotation=one | {"updated_at": "2026-11-24T04:12:00Z"}),
        webhook("ANNOTATION_CREATED", annotation=one),
    ]
    keys = [parse_webhook(event).dedup_key for event in events]
    assert keys[0] == keys[1]
    assert len(set(keys)) == 3


@pytest.mark.parametrize("body", [None, [], "x", {}, {"action": 3}, {"action": "X", "task": {"id": "one"}}])
def test_anything_else_is_no_webhook(body: object) -> None:
    with pytest.raises(PayloadError):
        parse_webhook(body)
