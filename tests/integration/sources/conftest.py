from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Protocol

import httpx
import pytest
from sqlalchemy import Connection, select
from sqlalchemy.orm import Session

from db.models import SourceRow, SourceTaskRow, UtteranceRow
from db.repositories import annotations as annotation_rows
from db.repositories import polls
from db.repositories import sources as source_rows
from db.repositories.annotations import Reviewed
from db.session import TransactionMaker
from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.protocol import LabelStudio
from plugin.records import Hypothesis
from plugin.services import sources
from plugin.services.ingest.intake import slot_lists
from plugin.services.sources import Polled, WrittenBack
from plugin.stack import accounts
from tests.fakes.label_studio import FakeClient, FakeLabelStudio
from tests.servers import LabelStudioServer

CONFIG = """
<View>
  <Labels name="slots" toName="utt"><Label value="artist"/><Label value="song"/></Labels>
  <Text name="utt" value="$utterance"/>
  <Choices name="domain" toName="utt"><Choice value="music"/><Choice value="weather"/></Choices>
  <Choices name="intent" toName="utt">
    <Choice value="music_play"/><Choice value="music_stop"/><Choice value="weather_query"/>
  </Choices>
</View>
"""
TEXT_ONLY = (
    '<View><Text name="utt" value="$utterance"/><Choices name="ok" toName="utt"><Choice value="y"/></Choices></View>'
)


def said(name: str, kind: str, **value: Any) -> dict[str, Any]:
    return {"id": name, "from_name": name, "to_name": "utt", "type": kind, "value": value}


MUSIC = said("domain", "choices", choices=["music"])


class Hands(Protocol):
    """What people do in their own project."""

    def edit(self, task_id: int, data: dict[str, Any]) -> None: ...
    def delete(self, project_id: int, task_ids: Sequence[int]) -> None: ...
    def delete_project(self, project_id: int) -> None: ...
    def draft(self, project_id: int, task_id: int) -> None: ...
    def edit_annotation(self, annotation_id: int, result: Sequence[Any]) -> None: ...
    def task(self, task_id: int) -> dict[str, Any]: ...


class RealHands:
    def __init__(self, api: httpx.Client) -> None:
        self._api = api

    def edit(self, task_id: int, data: dict[str, Any]) -> None:
        self._api.patch(f"/api/tasks/{task_id}", json={"data": data}).raise_for_status()

    def delete(self, project_id: int, task_ids: Sequence[int]) -> None:
        chosen = {"selectedItems": {"all": False, "included": list(task_ids)}}
        path = f"/api/dm/actions?id=delete_tasks&project={project_id}"
        self._api.post(path, json=chosen).raise_for_status()

    def delete_project(self, project_id: int) -> None:
        self._api.delete(f"/api/projects/{project_id}").raise_for_status()

    def draft(self, project_id: int, task_id: int) -> None:
        draft = {"result": [], "lead_time": 1, "draft_id": 0, "project": project_id}
        params = {"project": project_id}
        self._api.post(f"/api/tasks/{task_id}/drafts", json=draft, params=params).raise_for_status()

    def edit_annotation(self, annotation_id: int, result: Sequence[Any]) -> None:
        self._api.patch(f"/api/annotations/{annotation_id}/", json={"result": list(result)}).raise_for_status()

    def task(self, task_id: int) -> dict[str, Any]:
        found: dict[str, Any] = self._api.get(f"/api/tasks/{task_id}").raise_for_status().json()
        return found


class FakeHands:
    def __init__(self, server: FakeLabelStudio) -> None:
        self._server = server

    def edit(self, task_id: int, data: dict[str, Any]) -> None:
        self.task(task_id).update(data=data, updated_at=self._server.now())

    def delete(self, project_id: int, task_ids: Sequence[int]) -> None:
        self._server.delete_tasks(project_id, task_ids)

    def delete_project(self, project_id: int) -> None:
        del self._server.projects[project_id]

    def draft(self, project_id: int, task_id: int) -> None:
        self.task(task_id).update(draft_exists=True, drafts=[{"id": self._server.new_id()}])

    def edit_annotation(self, annotation_id: int, result: Sequence[Any]) -> None:
        for project in self._server.projects.values():
            for task in project.tasks.values():
                for annotation in task["annotations"]:
                    if annotation["id"] == annotation_id:
                        annotation.update(result=list(result), updated_by=9, updated_at=self._server.now())
                        task["updated_at"] = self._server.now()

    def task(self, task_id: int) -> dict[str, Any]:
        return self._server.project_of(task_id).tasks[task_id]


@dataclass(frozen=True)
class Studio:
    """A Label Studio, real or fake: as our token sees it, as an annotator does, and what people do in it."""

    client: LabelStudio
    person: LabelStudio
    hands: Hands

    def project(self, config: str = CONFIG, title: str = "Their project") -> int:
        return self.client.create_project({"title": title, "label_config": config})

    def add(self, project_id: int, *texts: str, result: Sequence[Any] | None = None, **data: Any) -> list[int]:
        """Tasks as their owners import them."""
        more: dict[str, Any] = {}
        if result is not None:
            more["predictions"] = [{"model_version": "nlu", "score": 0.5, "result": list(result)}]
        tasks = [{"data": {"utterance": text, **data}, **more} for text in texts]
        assert isinstance(self.client, FakeClient | SdkLabelStudio)
        return self.client.send_tasks(project_id, tasks)


