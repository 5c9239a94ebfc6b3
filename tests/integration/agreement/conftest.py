from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import AnnotationRow, Queue, QueueTask, Rework, UtteranceRow
from db.repositories import queues as queue_rows
from db.repositories import utterances
from db.repositories.utterances import Incoming
from db.session import TransactionMaker
from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.controls import REJECT
from plugin.label_studio.payloads import DrawnTask
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.queues import label_regions, region
from plugin.records import Hypothesis, RejectReason
from plugin.services import agreement, ingest, policies, queues, scoring, selection, tidying
from tests import factories
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.scorer import FakeScorer
from tests.servers import LabelStudioServer

INSTANCE = "main"
POLICY = {"strategy": "random", "blind_share": 0.0, "control_share": 0.0, "nlu_low": 0.0, "nlu_high": 1.0}

Say = Callable[[DrawnTask], Hypothesis | None]


def accept(task: DrawnTask) -> Hypothesis | None:
    assert task.shown is not None
    return task.shown


def reject(task: DrawnTask) -> Hypothesis | None:
    return None


def volume(task: DrawnTask) -> Hypothesis | None:
    """Never what is filled in: the pool is of music."""
    return Hypothesis("audio", "audio_volume")


@dataclass
class Team:
    """People at a Label Studio, and the services between it and the database."""

    transaction: TransactionMaker
    admin: LabelStudio
    people: list[LabelStudio]
    emails: list[str]
    locale: str = "en-US"
    published: list[queues.Published] = field(default_factory=list)

    def begin(self, count: int = 3, *, seed: int = 0, **policy: Any) -> None:
        """A round of that many utterances of music, in Label Studio; the other domains have but defects."""
        with self.transaction() as session:
            factories.utterances(session, 3, source="defects", locale=self.locale, defect=True)
            factories.utterances(session, count, locale=self.locale, domain="music", intent="music_play", nlu_score=0.5)
            factories.champion(session, self.locale)
            [batch] = scoring.read_batches(session, 0, 2**62)
            scoring.write(session, scoring.compute(batch, FakeScorer()))
            values = {**POLICY, "budget": count, "overlap_share": 1.0, **policy}
            policies.change(session, self.locale, "*", values, changed_by="test", comment="")
        self.refresh(seed)

    def refresh(self, seed: int = 0) -> None:
        row, _ = selection.refresh(self.transaction, self.locale, datetime.now(UTC), INSTANCE, seed=seed)
        assert row is not None
        self.publish()

    def publish(self) -> None:
        with self.transaction() as session:
            dirty = [
                queue for id_ in queue_rows.dirty_ids(session, INSTANCE) if (queue := queue_rows.get(session, id_))
            ]
        for queue in dirty:
            publish = queues.publish if queue.kind == "review" else agreement.publish_opinions
            done = publish(self.transaction, self.admin, INSTANCE, queue.id, datetime.now(UTC))
            self.published += [done] if done else []

    def collect(self) -> list[ingest.Collected]:
        """All that a tick of the workers does."""
        with self.transaction() as session:
            projects = [queue.project_id for queue in queue_rows.every(session, INSTANCE) if queue.project_id]
        found = [self.reconcile(project_id) for project_id in projects]
        self.publish()
        self.tidy()
        return found

    def reconcile(self, project_id: int) -> ingest.Collected:
        return ingest.reconcile(
            self.transaction, self.admin, INSTANCE, project_id, overlap=timedelta(minutes=5), force=True
        )

    def tidy(self) -> None:
        with self.transaction() as session:
            untidy = tidying.untidy(session, INSTANCE, datetime.now(UTC))
        for queue_id in untidy:
            agreement.rework(self.transaction, self.admin, INSTANCE, queue_id)
            tidying.tidy(self.transaction, self.admin, INSTANCE, queue_id)

    def queue(self, kind: str = "review") -> Queue | None:
        with self.transaction() as session:
            query = select(Queue).where(Queue.kind == kind, Queue.locale == self.locale)
            return session.scalars(query).one_or_none()

    def project(self, kind: str = "review") -> int:
        queue = self.queue(kind)
        assert queue is not None
        assert queue.project_id is not None
        return queue.project_id

    def draw(self, person: int, kind: str = "review") -> DrawnTask | None:
        return self.people[person].next_task(self.project(kind))

    def answer(self, person: int, kind: str = "review", say: Say = accept) -> int:
        """The utterance that was served and answered."""
        task = self.draw(person, kind)
        assert task is not None
        self.submit(person, task, say)
        assert task.utterance_id is not None
        return task.utterance_id

    def submit(self, person: int, task: DrawnTask, say: Say = accept) -> int:
        label = say(task)
        regions = reject_regions() if label is None else label_regions(label, task.text)
        return self.people[person].submit_annotation(task.task_id, regions, parent_prediction=task.prediction_id)

    def skip(self, person: int, kind: str = "review") -> int:
        task = self.draw(person, kind)
        assert task is not None
        assert task.utterance_id is not None
        self.people[person].submit_annotation(task.task_id, [], skipped=True)
        return task.utterance_id

    def tasks(self, kind: str) -> list[QueueTask]:
        queue = self.queue(kind)
        with self.transaction() as session:
            return list(queue_rows.tasks(session, queue.id)) if queue else []

    def states(self, kind: str) -> dict[int, str]:
        return {task.utterance_id: task.state for task in self.tasks(kind)}

    def annotations(self, kind: str) -> list[AnnotationRow]:
        with self.transaction() as session:
            query = select(AnnotationRow).where(AnnotationRow.kind == kind).order_by(AnnotationRow.id)
            return list(session.scalars(query))

    def reworks(self) -> list[Rework]:
        with self.transaction() as session:
            return list(session.scalars(select(Rework).order_by(Rework.id)))


