"""Label Studio in memory. It passes the same contract tests as the real one (tests/integration/label_studio)."""

from __future__ import annotations

import itertools
import json
import random
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
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
from plugin.label_studio.screen import has_marker
from tests.fakes.foreign import Foreign
from tests.fakes.rework import Rework
from tests.fakes.serving import DEFAULTS, FakeProject, serve, submitted
from tests.fakes.surroundings import NO_SKEW, POSTGRESQL, Deliver, Surroundings, Webhooks

Json = Mapping[str, Any]
ADMIN = "admin@example.org"


class FakeLabelStudio(Webhooks):
    """The server; `client(email)` is what a user's token opens.

    away, refuses nobody answers; or the token is refused
    version, engine, lock_ttl, clock_is_ahead, ignores_scores   what may be strange about it
    lost_answers  how many of the next bulk imports do their work, and then the connection breaks
    late_imports  for each of the next imports of tasks, whose connection breaks at once: after how many pauses of a
                  client its work is done; `finish_work` does what is left, whoever waits
    dropped       how many predictions the next bulk import forgets, answering 201
    """

    def __init__(self, deliver: Deliver | None = None, ssrf_open: str = "*") -> None:
        self.deliver, self.ssrf_open = deliver, ssrf_open
        self.projects: dict[int, FakeProject] = {}
        self.away = self.refuses = False
        self.version, self.engine, self.superuser = "1.23.2", POSTGRESQL, ADMIN
        self.lock_ttl, self.clock_is_ahead = timedelta(hours=1), NO_SKEW
        self.chance, self.ignores_scores = random.Random(0), False
        self.lost_answers = 0
        self.late_imports: list[int] = []
        self.dropped = 0
        self.bulk_requests = 0
        self._ids = itertools.count(1)
        self._moment = datetime.now(UTC)
        self._at_work: list[tuple[int, Callable[[], object]]] = []

    def client(self, email: str = ADMIN) -> FakeClient:
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

    def answer(self, what: str) -> None:
        if self.away:
            raise LabelStudioError(what, None, "ConnectError")
        if self.refuses:
            raise LabelStudioError(what, 401, "Token is blacklisted")

    def project(self, project_id: int) -> FakeProject:
        self.answer(f"project {project_id}")
        if project_id not in self.projects:
            raise LabelStudioError(f"project {project_id}", 404, "No Project matches the given query.")
        return self.projects[project_id]

    def delete_tasks(self, project_id: int, task_ids: Iterable[int]) -> None:
        """As its own action does it: begun or not, and a project's tabs go with its last task."""
        project = self.project(project_id)
        deleted = [task_id for task_id in task_ids if project.tasks.pop(task_id, None)]
        for task_id in deleted:
            project.locks.pop(task_id, None)
        if deleted and not project.tasks:
            project.tabs.clear()
        told = {"tasks": [{"id": task_id} for task_id in deleted], "project": {"id": project_id}}
        self.send(project.webhooks if deleted else (), "TASKS_DELETED", told)

    def project_of(self, task_id: int) -> FakeProject:
        found = [project for project in self.projects.values() if task_id in project.tasks]
        if not found:
            raise LabelStudioError(f"annotation of task {task_id}", 404, "No Task matches the given query.")
        return found[0]


