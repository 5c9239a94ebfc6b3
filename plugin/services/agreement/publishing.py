"""Publishing the queues of second opinions and of adjudication: what is planned is imported, the oldest first.

Nothing is ever ordered anew: codes ascend as utterances come, under one model version for good. What nobody needs to be
asked any more is put last, one by one, and deleted later (`tidying`). Read / Label Studio / write, as a review queue;
everything may be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import httpx
from sqlalchemy.orm import Session

from db.models import Queue
from db.models import QueueTask as Row
from db.repositories import opinions, polls
from db.repositories import queues as queue_rows
from db.repositories.opinions import REVIEW, SECOND
from db.repositories.polls import LAST_CODE
from db.session import TransactionMaker
from plugin.label_studio.checking import check_tasks
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.opinions import name_of, opinion_settings
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.queues import BY_SCORE, QueueTask, rank_codes, task_json
from plugin.label_studio.screen import LabelSet, queue_marker
from plugin.services.agreement.cases import Case, read_cases
from plugin.services.agreement.settling import is_misplaced, settle
from plugin.services.agreement.showing import read_labels, read_shown
from plugin.services.queues.publishing import Project, Published, Webhook, ask_for_news
from plugin.services.tidying import find_project, queue_of, remove_strays
from plugin.services.watching import set_up


@dataclass(frozen=True)
class Plan:
    """What is to be told.

    kept_from   utterance -> who reviewed it, and is not served it
    leaving     what is to be last, then to be deleted; with its code
    returning   what was leaving and is to be answered after all; with its code
    changes     how often the queue had changed
    """

    queue: Queue
    labels: LabelSet
    new: Sequence[QueueTask]
    kept_from: Mapping[int, Sequence[str]]
    leaving: Sequence[tuple[Row, float]]
    returning: Sequence[tuple[Row, float]]
    known: frozenset[int]
    changes: int

    @property
    def model_version(self) -> str:
        return f"assay-{self.queue.kind}"


def publish_opinions(
    transaction: TransactionMaker,
    label_studio: LabelStudio,
    instance: str,
    queue_id: int,
    now: datetime,
    webhook: Webhook | None = None,
    sampling: str = BY_SCORE,
) -> Published | None:
    """Import what is planned for a queue of second opinions or of adjudication; None when there is nothing."""
    with transaction() as session:
        queue = queue_of(session, instance, queue_id)
    find_project(transaction, label_studio, queue)
    with transaction() as session:
        plan = read_plan(session, queue_id)
    move(transaction, label_studio, plan)
    if plan.new:
        import_new(transaction, label_studio, plan, now, webhook, sampling)
    else:
        with transaction() as session:
            opinions.set_published(session, queue_id, {}, plan.changes, now)
    moved = len(plan.leaving) + len(plan.returning)
    return Published(queue_id, len(plan.new), len(plan.returning), len(plan.leaving)) if plan.new or moved else None


def import_new(
    transaction: TransactionMaker,
    label_studio: LabelStudio,
    plan: Plan,
    now: datetime,
    webhook: Webhook | None,
    sampling: str,
) -> None:
    queue_id = plan.queue.id
    project = ensure_project(transaction, label_studio, plan, webhook, sampling)
    with transaction() as session:
        queue_rows.begin_import(session, queue_id, now)
    task_ids, in_doubt = send(label_studio, plan, project)
    with transaction() as session:
        opinions.set_published(session, queue_id, task_ids, plan.changes, now)
        if in_doubt:
            queue_rows.doubt_import(session, queue_id, now)
        else:
            queue_rows.end_import(session, queue_id)


def move(transaction: TransactionMaker, label_studio: LabelStudio, plan: Plan) -> None:
    """What leaves is last from now on: so long people may hold it."""
    for row, code in [*plan.leaving, *plan.returning]:
        assert row.task_id is not None
        try:
            label_studio.move_task(row.task_id, plan.model_version, code)
        except LabelStudioError as error:
            if error.status != httpx.codes.NOT_FOUND:  # else it was deleted by hand, which collecting finds
                raise
    with transaction() as session:
        at = polls.clock(session)
        for state, moved in (("leaving", plan.leaving), ("published", plan.returning)):
            opinions.move(session, plan.queue.id, {row.utterance_id: code for row, code in moved}, state, at)


def read_plan(session: Session, queue_id: int) -> Plan:
    """A project that was deleted is filled again with what nobody has answered."""
    queue = queue_rows.get(session, queue_id)
    assert queue is not None
    settle(session, queue.instance, opinions.unasked_ids(session, queue_id))
    session.refresh(queue)
    planned = opinions.planned(session, queue_id)
    leaving, returning = misplaced(session, queue)
    cases = read_cases(session, queue.instance, [task.utterance_id for task in planned])
    shown = read_shown(session, queue, planned, cases)
    there = queue_rows.tasks(session, queue_id)
    end = opinions.highest_code(session, queue_id)
    return Plan(
        queue=queue,
        labels=read_labels(session, queue.locale, shown, cases),
        new=shown,
        kept_from={case.utterance_id: reviewers(case) for case in cases if queue.kind == SECOND},
        leaving=[(row, LAST_CODE) for row in leaving],
        returning=list(zip(returning, rank_codes(len(returning), after=end), strict=True)),
        known=frozenset(task.task_id for task in there if task.task_id is not None),
        changes=queue.changes,
    )


def misplaced(session: Session, queue: Queue) -> tuple[list[Row], list[Row]]:
    """What is to leave, and what is to stay after all."""
    rows = {row.utterance_id: row for row in opinions.in_question(session, queue.id)}
    cases = {case.utterance_id: case for case in read_cases(session, queue.instance, rows.keys())}
    places = {id_: place for id_, case in cases.items() if (place := case.place(queue.kind))}
    moved = [rows[id_] for id_ in rows if id_ in places and is_misplaced(cases[id_], places[id_])]
    return [row for row in moved if row.state == "published"], [row for row in moved if row.state == "leaving"]


def reviewers(case: Case) -> list[str]:
    return sorted({answer.annotator for answer in case.said.get(REVIEW, ())})


def send(label_studio: LabelStudio, plan: Plan, project: Project) -> tuple[dict[int, int], bool]:
    """Utterance -> its task; and whether something that was sent may come a second time."""
    doubts: list[None] = []
    tasks = [task_json(item, plan.model_version, plan.labels) for item in plan.new]
    ids = label_studio.import_tasks(project.id, tasks, is_new=project.is_clean, on_doubt=lambda: doubts.append(None))
    for item, task_id in zip(plan.new, ids, strict=True):
        for email in plan.kept_from.get(item.utterance_id, ()):
            label_studio.keep_from(task_id, email)
    in_doubt = bool(doubts) or not project.is_clean
    if in_doubt:
        remove_strays(label_studio, project.id, plan.known.union(ids))
    return {item.utterance_id: task_id for item, task_id in zip(plan.new, ids, strict=True)}, in_doubt


def ensure_project(
    transaction: TransactionMaker, label_studio: LabelStudio, plan: Plan, webhook: Webhook | None, sampling: str
) -> Project:
    """The queue's project; a new one serves its order from the first task on."""
    queue = plan.queue
    settings = opinion_settings(queue.kind, queue.locale, plan.labels, sampling=sampling)
    check_tasks(plan.new, settings["label_config"], plan.labels)
    marker = queue_marker(queue.locale, name_of(queue.kind, queue.domain))
    found = queue.project_id or label_studio.find_project(settings["title"], marker)
    project_id = found or label_studio.create_project({**settings, "model_version": plan.model_version})
    if queue.project_id is None:
        with transaction() as session:
            queue_rows.set_project(session, queue.id, project_id)
    set_up(transaction, label_studio, queue, project_id, settings)
    label_studio.ensure_tabs(project_id)
    if webhook is not None:
        ask_for_news(label_studio, project_id, webhook)
    is_clean = found is None or (queue.project_id is not None and queue.importing_since is None)
    return Project(project_id, is_new=found is None, is_clean=is_clean)
