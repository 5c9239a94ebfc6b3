"""A task that is deleted in its own project leaves the pool and its open place in a review queue; its reviews stay."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import AnnotationRow, QueueTask, UtteranceRow
from db.session import TransactionMaker
from plugin.services import policies, scoring, selection
from plugin.services.tidying import tidy
from tests import factories
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.scorer import FakeScorer
from tests.integration.queues.conftest import NOW, music, planned, publish_all, served
from tests.integration.sources.conftest import PLAY, House, Studio


def test_a_deleted_task_leaves_its_queue_and_its_review_stays(
    transaction: TransactionMaker,
    session: Session,
    fake_house: House,
    fake_studio: Studio,
    fake_server: FakeLabelStudio,
) -> None:
    project = fake_studio.project()
    tasks = fake_studio.add(project, *(f"play song {number}" for number in range(12)), **PLAY, score=0.5)
    maps = ("text=data.utterance", "locale=data.lang", "domain=data.domain", "intent=data.intent")
    source = fake_house.attach(project, *maps, "nlu_score=data.score")
    fake_house.poll(source)
    with transaction() as inner:
        factories.champion(inner)
        [batch] = scoring.read_batches(inner, 0, 2**62)
        scoring.write(inner, scoring.compute(batch, FakeScorer()))
        policies.change(inner, "en-US", "*", {"budget": 8, "blind_share": 0.0}, changed_by="test", comment="")
    selection.refresh(transaction, "en-US", NOW, "main", seed=1)
    publish_all(transaction, fake_server)
    order = planned(session, "music")
    queue = music(session)
    assert queue.project_id is not None

    task_of = {row.utterance_id: task for task, row in fake_house.tasks(source).items()}
    reviewed, waiting = order[1], order[2]
    fake_house.review(source, task_of[reviewed], "reject")
    with transaction() as inner:
        inner.execute(
            QueueTask.__table__.update().where(QueueTask.utterance_id == reviewed).values(state="annotated")  # type: ignore[attr-defined]
        )
    fake_studio.hands.delete(project, [task_of[reviewed], task_of[waiting]])
    assert fake_house.poll(source).deleted == 2
    assert len(tasks) - 2 == len([row for row in fake_house.utterances(source).values() if row.partition == "pool"])

    publish_all(transaction, fake_server)
    session.expire_all()
    states = {row.utterance_id: row.state for row in session.scalars(select(QueueTask))}
    assert (states[reviewed], states[waiting]) == ("annotated", "leaving")
    assert served(fake_server, queue.project_id)[-1] == waiting
    row = session.scalars(select(QueueTask).where(QueueTask.utterance_id == waiting)).one()
    row.state_since -= timedelta(days=1)
    session.flush()
    for task in fake_server.project(queue.project_id).tasks.values():
        task["annotations"] = []
    assert tidy(transaction, fake_server.client(), "main", queue.id) == 1
    assert session.scalars(select(AnnotationRow.withdrawn_at)).all() == [None]

    selection.refresh(transaction, "en-US", NOW, "main", seed=2)
    gone = set(session.scalars(select(UtteranceRow.id).where(UtteranceRow.partition == "gone")))
    assert not gone & set(planned(session, "music"))
