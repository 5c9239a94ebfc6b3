"""The part of the fake Label Studio that serves a task again; what the real one does, the contract tests hold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from plugin.label_studio.errors import LabelStudioError

if TYPE_CHECKING:
    from tests.fakes.label_studio import FakeLabelStudio


class Rework:
    """A part of `FakeClient`. Every e-mail address is a user's."""

    _server: FakeLabelStudio

    def keep_from(self, task_id: int, email: str) -> bool:
        if "@" not in email:
            return False
        self._server.client(email).submit_annotation(task_id, [], skipped=True)
        return True

    def make_skip(self, annotation_id: int) -> None:
        task, annotation = self._find(annotation_id)
        annotation["was_cancelled"] = True
        annotation["updated_at"] = task["updated_at"] = self._server.now()
        self._tell("ANNOTATION_UPDATED", task, {"annotation": {**annotation, "task": task["id"]}})

    def take_back(self, annotation_id: int) -> None:
        try:
            task, annotation = self._find(annotation_id)
        except LabelStudioError:
            return
        task["annotations"].remove(annotation)
        task["updated_at"] = self._server.now()
        self._tell("ANNOTATIONS_DELETED", task, {"annotations": [{"id": annotation_id}]})

    def move_task(self, task_id: int, model_version: str, rank_code: float) -> None:
        task = self._server.project_of(task_id).tasks[task_id]
        for prediction in task["predictions"]:
            if prediction["model_version"] == model_version and prediction["score"] != rank_code:
                prediction["score"] = rank_code
                task["updated_at"] = self._server.now()

    def _find(self, annotation_id: int) -> tuple[dict[str, Any], dict[str, Any]]:
        for project in self._server.projects.values():
            for task in project.tasks.values():
                for annotation in task["annotations"]:
                    if annotation["id"] == annotation_id:
                        return task, annotation
        raise LabelStudioError(f"annotation {annotation_id}", 404, "No Annotation matches the given query.")

    def _tell(self, action: str, task: dict[str, Any], what: dict[str, Any]) -> None:
        hooks = self._server.project(task["project"]).webhooks
        self._server.send(hooks, action, {**what, "project": {"id": task["project"]}})
