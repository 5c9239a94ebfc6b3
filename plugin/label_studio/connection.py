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
from plugin.label_studio.payloads import is_cut, parse_present

Json = Mapping[str, Any]

PAGE = 200
PRESENT_FIELDS = "id,data,predictions_model_versions"


class Connection:
    _sdk: Sdk
    _date: str | None

    def pause(self, seconds: float) -> None:
        time.sleep(seconds)

    def present(self, project_id: int) -> list[Present]:
        query = {"ordering": ["tasks:id"]}
        tasks = {task["id"]: task for task in self._tasks(project_id, query, include=PRESENT_FIELDS, page_size=2000)}
        for part in chunks([task_id for task_id, task in tasks.items() if is_cut(task)], PAGE):
            tasks |= {task["id"]: task for task in self._selected(project_id, part)}
        return [parse_present(task) for task in tasks.values()]

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
