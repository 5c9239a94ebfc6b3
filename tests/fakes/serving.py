"""Whom Label Studio serves what: `projects/functions/next_task.py` of 1.23.2, as far as the contract tests hold it."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Json = Mapping[str, Any]
BY_SCORE = "Uncertainty sampling"
BY_ID = "Sequential sampling"
# What a project has unless it is told otherwise.
DEFAULTS = {
    "model_version": "",
    "sampling": BY_ID,
    "maximum_annotations": 1,
    "show_collab_predictions": True,
    "show_overlap_first": False,
    "show_ground_truth_first": False,
    "skip_queue": "REQUEUE_FOR_OTHERS",
}


@dataclass
class FakeProject:
    settings: dict[str, Any]
    tasks: dict[int, dict[str, Any]] = field(default_factory=dict)
    locks: dict[int, set[str]] = field(default_factory=dict)  # task id -> the e-mail addresses of who holds it
    webhooks: list[dict[str, Any]] = field(default_factory=list)
    tabs: list[str] = field(default_factory=list)
    ml_backends: list[str] = field(default_factory=list)
    members: int = 0
    ignores_scores: bool = False  # what a version of Label Studio that we do not know might do

    @property
    def model_version(self) -> str:
        return self.settings["model_version"] or ""


def serve(project: FakeProject, email: str, chance: random.Random) -> int | None:
    """The task that this user is given, and holds from now on; None when there is none."""
    unsolved = [task for _, task in sorted(project.tasks.items()) if _is_unsolved(project, task, email)]
    held = [task["id"] for task in unsolved if email in project.locks.get(task["id"], ())]
    free = [task for task in unsolved if not _is_taken(project, task, email)]
    chosen = held[0] if held else _choose(project, free, unsolved, email, chance)
    if chosen is not None:
        project.locks.setdefault(chosen, set()).add(email)
    return chosen


def submitted(task: Json) -> list[Json]:
    return [annotation for annotation in task["annotations"] if not annotation["was_cancelled"]]


def is_by(annotation: Json, email: str) -> bool:
    return bool(annotation["created_username"] == f" {email}, 1")


def _is_unsolved(project: FakeProject, task: Json, email: str) -> bool:
    mine = any(is_by(annotation, email) for annotation in task["annotations"])
    return not mine and len(submitted(task)) < int(project.settings["maximum_annotations"])


def _is_taken(project: FakeProject, task: Json, email: str) -> bool:
    others = project.locks.get(task["id"], set()) - {email}
    return len(others) + len(submitted(task)) >= int(project.settings["maximum_annotations"])


def _choose(
    project: FakeProject, free: Sequence[Json], unsolved: Sequence[Json], email: str, chance: random.Random
) -> int | None:
    most = max((len(submitted(task)) for task in unsolved), default=0)
    if project.settings["maximum_annotations"] > 1 and most > 0:
        begun = [task for task in free if len(submitted(task)) == most]
        if begun:
            return _any(begun, chance)
    if project.settings["sampling"] == BY_ID:
        return min((int(task["id"]) for task in free), default=None)
    scored = [task for task in unsolved if _scores(task, project.model_version)]
    if project.settings["sampling"] != BY_SCORE or not scored:
        return _any(free, chance)
    ranked = [task for task in free if _scores(task, project.model_version)]
    if project.members > 1 or project.ignores_scores:
        return _any(ranked, chance)
    return min(((min(_scores(task, project.model_version)), int(task["id"])) for task in ranked), default=(0, None))[1]


def _any(tasks: Sequence[Json], chance: random.Random) -> int | None:
    return int(chance.choice(tasks)["id"]) if tasks else None


def _scores(task: Json, version: str) -> list[float]:
    return [float(item["score"]) for item in task["predictions"] if item["model_version"] == version]
