from __future__ import annotations

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import Queue, UtteranceRow
from db.models.utterances import POOL
from db.repositories import utterances
from plugin.label_studio.queues import region
from plugin.records import Hypothesis
from plugin.services import ingest
from plugin.services.ingest import Collected
from tests.integration.ingest.conftest import OVERLAP, PLAY, STOP, Desk, reconcile, rows, verdict


def test_reviews_arrive_with_the_revision_that_was_shown(desk: Desk) -> None:
    desk.publish(3)
    with desk.transaction() as session:
        session.query(UtteranceRow).filter_by(id=desk.utterance_ids[1]).update({"revision": 2, "text": "since changed"})
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY), lead_time_s=2.5)
    desk.annotator.submit_annotation(desk.task_ids[1], verdict("fix", STOP))
    desk.annotator.submit_annotation(desk.task_ids[2], verdict("reject", None))
    assert reconcile(desk) == Collected(desk.project_id, new=3, annotated=3)
    found = rows(desk)
    assert [row.verdict for row in found] == ["accept", "fix", "reject"]
    assert [row.reject_reason for row in found] == [None, None, "other language"]
    assert [(row.domain, row.intent) for row in found] == [
        ("music", "music_play"), ("music", "music_stop"), (None, None)
    ]  # fmt: skip
    assert [row.utterance_id for row in found] == desk.utterance_ids
    assert [row.revision for row in found] == [1, 1, 1]
    assert {row.annotator for row in found} == {"ann@example.org"}
    assert found[0].lead_time_s == 2.5
    assert [desk.state(number) for number in range(3)] == ["annotated"] * 3


def test_idempotent(desk: Desk) -> None:
    desk.publish(2)
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    assert reconcile(desk).new == 1
    before = rows(desk)
    assert reconcile(desk) == Collected(desk.project_id)
    assert [(row.id, row.collected_at) for row in rows(desk)] == [(row.id, row.collected_at) for row in before]


def test_the_verdict_on_what_was_shown_blind_is_by_the_hypothesis_of_its_revision(desk: Desk) -> None:
    desk.publish(4)
    with desk.transaction() as session:
        utterances.upsert(session, "Music", POOL, [revised(session, desk.utterance_ids[1], STOP)])
    for number in range(4):
        desk.task(number)["predictions"][0]["result"] = []
    for number, label in enumerate((PLAY, PLAY, STOP, None)):
        submitted = verdict("accept" if label else "reject", label, f"utterance number {number}")
        desk.annotator.submit_annotation(desk.task_ids[number], submitted)
    assert reconcile(desk).new == 4
    found = rows(desk)
    assert [row.verdict for row in found] == ["accept", "accept", "fix", "reject"]
    assert [row.revision for row in found] == [1, 1, 1, 1], "the second was shown before it was revised"
    assert all(row.shown_blind for row in found)


def revised(session: Session, utterance_id: int, label: Hypothesis) -> utterances.Incoming:
    row = session.get_one(UtteranceRow, utterance_id)
    return utterances.Incoming(
        row.external_id, bytes(32), row.locale, row.text, domain=label.domain, intent=label.intent
    )


def test_an_annotation_that_was_changed_or_deleted(desk: Desk) -> None:
    desk.publish(2)
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    reconcile(desk)
    [annotation] = desk.task(0)["annotations"]
    annotation.update(result=verdict("fix", STOP), updated_at=desk.server.now())
    desk.task(0)["updated_at"] = annotation["updated_at"]
    assert reconcile(desk) == Collected(desk.project_id, updated=1)
    assert rows(desk)[0].intent == "music_stop"

    desk.task(0)["annotations"].clear()
    desk.task(0)["updated_at"] = desk.server.now()
    assert reconcile(desk) == Collected(desk.project_id, withdrawn=1)
    assert rows(desk)[0].withdrawn_at is not None
    assert desk.state(0) == "published"


