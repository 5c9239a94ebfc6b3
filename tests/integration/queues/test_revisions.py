"""A record is revised while a task shows its earlier text."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, update
from sqlalchemy.orm import Session

from db.models import QueueTask, UtteranceRow
from db.repositories import utterances
from db.repositories.utterances import Incoming
from db.session import TransactionMaker
from plugin.services import scoring
from plugin.services.tidying import tidy
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.scorer import FakeScorer
from tests.integration.queues.conftest import INSTANCE, NOW, music, planned, publish_all, refresh

LONG = "play a very long song by the artist queen"
SPAN = [36, 41, "performer"]


@pytest.fixture
def shown(pool: None, session: Session, transaction: TransactionMaker) -> int:
    """An utterance with a slot at its end, whose label nothing else has."""
    refresh(transaction, 1)
    first = planned(session, "music")[0]
    session.execute(update(UtteranceRow).where(UtteranceRow.id == first).values(text=LONG, slots=[SPAN]))
    return first


def revise(session: Session, utterance_id: int, **content: Any) -> None:
    row = session.get_one(UtteranceRow, utterance_id)
    record = {"external_id": row.external_id, "locale": "en-US", "text": "stop", **content}
    digest = hashlib.sha256(repr(record).encode()).digest()
    assert utterances.upsert(session, row.source, "pool", [Incoming(content_hash=digest, **record)]).changed == 1
    session.expire_all()
    for batch in scoring.read_batches(session, 0, 2**62):
        scoring.write(session, scoring.compute(batch, FakeScorer()))


def row_of(session: Session, utterance_id: int) -> QueueTask:
    session.expire_all()
    return session.scalars(select(QueueTask).where(QueueTask.utterance_id == utterance_id)).one()


@pytest.mark.parametrize(
    "content", [{}, {"domain": "music", "intent": "music_play", "nlu_score": 0.99}], ids=["bare", "shorter"]
)
def test_a_leaving_task_keeps_the_labels_of_the_text_that_it_shows(
    session: Session, transaction: TransactionMaker, shown: int, content: dict[str, Any]
) -> None:
    server = FakeLabelStudio()
    publish_all(transaction, server)
    revise(session, shown, **content)
    refresh(transaction, 2)
    publish_all(transaction, server)
    row = row_of(session, shown)
    assert (row.state, row.revision) == ("leaving", 1)
    project = server.project(music(session).project_id or 0)
    assert row.task_id is not None
    predictions = project.tasks[row.task_id]["predictions"]
    assert len(predictions) == 2
    values = [region["value"] for prediction in predictions for region in prediction["result"]]
    spans = [value for value in values if "labels" in value]
    assert spans == [{"start": 36, "end": 41, "text": "queen", "labels": ["performer"]}] * 2


def test_the_new_revision_comes_in_once_the_task_of_the_old_one_is_deleted(
    session: Session, transaction: TransactionMaker, shown: int
) -> None:
    server = FakeLabelStudio()
    publish_all(transaction, server)
    revise(session, shown, domain="music", intent="music_play", nlu_score=0.5)
    session.execute(update(UtteranceRow).where(UtteranceRow.id != shown).values(nlu_score=0.99))
    refresh(transaction, 2)
    assert planned(session, "music") == [shown]
    publish_all(transaction, server)
    old = row_of(session, shown)
    assert (old.state, old.revision) == ("leaving", 1)

    session.execute(update(QueueTask).where(QueueTask.state == "leaving").values(state_since=NOW - timedelta(days=1)))
    tidy(transaction, server.client(), INSTANCE, music(session).id)
    publish_all(transaction, server)
    new = row_of(session, shown)
    assert (new.state, new.revision) == ("published", 2)
    project = server.project(music(session).project_id or 0)
    assert [task["data"]["text"] for task in project.tasks.values()] == ["stop"]
