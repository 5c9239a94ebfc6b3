"""What runs say of arms against their control: one row per run, test set, domain, metric and arm."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import TrainingRun, VerdictRow

ALL_DOMAINS = "*"


class Verdict(NamedTuple):
    """Columns of `verdicts` that a run fills; what they mean is said there. `metric` as in `evaluation_metrics`."""

    domain: str
    metric: str
    arm: str
    control: str
    n: int
    seeds: int
    state: str
    sentence: str
    difference: float | None = None
    std_error: float | None = None
    ci_low: float | None = None
    ci_high: float | None = None
    relative: float | None = None
    relative_low: float | None = None
    relative_high: float | None = None
    shrunken: float | None = None
    shrunken_low: float | None = None
    shrunken_high: float | None = None
    p_value: float | None = None
    p_holm: float | None = None
    labels_saved: float | None = None
    labels_saved_low: float | None = None
    labels_saved_high: float | None = None
    control_labels_needed: int | None = None


def put(session: Session, run_id: int, test_set_id: int, locale: str, verdicts: Iterable[Verdict]) -> None:
    """The run's verdicts on this test set are these, and no others."""
    session.execute(delete(VerdictRow).where(VerdictRow.run_id == run_id, VerdictRow.test_set_id == test_set_id))
    rows = [
        {"run_id": run_id, "test_set_id": test_set_id, "locale": locale, **verdict._asdict()} for verdict in verdicts
    ]
    if rows:
        session.execute(insert(VerdictRow), rows)


def of_run(session: Session, run_id: int) -> Sequence[VerdictRow]:
    """By test set, overall before domains, then by metric and arm."""
    return session.scalars(
        select(VerdictRow)
        .where(VerdictRow.run_id == run_id)
        .order_by(
            VerdictRow.test_set_id,
            VerdictRow.domain != ALL_DOMAINS,
            VerdictRow.domain,
            VerdictRow.metric,
            VerdictRow.arm,
        )
    ).all()


def newest(session: Session, locale: str, *, before: datetime | None = None) -> Sequence[VerdictRow]:
    """Of the newest finished run of the locale that has any; `before`: of those finished before."""
    runs = (
        select(TrainingRun.id)
        .where(TrainingRun.locale == locale, TrainingRun.state == "done")
        .where(select(VerdictRow.run_id).where(VerdictRow.run_id == TrainingRun.id).exists())
        .order_by(TrainingRun.id.desc())
        .limit(1)
    )
    if before is not None:
        runs = runs.where(TrainingRun.finished_at < before)
    run_id = session.scalar(runs)
    return of_run(session, run_id) if run_id is not None else []


def history(session: Session, locale: str, metric: str, *, domain: str | None = None) -> Sequence[VerdictRow]:
    """Of every finished run of the locale by this metric, the oldest first; `domain` None: of all and of each."""
    query = (
        select(VerdictRow)
        .join(TrainingRun, TrainingRun.id == VerdictRow.run_id)
        .where(VerdictRow.locale == locale, VerdictRow.metric == metric, TrainingRun.state == "done")
    )
    if domain is not None:
        query = query.where(VerdictRow.domain == domain)
    order = (VerdictRow.run_id, VerdictRow.test_set_id, VerdictRow.domain, VerdictRow.arm)
    return session.scalars(query.order_by(*order)).all()
