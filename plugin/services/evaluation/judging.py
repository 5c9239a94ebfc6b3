"""The last step of a run: from what its models said to metrics and verdicts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from db.models import TrainingRun
from db.repositories import evaluations, models
from db.repositories import verdicts as verdict_rows
from db.repositories.evaluations import Metric
from db.repositories.verdicts import Verdict
from plugin.quality.contrasts import board
from plugin.records import Hypothesis
from plugin.services.evaluation import data, measure
from plugin.services.evaluation.arms import BASELINE, CANDIDATE
from plugin.services.evaluation.freezing import NEW, TAIL, part_of
from plugin.services.evaluation.lease import Heartbeat
from plugin.services.evaluation.steps import EVALUATE, Agenda, Context, Step, Training, unpack_predictions
from plugin.services.evaluation.verdicts import verdicts


@dataclass(frozen=True)
class Judged:
    """What is found on one test set: arm -> its metrics, and the strategies' verdicts."""

    test_set: str
    metrics: Mapping[str, Sequence[Metric]]
    verdicts: Sequence[Verdict]


Said = Mapping[Training, Sequence[Hypothesis]]  # of every question of the frame


def evaluate(context: Context, run: TrainingRun, agenda: Agenda, lease: Heartbeat, at: Step) -> None:
    started_at = context.clock()
    progress = context.observe(at)
    with context.transaction() as session:
        said = read_predictions(session, run.id, agenda)
    found = []
    for number, name in enumerate(agenda.frame.tests, start=1):
        found.append(judge(agenda, said, name, seed=run.seed))
        lease.check()
        if progress is not None:
            progress(number, len(agenda.frame.tests))
    with context.transaction() as session:
        lease.guard(session)
        write(session, run, agenda, found)
        promoted = bool(run.settings["promote"])
        if promoted:
            models.promote(session, candidate_version(session, run.id, agenda), context.clock())
        first = next(iter(agenda.frame.tests.values()))
        detail = {
            "test_set_id": first.test_set_id,
            "n": len(first.rows),
            "promoted": promoted,
            "result_hash": result_hash(found),
        }
        evaluations.put_step(session, run.id, EVALUATE, detail, started_at)


def read_predictions(session: Session, run_id: int, agenda: Agenda) -> dict[Training, list[Hypothesis]]:
    found = {}
    for training in agenda.trainings:
        row = evaluations.predictions(session, run_id, training.arm, training.seed)
        assert row is not None
        found[training] = unpack_predictions(row.content)
    return found


def judge(agenda: Agenda, said: Said, test_set: str, *, seed: int) -> Judged:
    """One test set. On parts of the run's own no strategy is judged: they would say the same again."""
    frame, plan = agenda.frame, agenda.plan
    test, places = frame.tests[test_set], frame.places(test_set)
    gold = [data.to_example(row).label for row in test.rows]
    predictions = {
        arm: [[said[Training(arm, seed)][place] for place in places] for seed in agenda.seeds] for arm in plan.arms
    }
    counts = measure.count(gold, predictions)
    found = board(counts, seed=seed)
    metrics = measure.metric_rows(found, counts, test.weights, against=BASELINE)
    parts = {part_of(next(iter(frame.tests)), part) for part in (TAIL, NEW)}
    judged = () if test_set in parts else plan.strategies
    return Judged(test_set, metrics, verdicts(found, judged, sum(plan.places.values())))


def write(session: Session, run: TrainingRun, agenda: Agenda, found: Sequence[Judged]) -> None:
    version_id = candidate_version(session, run.id, agenda)
    for one in found:
        test = agenda.frame.tests[one.test_set]
        for arm, metrics in one.metrics.items():
            evaluations.add_evaluation(
                session,
                metrics,
                run_id=run.id,
                test_set_id=test.test_set_id,
                arm=arm,
                model_version_id=version_id if arm == CANDIDATE else None,
                training_size=len(agenda.data_of(Training(arm, agenda.seeds[0])).examples),
                seeds=len(agenda.seeds),
            )
        verdict_rows.put(session, run.id, test.test_set_id, run.locale, one.verdicts)


def candidate_version(session: Session, run_id: int, agenda: Agenda) -> int:
    step = evaluations.steps(session, run_id)[Training(CANDIDATE, agenda.seeds[0]).name]
    version_id: int = step.detail["model_version_id"]
    return version_id


def result_hash(found: Sequence[Judged]) -> str:
    """SHA-256 of all that was measured, to the last bit: what a replay must find again. Words may change."""
    content: list[Any] = [
        [
            one.test_set,
            {arm: [list(row) for row in rows] for arm, rows in one.metrics.items()},
            [list(row._replace(sentence="")) for row in one.verdicts],
        ]
        for one in found
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
