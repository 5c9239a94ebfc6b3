"""What the parts of `client.SdkLabelStudio` share: one SDK, requests past it, and how a project's tasks are listed."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import httpx
from label_studio_sdk import LabelStudio as Sdk
from label_studio_sdk.core.api_error import ApiError

from plugin.label_studio.calls import errors, every_item
from plugin.label_studio.imports import Present, chunks
from plugin.label_studio.payloads import (
    TaskState,
    is_bare,
    is_cut,
    parse_bare_task,
    parse_present,
    parse_task,
)

Json = Mapping[str, Any]

PAGE = 200
LONG_PAGE = 2000  # of few fields
PRESENT_FIELDS = "id,data,predictions_model_versions"
BRIEF_FIELDS = "id,project,updated_at,draft_exists,annotations_ids"


class Connection:
    _sdk: Sdk
    _date: str | None

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def present(self, project_id: int) -> list[Present]:
        query = {"ordering": ["tasks:id"]}
        few = self._tasks(project_id, query, include=PRESENT_FIELDS, page_size=LONG_PAGE)
        tasks = {task["id"]: task for task in few}
        for part in chunks([task_id for task_id, task in tasks.items() if is_cut(task)], PAGE):
            tasks |= {task["id"]: task for task in self._selected(project_id, part)}
        return [parse_present(task) for task in tasks.values()]

    def _brief(self, project_id: int, query: Json) -> Iterator[TaskState]:
        """Data and predictions of tasks without an annotation would take ten times as long as all the rest."""
        listed = list(self._tasks(project_id, query, include=BRIEF_FIELDS, page_size=LONG_PAGE))
        annotated = [task["id"] for task in listed if not is_bare(task)]
        whole = {
            task["id"]: parse_task(task)
            for part in chunks(annotated, PAGE)
            for task in self._selected(project_id, part)
        }
        for task in listed:
            if is_bare(task):
                yield parse_bare_task(task)
            elif task["id"] in whole:  # else it was deleted in between
                yield whole[task["id"]]

    def _selected(self, project_id: int, task_ids: Sequence[int]) -> Iterator[Json]:
        return self._tasks(project_id, {"selectedItems": {"all": False, "included": list(task_ids)}}, page_size=PAGE)

    def _tasks(self, project_id: int, query: Json, **more: Any) -> Iterator[Json]:
        with errors(f"tasks of project {project_id}"):
            pager: Any = self._sdk.tasks.list(project=project_id, query=json.dumps(query), fields="all", **more)
            for task in every_item(pager):
                yield task.model_dump(mode="json")

    def _request(self, method: str, path: str, **more: Any) -> httpx.Response:
        """What the SDK has no method for, or a slow one. Its own HTTP client takes a refusal for an answer."""
        http = self._sdk.versions.with_raw_response._client_wrapper.httpx_client
        answer: httpx.Response = http.request(path, method=method, **more)
        if not answer.is_success:
            raise ApiError(status_code=answer.status_code, body=answer.text)
        return answer
