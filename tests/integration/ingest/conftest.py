from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from db.models import AnnotationRow, Queue, QueueTask, SelectionRow, UtteranceRow
from db.repositories import polls
from db.session import TransactionMaker
from plugin.label_studio.controls import REJECT
from plugin.label_studio.payloads import Glance, TaskState, WebhookEvent
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.queues import label_regions, region
from plugin.records import Hypothesis, RejectReason
from plugin.services import ingest
from plugin.services.ingest import Collected
from plugin.settings import Settings
from plugin.wiring import Wiring
from tests import factories
from tests.fakes.label_studio import FakeClient, FakeLabelStudio

PLAY = Hypothesis("music", "music_play")
STOP = Hypothesis("music", "music_stop")


def line(id_: str = "u1", text: str = "play jazz", **changed: Any) -> bytes:
    return json.dumps({"id": id_, "locale": "en-US", "text": text, **changed}).encode() + b"\n"


def verdict(name: str, label: Hypothesis | None, text: str = "utterance number 0") -> list[dict[str, Any]]:
    """What a person submits, given the verdict that it amounts to; another name is an unknown reason to reject."""
    regions = label_regions(label, text) if label is not None else []
    reason = {"accept": None, "fix": None, "reject": str(RejectReason.OTHER_LANGUAGE)}.get(name, name)
    return regions if reason is None else [*regions, region("reject", REJECT, "choices", {"choices": [reason]})]


@pytest.fixture
def transaction(connection: Connection) -> TransactionMaker:
    """Commits end in an outer transaction that is rolled back."""

    @contextmanager
    def begin() -> Iterator[Session]:
        with (
            Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    return begin


class Recorder(Wiring):
    """The real wiring, but what would go to the broker is kept in `sent`; `is_away` stands for a broker that is."""

    sent: list[tuple[Any, ...]]
    is_away: bool

    def __init__(self, database_url: str, **settings: Any) -> None:
        given: dict[str, Any] = {
            "database_url": SecretStr(database_url),
            "broker_url": SecretStr("redis://unused"),
            "scoring_batch_size": 100,
            **settings,
        }
        super().__init__(Settings(**given))
        self.__dict__.update(sent=[], is_away=False)

    def use(self, label_studio: LabelStudio) -> None:
        self.__dict__["label_studio"] = label_studio

    def unplug_broker(self) -> None:
        self.__dict__["is_away"] = True

    def send(self, name: str, *args: Any) -> bool:
        if not self.is_away:
            self.sent.append((name, *args))
        return not self.is_away


@dataclass
class Desk:
    """A published queue: utterances in the database, their tasks in a fake Label Studio."""

    transaction: TransactionMaker
    server: FakeLabelStudio = field(default_factory=FakeLabelStudio)
    instance: str = "main"

    def __post_init__(self) -> None:
        self.client = self.server.client()
        self.annotator = self.server.client("ann@example.org")

    def publish(self, count: int = 3, title: str = "Music") -> int:
        """The project id. Utterance k is shown by the k-th task."""
        self.project_id = self.client.create_project({"title": title, "model_version": "v1"})
        with self.transaction() as session:
            rows = factories.utterances(session, count, source=title, domain="music", intent="music_play")
            tasks = [task_json(row) for row in rows]
            self.task_ids = self.client.send_tasks(self.project_id, tasks)
            self.utterance_ids = [row.id for row in rows]
            queue = Queue(instance=self.instance, locale="en-US", domain=title, project_id=self.project_id)
            session.add(queue)
            session.flush()
            self.queue_id = queue.id
            add_queue_tasks(session, queue.id, dict(zip(self.task_ids, self.utterance_ids, strict=True)))
        return self.project_id

    def state(self, number: int) -> str:
        with self.transaction() as session:
            query = select(QueueTask.state).where(
                QueueTask.queue_id == self.queue_id, QueueTask.utterance_id == self.utterance_ids[number]
            )
            return session.scalars(query).one()

    def task(self, number: int) -> dict[str, Any]:
        return self.server.project(self.project_id).tasks[self.task_ids[number]]

    def make_unpolled(self) -> None:
        """As if the last poll lay long ago."""
        with self.transaction() as session:
            polls.set_polled(session, self.queue_id, polls.clock(session).replace(year=2000))


def task_json(row: UtteranceRow) -> Mapping[str, Any]:
    shown = {"model_version": "v1", "score": 0.1, "result": label_regions(PLAY, row.text)}
    return {"data": {"utterance_id": row.id, "text": row.text}, "predictions": [shown]}


def add_queue_tasks(session: Session, queue_id: int, shown: Mapping[int, int]) -> None:
    """task id -> utterance id"""
    round_ = SelectionRow(
        locale="en-US", model_version_id=factories.champion(session, name=f"fake-{queue_id}").id, policy={},
        frame_watermark=polls.clock(session), frame_hash="", frame_size=0, items_hash="", seed=0, code_version="test",
    )  # fmt: skip
    session.add(round_)
    session.flush()
    session.add_all(
        QueueTask(
            queue_id=queue_id, utterance_id=utterance_id, revision=1, selection_id=round_.id, task_id=task_id,
            rank_code=0.1, state="published", state_since=polls.clock(session),
        )
        for task_id, utterance_id in shown.items()
    )  # fmt: skip


@pytest.fixture
def desk(transaction: TransactionMaker) -> Desk:
    return Desk(transaction)


OVERLAP = timedelta(minutes=5)


class Watched(FakeClient):
    """Notes the requests, and lets something happen while the tasks are being listed."""

    def __init__(self, client: FakeClient) -> None:
        super().__init__(client._server, client._email)
        self.since: list[datetime | None] = []
        self.requests: list[str] = []
        self.meanwhile: Any = None

    def list_tasks(
        self, project_id: int, updated_since: datetime | None = None, *, brief: bool = False
    ) -> Iterator[TaskState]:
        self.requests.append("list_tasks")
        self.since.append(updated_since)
        found = list(super().list_tasks(project_id, updated_since, brief=brief))
        if self.meanwhile:
            act, self.meanwhile = self.meanwhile, None
            act()
        return iter(found)

    def task_ids(self, project_id: int) -> dict[int, int | None]:
        self.requests.append("task_ids")
        return super().task_ids(project_id)

    def glance(self, project_id: int) -> Glance:
        self.requests.append("glance")
        return super().glance(project_id)


def reconcile(desk: Desk, client: FakeClient | None = None, *, force: bool = True) -> Collected:
    return ingest.reconcile(
        desk.transaction, client or desk.client, desk.instance, desk.project_id, overlap=OVERLAP, force=force
    )


def rows(desk: Desk) -> list[AnnotationRow]:
    with desk.transaction() as session:
        return list(session.scalars(select(AnnotationRow).order_by(AnnotationRow.annotation_id)))


def report(desk: Desk, key: str = "k", **changed: Any) -> int | None:
    values = {"project_id": desk.project_id, "task_ids": (1,), "annotation_ids": (2,), **changed}
    with desk.transaction() as session:
        return ingest.receive_webhook(session, WebhookEvent(action="ANNOTATION_CREATED", dedup_key=key, **values))


@pytest.fixture
def watched(desk: Desk) -> Watched:
    return Watched(desk.client)
