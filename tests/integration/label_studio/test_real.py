"""What only a real Label Studio can show: webhooks, tabs, drafts, and what its imports do unasked."""

from __future__ import annotations

import http.client
import json
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.inspection import SECRET_HEADER
from plugin.label_studio.payloads import parse_webhook
from plugin.label_studio.queues import prediction_json, task_json
from plugin.label_studio.tabs import TABS
from plugin.services.tidying import remove_strays
from plugin.stack import accounts
from tests.integration.label_studio.conftest import LABELS, Site, queue_tasks
from tests.label_studio_hands import listener
from tests.servers import LabelStudioServer

pytestmark = pytest.mark.label_studio


@pytest.fixture
def site(real_site: Site) -> Site:
    return real_site


@pytest.fixture
def api(label_studio_server: LabelStudioServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=label_studio_server.url, timeout=60, trust_env=False) as client:
        token = label_studio_server.annotators(1)[0].token
        client.headers["Authorization"] = f"Bearer {accounts.access_token(label_studio_server.url, token)}"
        yield client


def test_webhooks_carry_the_newest_secret_and_our_imports_send_none(site: Site) -> None:
    project = site.queue()
    with listener() as (url, received):
        site.admin.ensure_webhook(project, url, "old secret")
        site.admin.ensure_webhook(project, url, "new secret")
        site.admin.ensure_webhook(project, url, "new secret")
        site.publish(project, queue_tasks(2))
        task = site.annotators[0].next_task(project)
        assert task is not None
        annotation = site.annotators[0].submit_annotation(task.task_id, [], skipped=True)
        others = [other for other in site.admin.task_ids(project) if other != task.task_id]
        site.admin.delete_tasks(project, others, leaving_since=datetime.now(UTC) - timedelta(days=2))
    assert [headers[SECRET_HEADER.lower()] for headers, _ in received] == ["new secret"] * 2
    events = [parse_webhook(body) for _, body in received]
    assert [event.action for event in events] == ["ANNOTATION_CREATED", "TASKS_DELETED"]
    assert [event.project_id for event in events] == [project, project]
    assert (events[0].task_ids, events[0].annotation_ids) == ((task.task_id,), (annotation,))
    assert events[1].task_ids == tuple(others)


def test_the_tabs_come_back_after_the_last_task_is_deleted(site: Site, api: httpx.Client) -> None:
    def titles() -> list[str]:
        views = api.get("/api/dm/views/", params={"project": project}).raise_for_status().json()
        return [view["data"]["title"] for view in views]

    project = site.queue()
    ids = site.publish(project, queue_tasks(1))
    site.admin.ensure_tabs(project)
    site.admin.ensure_tabs(project)
    assert titles() == [tab.title for tab in TABS]
    site.admin.delete_tasks(project, ids, leaving_since=datetime.now(UTC) - timedelta(days=2))
    assert titles() == [tab.title for tab in TABS]


def test_the_first_tab_lists_the_queue_in_serving_order(site: Site, api: httpx.Client) -> None:
    project = site.queue()
    site.publish(project, queue_tasks(3)[::-1])
    site.admin.ensure_tabs(project)
    view = api.get("/api/dm/views/", params={"project": project}).raise_for_status().json()[0]["id"]
    listed = api.get("/api/tasks/", params={"project": project, "view": view}).raise_for_status().json()
    assert [task["data"]["utterance_id"] for task in listed["tasks"]] == [100, 101, 102]


def test_a_task_with_somebodys_draft_is_not_deleted(site: Site, api: httpx.Client) -> None:
    project = site.queue()
    ids = site.publish(project, queue_tasks(1))
    draft = {"result": [], "lead_time": 1, "draft_id": 0, "project": project}
    api.post(f"/api/tasks/{ids[0]}/drafts", json=draft, params={"project": project}).raise_for_status()
    assert [state.has_draft for state in site.admin.list_tasks(project)] == [True]
    assert site.admin.delete_tasks(project, ids, leaving_since=datetime.now(UTC) - timedelta(days=2)) == []


def test_predictions_that_label_studio_drops_in_silence_are_noticed(site: Site) -> None:
    project = site.queue()
    task = queue_tasks(1)[0]
    (task_id,) = site.publish(project, [task])
    outside = {"task": task_id, **prediction_json(task, "round-2", LABELS), "score": 7.0}
    with pytest.raises(LabelStudioError, match="it created 0"):
        site.admin.import_predictions(project, [outside])


def test_the_copies_of_an_import_that_goes_on_without_its_sender_are_deleted(site: Site, api: httpx.Client) -> None:
    project = site.queue()
    tasks = queue_tasks(200)
    body = [task_json(replace(task, columns={"attempt": "abandoned"}), "round-1", LABELS) for task in tasks]
    with closing(http.client.HTTPConnection(api.base_url.host, api.base_url.port)) as connection:
        headers = {"Authorization": api.headers["Authorization"], "Content-Type": "application/json"}
        connection.request("POST", f"/api/projects/{project}/import", json.dumps(body), headers)
    ids = site.publish(project, tasks)
    deadline = time.monotonic() + 60
    while "abandoned" not in api.get("/api/tasks/", params={"project": project, "page_size": 400}).text:
        assert time.monotonic() < deadline, "the abandoned import never ended"
    remove_strays(site.admin, project, ids)
    assert sorted(site.admin.task_ids(project)) == sorted(ids)
    assert len(ids) == 200


def test_a_wrong_token_is_one_clear_error_without_the_token(label_studio_server: LabelStudioServer) -> None:
    token = label_studio_server.token[:-4] + "abcd"
    client = SdkLabelStudio(label_studio_server.url, token)
    with pytest.raises(LabelStudioError, match="who am I: status 401") as caught:
        client.whoami()
    client.close()
    assert token not in repr(caught.value)


def test_nobody_listening_is_one_clear_error() -> None:
    client = SdkLabelStudio("http://127.0.0.1:9", "a" * 40)
    with pytest.raises(LabelStudioError, match="version: no answer: ConnectError"):
        client.version()
    client.close()
