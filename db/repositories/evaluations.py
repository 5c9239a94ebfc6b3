"""Runs of retraining and evaluation, their finished steps, and their metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import exists, func, or_, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session, aliased

from db.models import (
    Evaluation,
    EvaluationMetric,
    ModelVersion,
    TestSet,
    TrainingFrame,
    TrainingPrediction,
    TrainingRun,
    TrainingStep,
)

UNFINISHED = ("queued", "running")


def add_run(session: Session, **columns: Any) -> TrainingRun:
    run = TrainingRun(**columns)
    session.add(run)
    session.flush()
    return run


def get_run(session: Session, run_id: int, *, lock: bool = False) -> TrainingRun | None:
    return session.get(TrainingRun, run_id, with_for_update=lock, populate_existing=lock)


def recent_runs(session: Session, *, locale: str | None = None, limit: int = 20) -> Sequence[TrainingRun]:
    query = select(TrainingRun).order_by(TrainingRun.id.desc()).limit(limit)
    return session.scalars(query if locale is None else query.where(TrainingRun.locale == locale)).all()


def begin(session: Session, run_id: int, at: datetime) -> int | None:
    """The run is running; how often it has been begun. None if it is over."""
    return session.scalars(
        update(TrainingRun)
        .where(TrainingRun.id == run_id, TrainingRun.state.in_(UNFINISHED))
        .values(
            state="running",
            started_at=func.coalesce(TrainingRun.started_at, at),
            attempts=TrainingRun.attempts + 1,
        )
        .returning(TrainingRun.attempts)
    ).one_or_none()


def finish(session: Session, run_id: int, at: datetime, *, error: str | None = None) -> None:
    """The run is over, unless it was before."""
    _end(session, run_id, at, "done" if error is None else "failed", error)


def cancel(session: Session, run_id: int, at: datetime) -> bool:
    """Whether it was not over yet."""
    return _end(session, run_id, at, "cancelled")


def _end(session: Session, run_id: int, at: datetime, state: str, error: str | None = None) -> bool:
    ended = session.scalars(
        update(TrainingRun)
        .where(TrainingRun.id == run_id, TrainingRun.state.in_(UNFINISHED))
        .values(state=state, error=error, finished_at=at)
        .returning(TrainingRun.id)
    ).all()
    return bool(ended)


def is_unfinished(session: Session, run_id: int) -> bool:
    """If so, it cannot be ended before the transaction is."""
    query = select(TrainingRun.state).where(TrainingRun.id == run_id).with_for_update(read=True)
    return session.scalar(query) in UNFINISHED


def put_settings(session: Session, run_id: int, settings: Mapping[str, Any]) -> None:
    session.execute(update(TrainingRun).where(TrainingRun.id == run_id).values(settings=dict(settings)))


def put_frame(session: Session, run_id: int, content_hash: str, content: bytes) -> None:
    session.add(TrainingFrame(run_id=run_id, content_hash=content_hash, content=content))
    session.flush()


def frame(session: Session, run_id: int) -> TrainingFrame | None:
    return session.get(TrainingFrame, run_id)


def put_predictions(session: Session, run_id: int, arm: str, seed: int, content_hash: str, content: bytes) -> None:
    session.add(TrainingPrediction(run_id=run_id, arm=arm, seed=seed, content_hash=content_hash, content=content))
    session.flush()


def predictions(session: Session, run_id: int, arm: str, seed: int) -> TrainingPrediction | None:
    return session.get(TrainingPrediction, (run_id, arm, seed))


def set_sent(session: Session, run_ids: Sequence[int], at: datetime | None) -> None:
    session.execute(update(TrainingRun).where(TrainingRun.id.in_(run_ids)).values(sent_at=at))


def has_unfinished(session: Session, schedule_id: int) -> bool:
    query = exists().where(TrainingRun.schedule_id == schedule_id, TrainingRun.state.in_(UNFINISHED))
    return bool(session.scalar(select(query)))


def lock_unsent(
    session: Session, now: datetime, *, busy_locales: Iterable[str], new_for: timedelta, silent_for: timedelta
) -> Sequence[TrainingRun]:
    """Unfinished runs of idle locales that no worker was asked for, or was asked for long ago; one a locale.

    A run just made is left to whoever made it (`new_for`), one just sent to the worker (`silent_for`).
    """
    silent = or_(TrainingRun.sent_at.is_(None), TrainingRun.sent_at < now - silent_for)
    old_enough = or_(TrainingRun.created_at < now - new_for, TrainingRun.sent_at.is_not(None))
    earlier = aliased(TrainingRun)
    is_first = ~exists().where(
        earlier.locale == TrainingRun.locale, earlier.id < TrainingRun.id, earlier.state.in_(UNFINISHED)
    )
    return session.scalars(
        select(TrainingRun)
        .where(TrainingRun.state.in_(UNFINISHED), TrainingRun.locale.not_in(list(busy_locales)))
        .where(silent, old_enough, is_first)
        .order_by(TrainingRun.id)
        .with_for_update(skip_locked=True, of=TrainingRun)
    ).all()


def unpublished_ids(session: Session, step: str) -> list[int]:
    """The newest finished run of each locale, where its numbers are not yet in Label Studio."""
    newest = (
        select(func.max(TrainingRun.id))
        .where(TrainingRun.state == "done")
        .group_by(TrainingRun.locale)
        .scalar_subquery()
    )
    published = exists().where(
        TrainingStep.run_id == TrainingRun.id, TrainingStep.name == step, TrainingStep.error.is_(None)
    )
    query = select(TrainingRun.id).where(TrainingRun.id.in_(newest), ~published).order_by(TrainingRun.id)
    return list(session.scalars(query))


def newest_done(session: Session, locale: str) -> TrainingRun | None:
    return session.scalars(
        select(TrainingRun)
        .where(TrainingRun.locale == locale, TrainingRun.state == "done")
        .order_by(TrainingRun.id.desc())
        .limit(1)
    ).one_or_none()


def steps(session: Session, run_id: int) -> dict[str, TrainingStep]:
    found = session.scalars(select(TrainingStep).where(TrainingStep.run_id == run_id).order_by(TrainingStep.started_at))
    return {step.name: step for step in found}


def put_step(
    session: Session,
    run_id: int,
    name: str,
    detail: Mapping[str, Any],
    started_at: datetime,
    *,
    error: str | None = None,
) -> None:
    values = {"detail": dict(detail), "error": error, "started_at": started_at, "finished_at": func.clock_timestamp()}
    session.execute(
        insert(TrainingStep)
        .values(run_id=run_id, name=name, **values)
        .on_conflict_do_update(index_elements=["run_id", "name"], set_=values)
    )


class Metric(NamedTuple):
    domain: str
    metric: str
    value: float
    ci_low: float | None
    ci_high: float | None
    n: int
    weighted_value: float | None = None


def add_evaluation(session: Session, metrics: Iterable[Metric], **columns: Any) -> Evaluation:
    evaluation = Evaluation(**columns)
    session.add(evaluation)
    session.flush()
    rows = [{"evaluation_id": evaluation.id, **metric._asdict()} for metric in metrics]
    if rows:
        session.execute(insert(EvaluationMetric), rows)
    return evaluation


class ArmResult(NamedTuple):
    """`model` is that of the arm whose weights were kept."""

    evaluation: Evaluation
    test_set: TestSet
    model: ModelVersion | None
    metrics: list[Metric]


def results(session: Session, run_id: int) -> dict[str, ArmResult]:
    """What a run measured on its own test set, the first that it froze, per arm."""
    found = every_result(session, run_id)
    return found[min(found)] if found else {}


def every_result(session: Session, run_id: int) -> dict[int, dict[str, ArmResult]]:
    """What a run measured: number of the test set in the run, its own first -> arm -> result."""
    query = (
        select(Evaluation, TestSet, ModelVersion)
        .join(TestSet, TestSet.id == Evaluation.test_set_id)
        .outerjoin(ModelVersion, ModelVersion.id == Evaluation.model_version_id)
        .where(Evaluation.run_id == run_id)
        .order_by(Evaluation.id)
    )
    numbers: dict[int, int] = {}
    found: dict[int, dict[str, ArmResult]] = {}
    for evaluation, test_set, model in session.execute(query):
        number = numbers.setdefault(test_set.id, len(numbers))
        result = ArmResult(evaluation, test_set, model, metrics(session, evaluation.id))
        found.setdefault(number, {})[evaluation.arm] = result
    return found


def metrics(session: Session, evaluation_id: int) -> list[Metric]:
    columns = [getattr(EvaluationMetric, name) for name in Metric._fields]
    query = (
        select(*columns)
        .where(EvaluationMetric.evaluation_id == evaluation_id)
        .order_by(EvaluationMetric.domain, EvaluationMetric.metric)
    )
    return [Metric._make(row) for row in session.execute(query)]
