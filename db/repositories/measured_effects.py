"""What the runs of a locale have measured of strategies, and which round each of them came after."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, NamedTuple

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from db.models import SelectionRow, TrainingRun, TrainingStep, VerdictRow


class MeasuredEffect(NamedTuple):
    """A relative change of `arm` against its control, with its 95 % interval, on one test set.

    after  how many rounds the locale had when the run was asked for
    """

    run_id: int
    after: int
    domain: str
    arm: str
    n: int
    relative: float
    relative_low: float
    relative_high: float


def of_locale(session: Session, locale: str, metric: str) -> list[MeasuredEffect]:
    """Of every finished run, the oldest first; what a run could not measure is left out."""
    after = (
        select(func.count())
        .select_from(SelectionRow)
        .where(SelectionRow.locale == locale, SelectionRow.extends_id.is_(None))
        .where(SelectionRow.created_at <= TrainingRun.created_at)
        .scalar_subquery()
    )
    query = (
        select(
            VerdictRow.run_id, after, VerdictRow.domain, VerdictRow.arm, VerdictRow.n,
            VerdictRow.relative, VerdictRow.relative_low, VerdictRow.relative_high,
        )
        .join(TrainingRun, TrainingRun.id == VerdictRow.run_id)
        .where(VerdictRow.locale == locale, VerdictRow.metric == metric, TrainingRun.state == "done")
        .where(VerdictRow.relative.is_not(None), VerdictRow.relative_low.is_not(None))
        .where(VerdictRow.relative_high.is_not(None))
        .order_by(VerdictRow.run_id, VerdictRow.test_set_id, VerdictRow.domain, VerdictRow.arm)
    )  # fmt: skip
    return [MeasuredEffect._make(row) for row in session.execute(query)]


def details(session: Session, run_ids: Collection[int], step: str, key: str) -> dict[int, dict[str, Any]]:
    """What a finished step of each run has told under `key`."""
    query = select(TrainingStep.run_id, TrainingStep.detail[key]).where(
        TrainingStep.run_id.in_(run_ids), TrainingStep.name == step, TrainingStep.detail.has_key(key)
    )
    return {run_id: found for run_id, found in session.execute(query)}  # noqa: C416  # rows, which dict() takes for keys
