"""An utterance with all that was said of it, and where it is asked about."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy.orm import Session

from db.models.utterances import GONE
from db.repositories import opinions
from db.repositories.opinions import ADJUDICATION, REVIEW, SECOND, Answer, Place


@dataclass
class Case:
    """`said` and `places` by kind; answers in the order in which they came."""

    utterance_id: int
    said: dict[str, list[Answer]] = field(default_factory=dict)
    places: dict[str, list[Place]] = field(default_factory=dict)

    @property
    def first(self) -> Answer | None:
        """The review that counts (`words`)."""
        return _last(self.said.get(REVIEW, ()))

    @property
    def repeats(self) -> list[Answer]:
        """Second opinions of somebody who has reviewed the same already."""
        return [answer for answer in self._seconds() if answer.annotator in self._reviewers()]

    @property
    def second(self) -> Answer | None:
        """The independent answer to what the first person was asked."""
        return next((answer for answer in self._seconds() if answer.annotator not in self._reviewers()), None)

    @property
    def final(self) -> Answer | None:
        """What was made of the two."""
        return _last(self._of_first(ADJUDICATION))

    @property
    def differs(self) -> bool:
        first, second = self.first, self.second
        return first is not None and second is not None and not first.agrees(second)

    @property
    def is_gone(self) -> bool:
        """The task that it came from was deleted: what was said of it stays, and nobody is asked any more."""
        return any(place.partition == GONE for places in self.places.values() for place in places)

    @property
    def asked(self) -> Place | None:
        """Where the first person was asked."""
        first = self.first
        found = [place for place in self.places.get(REVIEW, ()) if first and place.task_id == first.task_id]
        return found[0] if found else None

    def place(self, kind: str) -> Place | None:
        """Where it is, or was, in the queue of another kind: there is one for each locale."""
        return next(iter(self.places.get(kind, ())), None)

    def _seconds(self) -> list[Answer]:
        return self._of_first(SECOND)

    def _of_first(self, kind: str) -> list[Answer]:
        first = self.first
        return [answer for answer in self.said.get(kind, ()) if first and answer.revision == first.revision]

    def _reviewers(self) -> set[str]:
        return {answer.annotator for answer in self._of_first(REVIEW)}


def read_cases(session: Session, instance: str, utterance_ids: Collection[int]) -> list[Case]:
    cases = {utterance_id: Case(utterance_id) for utterance_id in sorted(set(utterance_ids))}
    for place in opinions.places(session, instance, cases.keys()):
        cases[place.utterance_id].places.setdefault(place.kind, []).append(place)
    for answer in opinions.answers(session, instance, cases.keys()):
        cases[answer.utterance_id].said.setdefault(answer.kind, []).append(answer)
    return list(cases.values())


def _last(said: Sequence[Answer]) -> Answer | None:
    return max(said, key=lambda answer: (answer.revision, answer.updated_at, answer.id), default=None)
