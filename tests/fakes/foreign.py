"""Somebody else's projects in the fake Label Studio, as far as the contract tests of sources hold it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from email.utils import format_datetime
from typing import TYPE_CHECKING, Any

from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.payloads import parse_date
from plugin.label_studio.payloads.sources import (
    SourceGlance,
    SourceTask,
    SourceWork,
    parse_source_task,
    parse_source_work,
)

if TYPE_CHECKING:
    from tests.fakes.label_studio import FakeLabelStudio

Json = Mapping[str, Any]


class Foreign:
    """A part of `FakeClient`."""

    _server: FakeLabelStudio
    _email: str

    def source_glance(self, project_id: int) -> SourceGlance:
        tasks = self._tasks_of(project_id)
        newest = max((_updated_at(task) for task in tasks), default=None)
        date = format_datetime(datetime.fromisoformat(self._server.now()) + self._server.clock_is_ahead, usegmt=True)
        return SourceGlance(len(tasks), sum(len(task["predictions"]) for task in tasks), newest, parse_date(date))

    def source_tasks(
        self,
        project_id: int,
        *,
        after: int = 0,
        updated_since: datetime | None = None,
        with_predictions: bool = False,
        limit: int = 500,
    ) -> list[SourceTask]:
        found = [
            task
            for task in self._tasks_of(project_id)
            if task["id"] > after and (updated_since is None or _updated_at(task) >= updated_since)
        ]
        return [_shown(task, with_predictions) for task in found[:limit]]

    def source_tasks_of(
        self, project_id: int, task_ids: Sequence[int], *, with_predictions: bool = False
    ) -> list[SourceTask]:
        return [_shown(task, with_predictions) for task in self._tasks_of(project_id) if task["id"] in set(task_ids)]

    def all_task_ids(self, project_id: int) -> set[int]:
        return {task["id"] for task in self._tasks_of(project_id)}

    def source_work(self, project_id: int, task_ids: Sequence[int], known: Collection[int]) -> dict[int, SourceWork]:
        found = [task for task in self._tasks_of(project_id) if task["id"] in set(task_ids)]
        return {task["id"]: parse_source_work(task, known) for task in found}

    def annotate_from_predictions(self, project_id: int, task_ids: Sequence[int], versions: Sequence[str]) -> None:
        for task in self._tasks_of(project_id):
            parents = {annotation.get("parent_prediction") for annotation in task["annotations"]}
            for prediction in task["predictions"]:
                is_asked = task["id"] in task_ids and prediction["model_version"] in versions
                if is_asked and prediction["id"] not in parents:
                    self._annotate(task, prediction)

    def drop_predictions(self, project_id: int, version: str) -> None:
        for task in self._tasks_of(project_id):
            gone = {item["id"] for item in task["predictions"] if item["model_version"] == version}
            task["predictions"] = [item for item in task["predictions"] if item["id"] not in gone]
            for annotation in task["annotations"]:
                if annotation["parent_prediction"] in gone:
                    annotation["parent_prediction"] = None

    def delete_annotation(self, annotation_id: int) -> None:
        for project in self._server.projects.values():
            for task in project.tasks.values():
                kept = [annotation for annotation in task["annotations"] if annotation["id"] != annotation_id]
                if len(kept) < len(task["annotations"]):
                    task["annotations"] = kept
                    task["updated_at"] = self._server.now()
                    return
        raise LabelStudioError(f"delete annotation {annotation_id}", 404, "No Annotation matches the given query.")

    def remove_webhook(self, project_id: int, url: str) -> None:
        project = self._server.project(project_id)
        project.webhooks = [hook for hook in project.webhooks if hook["url"] != url]

    def _tasks_of(self, project_id: int) -> list[dict[str, Any]]:
        return [task for _, task in sorted(self._server.project(project_id).tasks.items())]

    def _annotate(self, task: dict[str, Any], prediction: Json) -> None:
        now = self._server.now()
        task["annotations"].append(
            {
                "id": self._server.new_id(), "result": prediction["result"], "completed_by": 1,
                "created_username": f" {self._email}, 1", "was_cancelled": False, "lead_time": None,
                "parent_prediction": prediction["id"], "created_at": now, "updated_at": now, "updated_by": None,
            }
        )  # fmt: skip
        task["updated_at"] = now


def _shown(task: Json, with_predictions: bool) -> SourceTask:
    return parse_source_task({**task, "predictions": task["predictions"] if with_predictions else []})


def _updated_at(task: Json) -> datetime:
    return datetime.fromisoformat(task["updated_at"])