@pytest.fixture
def fake_server() -> FakeLabelStudio:
    return FakeLabelStudio()


@pytest.fixture
def fake_studio(fake_server: FakeLabelStudio) -> Studio:
    return Studio(fake_server.client(), fake_server.client("ann@example.org"), FakeHands(fake_server))


@pytest.fixture(scope="session")
def real_studio(label_studio_server: LabelStudioServer) -> Iterator[Studio]:
    person = label_studio_server.annotators(1)[0]
    with ExitStack() as stack:
        client, annotator = (
            stack.enter_context(closing(SdkLabelStudio(label_studio_server.url, token, timeout_s=60)))
            for token in (label_studio_server.token, person.token)
        )
        api = stack.enter_context(httpx.Client(base_url=label_studio_server.url, timeout=60, trust_env=False))
        api.auth = Bearer(lambda: accounts.access_token(label_studio_server.url, person.token))
        yield Studio(client, annotator, RealHands(api))


class Bearer(httpx.Auth):
    """Access lives five minutes, a session of tests longer."""

    def __init__(self, fetch: Callable[[], str]) -> None:
        self._fetch = fetch

    def auth_flow(self, request: httpx.Request) -> Iterator[httpx.Request]:  # type: ignore[override]
        request.headers["Authorization"] = f"Bearer {self._fetch()}"
        yield request


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.label_studio)])
def studio(request: pytest.FixtureRequest) -> Studio:
    found: Studio = request.getfixturevalue(f"{request.param}_studio")
    return found


NUMBERS = itertools.count(10**6)
OVERLAP = timedelta(minutes=5)
MAPS = ("text=data.utterance", "locale=data.lang", "domain=data.domain", "intent=data.intent")
SLOTS = "slots=data.slots"
PLAY = {"lang": "en-US", "domain": "music", "intent": "music_play", "slots": []}


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


@dataclass
class House:
    """Our side: the database, and what the services make of a Label Studio."""

    transaction: TransactionMaker
    client: LabelStudio
    instance: str = "main"

    def attach(
        self, project_id: int, *maps: str, write_back: str | None = None, name: str | None = None, **controls: str
    ) -> int:
        """The source's id."""
        given = [f"{part}={control}" for part, control in controls.items()]
        asked = sources.Asked(project_id, maps or (*MAPS, SLOTS), write_back, given, name)
        trial = sources.try_out(self.transaction, self.client, self.instance, asked, everything=False)
        with self.transaction() as session:
            return sources.attach(session, self.instance, project_id, trial).id

    def poll(self, source_id: int, *, force: bool = True) -> Polled:
        return sources.poll(self.transaction, self.client, self.instance, source_id, overlap=OVERLAP, force=force)

    def write_back(self, source_id: int) -> WrittenBack:
        return sources.write_back(self.transaction, self.client, self.instance, source_id)

    def row(self, source_id: int) -> SourceRow:
        with self.transaction() as session:
            found = source_rows.get(session, source_id)
            assert found is not None
            return found

    def utterances(self, source_id: int) -> dict[str, UtteranceRow]:
        """By external id."""
        with self.transaction() as session:
            query = select(UtteranceRow).where(UtteranceRow.source == self.row(source_id).name)
            return {row.external_id: row for row in session.scalars(query.order_by(UtteranceRow.id))}

    def tasks(self, source_id: int) -> dict[int, SourceTaskRow]:
        with self.transaction() as session:
            query = select(SourceTaskRow).where(SourceTaskRow.source_id == source_id)
            return {row.task_id: row for row in session.scalars(query.order_by(SourceTaskRow.task_id))}

    def review(
        self, source_id: int, task_id: int, verdict: str = "fix", said: Hypothesis | None = None, annotation_id: int = 0
    ) -> int:
        """What a person said in our queue; the same annotation again is its newer version."""
        with self.transaction() as session:
            task = session.get_one(SourceTaskRow, (source_id, task_id))
            utterance = session.get_one(UtteranceRow, task.utterance_id)
            now = polls.clock(session)
            review = Reviewed(
                utterance_id=utterance.id, revision=utterance.revision, annotation_id=annotation_id or next(NUMBERS),
                task_id=10**6 + task_id, verdict=verdict, domain=said.domain if said else None,
                intent=said.intent if said else None, slots=slot_lists(said) if said else (),
                reject_reason="other" if said is None else None, annotator="ann@example.org", lead_time_s=2.0,
                shown_blind=False, note="", created_at=now,
                updated_at=now,
            )  # fmt: skip
            written = annotation_rows.put_reviews(session, self.instance, [review])
            assert written.new + written.updated == 1
            return review.annotation_id

    def withdraw(self, task_id: int) -> None:
        with self.transaction() as session:
            assert annotation_rows.withdraw(session, self.instance, [10**6 + task_id], [])


@pytest.fixture
def house(transaction: TransactionMaker, studio: Studio) -> House:
    return House(transaction, studio.client)


@pytest.fixture
def fake_house(transaction: TransactionMaker, fake_studio: Studio) -> House:
    return House(transaction, fake_studio.client)
