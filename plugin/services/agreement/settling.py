"""What follows from what people said: whom else to ask, what to adjudicate, which answers do not count.

Rows only, and from what stands now: it may run at any time for any utterances, and twice is once. What Label Studio is
to be told of it, publishing and `reworking` do afterwards.

A part of what was reviewed, drawn by hash from the round's seed, gets a second opinion, by somebody else. Where the two
differ, the utterance is adjudicated.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy.orm import Session

from db.models import SelectionRow
from db.repositories import opinions, reworks, selections
from db.repositories import queues as queue_rows
from db.repositories.opinions import ADJUDICATION, SECOND, Answer, Place
from plugin.label_studio.queues import rank_codes
from plugin.quality.selection import is_overlap
from plugin.services.agreement.cases import Case, read_cases
from plugin.services.policies import ANY


@dataclass(frozen=True, slots=True)
class FollowUp:
    """The queues for which Label Studio now has something to be told."""

    to_publish: frozenset[int] = frozenset()
    to_tidy: frozenset[int] = frozenset()

    def __add__(self, other: FollowUp) -> FollowUp:
        return FollowUp(self.to_publish | other.to_publish, self.to_tidy | other.to_tidy)


def settle(session: Session, instance: str, utterance_ids: Collection[int]) -> FollowUp:
    cases = read_cases(session, instance, utterance_ids) if utterance_ids else []
    if not cases:
        return FollowUp()
    overlaps = draw(session, cases)
    repeated = repeat(session, cases)
    asked = ask(session, instance, SECOND, [case for case in cases if wants_second(case, overlaps)])
    asked |= ask(session, instance, ADJUDICATION, [case for case in cases if wants_adjudication(case)])
    return FollowUp(frozenset(asked | drop(session, cases)), frozenset(repeated))


def draw(session: Session, cases: Sequence[Case]) -> set[int]:
    """The utterances of which somebody else is asked: drawn once, when the first annotation comes."""
    undrawn = [place for case in cases if (place := case.asked) is not None and place.overlap is None]
    rounds: dict[int, SelectionRow | None] = {}
    drawn = {(place.queue_id, place.utterance_id): is_drawn(session, rounds, place) for place in undrawn}
    opinions.set_overlap(session, drawn)
    known = {case.utterance_id for case in cases if case.asked is not None and case.asked.overlap}
    return known | {utterance_id for (_, utterance_id), found in drawn.items() if found}


def is_drawn(session: Session, rounds: dict[int, SelectionRow | None], place: Place) -> bool:
    """By the policy of the round that asked, or, of an extension that does not name it, that of its round."""
    selection_id: int | None = place.selection_id
    while selection_id is not None:
        if selection_id not in rounds:
            rounds[selection_id] = selections.get(session, selection_id)
        row = rounds[selection_id]
        if row is None:
            return False
        policy = row.policy.get(place.domain) or row.policy.get(ANY)
        if policy is not None:
            return is_overlap(int(policy["seed"]), place.utterance_id, float(policy.get("overlap_share", 0.0)))
        selection_id = row.extends_id
    return False


def repeat(session: Session, cases: Sequence[Case]) -> set[int]:
    """The second opinion of somebody who gave the first does not count: its task is to be served to others."""
    found = [(case, place, answer) for case in cases if (place := case.place(SECOND)) for answer in case.repeats]
    opinions.withdraw(session, [answer.id for _, _, answer in found])
    reworks.add(session, [to_rework(place, answer) for _, place, answer in found])
    alone = {(place.queue_id, case.utterance_id) for case, place, _ in found if case.second is None}
    for queue_id in {queue_id for queue_id, _ in alone}:
        again = [utterance for queue, utterance in alone if queue == queue_id]
        opinions.set_state(session, queue_id, again, "published", was="annotated")
    return {place.queue_id for _, place, _ in found}


def to_rework(place: Place, answer: Answer) -> dict[str, Any]:
    return {
        "queue_id": place.queue_id,
        "utterance_id": answer.utterance_id,
        "task_id": answer.task_id,
        "annotation_id": answer.annotation_id,
        "annotator": answer.annotator,
        "reason": reworks.SAME_PERSON,
    }


def wants_second(case: Case, overlaps: Collection[int]) -> bool:
    """Once an utterance: Label Studio knows a task by it, so a revision is not asked about a second time."""
    return case.utterance_id in overlaps and case.second is None and can_ask(case, SECOND)


def wants_adjudication(case: Case) -> bool:
    return case.differs and case.final is None and can_ask(case, ADJUDICATION)


def can_ask(case: Case, kind: str) -> bool:
    """Not while it is there, although it may be leaving: then publishing takes it back (`is_misplaced`)."""
    is_asked = (place := case.place(kind)) is not None and place.state != "removed"
    return case.asked is not None and not case.is_gone and not is_asked


def ask(session: Session, instance: str, kind: str, cases: Sequence[Case]) -> set[int]:
    """Into the queue of this kind, behind what is there, in the order in which the answers came."""
    by_locale: dict[str, list[Case]] = {}
    for case in sorted(cases, key=came):
        assert case.asked is not None
        by_locale.setdefault(case.asked.locale, []).append(case)
    queues: set[int] = set()
    for locale, of_locale in sorted(by_locale.items()):
        queue_id = opinions.ensure_queue(session, instance, locale, kind)
        codes = rank_codes(len(of_locale), after=opinions.highest_code(session, queue_id))
        opinions.plan(session, queue_id, map(to_task, of_locale, codes))
        queues.add(queue_id)
    return queues


def came(case: Case) -> tuple[Any, int]:
    answer = case.second or case.first
    assert answer is not None
    return answer.updated_at, answer.id


def to_task(case: Case, code: float) -> dict[str, Any]:
    first, asked = case.first, case.asked
    assert first is not None
    assert asked is not None
    return {
        "utterance_id": case.utterance_id,
        "revision": first.revision,
        "selection_id": asked.selection_id,
        "rank_code": code,
        "blind": first.shown_blind,
    }


def is_needless(case: Case, kind: str) -> bool:
    """The record is gone; or those who differed agree now, or one of them has taken the answer back."""
    return case.is_gone or (kind == ADJUDICATION and not case.differs)


def is_misplaced(case: Case, place: Place) -> bool:
    """Whether an open task is to leave, or, leaving, is to stay after all. Label Studio first, then its row."""
    return place.state == ("leaving" if not is_needless(case, place.kind) else "published")


def drop(session: Session, cases: Sequence[Case]) -> set[int]:
    """What nobody needs to be asked any more; the queues that have to be told."""
    places = [(case, place) for case in cases for kind in (SECOND, ADJUDICATION) if (place := case.place(kind))]
    for case, place in places:
        if place.state == "planned" and is_needless(case, place.kind):
            opinions.set_state(session, place.queue_id, [case.utterance_id], "removed", was="planned")
    misplaced = {place.queue_id for case, place in places if is_misplaced(case, place)}
    for queue_id in sorted(misplaced):
        queue_rows.set_dirty(session, queue_id)
    return misplaced
