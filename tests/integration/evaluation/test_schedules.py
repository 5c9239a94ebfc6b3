from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select, text, update

from db.models import PolicyRow, Schedule, TrainingRun
from db.repositories import evaluations, leases
from db.repositories import schedules as schedule_rows
from db.session import TransactionMaker
from plugin.records import Policy
from plugin.services import evaluation
from plugin.services.evaluation import Due, EvaluationError
from plugin.services.evaluation.lease import lease_name
from tests.integration.evaluation.conftest import LOCALE

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def schedule(
    transaction: TransactionMaker, cron: str = "0 3 * * *", now: datetime = NOON, name: str = "nightly"
) -> None:
    with transaction() as session:
        evaluation.put(session, name, locale=LOCALE, test_set="test", cron=cron, now=now)


def tick(transaction: TransactionMaker, now: datetime) -> Due:
    with transaction() as session:
        return evaluation.tick(session, now)


def schedules(transaction: TransactionMaker) -> dict[str, Schedule]:
    with transaction() as session:
        return {row.name: row for row in schedule_rows.every(session)}


def runs(transaction: TransactionMaker) -> list[TrainingRun]:
    with transaction() as session:
        return list(session.scalars(select(TrainingRun).order_by(TrainingRun.id)))


def queued(transaction: TransactionMaker, **changed: Any) -> int:
    """A run of an hour before noon, never sent."""
    with transaction() as session:
        run = evaluation.create_run(session, LOCALE, "test", {"*": Policy()}, trigger="test", requested_by="me")
        values = {"created_at": NOON - timedelta(hours=1), **changed}
        session.execute(update(TrainingRun).where(TrainingRun.id == run.id).values(**values))
        return run.id


def test_nothing_is_due_before_its_time(transaction: TransactionMaker) -> None:
    schedule(transaction)
    assert schedules(transaction)["nightly"].next_due_at == datetime(2026, 3, 2, 3, 0, tzinfo=UTC)
    assert tick(transaction, datetime(2026, 3, 2, 2, 59, tzinfo=UTC)) == Due([], [])


def test_a_due_schedule_makes_one_run_and_is_due_again_the_next_day(transaction: TransactionMaker) -> None:
    with transaction() as session:
        session.add(PolicyRow(locale=LOCALE, domain="*", train_on_weak=True))
    schedule(transaction)
    at = datetime(2026, 3, 2, 3, 0, 20, tzinfo=UTC)
    due = tick(transaction, at)
    (run,) = runs(transaction)
    assert due.retrain == [run.id]
    assert (run.trigger, run.requested_by, run.state, run.sent_at) == ("schedule", "nightly", "queued", at)
    assert run.settings == {"promote": False, "train_on_weak": {"*": True}, "strategies": ["k-means"]}
    row = schedules(transaction)["nightly"]
    assert (row.last_run_at, row.next_due_at) == (at, datetime(2026, 3, 3, 3, 0, tzinfo=UTC))
    assert tick(transaction, at + MINUTE) == Due([], [])


def test_a_schedule_missed_many_times_runs_once(transaction: TransactionMaker) -> None:
    schedule(transaction, "*/10 * * * *")
    at = NOON + timedelta(days=3, minutes=1)
    assert len(tick(transaction, at).retrain) == 1
    assert schedules(transaction)["nightly"].next_due_at == NOON + timedelta(days=3, minutes=10)
    assert len(runs(transaction)) == 1


def test_a_schedule_waits_for_its_last_run(transaction: TransactionMaker) -> None:
    schedule(transaction, "*/10 * * * *")
    tick(transaction, NOON + 10 * MINUTE)
    tick(transaction, NOON + 20 * MINUTE)
    assert len(runs(transaction)) == 1
    with transaction() as session:
        evaluations.finish(session, runs(transaction)[0].id, NOON + 25 * MINUTE)
    tick(transaction, NOON + 30 * MINUTE)
    assert len(runs(transaction)) == 2