def revise(session: Session, utterance_id: int, text: str) -> None:
    row = session.get_one(UtteranceRow, utterance_id)
    record: dict[str, Any] = {"external_id": row.external_id, "locale": row.locale, "text": text}
    digest = hashlib.sha256(repr(record).encode()).digest()
    assert utterances.upsert(session, row.source, "pool", [Incoming(content_hash=digest, **record)]).changed == 1
    session.expire_all()


def reject_regions() -> list[dict[str, Any]]:
    return [region("r", REJECT, "choices", {"choices": [str(RejectReason.UNINTELLIGIBLE)]})]


@pytest.fixture
def transaction(session: Session) -> TransactionMaker:
    """Every block is a savepoint of the test's transaction."""

    @contextmanager
    def make() -> Iterator[Session]:
        with session.begin_nested():
            yield session
        session.expire_all()

    return make


@pytest.fixture
def server() -> FakeLabelStudio:
    return FakeLabelStudio()


@pytest.fixture
def team(transaction: TransactionMaker, server: FakeLabelStudio) -> Team:
    emails = [f"{name}@example.org" for name in ("anna", "ben", "cleo")]
    return Team(transaction, server.client(), [server.client(email) for email in emails], emails)


@pytest.fixture
def real_team(transaction: TransactionMaker, label_studio_server: LabelStudioServer) -> Iterator[Team]:
    people = label_studio_server.annotators(3)
    with ExitStack() as stack:
        admin, *clients = (
            stack.enter_context(closing(SdkLabelStudio(label_studio_server.url, token, timeout_s=60)))
            for token in (label_studio_server.token, *(person.token for person in people))
        )
        yield Team(transaction, admin, list(clients), [person.email for person in people], locale="is-IS")


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.label_studio)])
def any_team(request: pytest.FixtureRequest) -> Team:
    """On a Label Studio in memory, and on a real one."""
    found: Team = request.getfixturevalue("team" if request.param == "fake" else "real_team")
    return replace(found, locale="is-IS")
