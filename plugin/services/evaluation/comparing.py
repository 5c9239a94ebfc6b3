"""Two runs of a locale side by side, paired, on the frozen test sets that both have asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy.orm import Session

from db.models import TrainingRun
from db.repositories import evaluations
from plugin.quality.contrasts import board
from plugin.records import Hypothesis
from plugin.services.evaluation import data, measure, steps
from plugin.services.evaluation.arms import CANDIDATE
from plugin.services.evaluation.errors import EvaluationError
from plugin.services.evaluation.judging import read_predictions
from plugin.services.evaluation.runs import known_run
from plugin.services.evaluation.steps import Agenda, Training

OLD, NEW = "old", "new"


def compare(session: Session, old_id: int, new_id: int, arm: str = CANDIDATE) -> dict[str, Any]:
    """What the arm's rates are in both runs, and by how much the second differs.

    Of the run with more seeds, the first ones count. Raises EvaluationError when nothing compares.
    """
    runs = {OLD: known_run(session, old_id), NEW: known_run(session, new_id)}
    agendas = {side: read(session, run, arm) for side, run in runs.items()}
    seeds = min(len(agenda.seeds) for agenda in agendas.values())
    sets = {
        side: {test.test_set_id: name for name, test in agenda.frame.tests.items()} for side, agenda in agendas.items()
    }
    common = [set_id for set_id in sets[OLD] if set_id in sets[NEW]]
    if not common:
        raise EvaluationError(
            f"runs {old_id} and {new_id} have asked no frozen test set in common: their numbers do not compare"
        )
    said = {side: of_arm(session, runs[side].id, agenda, arm, seeds) for side, agenda in agendas.items()}
    found = []
    for set_id in common:
        test = agendas[OLD].frame.tests[sets[OLD][set_id]]
        gold = [data.to_example(row).label for row in test.rows]
        predictions = {
            side: [[answers[place] for place in agendas[side].frame.places(sets[side][set_id])] for answers in of_seeds]
            for side, of_seeds in said.items()
        }
        counts = measure.count(gold, predictions)
        rows = measure.metric_rows(board(counts, seed=runs[OLD].seed), counts, test.weights, against=OLD)
        found.append({"name": sets[OLD][set_id], "n": len(gold), "metrics": beside(rows)})
    return {"arm": arm, OLD: old_id, NEW: new_id, "seeds": seeds, "test_sets": found}


def read(session: Session, run: TrainingRun, arm: str) -> Agenda:
    if run.state != "done":
        raise EvaluationError(f"run {run.id} has no numbers: it is {run.state}")
    agenda = steps.read_agenda(session, run)
    if arm not in agenda.plan.arms:
        raise EvaluationError(f"run {run.id} has no arm {arm!r}: it has {', '.join(agenda.plan.arms)}")
    return agenda


def of_arm(session: Session, run_id: int, agenda: Agenda, arm: str, seeds: int) -> list[Sequence[Hypothesis]]:
    said = read_predictions(session, run_id, agenda)
    return [said[Training(arm, seed)] for seed in agenda.seeds[:seeds]]


def beside(rows: Mapping[str, Sequence[evaluations.Metric]]) -> list[dict[str, Any]]:
    """One row for each domain and metric; None where a rate or a change is not defined."""
    found = {side: {(row.domain, row.metric): row._asdict() for row in of_side} for side, of_side in rows.items()}
    return [
        {
            "domain": domain,
            "metric": metric,
            OLD: row,
            NEW: found[NEW].get((domain, metric)),
            "change": found[NEW].get((domain, measure.change_of(metric))),
        }
        for (domain, metric), row in found[OLD].items()
    ]
