"""A run's numbers into Label Studio: the description and the guide of each queue project of the locale."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Protocol

from sqlalchemy.orm import Session

from db.models import TrainingRun
from db.repositories import evaluations, selections
from db.repositories import queues as queue_rows
from db.repositories.evaluations import Metric
from db.session import TransactionMaker
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.guide import instruction
from plugin.label_studio.queues import MetricLine, describe
from plugin.services.evaluation.arms import CANDIDATE
from plugin.services.evaluation.measure import ALL_DOMAINS, change_of
from plugin.services.evaluation.runs import known_run
from plugin.services.evaluation.steps import PUBLISH
from plugin.services.guides import read_guide
from plugin.services.labels import label_set, to_label_set
from plugin.settings import SettingsError

log = logging.getLogger(__name__)

SHOWN = {"semer": "SEMER", "f_semer": "F-SEMER", "irer": "IRER", "dcer": "DCER"}
NOT_FOUND = 404


class Projects(Protocol):
    """What publishing needs of Label Studio."""

    def update_project(self, project_id: int, **changes: Any) -> None: ...


def publish(
    transaction: TransactionMaker, open_label_studio: Callable[[], Projects], instance: str, run_id: int
) -> bool:
    """Write the descriptions; twice equals once. False when Label Studio is away: the tick tries again."""
    started_at = datetime.now(UTC)
    with transaction() as session:
        run = known_run(session, run_id)
        newest = evaluations.newest_done(session, run.locale)
        if newest is None or newest.id != run_id:
            return False
        described = descriptions(session, instance, run)
    try:
        missing = write(open_label_studio, described)
    except (LabelStudioError, SettingsError) as error:
        log.warning("run %d is not published yet: %s", run_id, error)
        with transaction() as session:
            evaluations.put_step(session, run_id, PUBLISH, {}, started_at, error=str(error))
        return False
    detail = {"projects": sorted(set(described) - set(missing)), "missing_projects": missing}
    with transaction() as session:
        evaluations.put_step(session, run_id, PUBLISH, detail, started_at)
    return True


def write(open_label_studio: Callable[[], Projects], described: dict[int, dict[str, str]]) -> list[int]:
    """The projects that are no longer there."""
    if not described:
        return []
    label_studio = open_label_studio()
    missing = []
    for project_id, settings in described.items():
        try:
            label_studio.update_project(project_id, **settings)
        except LabelStudioError as error:
            if error.status != NOT_FOUND:
                raise
            missing.append(project_id)
    return missing


def descriptions(session: Session, instance: str, run: TrainingRun) -> dict[int, dict[str, str]]:
    """Project id -> what it says of the locale's quality, of the queues that are in Label Studio."""
    round_ = selections.current(session, run.locale)
    labels = to_label_set(*queue_rows.round_labels(session, round_)) if round_ else label_set(session, run.locale)
    found = {}
    for queue in queue_rows.of_locale(session, instance, run.locale):
        if queue.project_id is not None:
            lines, evaluated = metric_lines(session, run.locale, queue.domain)
            guide = read_guide(session, run.locale, queue.domain, lines, evaluated)
            found[queue.project_id] = {
                "description": describe(run.locale, queue.domain, lines, evaluated=evaluated),
                "expert_instruction": instruction(queue.domain, labels, guide),
            }
    return found


def metric_lines(session: Session, locale: str, domain: str) -> tuple[list[MetricLine], str]:
    """What the newest finished run says of a domain, or of all where its test set has none of it; and its name."""
    run = evaluations.newest_done(session, locale)
    result = None if run is None else evaluations.results(session, run.id).get(CANDIDATE)
    if run is None or result is None:
        return [], ""
    own = [metric for metric in result.metrics if metric.domain == domain]
    shown = {metric.metric: metric for metric in own or result.metrics if own or metric.domain == ALL_DOMAINS}
    lines = [to_line(title, shown[name]) for name, title in SHOWN.items() if name in shown]
    changed = shown.get(change_of("semer"))
    if changed is not None:
        lines.append(to_line("SEMER against gold only", changed))
    n = next(iter(shown.values())).n
    of = domain if own else "all domains"
    name = result.model.name if result.model else CANDIDATE
    return lines, f"run {run.id} of {run.finished_at:%Y-%m-%d}, {name}, {n} utterances of {of}"


def to_line(title: str, metric: Metric) -> MetricLine:
    return MetricLine(title, metric.value, metric.ci_low, metric.ci_high)