class FakeClient(Foreign, Rework, Surroundings):
    def __init__(self, server: FakeLabelStudio, email: str) -> None:
        self._server = server
        self._email = email

    def close(self) -> None:
        pass

    def version(self) -> str:
        self._server.answer("version")
        return self._server.version

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
        self._server.answer("create project")
        project_id = self._server.new_id()
        project = FakeProject({**DEFAULTS, "created_at": self._server.now(), **settings})
        project.ignores_scores = self._server.ignores_scores
        self._server.projects[project_id] = project
        return project_id

    def ensure_project(self, settings: Json, marker: str) -> int:
        found = self.find_project(settings["title"], marker)
        return self.create_project(settings) if found is None else found

    def get_project(self, project_id: int) -> Json:
        project = self._server.project(project_id)
        counts = {
            "task_number": len(project.tasks),
            "finished_task_number": sum(bool(submitted(task)) for task in project.tasks.values()),
            "total_predictions_number": sum(len(task["predictions"]) for task in project.tasks.values()),
        }
        return {"id": project_id, **project.settings, **counts}

    def update_project(self, project_id: int, **changes: Any) -> None:
        project = self._server.project(project_id)
        version = changes.get("model_version") or project.settings["model_version"]
        predicted = {item["model_version"] for task in project.tasks.values() for item in task["predictions"]}
        if version != project.settings["model_version"] and version not in {*predicted, *project.ml_backends}:
            raise LabelStudioError(f"update project {project_id}", 400, "Model version doesn't exist")
        project.settings.update(changes)
        if not project.settings["show_collab_predictions"]:
            project.settings["model_version"] = ""
        self._server.send(
            project.webhooks,
            "PROJECT_UPDATED",
            {"project": {**self.get_project(project_id), "updated_at": self._server.now()}},
        )

    def set_order(self, project_id: int, model_version: str) -> None:
        self.update_project(project_id, model_version=model_version)

    def import_tasks(
        self,
        project_id: int,
        tasks: Sequence[Json],
        *,
        is_new: bool = False,
        on_doubt: Callable[[], None] | None = None,
    ) -> list[int]:
        return imports.import_tasks(self, project_id, tasks, chunk=3, is_new=is_new, on_doubt=on_doubt)

    def import_predictions(self, project_id: int, predictions: Sequence[Json], *, is_new: bool = False) -> int:
        return imports.import_predictions(self, project_id, predictions, chunk=3, is_new=is_new)

    def list_tasks(
        self, project_id: int, updated_since: datetime | None = None, *, brief: bool = False
    ) -> Iterator[TaskState]:
        states = [parse_task(task) for _, task in sorted(self._server.project(project_id).tasks.items())]
        found = [state for state in states if updated_since is None or state.updated_at >= updated_since]
        return iter([_bare(state) for state in found] if brief else found)

    def glance(self, project_id: int) -> Glance:
        tasks = self._server.project(project_id).tasks.values()
        newest_first = sorted(tasks, key=lambda task: datetime.fromisoformat(task["updated_at"]), reverse=True)
        date = format_datetime(datetime.fromisoformat(self._server.now()), usegmt=True)
        return parse_glance(len(tasks), newest_first[:1], date)

    def task_ids(self, project_id: int) -> dict[int, int | None]:
        return {item.task_id: item.utterance_id for item in self.present(project_id)}

    def delete_tasks(self, project_id: int, task_ids: Sequence[int], *, leaving_since: datetime | None) -> list[int]:
        if leaving_since is not None and datetime.now(UTC) < leaving_since + self._server.lock_ttl + LOCK_MARGIN:
            return []
        begun = {state.task_id for state in self.list_tasks(project_id) if state.has_work}
        deleted = [task_id for task_id in task_ids if task_id not in begun]
        self._server.delete_tasks(project_id, deleted)
        self.ensure_tabs(project_id)
        return deleted

    def add_data_field(self, project_id: int, task_ids: Sequence[int], name: str, value: str | float) -> None:
        for task_id in task_ids:
            self._server.project(project_id).tasks[task_id]["data"][name] = value

    def next_task(self, project_id: int) -> DrawnTask | None:
        project = self._server.project(project_id)
        task_id = serve(project, self._email, self._server.chance)
        if task_id is None:
            return None
        task = project.tasks[task_id]
        shown = [item for item in task["predictions"] if item["model_version"] == project.model_version]
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
            "updated_by": None,
        }
        task["annotations"].append(annotation)
        task["updated_at"] = now
        project.locks.get(task_id, set()).discard(self._email)
        told = {"annotation": {**annotation, "task": task_id}, "project": {"id": task["project"]}, "task": task}
        self._server.send(project.webhooks, "ANNOTATION_CREATED", told)
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
        versions = [item["model_version"] for task in made for item in task["predictions"]]
        if versions and not project.model_version:
            project.settings["model_version"] = versions[-1]
        told = {"tasks": [{"id": task["id"]} for task in made], "project": {"id": project_id}}
        self._server.send(project.webhooks, "TASKS_CREATED", told)
        self._answer("import tasks", dropped)
        return [task["id"] for task in made]

    def send_predictions(self, project_id: int, predictions: Sequence[Json]) -> None:
        tasks = self._server.project(project_id).tasks
        gone = {item["task"] for item in predictions}.difference(tasks)
        if gone:
            raise LabelStudioError("import predictions", 400, f'invalid "task" field: {sorted(gone)}')
        dropped, self._server.dropped = self._server.dropped, 0
        taken = [item for item in predictions[dropped:] if 0 <= item["score"] <= 1]
        for prediction in taken:
            tasks[prediction["task"]]["predictions"].append({"id": self._server.new_id(), **prediction})
        self._answer("import predictions", len(predictions) - len(taken))

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
            "meta": dict(task.get("meta", {})),
            "created_at": self._server.now(),
            "predictions": predictions,
            "annotations": [],
            "drafts": [],
            "draft_exists": False,
            "updated_at": self._server.now(),
        }


def _bare(state: TaskState) -> TaskState:
    is_answered = state.reviews or state.problems or state.skips
    return state if is_answered else replace(state, utterance_id=None, scores={})


def _listed(task: Json) -> Json:
    versions = json.dumps(list({item["model_version"] for item in task["predictions"]}))[1:-1][:500]
    return {"id": task["id"], "data": task["data"], "predictions_model_versions": versions.replace('"', "")}
