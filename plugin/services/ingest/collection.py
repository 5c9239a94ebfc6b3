"""Reviews come back from Label Studio: polling with a watermark is the truth, webhooks only say when to look.

Reconciling a project is read / Label Studio / write: no transaction is open while Label Studio answers, and
everything may be repeated. Run one at a time per project (`db.session.advisory_lock`); what a second one would have
been asked for, an event in the inbox, is seen by the first.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Protocol

from sqlalchemy.orm import Session

from db.models import Queue
from db.repositories import annotations as annotation_rows
from db.repositories import polls, utterances, webhook_events
from db.repositories import queues as queue_rows
from db.repositories import sources as source_rows
from db.repositories.annotations import Reviewed
from db.repositories.opinions import ADJUDICATION
from db.repositories.polls import TaskPlace
from db.repositories.utterances import Understood
from db.session import TransactionMaker
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.payloads import Glance, PayloadError, TaskState, WebhookEvent
from plugin.records import Hypothesis, Review, Slot, Verdict
from plugin.services.agreement import FollowUp, follow
from plugin.services.ingest.intake import slot_lists

log = logging.getLogger(__name__)

# Beat asks every minute: a little less, so that one late tick does not make it two minutes.
POLL_EVERY = timedelta(seconds=50)
# An event is a hint of what has just happened. What it does not see, since it was committed late, the next poll does.
JUST_HAPPENED = timedelta(seconds=10)
# Events that come in while a project is being listed are followed up at once, but not for ever.
ROUNDS = 5
NOT_FOUND = 404
ACTION = re.compile(r"[A-Z_]{1,64}")
LARGEST_ID = 2**63 - 1
NOTHING = FollowUp()


class ReviewSource(Protocol):
    """What collecting needs of `plugin.label_studio.protocol.LabelStudio`."""

    def list_tasks(
        self, project_id: int, updated_since: datetime | None = None, *, brief: bool = False
    ) -> Iterator[TaskState]: ...
    def glance(self, project_id: int) -> Glance: ...
    def task_ids(self, project_id: int) -> dict[int, int | None]: ...


@dataclass(frozen=True, slots=True)
class Collected:
    """What a reconciliation found. `problems` are annotations that could not be taken, a sentence each; `follow_up`
    are the queues that have something to tell Label Studio because of it.
    """

    project_id: int
    new: int = 0
    updated: int = 0
    withdrawn: int = 0
    annotated: int = 0
    removed: int = 0
    problems: tuple[str, ...] = ()
    follow_up: FollowUp = NOTHING

    @property
    def has_news(self) -> bool:
        return any((self.new, self.updated, self.withdrawn, self.annotated, self.removed))

    def __add__(self, other: Collected) -> Collected:
        return Collected(
            self.project_id,
            self.new + other.new,
            self.updated + other.updated,
            self.withdrawn + other.withdrawn,
            self.annotated + other.annotated,
            self.removed + other.removed,
            (*self.problems, *(problem for problem in other.problems if problem not in self.problems)),
            self.follow_up + other.follow_up,
        )


@dataclass(frozen=True, slots=True)
class Poll:
    """What to ask of Label Studio, and since when; `started_at` by the database's clock.

    is_hint  because of an event, soon after a poll: only what has just happened is asked for
    """

    queue_id: int
    project_id: int
    since: datetime | None
    started_at: datetime
    live: set[int]
    surplus: int
    is_hint: bool = False


@dataclass(frozen=True, slots=True)
class Listing:
    """What Label Studio answered. `until`: all changes up to then, by its clock, are in `states`.

    present  all task ids of the project; None when they were not asked for
    """

    states: list[TaskState]
    present: set[int] | None
    until: datetime | None


def receive_webhook(session: Session, event: WebhookEvent) -> int | None:
    """Into the inbox; None when it is there already. Only ids are kept: what they mean is asked by polling.

    Raises PayloadError for what no Label Studio sends and no database takes.
    """
    if not ACTION.fullmatch(event.action):
        raise PayloadError("not a Label Studio webhook: the action must be a name like ANNOTATION_CREATED")
    if event.project_id is not None and not 0 < event.project_id <= LARGEST_ID:
        raise PayloadError(f"webhook {event.action}: the project's id is out of range")
    payload = {
        "project_id": event.project_id,
        "task_ids": event.task_ids,
        "annotation_ids": event.annotation_ids,
    }
    return webhook_events.receive(session, event.dedup_key, event.action, payload)


def handle_webhook_event(session: Session, instance: str, event_id: int) -> list[int]:
    """The projects to reconcile because of an event; the reconciliation marks it as handled."""
    event = webhook_events.take(session, event_id)
    if event is None:
        return []
    project_id = event.payload["project_id"]
    if project_id is None or queue_rows.by_project(session, instance, project_id) is None:
        webhook_events.mark_handled(session, event.id, no_queue(project_id))
        return []
    return [project_id]


def projects_to_reconcile(session: Session, instance: str) -> list[int]:
    """Those with unhandled events, and those that nobody has looked at for a while."""
    known = set(polls.project_ids(session, instance))
    now = polls.clock(session)
    reported = webhook_events.unhandled_projects(session)
    for project_id in reported - known - source_rows.attached_projects(session, instance):
        webhook_events.mark_project_handled(session, project_id, now, no_queue(project_id))
    due = polls.project_ids(session, instance, not_polled_for=POLL_EVERY)
    return sorted({*due, *(known & reported)})


def no_queue(project_id: int | None) -> str:
    return f"no queue has the project {project_id}"


def reconcile(
    transaction: TransactionMaker,
    label_studio: ReviewSource,
    instance: str,
    project_id: int,
    *,
    overlap: timedelta,
    force: bool = False,
) -> Collected:
    """Collect what has changed in a project since the last time, less an overlap. Twice equals once.

    Unless forced, does nothing when nothing was reported and the project was polled a moment ago: so a burst of
    webhooks costs one listing. Raises LookupError when no queue has the project.
    """
    total = Collected(project_id)
    for _ in range(ROUNDS):
        with transaction() as session:
            poll = read_poll(session, instance, project_id, overlap=overlap, force=force)
        if poll is None:
            break
        try:
            listing = fetch(label_studio, poll)
        except LabelStudioError as error:
            if error.status != NOT_FOUND:
                with transaction() as session:
                    webhook_events.set_project_error(session, project_id, str(error))
                raise
            return total + _project_is_gone(transaction, poll)
        with transaction() as session:
            total += write(session, instance, poll, listing)
        force = False
    for problem in total.problems:
        log.warning("project %d: %s", project_id, problem)
    return total


def read_poll(session: Session, instance: str, project_id: int, *, overlap: timedelta, force: bool) -> Poll | None:
    """None when there is no reason to look."""
    queue = queue_rows.by_project(session, instance, project_id)
    if queue is None:
        raise LookupError(no_queue(project_id))
    now = polls.clock(session)
    fresh = queue.polled_at is not None and now - queue.polled_at < POLL_EVERY
    is_hint = fresh and not force
    if is_hint and not webhook_events.has_open(session, project_id):
        return None
    back = min(overlap, JUST_HAPPENED) if is_hint else overlap
    since = queue.collected_until - back if queue.collected_until is not None else None
    live = set() if is_hint else polls.live_task_ids(session, queue.id)
    return Poll(queue.id, project_id, since, now, live, queue.surplus, is_hint)


def fetch(label_studio: ReviewSource, poll: Poll) -> Listing:
    """One request where nothing is new; else the changed tasks, and all ids where the project's size tells of news."""
    glance = label_studio.glance(poll.project_id)
    changed = glance.newest is not None and (poll.since is None or glance.newest >= poll.since)
    states = list(label_studio.list_tasks(poll.project_id, poll.since, brief=True)) if changed else []
    resized = not poll.is_hint and glance.task_count - len(poll.live) != poll.surplus
    present = list_ids(label_studio, poll) if resized else None
    # What changes behind the page that lists it changes after the glance: the next poll asks from there.
    return Listing(states, present, glance.clock or glance.newest)


