"""What a reconciliation sets off: skipped tasks go last, second people are asked, what differs is adjudicated."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from sqlalchemy.orm import Session

from db.models import Queue
from db.repositories import opinions, polls
from db.repositories.opinions import REVIEW
from plugin.label_studio.payloads import TaskState
from plugin.services.agreement.reworking import record
from plugin.services.agreement.settling import FollowUp, settle


def follow(session: Session, queue: Queue, states: Sequence[TaskState], withdrawn: Collection[int]) -> FollowUp:
    """After the queue's reviews are stored; `withdrawn` are tasks that have lost one. Twice is once."""
    skipped = record(session, queue, states)
    news = {state.task_id for state in states if state.reviews} | set(withdrawn)
    utterance_ids = {place.utterance_id for place in polls.places(session, queue.id, sorted(news)).values()}
    if queue.kind != REVIEW:
        utterance_ids |= opinions.unasked_ids(session, queue.id)  # deleted by hand: to be asked about again
    found = settle(session, queue.instance, utterance_ids)
    return found + FollowUp(to_tidy=frozenset({queue.id} if skipped else ()))
