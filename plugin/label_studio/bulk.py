"""Imports by the thousand, on the API's own two bulk calls. What is repeated, and when, `imports` decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import orjson

from plugin.label_studio import imports
from plugin.label_studio.calls import errors
from plugin.label_studio.connection import Connection
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.imports import Json

JSON_HEADERS = {"content-type": "application/json"}


class Bulk(Connection):
    """A part of `client.SdkLabelStudio`."""

    _chunk: int

    def import_tasks(
        self,
        project_id: int,
        tasks: Sequence[Json],
        *,
        is_new: bool = False,
        on_doubt: Callable[[], None] | None = None,
    ) -> list[int]:
        return imports.import_tasks(self, project_id, tasks, self._chunk, is_new=is_new, on_doubt=on_doubt)

    def import_predictions(self, project_id: int, predictions: Sequence[Json], *, is_new: bool = False) -> int:
        return imports.import_predictions(self, project_id, predictions, self._chunk, is_new=is_new)

    def send_tasks(self, project_id: int, tasks: Sequence[Json]) -> list[int]:
        what = f"import {len(tasks)} tasks into project {project_id}"
        with errors(what):
            answer = self._post(f"api/projects/{project_id}/import", tasks, return_task_ids=True)
            counts = (answer["task_count"], answer["prediction_count"], len(answer.get("task_ids", ())))
        predictions = sum(len(task.get("predictions", ())) for task in tasks)
        if counts != (len(tasks), predictions, len(tasks)):
            raise LabelStudioError(what, 201, f"it counts {counts[0]} tasks, {counts[1]} predictions", uncertain=True)
        return [int(task_id) for task_id in answer["task_ids"]]

    def send_predictions(self, project_id: int, predictions: Sequence[Json]) -> None:
        what = f"import {len(predictions)} predictions into project {project_id}"
        with errors(what):
            created = int(self._post(f"api/projects/{project_id}/import/predictions", predictions)["created"])
        if created != len(predictions):
            raise LabelStudioError(what, 201, f"it created {created}", uncertain=True)

    def _post(self, path: str, body: Sequence[Json], **params: Any) -> Any:
        """As bytes: the SDK's own methods copy every value through models first, which takes as long as the call."""
        content = orjson.dumps(body)
        return self._request("POST", path, params=params, content=content, headers=JSON_HEADERS).json()
