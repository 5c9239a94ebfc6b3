"""What Assay asks of Label Studio about somebody else's project: its tasks are read, and reviews written back."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

import httpx

from plugin.label_studio.calls import errors
from plugin.label_studio.connection import Json
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.imports import chunks
from plugin.label_studio.inspection import Inspection
from plugin.label_studio.payloads import parse_date
from plugin.label_studio.payloads.common import read_time
from plugin.label_studio.payloads.sources import (
    SourceGlance,
    SourceTask,
    SourceWork,
    parse_source_task,
    parse_source_work,
)

# Each column costs Label Studio time: predictions as much as all the rest of a task.
TASK_FIELDS = "id,data,meta,created_at,updated_at"
# What is not named is left out of the annotations as well.
WORK_FIELDS = f"{TASK_FIELDS},predictions,draft_exists,annotations,result,parent_prediction,was_cancelled,updated_by"
WORK_PAGE = 200
IDS_PAGE = 5000
# What is left there is in people's way: it is worth a few more tries.
DROP_PAUSES_S = (1.0, 2.0, 4.0)


class SourceCalls(Inspection):
    """A part of `client.SdkLabelStudio`. Pages are asked for by the last id seen: none is skipped when tasks go."""

    def source_glance(self, project_id: int) -> SourceGlance:
        query = {"ordering": ["-tasks:updated_at"]}
        with errors(f"glance at project {project_id}"):
            page = self._page(project_id, query, "id,updated_at", 1)
            newest = [read_time(task.model_dump(mode="json")["updated_at"]) for task in page.items]
            return SourceGlance(
                task_count=int(page.response.total),
                predictions=int(page.response.total_predictions),
                newest=newest[0] if newest else None,
                clock=parse_date(self._date),
            )

    def source_tasks(
        self,
        project_id: int,
        *,
        after: int = 0,
        updated_since: datetime | None = None,
        with_predictions: bool = False,
        limit: int = 500,
    ) -> list[SourceTask]:
        query = {"ordering": ["tasks:id"], "filters": _filters(after, updated_since)}
        fields = f"{TASK_FIELDS},predictions" if with_predictions else TASK_FIELDS
        with errors(f"tasks of project {project_id}"):
            page = self._page(project_id, query, fields, limit)
            return [parse_source_task(task.model_dump(mode="json")) for task in page.items]

    def source_tasks_of(
        self, project_id: int, task_ids: Sequence[int], *, with_predictions: bool = False
    ) -> list[SourceTask]:
        fields = f"{TASK_FIELDS},predictions" if with_predictions else TASK_FIELDS
        return [parse_source_task(task) for task in self._chosen(project_id, task_ids, fields)]

    def all_task_ids(self, project_id: int) -> set[int]:
        found: set[int] = set()
        while True:
            query = {"ordering": ["tasks:id"], "filters": _filters(max(found, default=0), None)}
            with errors(f"task ids of project {project_id}"):
                ids = {int(task.id) for task in self._page(project_id, query, "id", IDS_PAGE).items}
            found |= ids
            if len(ids) < IDS_PAGE:
                return found

    def source_work(self, project_id: int, task_ids: Sequence[int], known: Collection[int]) -> dict[int, SourceWork]:
        found = (parse_source_work(task, known) for task in self._chosen(project_id, task_ids, WORK_FIELDS))
        return {work.task.task_id: work for work in found}

    def annotate_from_predictions(self, project_id: int, task_ids: Sequence[int], versions: Sequence[str]) -> None:
        with errors(f"annotate {len(task_ids)} tasks of project {project_id}"):
            self._sdk.actions.create(
                id="predictions_to_annotations",
                project=project_id,
                selected_items={"all": False, "included": list(task_ids)},
                request_options={"additional_body_parameters": {"model_version": list(versions)}},
            )

    def drop_predictions(self, project_id: int, version: str) -> None:
        for seconds in DROP_PAUSES_S:
            try:
                return self._drop_predictions(project_id, version)
            except LabelStudioError as error:
                if not error.uncertain and error.status != httpx.codes.TOO_MANY_REQUESTS:
                    raise
            self.pause(seconds)
        return self._drop_predictions(project_id, version)

    def delete_annotation(self, annotation_id: int) -> None:
        with errors(f"delete annotation {annotation_id}"):
            self._sdk.annotations.delete(annotation_id)

    def remove_webhook(self, project_id: int, url: str) -> None:
        for hook in self.webhooks(project_id):
            if hook.url == url:
                with errors(f"webhook of project {project_id}"):
                    self._sdk.webhooks.delete(hook.hook_id)

    def _drop_predictions(self, project_id: int, version: str) -> None:
        with errors(f"delete predictions of project {project_id}"):
            # Not in the SDK.
            self._request("DELETE", f"api/projects/{project_id}/model-versions/", json={"model_version": version})

    def _chosen(self, project_id: int, task_ids: Sequence[int], fields: str) -> Iterator[Json]:
        for part in chunks(task_ids, WORK_PAGE):
            query = {"selectedItems": {"all": False, "included": list(part)}}
            with errors(f"tasks of project {project_id}"):
                tasks = [
                    task.model_dump(mode="json") for task in self._page(project_id, query, fields, len(part)).items
                ]
            yield from tasks

    def _page(self, project_id: int, query: Json, fields: str, size: int) -> Any:
        return self._sdk.tasks.list(
            project=project_id, query=json.dumps(query), fields="all", include=fields, page_size=size
        )


def _filters(after: int, updated_since: datetime | None) -> dict[str, Any]:
    items = [{"filter": "filter:tasks:id", "operator": "greater", "type": "Number", "value": after}]
    return {"conjunction": "and", "items": items if updated_since is None else [*items, updated_filter(updated_since)]}


def updated_filter(moment: datetime) -> dict[str, Any]:
    value = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return {"filter": "filter:tasks:updated_at", "operator": "greater_or_equal", "type": "Datetime", "value": value}
