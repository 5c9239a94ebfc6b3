"""What people, and other programs, do to Label Studio behind Assay's back: by its API, and in its database."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import httpx
from sqlalchemy import text

from db.session import make_engine
from plugin.stack import accounts
from tests.fakes.label_studio import FakeLabelStudio
from tests.servers import LabelStudioServer

Received = list[tuple[Mapping[str, str], dict[str, Any]]]

FORGET_MEMBERS = "DELETE FROM projects_projectmember WHERE project_id = :project"
MEMBERS = """
    INSERT INTO projects_projectmember (enabled, created_at, updated_at, project_id, user_id)
    SELECT true, now(), now(), :project, id FROM htx_user ORDER BY id LIMIT :count
"""


class Hands(Protocol):
    def delete_tasks(self, project_id: int, task_ids: Iterable[int]) -> None: ...
    def delete_project(self, project_id: int) -> None: ...
    def set_members(self, project_id: int, count: int) -> None: ...
    def change_webhooks(self, project_id: int, **changes: Any) -> None: ...
    def drop_tabs(self, project_id: int) -> None: ...
    def connect_ml_backend(self, project_id: int, title: str) -> None: ...
    def import_task(self, project_id: int, data: Mapping[str, Any]) -> None: ...


class FakeHands:
    def __init__(self, server: FakeLabelStudio) -> None:
        self._server = server

    def delete_tasks(self, project_id: int, task_ids: Iterable[int]) -> None:
        self._server.delete_tasks(project_id, task_ids)

    def delete_project(self, project_id: int) -> None:
        del self._server.projects[project_id]

    def set_members(self, project_id: int, count: int) -> None:
        self._server.project(project_id).members = count

    def change_webhooks(self, project_id: int, **changes: Any) -> None:
        for hook in self._server.project(project_id).webhooks:
            hook.update(changes)

    def drop_tabs(self, project_id: int) -> None:
        self._server.project(project_id).tabs.clear()

    def connect_ml_backend(self, project_id: int, title: str) -> None:
        project = self._server.project(project_id)
        project.ml_backends.append(title)
        if not project.model_version:
            project.settings["model_version"] = title

    def import_task(self, project_id: int, data: Mapping[str, Any]) -> None:
        self._server.client().send_tasks(project_id, [{"data": data}])


class RealHands:
    def __init__(self, server: LabelStudioServer, database_url: str) -> None:
        self._server = server
        self._database_url = database_url

    def delete_tasks(self, project_id: int, task_ids: Iterable[int]) -> None:
        chosen = {"selectedItems": {"all": False, "included": list(task_ids)}}
        self._ask("POST", "/api/dm/actions", {"id": "delete_tasks", "project": project_id}, chosen)

    def delete_project(self, project_id: int) -> None:
        self._ask("DELETE", f"/api/projects/{project_id}/")

    def set_members(self, project_id: int, count: int) -> None:
        """No page and no call of the open-source edition does this."""
        engine = make_engine(self._database_url)
        with engine.begin() as connection:
            connection.execute(text(FORGET_MEMBERS), {"project": project_id})
            connection.execute(text(MEMBERS), {"project": project_id, "count": count})
        engine.dispose()

    def change_webhooks(self, project_id: int, **changes: Any) -> None:
        for hook in self._ask("GET", "/api/webhooks/", {"project": project_id}).json():
            self._ask("PATCH", f"/api/webhooks/{hook['id']}/", body=changes)

    def drop_tabs(self, project_id: int) -> None:
        self._ask("DELETE", "/api/dm/views/reset/", body={"project": project_id})

    def connect_ml_backend(self, project_id: int, title: str) -> None:
        with answering() as url:
            self._ask("POST", "/api/ml/", body={"project": project_id, "url": url, "title": title})

    def import_task(self, project_id: int, data: Mapping[str, Any]) -> None:
        self._ask("POST", f"/api/projects/{project_id}/import", body=[{"data": dict(data)}])

    def _ask(
        self, method: str, path: str, params: Mapping[str, Any] | None = None, body: object = None
    ) -> httpx.Response:
        access = accounts.access_token(self._server.url, self._server.token)
        with httpx.Client(base_url=self._server.url, timeout=60, trust_env=False) as client:
            headers = {"Authorization": f"Bearer {access}"}
            return client.request(method, path, params=params, json=body, headers=headers).raise_for_status()


def listed(server: LabelStudioServer, project_id: int) -> list[dict[str, Any]]:
    """Every task of a project as Label Studio itself tells it, predictions and annotations too."""
    headers = {"Authorization": f"Bearer {accounts.access_token(server.url, server.token)}"}
    tasks: list[dict[str, Any]] = []
    with httpx.Client(base_url=server.url, headers=headers, timeout=300, trust_env=False) as http:
        for page in range(1, 1000):
            query: dict[str, Any] = {"project": project_id, "page": page, "page_size": 500, "fields": "all"}
            answer = http.get("/api/tasks/", params=query)
            if answer.status_code == httpx.codes.NOT_FOUND:
                break
            found = answer.raise_for_status().json()
            tasks += found["tasks"]
            if len(tasks) >= found["total"]:
                break
    return tasks


@contextmanager
def listener() -> Iterator[tuple[str, Received]]:
    """An address that webhooks can be sent to, and what came."""
    received: Received = []

    def take(headers: Mapping[str, str], body: Any) -> None:
        received.append((headers, body))

    with serving(take) as url:
        yield f"{url}/webhooks/label-studio", received


@contextmanager
def answering() -> Iterator[str]:
    """A machine-learning backend that says that it is well, and knows nothing."""
    with serving(lambda *_: None) as url:
        yield url


@contextmanager
def serving(take: Callable[[Mapping[str, str], Any], object]) -> Iterator[str]:
    """An HTTP server that answers anything, and hands on what is posted."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            take({name.lower(): value for name, value in self.headers.items()}, body)
            self._answer()

        def do_GET(self) -> None:
            self._answer()

        def _answer(self) -> None:
            answer = json.dumps({"status": "UP", "model_class": "Idle", "model_version": "idle"}).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(answer)))
            self.end_headers()
            self.wfile.write(answer)

        def log_request(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def post(url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
    """How the fake delivers a webhook: once, and whatever comes of it."""
    try:
        httpx.post(url, headers=dict(headers), json=dict(body), timeout=1, trust_env=False)
    except httpx.HTTPError:
        return
