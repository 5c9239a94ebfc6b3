"""Does this Label Studio keep the order of a queue? Tried with six tasks in a project of its own, once a version.

That tasks are served by ascending score, that one change of the model version orders them anew, that what is held
stays held: none of it is documented. Where it does not hold, queues are served as they were imported (*Sequential
sampling*), in the planned order of a round; what arrives later then comes last.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Any

from db.repositories import serving_trials
from db.session import TransactionMaker
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.queues import (
    BY_IMPORT,
    BY_SCORE,
    LabelSet,
    QueueTask,
    prediction_json,
    project_settings,
    queue_marker,
    rank_codes,
    task_json,
)
from plugin.records import Hypothesis

log = logging.getLogger(__name__)

LOCALE, DOMAIN = "und", "assay-trial"
MARKER = queue_marker(LOCALE, DOMAIN)
LABELS = LabelSet({DOMAIN: ["try"]}, [])
COLUMN = "number"
NOT_AS_IMPORTED = "nor are tasks served in the order of their import"
# As text 10 and 100 come before 9.
NUMBERS = (9, 10, 100, 11, 12, 13)


@dataclass(frozen=True, slots=True)
class Trial:
    """What a trial found. `problems`: what Label Studio does otherwise than queues rest on, a sentence each."""

    version: str
    sampling: str
    problems: tuple[str, ...]
    on_sqlite: bool

    @property
    def serves_as_imported(self) -> bool:
        return NOT_AS_IMPORTED not in self.problems


def known_or_tried(transaction: TransactionMaker, label_studio: LabelStudio, instance: str, version: str) -> Trial:
    """Run one at a time: two would draw each other's tasks."""
    with transaction() as session:
        row = serving_trials.get(session, instance, version)
    if row is not None:
        return Trial(version, row.sampling, tuple(row.problems), row.on_sqlite)
    return try_and_remember(transaction, label_studio, instance, version)


def try_and_remember(transaction: TransactionMaker, label_studio: LabelStudio, instance: str, version: str) -> Trial:
    trial = try_serving(label_studio, version)
    with transaction() as session:
        serving_trials.put(session, instance, version, trial.sampling, trial.problems, on_sqlite=trial.on_sqlite)
    for problem in trial.problems:
        log.warning("Label Studio %s: %s; queues are served by %r", version, problem, trial.sampling)
    return trial


def try_serving(label_studio: LabelStudio, version: str) -> Trial:
    """In a project that is gone afterwards, also one that a killed trial left behind."""
    while (left := label_studio.find_project(_settings()["title"], MARKER)) is not None:
        label_studio.delete_project(left)
    project_id = label_studio.create_project(_settings())
    try:
        problems = _problems_by_score(label_studio, project_id)
        on_sqlite = _sorts_numbers(label_studio, project_id)
        sampling = BY_IMPORT if problems else BY_SCORE
        if problems:
            problems += _problems_by_import(label_studio, project_id)
    finally:
        label_studio.delete_project(project_id)
    return Trial(version, sampling, tuple(problems), on_sqlite)


def _problems_by_score(label_studio: LabelStudio, project_id: int) -> list[str]:
    """Imported out of order; then turned round while the first task is held. Task 6 has no prediction that counts."""
    order = (3, 1, 5, 2, 4)
    stray = task_json(_task(6), "trial-0", LABELS)
    ids = label_studio.import_tasks(
        project_id, [stray, *(task_json(_task(number), "trial-1", LABELS) for number in order)]
    )
    label_studio.set_order(project_id, "trial-1")
    before = _draw(label_studio, project_id)
    turned = [
        {"task": task_id, **prediction_json(_task(number, 6 - number), "trial-2", LABELS)}
        for number, task_id in zip(order, ids[1:], strict=True)
    ]
    label_studio.import_predictions(project_id, turned)
    label_studio.set_order(project_id, "trial-2")
    held = _draw(label_studio, project_id)
    rest = _finish_all(label_studio, project_id)
    return _unless(
        {
            "the task with the lowest score is not served first": before == 1,
            "whoever holds a task loses it when the order changes": held == before,
            "a change of the model version does not order the queue anew": rest[1:5] == [5, 4, 3, 2],
            "tasks without a prediction of the model version do not come last": rest[5:] == [6],
        }
    )


def _problems_by_import(label_studio: LabelStudio, project_id: int) -> list[str]:
    order = [14, 11, 13, 12]
    label_studio.import_tasks(project_id, [task_json(_task(number), "trial-2", LABELS) for number in order])
    label_studio.update_project(project_id, sampling=BY_IMPORT)
    served = _finish_all(label_studio, project_id)
    return _unless({NOT_AS_IMPORTED: served == order})


def _sorts_numbers(label_studio: LabelStudio, project_id: int) -> bool:
    """PostgreSQL sorts the columns of tasks as text, SQLite numbers as numbers: by this they can be told apart."""
    in_order = label_studio.sorted_by(project_id, COLUMN)
    return in_order == sorted(in_order, key=lambda number: NUMBERS[(number or 0) - 1])


def _finish_all(label_studio: LabelStudio, project_id: int) -> list[int | None]:
    served: list[int | None] = []
    while len(served) < len(NUMBERS) and (task := label_studio.next_task(project_id)) is not None:
        label_studio.submit_annotation(task.task_id, [], parent_prediction=task.prediction_id)
        served.append(task.utterance_id)
    return served


def _draw(label_studio: LabelStudio, project_id: int) -> int | None:
    task = label_studio.next_task(project_id)
    return None if task is None else task.utterance_id


def _unless(promises: dict[str, bool]) -> list[str]:
    return [problem for problem, is_kept in promises.items() if not is_kept]


def _task(number: int, place: int | None = None) -> QueueTask:
    code = rank_codes(20)[number if place is None else place]
    columns = {COLUMN: NUMBERS[(number - 1) % len(NUMBERS)]}
    return QueueTask(number, f"trial {number}", Hypothesis(DOMAIN, "try"), "", code, columns)


def _settings() -> dict[str, Any]:
    return project_settings(LOCALE, DOMAIN, LABELS, "Assay tries how tasks are served. It is deleted in a moment.")
