from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, text
from sqlalchemy.orm import Session

from db.models import AnnotationRow
from db.repositories import annotations as annotation_rows
from db.repositories import overview
from db.repositories.annotations import Gold, Reviewed, Written
from tests import factories

NOW = datetime(2026, 3, 1, tzinfo=UTC)


def review(utterance_id: int, annotation_id: int = 1, **changed: Any) -> Reviewed:
    values: dict[str, Any] = {
        "revision": 1, "task_id": 10 * annotation_id, "verdict": "fix", "domain": "music", "intent": "music_play",
        "slots": [[0, 4, "artist"]], "annotator": "ann@example.org", "lead_time_s": 3.5,
        "reject_reason": None, "shown_blind": False, "note": "", "created_at": NOW, "updated_at": NOW, **changed,
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
    assert overview.verdicts(session) == {"accept": 0, "fix": 2, "reject": 0}
    assert annotation_rows.put_reviews(session, "main", found) == Written(0, 1)
    assert all(row.withdrawn_at is None for row in rows(session))


def test_withdrawing_looks_only_at_the_tasks_concerned(session: Session) -> None:
    [utterance] = factories.utterances(session, 1)
    annotation_rows.put_reviews(session, "main", [review(utterance.id, number) for number in range(1, 3001)])
    session.execute(text("ANALYZE annotations"))
    plan: list[str] = []

    def explain(_: object, cursor: Any, statement: str, parameters: Any, *more: object) -> None:
        if statement.startswith("UPDATE annotations"):
            plan.extend(row[0] for row in cursor.connection.execute(f"EXPLAIN {statement}", parameters))

    event.listen(session.connection(), "before_cursor_execute", explain)
    annotation_rows.withdraw(session, "main", [10, 20], [1])
    assert "ix_annotations_instance_task_id" in "\n".join(plan)


def test_as_many_tasks_as_a_project_has(session: Session) -> None:
    """More than the 65,535 parameters that a statement may have."""
    [utterance] = factories.utterances(session, 1)
    annotation_rows.put_reviews(session, "main", [review(utterance.id, number) for number in (1, 2)])
    every = range(1, 100_001)
    assert annotation_rows.withdraw(session, "main", [10 * number for number in every], every[1:]) == [10]


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
    assert overview.verdicts(session) == {"accept": 0, "fix": 0, "reject": 0}


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"verdict": "maybe"}, "verdict_is_known"),
        ({"domain": None}, "label_is_whole"),
        ({"intent": None}, "label_is_whole"),
        ({"lead_time_s": -1.0}, "lead_time_is_not_negative"),
        ({"verdict": "reject"}, "rejected_has_no_label"),
        ({"reject_reason": "other"}, "only_rejects_have_a_reason"),
        (
            {"verdict": "reject", "domain": None, "intent": None, "reject_reason": "bored"},
            "reject_reason_is_known",
        ),
        ({"note": "a\x00b"}, "NUL"),
        ({"note": "\ud800"}, "surrogates"),
        ({"slots": [[0, 4, "a\x00b"]]}, "Unicode escape"),
        ({"task_id": 2**63}, "out of range"),
    ],
)
def test_what_the_database_refuses_is_told_and_stops_nothing_else(
    session: Session, changed: dict[str, Any], reason: str
) -> None:
    [utterance] = factories.utterances(session, 1)
    found = [review(utterance.id, number) for number in range(1, 8)]
    found[4] = review(utterance.id, 5, **changed)
    written = annotation_rows.put_reviews(session, "main", found)
    assert (written.new, written.updated) == (6, 0)
    [refused] = written.refused
    assert refused.annotation_id == 5
    assert reason in refused.reason
    assert [row.annotation_id for row in rows(session)] == [1, 2, 3, 4, 6, 7]
