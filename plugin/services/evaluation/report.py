"""What is shown of runs: plain values, the same for the command line, JSON and pages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy.orm import Session

from db.models import Schedule, TestSet, TrainingRun, VerdictRow
from db.repositories import evaluations, verdicts
from db.repositories import schedules as schedule_rows
from db.repositories.evaluations import ArmResult
from db.repositories.verdicts import Verdict
from plugin.services.evaluation.arms import CANDIDATE
from plugin.services.evaluation.runs import is_over, known_run, progress
from plugin.services.evaluation.steps import EVALUATE, FREEZE

RUN_FIELDS = (
    "id", "locale", "test_set", "state", "error", "trigger", "requested_by", "seed", "attempts", "code_version",
    "created_at", "started_at", "finished_at",
)  # fmt: skip
SCHEDULE_FIELDS = ("name", "locale", "test_set", "cron", "on_drift", "enabled", "next_due_at", "last_run_at")


def run_values(run: TrainingRun) -> dict[str, Any]:
    return {name: getattr(run, name) for name in RUN_FIELDS}


def listed(session: Session, run: TrainingRun) -> dict[str, Any]:
    """With how far it is, unless it is over."""
    return {**run_values(run), "progress": None if is_over(run) else progress(evaluations.steps(session, run.id))}


def schedule_values(schedule: Schedule) -> dict[str, Any]:
    return {name: getattr(schedule, name) for name in SCHEDULE_FIELDS}


def list_runs(session: Session, *, locale: str | None = None, limit: int = 20) -> list[dict[str, Any]]:
    return [listed(session, run) for run in evaluations.recent_runs(session, locale=locale, limit=limit)]


def list_schedules(session: Session) -> list[dict[str, Any]]:
    return [schedule_values(schedule) for schedule in schedule_rows.every(session)]


def run_report(session: Session, run_id: int) -> dict[str, Any]:
    """A run with its settings, its steps, per test set and arm every metric, and what is said of its strategies.

    `arms` are those on the run's own test set, the first of `test_sets`.
    """
    run = known_run(session, run_id)
    found = evaluations.every_result(session, run_id)
    names = [next(iter(arms.values())).test_set for arms in found.values()]
    steps = evaluations.steps(session, run_id)
    frozen = steps[FREEZE].detail if FREEZE in steps else {}
    return {
        **run_values(run),
        "settings": run.settings,
        "progress": None if is_over(run) else progress(steps),
        "steps": [
            {
                "name": name,
                "error": step.error,
                "started_at": step.started_at,
                "finished_at": step.finished_at,
                **step.detail,
            }
            for name, step in steps.items()
        ],
        "left_out": frozen.get("left_out", {}),
        "arms": {arm: arm_values(result) for arm, result in found.get(0, {}).items()},
        "test_sets": [
            {**set_values(test_set), "arms": {arm: arm_values(result) for arm, result in arms.items()}}
            for test_set, arms in zip(names, found.values(), strict=True)
        ],
        "verdicts": [
            verdict_values(row, {one.id: one.name for one in names}) for row in verdicts.of_run(session, run_id)
        ],
    }


def arm_values(result: ArmResult) -> dict[str, Any]:
    return {
        "model_version": result.model.name if result.model else None,
        "training_size": result.evaluation.training_size,
        "seeds": result.evaluation.seeds,
        "test_set": set_values(result.test_set),
        "metrics": [metric._asdict() for metric in result.metrics],
    }


def set_values(test_set: TestSet) -> dict[str, Any]:
    return {"name": test_set.name, "content_hash": test_set.content_hash, "size": test_set.size}


def verdict_values(row: VerdictRow, names: Mapping[int, str]) -> dict[str, Any]:
    return {"test_set": names[row.test_set_id], **{name: getattr(row, name) for name in Verdict._fields}}


def promoted_version(session: Session, run_id: int) -> int | None:
    """The candidate's model version, if the run promoted it."""
    step = evaluations.steps(session, run_id).get(EVALUATE)
    if step is None or not step.detail.get("promoted"):
        return None
    return evaluations.results(session, run_id)[CANDIDATE].evaluation.model_version_id
