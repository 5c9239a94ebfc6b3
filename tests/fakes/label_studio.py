"""Label Studio in memory. It passes the same contract tests as the real one (tests/integration/label_studio)."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

from plugin.label_studio import imports
from plugin.label_studio.client import LOCK_MARGIN
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.imports import Present
from plugin.label_studio.payloads import (
    DrawnTask,
    Glance,
    TaskState,
    is_cut,
    parse_drawn_task,
    parse_glance,
    parse_present,
    parse_task,
)
from plugin.label_studio.queues import TABS
from plugin.label_studio.screen import has_marker

Json = Mapping[str, Any]
LOCK_TTL = timedelta(hours=1)


@dataclass
class FakeProject:
    settings: dict[str, Any]
    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    locks: dict[int, str] = field(default_factory=dict)  # task id -> the e-mail address of who holds it
    webhooks: dict[str, str] = field(default_factory=dict)
    tabs: set[str] = field(default_factory=set)


class FakeLabelStudio:
    """The server; `client(email)` is what a user's token opens.

    lost_answers  how many of the next bulk imports do their work, and then the connection breaks
    late_imports  for each of the next imports of tasks, whose connection breaks at once: after how many pauses of a
                  client its work is done; `finish_work` does what is left, whoever waits
    dropped       how many predictions the next bulk import forgets, answering 201
    """

    def __init__(self) -> None:
        self.projects: dict[int, FakeProject] = {}
        self.lost_answers = 0
        self.late_imports: list[int] = []
        self.dropped = 0
        self.bulk_requests = 0
        self._ids = itertools.count(1)
        self._moment = datetime.now(UTC)
        self._at_work: list[tuple[int, Callable[[], object]]] = []

    def client(self, email: str = "admin@example.org") -> FakeClient:
        return FakeClient(self, email)

    def begin_work(self, pauses: int, work: Callable[[], object]) -> None:
        self._at_work.append((pauses, work))

    def pass_time(self) -> None:
        due = [work for pauses, work in self._at_work if pauses <= 1]
        self._at_work = [(pauses - 1, work) for pauses, work in self._at_work if pauses > 1]
        for work in due:
            work()

    def finish_work(self) -> None:
        while self._at_work:
            self.pass_time()

    def new_id(self) -> int:
        return next(self._ids)

    def now(self) -> str:
        """Every change has a time of its own, as with microseconds."""
        self._moment = max(self._moment + timedelta(microseconds=1), datetime.now(UTC))
        return self._moment.isoformat()

    def project(self, project_id: int) -> FakeProject:
        if project_id not in self.projects:
            raise LabelStudioError(f"project {project_id}", 404, "No Project matches the given query.")
        return self.projects[project_id]

    def project_of(self, task_id: int) -> FakeProject:
        found = [project for project in self.projects.values() if task_id in project.tasks]
        if not found:
            raise LabelStudioError(f"annotation of task {task_id}", 404, "No Task matches the given query.")
        return found[0]


class FakeClient:
    def __init__(self, server: FakeLabelStudio, email: str) -> None:
        self._server = server
        self._email = email

    def close(self) -> None:
        pass

    def version(self) -> str:
        return "1.23.2"

    def whoami(self) -> str:
        return self._email

    def project_url(self, project_id: int) -> str:
        return f"http://label-studio.example/projects/{project_id}/data"

    def find_project(self, title: str, marker: str) -> int | None:
        found = [
            project_id
            for project_id, project in self._server.projects.items()
            if project.settings["title"] == title and has_marker(project.settings.get("label_config", ""), marker)
        ]
        return min(found, default=None)

    def create_project(self, settings: Json) -> int:
        project_id = self._server.new_id()
        self._server.projects[project_id] = FakeProject({"model_version": "", **settings})
        return project_id

    def ensure_project(self, settings: Json, marker: str) -> int:
        found = self.find_project(settings["title"], marker)
        return self.create_project(settings) if found is None else found

    def get_project(self, project_id: int) -> Json:
        project = self._server.project(project_id)
        counts = {
            "task_number": len(project.tasks),
            "finished_task_number": sum(bool(_submitted(task)) for task in project.tasks.values()),
            "total_predictions_number": sum(len(task["predictions"]) for task in project.tasks.values()),
        }
        return {"id": project_id, **project.settings, **counts}

    def update_project(self, project_id: int, **changes: Any) -> None:
        self._server.project(project_id).settings.update(changes)

    def set_order(self, project_id: int, model_version: str) -> None:
        self.update_project(project_id, model_version=model_version)

    def import_tasks(self, project_id: int, tasks: Sequence[Json]) -> list[int]:
        return imports.import_tasks(self, project_id, tasks, chunk=3)

    def import_predictions(self, project_id: int, predictions: Sequence[Json]) -> int:
        return imports.import_predictions(self, project_id, predictions, chunk=3)

    def list_tasks(self, project_id: int, updated_since: datetime | None = None) -> Iterator[TaskState]:
        states = [parse_task(task) for _, task in sorted(self._server.project(project_id).tasks.items())]
        return iter([state for state in states if updated_since is None or state.updated_at >= updated_since])

    def glance(self, project_id: int) -> Glance:
        tasks = self._server.project(project_id).tasks.values()
        newest_first = sorted(tasks, key=lambda task: datetime.fromisoformat(task["updated_at"]), reverse=True)
        date = format_datetime(datetime.fromisoformat(self._server.now()), usegmt=True)
        return parse_glance(len(tasks), newest_first[:1], date)

    def task_ids(self, project_id: int) -> dict[int, int | None]:
        return {item.task_id: item.utterance_id for item in self.present(project_id)}

    def delete_tasks(self, project_id: int, task_ids: Sequence[int], *, leaving_since: datetime | None) -> list[int]:
        if leaving_since is not None and datetime.now(UTC) < leaving_since + LOCK_TTL + LOCK_MARGIN:
            return []
        project = self._server.project(project_id)
        begun = {state.task_id for state in self.list_tasks(project_id) if not state.is_untouched}
        deleted = [task_id for task_id in task_ids if task_id not in begun]
        for task_id in deleted:
            project.tasks.pop(task_id, None)
            project.locks.pop(task_id, None)
        self.ensure_tabs(project_id)
        return deleted

    def ensure_webhook(self, project_id: int, url: str, secret: str) -> None:
        self._server.project(project_id).webhooks[url] = secret

    def ensure_tabs(self, project_id: int) -> None:
        self._server.project(project_id).tabs.update(tab.title for tab in TABS)

    def add_data_field(self, project_id: int, task_ids: Sequence[int], name: str, value: str | float) -> None:
        for task_id in task_ids:
            self._server.project(project_id).tasks[task_id]["data"][name] = value

    def next_task(self, project_id: int) -> DrawnTask | None:
        project = self._server.project(project_id)
        version = project.settings["model_version"]
        held = [task_id for task_id, holder in project.locks.items() if holder == self._email]
        open_ids = [task_id for task_id, task in project.tasks.items() if self._is_open(project, task)]
        ordered = sorted((_score(project.tasks[task_id], version), task_id) for task_id in open_ids)
        serving = [task_id for task_id in held if task_id in open_ids] or [task_id for _, task_id in ordered]
        if not serving:
            return None
        project.locks[serving[0]] = self._email
        task = project.tasks[serving[0]]
        shown = [item for item in task["predictions"] if item["model_version"] == version]
        return parse_drawn_task({**task, "predictions": shown})

    def submit_annotation(
        self,
        task_id: int,
        result: Sequence[Json],
        *,
        lead_time_s: float | None = None,
        parent_prediction: int | None = None,
        skipped: bool = False,
    ) -> int:
        project = self._server.project_of(task_id)
        task, now = project.tasks[task_id], self._server.now()
        annotation_id = self._server.new_id()
        annotation = {
            "id": annotation_id,
            "result": list(result),
            "completed_by": 1,
            "created_username": f" {self._email}, 1",
            "was_cancelled": skipped,
            "lead_time": lead_time_s,
            "parent_prediction": parent_prediction,
            "created_at": now,
            "updated_at": now,
        }
        task["annotations"].append(annotation)
        task["updated_at"] = now
        if project.locks.get(task_id) == self._email:
            del project.locks[task_id]
        return annotation_id

    # What `imports` needs.

    def present(self, project_id: int) -> list[Present]:
        tasks = self._server.project(project_id).tasks.values()
        return [parse_present(task if is_cut(_listed(task)) else _listed(task)) for task in tasks]

    def send_tasks(self, project_id: int, tasks: Sequence[Json]) -> list[int]:
        project = self._server.project(project_id)
        if self._server.late_imports:
            pauses = self._server.late_imports.pop(0)
            self._server.begin_work(pauses, lambda: self.send_tasks(project_id, tasks))
            raise LabelStudioError("import tasks", None, "RemoteProtocolError", uncertain=True)
        dropped, self._server.dropped = self._server.dropped, 0
        made = [self._make_task(project_id, task) for task in tasks]
        for task in made[:dropped]:
            task["predictions"].clear()
        project.tasks.update({task["id"]: task for task in made})
        self._answer("import tasks", dropped)
        return [task["id"] for task in made]

    def send_predictions(self, project_id: int, predictions: Sequence[Json]) -> None:
        tasks = self._server.project(project_id).tasks
        dropped, self._server.dropped = self._server.dropped, 0
        for prediction in predictions[dropped:]:
            tasks[prediction["task"]]["predictions"].append({"id": self._server.new_id(), **prediction})
        self._answer("import predictions", dropped)

    def pause(self, seconds: float) -> None:
        self._server.pass_time()

    def _answer(self, what: str, dropped: int) -> None:
        self._server.bulk_requests += 1
        if self._server.lost_answers:
            self._server.lost_answers -= 1
            raise LabelStudioError(what, None, "RemoteProtocolError", uncertain=True)
        if dropped:
            raise LabelStudioError(what, 201, f"{dropped} predictions lack", uncertain=True)

    def _make_task(self, project_id: int, task: Json) -> dict[str, Any]:
        predictions = [{"id": self._server.new_id(), **item} for item in task.get("predictions", ())]
        return {
            "id": self._server.new_id(),
            "project": project_id,
            "data": dict(task["data"]),
            "predictions": predictions,
            "annotations": [],
            "drafts": [],
            "draft_exists": False,
            "updated_at": self._server.now(),
        }

    def _is_open(self, project: FakeProject, task: Json) -> bool:
        mine = any(annotation["created_username"] == f" {self._email}, 1" for annotation in task["annotations"])
        return not mine and not _submitted(task) and project.locks.get(task["id"], self._email) == self._email


def _submitted(task: Json) -> list[Json]:
    return [annotation for annotation in task["annotations"] if not annotation["was_cancelled"]]


def _score(task: Json, version: str) -> float:
    """Tasks without a prediction of the current version come last."""
    scores = [float(item["score"]) for item in task["predictions"] if item["model_version"] == version]
    return min(scores, default=2.0)


def _listed(task: Json) -> Json:
    versions = json.dumps(list({item["model_version"] for item in task["predictions"]}))[1:-1][:500]
    return {"id": task["id"], "data": task["data"], "predictions_model_versions": versions.replace('"', "")}
