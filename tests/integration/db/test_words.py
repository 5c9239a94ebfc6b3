"""Of several answers to one question one is the label, and none of them counts twice."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import AnnotationRow, UtteranceRow
from db.repositories import examples, overview, words
from tests import factories

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def utterance(session: Session) -> UtteranceRow:
    [row] = factories.utterances(session, 1)
    return row


def say(session: Session, utterance: UtteranceRow, kind: str, intent: str | None, minute: int = 0, **more: Any) -> None:
    at = NOON + timedelta(minutes=minute)
    number = session.query(AnnotationRow).count() + 1
    row: dict[str, Any] = {
        "utterance_id": utterance.id, "revision": 1, "instance": "main", "annotation_id": number, "task_id": number,
        "kind": kind, "verdict": "fix", "domain": "music", "intent": intent, "annotator": "a@example.org",
        "created_at": at, "updated_at": at,
    }  # fmt: skip
    session.add(AnnotationRow(**row | more))
    session.flush()


def label(session: Session) -> str | None:
    found = examples.reviewed(session, "en-US")
    assert len(found) <= 1
    return found[0].intent if found else None


def test_an_adjudication_is_the_last_word_whenever_it_came(session: Session, utterance: UtteranceRow) -> None:
    say(session, utterance, "adjudication", "adjudicated", minute=1)
    say(session, utterance, "review", "reviewed", minute=2)
    say(session, utterance, "second", "second", minute=3)
    assert label(session) == "adjudicated"


def test_without_one_it_is_the_review_and_not_the_later_second_opinion(
    session: Session, utterance: UtteranceRow
) -> None:
    say(session, utterance, "review", "reviewed", minute=0)
    say(session, utterance, "second", "second", minute=3)
    assert label(session) == "reviewed"


def test_of_two_reviews_it_is_the_later_one(session: Session, utterance: UtteranceRow) -> None:
    say(session, utterance, "review", "later", minute=3)
    say(session, utterance, "review", "earlier", minute=0)
    assert label(session) == "later"


def test_a_second_opinion_stands_alone_where_the_review_is_gone(session: Session, utterance: UtteranceRow) -> None:
    say(session, utterance, "review", "reviewed", withdrawn_at=NOON)
    say(session, utterance, "second", "second")
    assert label(session) == "second"


def test_what_was_said_of_a_newer_revision_counts_before_all_of_an_older_one(
    session: Session, utterance: UtteranceRow
) -> None:
    say(session, utterance, "adjudication", "of the old one", minute=5)
    say(session, utterance, "second", "of the new one", revision=2)
    assert label(session) == "of the new one"


def test_an_adjudicated_reject_is_no_example(session: Session, utterance: UtteranceRow) -> None:
    say(session, utterance, "review", "reviewed")
    say(session, utterance, "adjudication", None, verdict="reject", domain=None)
    assert label(session) is None


def test_the_place_in_sql_is_the_same_rule(session: Session, utterance: UtteranceRow) -> None:
    for kind, minute, revision in [("second", 9, 1), ("review", 1, 1), ("adjudication", 0, 1), ("review", 0, 2)]:
        say(session, utterance, kind, f"{kind} {revision}", minute=minute, revision=revision)
    place = select(AnnotationRow.intent, words.PLACE.label("place")).subquery()
    found = session.scalars(select(place.c.intent).order_by(place.c.place)).all()
    assert found == ["review 2", "adjudication 1", "review 1", "second 1"]


def test_reviews_are_counted_without_what_others_said_of_the_same(session: Session, utterance: UtteranceRow) -> None:
    for kind in ("review", "second", "adjudication"):
        say(session, utterance, kind, "play")
    assert overview.verdicts(session)["fix"] == 1