def test_two_ticks_at_once_make_one_run(committing: TransactionMaker) -> None:
    for number in range(4):
        schedule(committing, name=f"schedule {number}")
    found: list[Due] = []
    both_ready = threading.Barrier(2)

    def one() -> None:
        with committing() as session:
            session.execute(text("SELECT 1"))
            both_ready.wait()
            found.append(evaluation.tick(session, NOON + timedelta(days=1)))
            both_ready.wait()  # neither commits before the other has looked

    threads = [threading.Thread(target=one) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    made = runs(committing)
    assert len(made) == 4
    assert sorted(run_id for due in found for run_id in due.retrain) == [run.id for run in made]


def test_a_cron_that_somebody_broke_by_hand_stops_only_itself(transaction: TransactionMaker) -> None:
    schedule(transaction, name="good")
    schedule(transaction, name="broken")
    with transaction() as session:
        session.execute(update(Schedule).where(Schedule.name == "broken").values(cron="at noon"))
    assert len(tick(transaction, NOON + timedelta(days=1)).retrain) == 1
    assert {name: row.enabled for name, row in schedules(transaction).items()} == {"good": True, "broken": False}


def test_a_schedule_is_changed_by_its_name_and_removed_without_its_runs(transaction: TransactionMaker) -> None:
    schedule(transaction)
    tick(transaction, NOON + timedelta(days=1))
    schedule(transaction, "30 4 * * 1")
    assert schedules(transaction)["nightly"].cron == "30 4 * * 1"
    with transaction() as session:
        assert schedule_rows.remove(session, "nightly")
        assert not schedule_rows.remove(session, "nightly")
    assert [run.schedule_id for run in runs(transaction)] == [None]


def test_a_run_just_made_is_left_to_its_maker(transaction: TransactionMaker) -> None:
    queued(transaction, created_at=NOON - MINUTE)
    assert tick(transaction, NOON).retrain == []


def test_a_run_never_sent_is_sent_once_and_again_only_after_a_while(transaction: TransactionMaker) -> None:
    run_id = queued(transaction)
    assert tick(transaction, NOON).retrain == [run_id]
    assert tick(transaction, NOON + MINUTE).retrain == []
    assert tick(transaction, NOON + 11 * MINUTE).retrain == [run_id]


def test_a_run_whose_message_did_not_go_out_is_sent_by_the_next_tick(transaction: TransactionMaker) -> None:
    run_id = queued(transaction)
    with transaction() as session:
        evaluation.send_again(session, tick(transaction, NOON).retrain)
    assert tick(transaction, NOON + MINUTE).retrain == [run_id]


def test_an_interrupted_run_is_found_once_its_lease_has_run_out(transaction: TransactionMaker) -> None:
    run_id = queued(transaction, state="running", sent_at=NOON - timedelta(hours=1))
    with transaction() as session:
        assert leases.take(session, lease_name(LOCALE), "worker", timedelta(minutes=2))
    assert tick(transaction, NOON).retrain == []
    with transaction() as session:
        assert leases.renew(session, lease_name(LOCALE), "worker", timedelta(seconds=-1))
    assert tick(transaction, NOON).retrain == [run_id]


def test_of_several_waiting_runs_of_a_locale_the_first_is_sent(transaction: TransactionMaker) -> None:
    first, second = queued(transaction), queued(transaction)
    assert tick(transaction, NOON).retrain == [first]
    with transaction() as session:
        evaluations.finish(session, first, NOON)
    assert tick(transaction, NOON + MINUTE).retrain == [second]


def test_a_message_that_came_too_early_is_sent_again(transaction: TransactionMaker) -> None:
    run_id = queued(transaction, sent_at=NOON)
    with transaction() as session:
        evaluation.send_later(session, run_id)
    assert tick(transaction, NOON + MINUTE).retrain == [run_id]


@pytest.mark.parametrize(
    "cron", ["", "0 3 * *", "* * * * * *", "61 * * * *", "0 0 31 2 *", "@daily", "noon noon * * *"]
)
def test_a_cron_that_cannot_be_is_refused_with_an_example(transaction: TransactionMaker, cron: str) -> None:
    with transaction() as session, pytest.raises(EvaluationError, match="'0 3"):
        evaluation.put(session, "nightly", locale=LOCALE, test_set="test", cron=cron, now=NOON)


def test_an_expired_lease_is_free_and_a_held_one_is_not(transaction: TransactionMaker) -> None:
    minute = timedelta(minutes=1)
    with transaction() as session:
        assert leases.take(session, "x", "one", minute)
        assert leases.take(session, "x", "one", minute)
        assert not leases.take(session, "x", "two", minute)
        leases.release(session, "x", "two")
        assert leases.live(session, "x") is not None
        assert leases.renew(session, "x", "one", -minute)
        assert leases.live(session, "x") is None
        assert leases.take(session, "x", "two", minute)
        assert not leases.renew(session, "x", "one", minute)
        assert not leases.hold(session, "x", "one")
        assert leases.hold(session, "x", "two")