def list_ids(label_studio: ReviewSource, poll: Poll) -> set[int]:
    """All task ids of the project."""
    found = set(label_studio.task_ids(poll.project_id))
    # A deletion during the listing moves later tasks to pages that were read: only what lacks twice is gone.
    return found if poll.live <= found else found | label_studio.task_ids(poll.project_id).keys()


def write(session: Session, instance: str, poll: Poll, listing: Listing) -> Collected:
    """Store what was listed. A deleted annotation is withdrawn; a deleted task's annotations stay: they were made."""
    queue = queue_rows.get(session, poll.queue_id)
    assert queue is not None
    rows, problems = to_rows(session, queue, listing.states)
    task_ids = [state.task_id for state in listing.states if state.is_readable]
    written = annotation_rows.put_reviews(session, instance, rows)
    refused = {row.annotation_id for row in written.refused}
    problems.extend(f"annotation {row.annotation_id} cannot be stored: {row.reason}" for row in written.refused)
    rows = [row for row in rows if row.annotation_id not in refused]
    withdrawn = annotation_rows.withdraw(session, instance, task_ids, [row.annotation_id for row in rows])
    annotated = queue_rows.mark_annotated(
        session, poll.queue_id, sorted({row.task_id for row in rows}), poll.started_at
    )
    polls.reopen(session, poll.queue_id, instance, withdrawn)
    removed = 0 if listing.present is None else remove_gone(session, poll, listing.present)
    follow_up = follow(session, queue, listing.states, withdrawn)
    if listing.until is not None:
        queue_rows.set_collected_until(session, poll.queue_id, listing.until)
    if not poll.is_hint:
        polls.set_polled(session, poll.queue_id, poll.started_at)
    webhook_events.mark_project_handled(session, poll.project_id, poll.started_at)
    counts = (written.new, written.updated, len(withdrawn), annotated, removed)
    return Collected(poll.project_id, *counts, tuple(problems), follow_up)


