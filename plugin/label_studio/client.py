"""What Assay asks of Label Studio (`protocol.LabelStudio`), on its SDK.

No call is retried behind our back (`max_retries=0`): the SDK would repeat a bulk import and double its tasks.
Answers are taken as JSON and read by `payloads` alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from label_studio_sdk import LabelStudio as Sdk

from plugin.label_studio.bulk import Bulk
from plugin.label_studio.calls import errors, every_item
from plugin.label_studio.connection import PAGE, Json
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.imports import chunks
from plugin.label_studio.inspection import WEBHOOK_ACTIONS, webhook_settings
from plugin.label_studio.payloads import (
    DrawnTask,
    Glance,
    TaskState,
    parse_drawn_task,
    parse_glance,
    parse_task,
)
from plugin.label_studio.rework_calls import ReworkCalls
from plugin.label_studio.screen import has_marker
from plugin.label_studio.source_calls import SourceCalls, updated_filter
from plugin.label_studio.tabs import TABS, tab_data

LOCK_MARGIN = timedelta(minutes=5)
CONNECT_SECONDS = 10.0
UNRESOLVED = "Can't resolve hostname"


class SdkLabelStudio(Bulk, ReworkCalls, SourceCalls):
    def __init__(
        self,
        url: str,
        token: str,
        *,
        timeout_s: float = 600.0,
        chunk: int = 1000,
        lock_ttl_s: float = 3600.0,
    ) -> None:
        self._url = url.rstrip("/")
        self._chunk = chunk
        self._lock_ttl = timedelta(seconds=lock_ttl_s)
        self._date: str | None = None
        self._http = httpx.Client(
            timeout=httpx.Timeout(timeout_s, connect=CONNECT_SECONDS),
            follow_redirects=True,
            event_hooks={"response": [self._note_date]},
        )
        with errors("access token"):
            self._sdk = Sdk(  # type: ignore[no-untyped-call]
                base_url=f"{self._url}/", api_key=token, httpx_client=self._http, max_retries=0
            )

    def close(self) -> None:
        self._http.close()

    def version(self) -> str:
        with errors("version"):
            return str(self._sdk.versions.with_raw_response.get().response.json()["release"])

    def whoami(self) -> str:
        with errors("who am I"):
            return str(self._sdk.users.with_raw_response.whoami().response.json()["email"])

    def project_url(self, project_id: int) -> str:
        # Not ...?labeling=1: in a fresh browser that link serves without locks, two people the same task.
        return f"{self._url}/projects/{project_id}/data"

    def find_project(self, title: str, marker: str) -> int | None:
        with errors(f"find project {title!r}"):
            found = [
                project.id
                for project in every_item(self._sdk.projects.list(title=title))
                if project.title == title and has_marker(project.label_config or "", marker)
            ]
        return min(found, default=None)

    def create_project(self, settings: Json) -> int:
        with errors(f"create project {settings['title']!r}"):
            return int(self._sdk.projects.with_raw_response.create(**settings).response.json()["id"])

    def ensure_project(self, settings: Json, marker: str) -> int:
        found = self.find_project(settings["title"], marker)
        return self.create_project(settings) if found is None else found

    def get_project(self, project_id: int) -> Json:
        with errors(f"project {project_id}"):
            project: Json = self._sdk.projects.with_raw_response.get(project_id).response.json()
            return {**project, "id": int(project["id"])}

    def update_project(self, project_id: int, **changes: Any) -> None:
        with errors(f"update project {project_id}"):
            self._sdk.projects.update(project_id, **changes)

    def set_order(self, project_id: int, model_version: str) -> None:
        self.update_project(project_id, model_version=model_version)

    def list_tasks(
        self, project_id: int, updated_since: datetime | None = None, *, brief: bool = False
    ) -> Iterator[TaskState]:
        query: dict[str, Any] = {"ordering": ["tasks:id"]}
        if updated_since is not None:
            query["filters"] = {"conjunction": "and", "items": [updated_filter(updated_since)]}
        if brief:
            return self._brief(project_id, query)
        return (parse_task(task) for task in self._tasks(project_id, query, page_size=PAGE))

    def glance(self, project_id: int) -> Glance:
        query = json.dumps({"ordering": ["-tasks:updated_at"]})
        with errors(f"glance at project {project_id}"):
            page: Any = self._sdk.tasks.list(
                project=project_id, query=query, fields="all", include="id,updated_at", page_size=1
            )
            return parse_glance(page.response.total, [task.model_dump(mode="json") for task in page.items], self._date)

    def task_ids(self, project_id: int) -> dict[int, int | None]:
        return {item.task_id: item.utterance_id for item in self.present(project_id)}

    def delete_tasks(self, project_id: int, task_ids: Sequence[int], *, leaving_since: datetime | None) -> list[int]:
        if leaving_since is not None and datetime.now(UTC) < leaving_since + self._lock_ttl + LOCK_MARGIN:
            return []
        deleted: list[int] = []
        for part in chunks(task_ids, PAGE):
            states = [parse_task(task) for task in self._selected(project_id, part)]
            idle = [state.task_id for state in states if not state.has_work]
            if idle:
                with errors(f"delete {len(idle)} tasks of project {project_id}"):
                    self._sdk.actions.create(
                        id="delete_tasks",
                        project=project_id,
                        selected_items={"all": False, "included": idle},
                    )
            kept = {state.task_id for state in states} - set(idle)
            deleted.extend(task_id for task_id in part if task_id not in kept)
        self.ensure_tabs(project_id)  # Label Studio drops a project's tabs with its last task
        return deleted

    def ensure_webhook(self, project_id: int, url: str, secret: str, actions: Sequence[str] = WEBHOOK_ACTIONS) -> None:
        wanted = webhook_settings(url, secret, actions)
        ours = [hook for hook in self.webhooks(project_id) if hook.url == url]
        try:
            with errors(f"webhook of project {project_id}"):
                if not ours:
                    self._sdk.webhooks.create(project=project_id, **wanted)
                elif not ours[0].serves(wanted):
                    self._sdk.webhooks.update(ours[0].hook_id, **wanted)
        except LabelStudioError as error:
            if UNRESOLVED in error.body:  # it answers 500, as if it were ill
                raise LabelStudioError(error.what, httpx.codes.BAD_REQUEST, error.body) from None
            raise

    def ensure_tabs(self, project_id: int) -> None:
        missing = {tab.title for tab in TABS}.difference(self.tabs(project_id))
        with errors(f"tabs of project {project_id}"):
            for tab in TABS:
                if tab.title in missing:
                    self._sdk.views.create(project=project_id, data=tab_data(tab))

    def add_data_field(self, project_id: int, task_ids: Sequence[int], name: str, value: str | float) -> None:
        kind = "String" if isinstance(value, str) else "Number"
        with errors(f"column {name} of project {project_id}"):
            self._sdk.actions.create(
                id="add_data_field",
                project=project_id,
                selected_items={"all": False, "included": list(task_ids)},
                request_options={
                    "additional_body_parameters": {"value_name": name, "value_type": kind, "value": value}
                },
            )

    def next_task(self, project_id: int) -> DrawnTask | None:
        try:
            with errors(f"next task of project {project_id}"):
                answer = self._sdk.actions.with_raw_response.create(id="next_task", project=project_id)
                return parse_drawn_task(answer.response.json())
        except LabelStudioError as error:
            if error.status == httpx.codes.NOT_FOUND and "no tasks" in error.body:
                return None
            raise

    def submit_annotation(
        self,
        task_id: int,
        result: Sequence[Json],
        *,
        lead_time_s: float | None = None,
        parent_prediction: int | None = None,
        skipped: bool = False,
    ) -> int:
        given: dict[str, Any] = {"lead_time": lead_time_s, "parent_prediction": parent_prediction}
        with errors(f"annotation of task {task_id}"):
            answer = self._sdk.annotations.with_raw_response.create(
                id=task_id,
                result=[dict(region) for region in result],
                was_cancelled=skipped,
                **{name: value for name, value in given.items() if value is not None},
            )
            return int(answer.response.json()["id"])

    def _note_date(self, response: httpx.Response) -> None:
        self._date = response.headers.get("Date")
