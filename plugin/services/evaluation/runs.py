"""A run: asked for, done step by step (`steps`), cancelled, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from db.models import TrainingRun, TrainingStep
from db.repositories import evaluations
from plugin import __version__
from plugin.records import CONCRETE, Policy
from plugin.services.evaluation import data, judging, steps
from plugin.services.evaluation.errors import EvaluationError, LeaseLostError, RunCancelledError, one_line
from plugin.services.evaluation.lease import Heartbeat, locale_lease
from plugin.services.evaluation.steps import CANCEL, EVALUATE, FREEZE, Context, Step

MAX_ATTEMPTS = 5


def create_run(
    session: Session,
    locale: str,
    test_set: str,
    policy: Mapping[str, Policy],
    *,
    trigger: str,
    requested_by: str,
    seed: int = 0,
    seeds: int | None = None,
    promote: bool = False,
    schedule_id: int | None = None,
    sent_at: datetime | None = None,
) -> TrainingRun:
    """A queued run with a copy of what it is to follow. `seeds`: how many, from `seed` on; None: as is set up."""
    data.check_test_set_name(test_set)
    return evaluations.add_run(
        session,
        locale=locale,
        test_set=test_set,
        trigger=trigger,
        requested_by=requested_by,
        schedule_id=schedule_id,
        seed=seed,
        settings={
            "promote": promote,
            "train_on_weak": data.weak_domains(policy),
            "strategies": sorted({rule.strategy.value for rule in policy.values() if rule.strategy in CONCRETE}),
            **({} if seeds is None else {"seed_count": seeds}),
        },
        code_version=__version__,
        sent_at=sent_at,
    )


def check_material(session: Session, locale: str, test_set: str) -> None:
    """Raises EvaluationError when a run of this could not even begin."""
    data.read_test_set(session, test_set, locale)
    data.read_material(session, locale)


def execute(context: Context, run_id: int) -> TrainingRun:
    """Do what is left of the run; nothing if it is over. Raises what went wrong, after recording it.

    LocaleBusyError, LeaseLostError and a database that is away leave the run to be resumed. A run that is cancelled
    meanwhile ends here without an error.
    """
    run = current(context, run_id)
    if is_over(run):
        return run

    def wanted(session: Session) -> bool:
        return evaluations.is_unfinished(session, run_id)

    try:
        with locale_lease(context.transaction, run.locale, context.lease_ttl, wanted) as lease:
            do(context, run, lease)
    except RunCancelledError:
        pass
    return current(context, run_id)


def do(context: Context, run: TrainingRun, lease: Heartbeat) -> None:
    try:
        begin(context, run.id, lease)
        do_steps(context, run, lease)
    except (OperationalError, LeaseLostError, RunCancelledError):
        raise
    except (Exception, KeyboardInterrupt) as error:
        with context.transaction() as session:
            lease.guard(session)
            evaluations.finish(session, run.id, context.clock(), error=one_line(error))
        raise


def current(context: Context, run_id: int) -> TrainingRun:
    with context.transaction() as session:
        return known_run(session, run_id)


def known_run(session: Session, run_id: int) -> TrainingRun:
    run = evaluations.get_run(session, run_id)
    if run is None:
        raise EvaluationError(f"no run has id {run_id}: see `assay evaluation list`")
    return run


def is_over(run: TrainingRun) -> bool:
    return run.state not in evaluations.UNFINISHED


def begin(context: Context, run_id: int, lease: Heartbeat) -> None:
    with context.transaction() as session:
        lease.guard(session)
        attempts = evaluations.begin(session, run_id, context.clock())
    if attempts is not None and attempts > MAX_ATTEMPTS:
        raise EvaluationError(f"begun {MAX_ATTEMPTS} times and never finished: the worker's log says why it died")


def do_steps(context: Context, run: TrainingRun, lease: Heartbeat) -> None:
    if FREEZE not in finished(context, run.id):
        progress = context.observe(Step(FREEZE, 1, 1))
        steps.freeze(context, run, lease)
        if progress is not None:
            progress(1, 1)
    with context.transaction() as session:
        run = known_run(session, run.id)
        agenda = steps.read_agenda(session, run)
    total = len(agenda.trainings) + 2
    done = finished(context, run.id)
    for number, training in enumerate(agenda.trainings, start=2):
        if training.name not in done:
            steps.train(context, run, agenda, training, lease, Step(training.name, number, total))
    if EVALUATE not in done:
        judging.evaluate(context, run, agenda, lease, Step(EVALUATE, total, total))
    with context.transaction() as session:
        lease.guard(session)
        evaluations.finish(session, run.id, context.clock())


def finished(context: Context, run_id: int) -> set[str]:
    with context.transaction() as session:
        return {name for name, step in evaluations.steps(session, run_id).items() if step.error is None}


def cancel(session: Session, run_id: int, by: str, now: datetime) -> None:
    """Whoever works on it stops within half a minute. Raises EvaluationError when the run is over."""
    run = known_run(session, run_id)
    if not evaluations.cancel(session, run_id, now):
        session.refresh(run)
        raise EvaluationError(f"run {run_id} is over: it is {run.state}")
    evaluations.put_step(session, run_id, CANCEL, {"by": by}, now)


def progress(done: Mapping[str, TrainingStep]) -> dict[str, Any]:
    """How many steps of an unfinished run are done, and how long the others may take, by the trainings so far."""
    frozen = done.get(FREEZE)
    if frozen is None:
        return {"done": 0, "steps": None, "seconds_left": None}
    trained = [step for step in done.values() if "seed" in step.detail]
    seconds = [(step.finished_at - step.started_at).total_seconds() for step in trained if "same_as" not in step.detail]
    left = frozen.detail["trainings"] - len(trained)
    return {
        "done": len(trained) + 1,
        "steps": frozen.detail["trainings"] + 2,
        "seconds_left": round(left * sum(seconds) / len(seconds)) if seconds else None,
    }
