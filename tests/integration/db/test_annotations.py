from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.models import AnnotationRow
from db.repositories import annotations as annotation_rows
from db.repositories.annotations import AnnotationCounts, Gold, Reviewed, Written
from tests import factories

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def review(utterance_id: int, annotation_id: int = 1, **changed: Any) -> Reviewed:
    values: dict[str, Any] = {
        "revision": 1, "task_id": 10 * annotation_id, "verdict": "fix", "domain": "music", "intent": "music_play",
        "slots": [[0, 4, "artist"]], "annotator": "ann@example.org", "lead_time_s": 3.5, "shown_blind": False,
        "note": "", "created_at": NOW, "updated_at": NOW, **changed,
    }  # fmt: skip
    return Reviewed(utterance_id=utterance_id, annotation_id=annotation_id, **values)


def rows(session: Session) -> list[AnnotationRow]:
    session.expire_all()
    return list(session.scalars(select(AnnotationRow).order_by(AnnotationRow.id)))


def test_reviews_are_idempotent(session: Session) -> None:
    [utterance] = factories.utterances(session, 1)
    found = [review(utterance.id, 1), review(utterance.id, 2)]
    assert annotation_rows.put_reviews(session, "main", found) == Written(2, 0)
    assert annotation_rows.put_reviews(session, "main", found) == Written(0, 0)
    assert annotation_rows.put_reviews(session, "main", []) == Written(0, 0)
    assert annotation_rows.put_reviews(session, "other", found) == Written(2, 0)
    row = rows(session)[0]
    for name in Reviewed._fields:
        assert getattr(row, name) == getattr(found[0], name), name


def test_the_newer_update_wins(session: Session) -> None:
    [utterance] = factories.utterances(session, 1)
    later = NOW + timedelta(seconds=1)
    annotation_rows.put_reviews(session, "main", [review(utterance.id, updated_at=later, note="new")])
    stale = review(utterance.id, note="old", updated_at=NOW)
    assert annotation_rows.put_reviews(session, "main", [stale]) == Written(0, 0)
    assert rows(session)[0].note == "new"
    rejected = review(
        utterance.id, updated_at=later + timedelta(1), verdict="reject", domain=None, intent=None, slots=[]
    )
    assert annotation_rows.put_reviews(session, "main", [rejected]) == Written(0, 1)
    assert (rows(session)[0].verdict, rows(session)[0].domain) == ("reject", None)


def test_what_no_longer_stands_is_withdrawn_and_may_come_back(session: Session) -> None:
    [utterance] = factories.utterances(session, 1)
    found = [review(utterance.id, number) for number in (1, 2, 3)]
    annotation_rows.put_reviews(session, "main", found)
    assert annotation_rows.withdraw(session, "main", [10, 20], [1]) == [20]
    assert annotation_rows.withdraw(session, "main", [10, 20], [1]) == []
    assert [row.withdrawn_at is not None for row in rows(session)] == [False, True, False]
    assert annotation_rows.counts(session) == AnnotationCounts(gold=0, reviews=2, withdrawn=1)
    assert annotation_rows.put_reviews(session, "main", found) == Written(0, 1)
    assert all(row.withdrawn_at is None for row in rows(session))


def test_gold_is_one_label_per_utterance_that_of_its_newest_revision(session: Session) -> None:
    [utterance] = factories.utterances(session, 1)
    gold = Gold(utterance.id, 2, "music", "music_play", [[0, 4, "artist"]], "gold")
    annotation_rows.put_gold(session, "file:gold", [gold])
    annotation_rows.put_gold(
        session, "file:gold", [gold._replace(revision=1, domain="weather", intent="weather_query")]
    )
    annotation_rows.put_gold(session, "file:gold", [gold])
    [row] = rows(session)
    assert (row.revision, row.domain, row.verdict, row.instance) == (2, "music", "accept", "file:gold")
    assert (row.slots, row.annotation_id, row.annotator) == ([[0, 4, "artist"]], None, "gold")
    annotation_rows.put_gold(session, "file:gold", [gold._replace(revision=3, domain="audio", intent="audio_volume")])
    assert [(row.revision, row.domain) for row in rows(session)] == [(3, "audio")]
    assert annotation_rows.counts(session) == AnnotationCounts(gold=1, reviews=0, withdrawn=0)


@pytest.mark.parametrize(
    "changed",
    [{"verdict": "maybe"}, {"domain": None}, {"intent": None}, {"lead_time_s": -1.0}, {"verdict": "reject"}],
)
def test_the_database_refuses_what_makes_no_sense(session: Session, changed: dict[str, Any]) -> None:
    [utterance] = factories.utterances(session, 1)
    with pytest.raises(IntegrityError):
        annotation_rows.put_reviews(session, "main", [review(utterance.id, **changed)])
