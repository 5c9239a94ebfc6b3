"""What is shown of runs: plain values, the same for the command line, JSON and pages."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from db.models import Schedule, TrainingRun
from db.repositories import evaluations
from db.repositories import schedules as schedule_rows
from db.repositories.evaluations import ArmResult
from plugin.services.evaluation.runs import EVALUATE, known_run

RUN_FIELDS = (
    "id", "locale", "test_set", "state", "error", "trigger", "requested_by", "seed", "attempts", "code_version",
    "created_at", "started_at", "finished_at",
)  # fmt: skip
SCHEDULE_FIELDS = ("name", "locale", "test_set", "cron", "enabled", "next_due_at", "last_run_at")


def run_values(run: TrainingRun) -> dict[str, Any]:
    return {name: getattr(run, name) for name in RUN_FIELDS}


def schedule_values(schedule: Schedule) -> dict[str, Any]:
    return {name: getattr(schedule, name) for name in SCHEDULE_FIELDS}


def list_runs(session: Session, *, locale: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
    return [run_values(run) for run in evaluations.recent_runs(session, locale=locale, limit=limit)]


def list_schedules(session: Session) -> list[dict[str, Any]]:
    return [schedule_values(schedule) for schedule in schedule_rows.every(session)]


def run_report(session: Session, run_id: int) -> dict[str, Any]:
    """A run with its settings, its steps, and per arm the model, the test set and every metric."""
    run = known_run(session, run_id)
    return {
        **run_values(run),
        "settings": run.settings,
        "steps": [
            {
                "name": name,
                "error": step.error,
                "started_at": step.started_at,
                "finished_at": step.finished_at,
                **step.detail,
            }
            for name, step in evaluations.steps(session, run_id).items()
        ],
        "arms": {arm: arm_values(result) for arm, result in evaluations.results(session, run_id).items()},
    }


def arm_values(result: ArmResult) -> dict[str, Any]:
    evaluation, test_set, model, metrics = result
    return {
        "model_version": model.name,
        "training_size": evaluation.training_size,
        "test_set": {"name": test_set.name, "content_hash": test_set.content_hash, "size": test_set.size},
        "metrics": [metric._asdict() for metric in metrics],
    }


def promoted_version(session: Session, run_id: int) -> int | None:
    """The candidate's model version, if the run promoted it."""
    step = evaluations.steps(session, run_id).get(EVALUATE)
    if step is None or not step.detail.get("promoted"):
        return None
    return evaluations.results(session, run_id)["candidate"].model.id
