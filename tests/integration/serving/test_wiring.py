"""Every process of ours asks how Label Studio serves before it publishes, and looks after projects as it polls."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

import pytest
from pydantic import SecretStr
from sqlalchemy import select, update

import tasks.ingest
import tasks.selection
from db.models import Queue
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.queues import BY_IMPORT, BY_SCORE
from plugin.services.watching import WATCH_EVERY
from tests.fakes.label_studio import FakeClient, FakeLabelStudio
from tests.integration.ingest.conftest import Recorder
from tests.integration.queues.conftest import fill_pool


@pytest.fixture
def server() -> FakeLabelStudio:
    return FakeLabelStudio()


@pytest.fixture
def wiring(clean_database_url: str, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    recorder = Recorder(clean_database_url)
    recorder.use(server.client())
    monkeypatch.setattr(tasks.selection, "get_wiring", lambda: recorder)
    monkeypatch.setattr(tasks.ingest, "get_wiring", lambda: recorder)
    with recorder.transaction() as session:
        fill_pool(session)
    yield recorder
    recorder.engine.dispose()


def publish(wiring: Recorder) -> None:
    tasks.selection.refresh("en-US")
    for name, queue_id in wiring.sent:
        if name == "selection.publish":
            tasks.selection.publish(queue_id)


def samplings(server: FakeLabelStudio) -> set[str]:
    return {project.settings["sampling"] for project in server.projects.values()}


def test_a_label_studio_that_keeps_the_order_is_asked_to(wiring: Recorder, server: FakeLabelStudio) -> None:
    publish(wiring)
    assert samplings(server) == {BY_SCORE}
    assert len(server.projects) == 3


def test_one_that_does_not_serves_as_imported(wiring: Recorder, server: FakeLabelStudio) -> None:
    server.ignores_scores = True
    publish(wiring)
    assert samplings(server) == {BY_IMPORT}


def test_it_is_tried_once_and_asked_for_its_version_now_and_then(
    wiring: Recorder, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def version(_: FakeClient) -> str:
        asked.append("version")
        return server.version

    monkeypatch.setattr(FakeClient, "version", version)
    publish(wiring)
    server.ignores_scores = True
    assert wiring.sampling() == BY_SCORE
    assert asked == ["version"]
    server.version = "1.24.0"
    wiring._trials[:] = [(-1e9, wiring._trials[0][1])]
    assert wiring.sampling() == BY_IMPORT
    assert wiring.trial(anew=True).version == "1.24.0"
    assert len(asked) == 3


def test_queues_follow_a_label_studio_that_serves_otherwise_since_its_upgrade(
    wiring: Recorder, server: FakeLabelStudio
) -> None:
    publish(wiring)
    for version, ignores_scores, sampling in (("1.24.0", True, BY_IMPORT), ("1.24.1", False, BY_SCORE)):
        server.version, server.ignores_scores = version, ignores_scores
        wiring._trials[:] = [(-1e9, wiring._trials[0][1])]
        for project_id in list(server.projects):
            wiring.reconcile(project_id, wait=True, force=True)
        assert samplings(server) == {sampling}


def test_where_we_may_not_try_the_usual_is_taken(
    wiring: Recorder, server: FakeLabelStudio, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(client: FakeClient, project_id: int) -> None:
        raise LabelStudioError(f"delete project {project_id}", 403, "You do not have permission")

    monkeypatch.setattr(FakeClient, "delete_project", refuse)
    assert wiring.sampling() == BY_SCORE


def test_while_nobody_answers_nothing_is_published(wiring: Recorder, server: FakeLabelStudio) -> None:
    server.away = True
    with pytest.raises(LabelStudioError, match="no answer"):
        wiring.sampling()


def test_polling_puts_back_what_was_edited_by_hand(wiring: Recorder, server: FakeLabelStudio) -> None:
    publish(wiring)
    with wiring.transaction() as session:
        project_ids = [queue.project_id or 0 for queue in session.scalars(select(Queue))]
    for project in server.projects.values():
        project.settings["sampling"] = "Uniform sampling"
    for project_id in project_ids:
        tasks.ingest.reconcile(project_id)
    assert samplings(server) == {BY_SCORE}
    for project in server.projects.values():
        project.settings["sampling"] = "Uniform sampling"
    for project_id in project_ids:
        tasks.ingest.reconcile(project_id)
    assert samplings(server) == {"Uniform sampling"}  # they were looked at a moment ago
    with wiring.transaction() as session:
        session.execute(update(Queue).values(settings_seen_at=datetime.now(UTC) - WATCH_EVERY))
    for project_id in project_ids:
        tasks.ingest.reconcile(project_id)
    assert samplings(server) == {BY_SCORE}


def test_polling_switches_a_webhook_on_again(wiring: Recorder, server: FakeLabelStudio) -> None:
    settings = {"webhook_base_url": "http://127.0.0.1:9", "webhook_secret": SecretStr("secret")}
    wiring.__dict__["settings"] = wiring.settings.model_copy(update=settings)
    publish(wiring)
    project_id, project = next(iter(server.projects.items()))
    project.webhooks.clear()
    with wiring.transaction() as session:
        session.execute(update(Queue).values(settings_seen_at=datetime.now(UTC) - WATCH_EVERY))
    tasks.ingest.reconcile(project_id)
    assert [hook.url for hook in server.client().webhooks(project_id)] == ["http://127.0.0.1:9/webhooks/label-studio"]