def test_a_skipped_task_is_no_review(desk: Desk) -> None:
    desk.publish(1)
    desk.annotator.submit_annotation(desk.task_ids[0], [], skipped=True)
    collected = reconcile(desk)
    assert not collected.has_news
    assert collected.follow_up.to_tidy == {desk.queue_id}  # it is to be served again, last
    assert desk.state(0) == "published"


def test_what_cannot_be_read_is_told_and_never_stops_the_rest(desk: Desk) -> None:
    desk.publish(3)
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("shrug", PLAY))
    stranger = desk.client.send_tasks(
        desk.project_id, [{"data": {"utterance_id": 10**9, "text": "who am I"}, "predictions": []}]
    )
    desk.annotator.submit_annotation(stranger[0], verdict("reject", None))
    desk.annotator.submit_annotation(desk.task_ids[2], verdict("accept", PLAY))
    found = reconcile(desk)
    assert found.new == 1
    assert len(found.problems) == 2
    assert "unknown reason to reject 'shrug'" in found.problems[0]
    assert "there is no utterance 1000000000" in found.problems[1]
    assert rows(desk)[0].utterance_id == desk.utterance_ids[2]


def test_a_row_that_the_database_refuses_is_told_and_never_stops_the_rest(desk: Desk) -> None:
    desk.publish(2)
    note = region("note", "note", "textarea", {"text": ["half a pair: \ud800"]})
    desk.annotator.submit_annotation(desk.task_ids[0], [*verdict("accept", PLAY), note])
    desk.annotator.submit_annotation(desk.task_ids[1], verdict("accept", PLAY, "utterance number 1"))
    found = reconcile(desk)
    assert (found.new, found.annotated) == (1, 1)
    assert "cannot be stored: 'utf-8' codec" in found.problems[0]
    assert [desk.state(number) for number in range(2)] == ["published", "annotated"]


def test_a_task_that_cannot_be_read_keeps_what_was_collected_of_it(desk: Desk) -> None:
    desk.publish(2)
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    reconcile(desk)
    desk.task(0).update(predictions=[{"id": 1, "model_version": "v1", "score": "high"}])
    desk.annotator.submit_annotation(desk.task_ids[1], verdict("accept", PLAY))
    found = reconcile(desk)
    assert (found.new, found.withdrawn) == (1, 0)
    assert f"task {desk.task_ids[0]} cannot be read" in found.problems[0]
    assert desk.state(0) == "annotated"


def test_a_task_that_the_publisher_has_not_written_down_yet_is_known_by_its_utterance(desk: Desk) -> None:
    desk.publish(1)
    with desk.transaction() as session:
        session.query(UtteranceRow).filter_by(id=desk.utterance_ids[0]).update({"revision": 4})
    data = {"utterance_id": desk.utterance_ids[0], "text": "utterance number 0"}
    [twin] = desk.client.send_tasks(desk.project_id, [{"data": data, "predictions": []}])
    desk.annotator.submit_annotation(twin, verdict("accept", PLAY))
    assert reconcile(desk).new == 1
    assert (rows(desk)[0].utterance_id, rows(desk)[0].revision) == (desk.utterance_ids[0], 4)


def test_a_project_that_is_gone_loses_nothing(desk: Desk) -> None:
    desk.publish(1)
    desk.annotator.submit_annotation(desk.task_ids[0], verdict("accept", PLAY))
    reconcile(desk)
    del desk.server.projects[desk.project_id]
    found = reconcile(desk)
    assert found.problems == (f"the project {desk.project_id} is no longer in Label Studio",)
    assert rows(desk)[0].withdrawn_at is None
    with desk.transaction() as session:
        assert session.scalars(select(Queue.polled_at)).one() is not None


def test_a_project_without_a_queue_is_an_error(desk: Desk) -> None:
    desk.publish(1)
    with pytest.raises(LookupError, match="no queue has the project 123456"):
        ingest.reconcile(desk.transaction, desk.client, desk.instance, 123456, overlap=OVERLAP)