def remove_gone(session: Session, poll: Poll, present: set[int]) -> int:
    removed = queue_rows.mark_removed(session, poll.queue_id, sorted(poll.live - present))
    polls.set_surplus(session, poll.queue_id, len(present) - (len(poll.live) - removed))
    return removed


def to_rows(session: Session, queue: Queue, states: list[TaskState]) -> tuple[list[Reviewed], list[str]]:
    """Each review at the revision that its task shows; what our queue does not know is told by `data.utterance_id`."""
    places = polls.places(session, queue.id, [state.task_id for state in states])
    strange = {review.utterance_id for state in states if state.task_id not in places for review in state.reviews}
    revisions = utterances.revisions(session, strange) if strange else {}
    found: list[tuple[Review, TaskPlace]] = []
    problems: list[str] = []
    for state in states:
        problems.extend(state.problems)
        for review in state.reviews:
            place = places.get(state.task_id)
            if place is None and review.utterance_id in revisions:
                place = TaskPlace(review.utterance_id, revisions[review.utterance_id])
            if place is None:
                problems.append(f"annotation {review.annotation_id}: there is no utterance {review.utterance_id}")
            else:
                found.append((review, place))
    compared = {place for review, place in found if review.label and (review.shown_blind or queue.kind == ADJUDICATION)}
    understood = utterances.hypotheses(session, compared) if compared else {}
    reviews = [(with_verdict(review, understood.get(place)), place) for review, place in found]
    return [to_row(review, place, queue.kind) for review, place in reviews], problems


def with_verdict(review: Review, understood: Understood | None) -> Review:
    """Of what was shown blind, or with two answers, the verdict on what the assistant understood; None: nothing to
    compare with.
    """
    if understood is None or understood.domain is None or understood.intent is None:
        return review
    slots = tuple(sorted(Slot(start, end, label) for start, end, label in understood.slots))
    same = review.label == Hypothesis(understood.domain, understood.intent, slots)
    return replace(review, verdict=Verdict.ACCEPT if same else Verdict.FIX)


def to_row(review: Review, place: TaskPlace, kind: str) -> Reviewed:
    said = review.label
    return Reviewed(
        utterance_id=place.utterance_id,
        revision=place.revision,
        annotation_id=review.annotation_id,
        task_id=review.task_id,
        verdict=review.verdict.value,
        domain=said.domain if said else None,
        intent=said.intent if said else None,
        slots=slot_lists(said) if said else (),
        annotator=review.annotator,
        lead_time_s=review.lead_time_s,
        reject_reason=review.reject_reason and review.reject_reason.value,
        shown_blind=review.shown_blind,
        note=review.note,
        created_at=review.created_at,
        updated_at=review.updated_at,
        kind=kind,
    )


def _project_is_gone(transaction: TransactionMaker, poll: Poll) -> Collected:
    """What was collected stays; the next publishing makes a new project of the rest."""
    problem = f"the project {poll.project_id} is no longer in Label Studio"
    with transaction() as session:
        polls.set_polled(session, poll.queue_id, poll.started_at)
        queue_rows.set_dirty(session, poll.queue_id)
        webhook_events.mark_project_handled(session, poll.project_id, poll.started_at, problem)
    log.warning(problem)
    return Collected(poll.project_id, problems=(problem,))
