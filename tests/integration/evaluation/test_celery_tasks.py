from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import func, select, update

from db.models import Evaluation, ModelVersion, TrainingRun
from db.repositories import evaluations, leases
from plugin import wiring_ml
from plugin.records import Policy
from plugin.services import evaluation
from plugin.services.evaluation import Context
from plugin.services.evaluation.lease import lease_name
from tasks import evaluation as celery_tasks
from tests.integration.evaluation.conftest import LOCALE
from tests.integration.evaluation.doors import FakeWiring
from tests.integration.evaluation.lookup import LookupTrainer


@pytest.fixture
def wiring(context: Context, monkeypatch: pytest.MonkeyPatch) -> FakeWiring:
    wiring = FakeWiring(context.transaction)
    monkeypatch.setattr(celery_tasks, "get_wiring", lambda: wiring)
    monkeypatch.setattr(wiring_ml, "workshop", lambda _settings: context.workshop)
    return wiring


def queued(wiring: FakeWiring, *, promote: bool = False, hours_ago: int = 1) -> int:
    with wiring.transaction() as session:
        run = evaluation.create_run(
            session, LOCALE, "test", {"*": Policy()}, trigger="test", requested_by="me", promote=promote
        )
        at = datetime.now(UTC) - timedelta(hours=hours_ago)
        session.execute(update(TrainingRun).where(TrainingRun.id == run.id).values(created_at=at))
        return run.id


def state(wiring: FakeWiring, run_id: int) -> str:
    with wiring.transaction() as session:
        run = evaluations.get_run(session, run_id)
        assert run is not None
        return run.state


def test_retrain_is_idempotent(wiring: FakeWiring, trainer: LookupTrainer) -> None:
    run_id = queued(wiring)
    for _ in range(3):
        celery_tasks.retrain(run_id)
    assert state(wiring, run_id) == "done"
    assert len(trainer.seen) == 4  # two arms, two seeds
    with wiring.transaction() as session:
        counts = [session.scalar(select(func.count()).select_from(table)) for table in (ModelVersion, Evaluation)]
    assert counts == [1, 2]  # only what may be promoted is kept
    assert set(wiring.sent) == {("evaluation.publish", run_id)}


def test_a_promotion_has_the_pool_scored_anew(wiring: FakeWiring) -> None:
    run_id = queued(wiring, promote=True)
    celery_tasks.retrain(run_id)
    with wiring.transaction() as session:
        candidate = evaluations.results(session, run_id)["candidate"].evaluation.model_version_id
    assert wiring.sent == [("evaluation.publish", run_id), ("scoring.backfill", candidate)]


def test_retrain_of_a_busy_locale_comes_back_with_a_later_tick(wiring: FakeWiring, trainer: LookupTrainer) -> None:
    run_id = queued(wiring)
    with wiring.transaction() as session:
        leases.take(session, lease_name(LOCALE), "another", timedelta(minutes=1))
        evaluations.set_sent(session, [run_id], datetime.now(UTC))
    celery_tasks.retrain(run_id)
    celery_tasks.tick()
    assert (state(wiring, run_id), trainer.seen, wiring.sent) == ("queued", [], [])
    with wiring.transaction() as session:
        leases.release(session, lease_name(LOCALE), "another")
    celery_tasks.tick()
    assert wiring.sent == [("evaluation.retrain", run_id)]


def test_retrain_of_what_cannot_be_done_fails_the_run_and_not_the_worker(
    wiring: FakeWiring, trainer: LookupTrainer, caplog: pytest.LogCaptureFixture
) -> None:
    with wiring.transaction() as session:
        run = evaluation.create_run(session, "is-IS", "test", {"*": Policy()}, trigger="test", requested_by="me")
    celery_tasks.retrain(run.id)
    assert state(wiring, run.id) == "failed"
    assert "no test set 'test' for is-IS" in caplog.text
    assert wiring.sent == []


def test_tick_is_idempotent(wiring: FakeWiring) -> None:
    run_id = queued(wiring)
    for _ in range(3):
        celery_tasks.tick()
    assert wiring.sent == [("evaluation.retrain", run_id)]


def test_tick_without_a_broker_tries_again_the_next_minute(wiring: FakeWiring) -> None:
    run_id = queued(wiring)
    wiring.broker_is_there = False
    celery_tasks.tick()
    wiring.broker_is_there = True
    celery_tasks.tick()
    assert wiring.sent == [("evaluation.retrain", run_id)]


def test_publish_is_idempotent_and_the_tick_asks_for_it_until_it_is_done(wiring: FakeWiring) -> None:
    run_id = queued(wiring)
    celery_tasks.retrain(run_id)
    wiring.sent.clear()
    celery_tasks.tick()
    assert wiring.sent == [("evaluation.publish", run_id)]
    for _ in range(2):
        celery_tasks.publish(run_id)
    wiring.sent.clear()
    celery_tasks.tick()
    assert wiring.sent == []
