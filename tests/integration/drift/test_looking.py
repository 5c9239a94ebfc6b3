"""Looks at a locale: what they read, what they raise and end, and the retraining that they may ask for."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from db.models import Alarm, TrainingRun
from db.repositories import alarms, evaluations
from db.repositories import drift as drift_rows
from db.session import TransactionMaker
from plugin.services import drift, evaluation
from plugin.services.drift import Look
from tests import factories
from tests.integration.drift.conftest import BEFORE, LAST_WEEK, LIMITS, LOCALE, NOW, World

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def look(transaction: TransactionMaker, at: timedelta = timedelta(0)) -> Look:
    found = drift.look(transaction, LOCALE, NOW + at, LIMITS)
    assert found is not None
    return found


def every(session: Session) -> list[Alarm]:
    return list(session.scalars(select(Alarm).order_by(Alarm.id)))


def test_where_nothing_changes_nothing_is_raised_and_the_look_is_kept(
    session: Session, transaction: TransactionMaker, world: World
) -> None:
    world.traffic()
    found = look(transaction)
    assert (found.raised, found.resolved, found.runs) == ([], [], [])
    [kept] = drift.list_looks(session)
    assert (kept["locale"], kept["looked_at"]) == (LOCALE, NOW)
    states = {(one["kind"], one["domain"]): one["state"] for one in kept["seen"]}
    assert states["scores", "*"] == states["domains", "*"] == "ok"
    assert states["ranking", "*"] == "too few"


def test_an_alarm_is_a_row_and_a_line_and_twice_equals_once(
    session: Session, transaction: TransactionMaker, world: World, caplog: pytest.LogCaptureFixture
) -> None:
    world.traffic(moved=0.5)
    with caplog.at_level(logging.WARNING):
        first = look(transaction)
        second = look(transaction, HOUR)
    [alarm] = every(session)
    assert (first.raised, second.raised) == ([alarm.id], [])
    assert (alarm.kind, alarm.locale, alarm.domain, alarm.threshold) == ("scores", LOCALE, "*", 0.2)
    assert alarm.value > 0.2
    assert (alarm.raised_at, alarm.seen_at, alarm.resolved_at) == (NOW, NOW + HOUR, None)
    assert alarm.sentence.startswith("entropy: stability index")
    assert [record.message for record in caplog.records] == [f"alarm {alarm.id} raised for en-US: {alarm.sentence}"]


def test_of_too_few_nothing_is_raised_and_no_alarm_ends_until_long_after(
    session: Session, transaction: TransactionMaker, world: World
) -> None:
    world.traffic(moved=3.0, now=199)
    assert look(transaction).raised == []
    world.arrive(1, LAST_WEEK, moved=3.0)
    [raised] = look(transaction, HOUR).raised
    # Nothing comes in any more.
    assert look(transaction, 30 * DAY).resolved == []
    assert look(transaction, 141 * DAY).resolved == [raised]


def test_a_locale_without_a_model_is_not_looked_at(session: Session, transaction: TransactionMaker) -> None:
    factories.utterances(session, 10)
    assert drift.look(transaction, LOCALE, NOW, LIMITS) is None
    assert drift.due(session, NOW, HOUR) == []


def test_a_locale_is_due_when_its_last_look_is_long_enough_ago(
    session: Session, transaction: TransactionMaker, world: World
) -> None:
    factories.champion(session, "sw-KE", "fake-2")
    assert drift.due(session, NOW, HOUR) == ["en-US", "sw-KE"]
    look(transaction)
    assert drift.due(session, NOW + HOUR / 2, HOUR) == ["sw-KE"]
    assert drift.due(session, NOW + HOUR, HOUR) == ["sw-KE", "en-US"]
    assert world.made == 0


def test_only_one_alarm_of_a_kind_is_open_for_a_locale_and_domain(session: Session) -> None:
    values = "'scores', 'en-US', '*', 1, 0.2, '', '{}'"
    statement = f"INSERT INTO alarms (kind, locale, domain, value, threshold, sentence, details) VALUES ({values})"
    session.execute(text(statement))
    with pytest.raises(IntegrityError, match="uq_alarms_open"):
        session.execute(text(statement))


def test_reviews_are_read_in_the_last_round_that_asked_with_its_models_scores(session: Session, world: World) -> None:
    ids = world.arrive(4, 30 * DAY)
    world.round(ids, arms=["strategy"])
    world.round(ids[:3], arms=["control", "strategy"])
    world.review(ids, LAST_WEEK, wrong=0.25)
    session.execute(text("UPDATE annotations SET withdrawn_at = now() WHERE utterance_id = :id"), {"id": ids[2]})

    def read() -> list[drift_rows.Reviewed]:
        return list(drift_rows.reviewed(session, LOCALE, "entropy", NOW - 28 * DAY, NOW))

    assert [(row.verdict, row.is_control, row.asked_domain) for row in read()] == [
        ("fix", True, "music"), ("accept", True, "music"), ("accept", False, "music"),
    ]  # fmt: skip
    assert all(row.score is not None and row.predicted_domain for row in read())
    session.execute(text("UPDATE annotations SET kind = 'second' WHERE utterance_id = :id"), {"id": ids[0]})
    assert len(read()) == 2
    assert list(drift_rows.reviewed(session, LOCALE, "entropy", NOW - DAY, NOW)) == []


def test_of_many_arrivals_every_kth_is_read(session: Session, world: World) -> None:
    world.arrive(100, LAST_WEEK)
    world.arrive(10, LAST_WEEK, partition="test")
    world.arrive(10, BEFORE)
    found = drift_rows.arrivals(session, LOCALE, world.version_id, "entropy", NOW - 7 * DAY, NOW, most=30)
    assert len(found) in (25, 24)
    assert all(row.score is not None for row in found)
    other = drift_rows.arrivals(session, LOCALE, world.version_id + 1, "entropy", NOW - 7 * DAY, NOW, most=1000)
    assert len(other) == 100
    assert {row.score for row in other} == {None}


def schedule(transaction: TransactionMaker, name: str = "nightly", *, on_drift: bool | None) -> None:
    with transaction() as session:
        evaluation.put(
            session, name, locale=LOCALE, test_set="test", cron="0 3 * * *", now=NOW + DAY, on_drift=on_drift
        )


def test_an_alarm_asks_for_a_run_where_a_schedule_allows_it(
    session: Session, transaction: TransactionMaker, world: World
) -> None:
    world.traffic(moved=0.5)
    schedule(transaction, on_drift=True)
    schedule(transaction, "other", on_drift=None)
    found = look(transaction)
    [run] = session.scalars(select(TrainingRun))
    assert (run.trigger, run.requested_by, run.state, run.sent_at) == ("drift", "nightly", "queued", None)
    assert found.runs == [run.id]
    assert every(session)[0].run_id == run.id
    assert look(transaction, HOUR).runs == []
    # Committed and not sent: the tick sends it, once it is not just being sent.
    session.execute(text("UPDATE training_runs SET created_at = :at"), {"at": NOW})
    with transaction() as other:
        assert list(evaluation.tick(other, NOW + HOUR).retrain) == [run.id]


def test_none_is_asked_for_while_the_last_is_not_over_nor_without_leave(
    session: Session, transaction: TransactionMaker, world: World
) -> None:
    world.traffic(moved=0.5)
    schedule(transaction, on_drift=None)
    assert look(transaction).runs == []
    for alarm in every(session):
        alarms.resolve(session, alarm.kind, LOCALE, alarm.domain, NOW + HOUR)
    schedule(transaction, on_drift=True)
    with transaction() as other:
        [row] = evaluation.start_on_drift(other, LOCALE, NOW)
    assert look(transaction, 2 * HOUR).runs == []
    evaluations.finish(session, row.id, NOW)
    schedule(transaction, on_drift=None)  # as it is
    with transaction() as other:
        assert len(evaluation.start_on_drift(other, LOCALE, NOW)) == 1
        assert evaluation.start_on_drift(other, "sw-KE", NOW) == []
