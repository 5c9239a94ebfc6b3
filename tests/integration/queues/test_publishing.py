from __future__ import annotations

import re
from datetime import timedelta

import pytest
from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from db.models import Queue, QueueTask
from db.session import TransactionMaker
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.simulated_annotator import SimulatedAnnotator
from plugin.records import Hypothesis
from plugin.services import queues
from plugin.services.queues import publishing
from plugin.services.tidying import tidy
from tests.fakes.label_studio import FakeLabelStudio
from tests.integration.queues.conftest import INSTANCE, NOW, music, planned, publish_all, refresh, served


@pytest.mark.usefixtures("pool")
def test_each_domain_is_served_in_planned_order(session: Session, transaction: TransactionMaker) -> None:
    server = FakeLabelStudio()
    refresh(transaction, 1)
    published = publish_all(transaction, server)
    assert sum(one.imported for one in published) == 30
    queue = music(session)
    assert queue.project_id is not None
    assert served(server, queue.project_id, people=3) == planned(session, "music")


@pytest.mark.usefixtures("pool")
def test_publishing_again_changes_nothing(session: Session, transaction: TransactionMaker) -> None:
    server = FakeLabelStudio()
    refresh(transaction, 1)
    publish_all(transaction, server)
    assert publish_all(transaction, server) == []
    session.execute(update(Queue).values(dirty=True))
    tasks = {project_id: set(project.tasks) for project_id, project in server.projects.items()}
    again = publish_all(transaction, server)
    assert sum(one.imported for one in again) == 0
    assert {project_id: set(project.tasks) for project_id, project in server.projects.items()} == tasks
    assert len(server.projects) == 3


@pytest.mark.usefixtures("pool")
def test_a_new_round_reorders_keeps_work_and_serves_what_left_last(
    session: Session, transaction: TransactionMaker
) -> None:
    server = FakeLabelStudio()
    refresh(transaction, 1)
    publish_all(transaction, server)
    project_id = music(session).project_id
    assert project_id is not None
    old = planned(session, "music")
    holder = server.client("holder@example.org")
    held = holder.next_task(project_id)
    assert held is not None

    session.execute(text("UPDATE utterances SET nlu_score = 0.99 WHERE id = :id"), {"id": old[1]})
    refresh(transaction, 2)
    publish_all(transaction, server)
    new = planned(session, "music")
    assert old[1] not in new
    again = holder.next_task(project_id)
    assert again is not None
    assert again.task_id == held.task_id
    holder.submit_annotation(held.task_id, [])
    drawn = served(server, project_id)
    expected = [id_ for id_ in new if id_ != held.utterance_id]
    assert drawn[: len(expected)] == expected
    assert set(drawn[len(expected) :]) == set(old) - set(new) - {held.utterance_id}


@pytest.mark.usefixtures("pool")
def test_a_lost_answer_doubles_nothing(session: Session, transaction: TransactionMaker) -> None:
    server = FakeLabelStudio()
    server.lost_answers = 1
    refresh(transaction, 1)
    publish_all(transaction, server)
    assert sum(len(project.tasks) for project in server.projects.values()) == 30
    open_tasks = session.scalars(select(QueueTask).where(QueueTask.state == "published")).all()
    assert len(open_tasks) == 30


@pytest.mark.usefixtures("pool")
def test_a_crash_before_the_rows_are_written_leaves_nothing_double(
    session: Session, transaction: TransactionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeLabelStudio()
    refresh(transaction, 1)

    def crash(*_: object, **__: object) -> None:
        raise LabelStudioError("write", None, "crashed")

    with monkeypatch.context() as patch:
        patch.setattr(publishing, "write_plan", crash)
        with pytest.raises(LabelStudioError):
            publish_all(transaction, server)
    publish_all(transaction, server)
    assert sum(len(project.tasks) for project in server.projects.values()) == 30
    assert len(server.projects) == 3


@pytest.mark.usefixtures("pool")
def test_a_refused_webhook_does_not_stop_publishing(
    session: Session, transaction: TransactionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = FakeLabelStudio().client()

    def refuse(project_id: int, url: str, secret: str) -> None:
        raise LabelStudioError(f"webhook of project {project_id}", 403, "URL resolves to a private address")

    monkeypatch.setattr(client, "ensure_webhook", refuse)
    refresh(transaction, 1)
    webhook = queues.Webhook("http://10.1.2.3:8040/webhooks/label-studio", "secret")
    done = queues.publish(transaction, client, INSTANCE, music(session).id, NOW, webhook)
    assert done is not None
    assert done.imported > 0


@pytest.mark.usefixtures("pool")
def test_leaving_tasks_are_deleted_once_nobody_can_hold_them(session: Session, transaction: TransactionMaker) -> None:
    server = FakeLabelStudio()
    refresh(transaction, 1)
    publish_all(transaction, server)
    victim = planned(session, "music")[0]
    session.execute(text("UPDATE utterances SET nlu_score = 0.99 WHERE id = :id"), {"id": victim})
    refresh(transaction, 2)
    publish_all(transaction, server)
    queue = music(session)
    assert tidy(transaction, server.client(), INSTANCE, queue.id) == 0

    session.execute(update(QueueTask).where(QueueTask.state == "leaving").values(state_since=NOW - timedelta(days=1)))
    left = set(session.scalars(select(QueueTask.utterance_id).where(QueueTask.state == "leaving")))
    assert victim in left
    assert tidy(transaction, server.client(), INSTANCE, queue.id) >= 1
    row = session.scalars(select(QueueTask).where(QueueTask.utterance_id == victim)).one()
    assert (row.state, row.task_id) == ("removed", None)


@pytest.mark.usefixtures("pool")
def test_the_reason_is_worded_alike_for_every_item_and_names_no_arm(
    session: Session, transaction: TransactionMaker
) -> None:
    server = FakeLabelStudio()
    refresh(transaction, 1)
    publish_all(transaction, server)
    shown = [
        region["value"]["text"][0]
        for project in server.projects.values()
        for task in project.tasks.values()
        for prediction in task["predictions"]
        for region in prediction["result"]
        if region["from_name"] == "reason"
    ]
    assert len(shown) == 30
    for sentence in shown:
        assert re.fullmatch(r"The five models (disagree|waver) between “\w+” and “\w+”\.", sentence)
        assert "control" not in sentence
        assert "strategy" not in sentence
    columns = {name for project in server.projects.values() for task in project.tasks.values() for name in task["data"]}
    assert columns == {"utterance_id", "text", "record", "source"}


@pytest.mark.usefixtures("pool")
def test_a_simulated_annotator_reviews_a_queue(session: Session, transaction: TransactionMaker) -> None:
    server = FakeLabelStudio()
    refresh(transaction, 1)
    publish_all(transaction, server)
    queue = music(session)
    assert queue.project_id is not None
    truth = Hypothesis("music", "music_play")
    annotator = SimulatedAnnotator(
        server.client("sim@example.org"), lambda _: truth, queues.label_set(session, "en-US")
    )
    assert annotator.review(queue.project_id, 4) == 4
    assert annotator.done == {"accept": 4}
