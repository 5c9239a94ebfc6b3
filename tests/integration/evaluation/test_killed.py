"""A worker that is killed in the middle of a run: its lease runs out, and another resumes the run."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from db.models import ModelVersion
from db.repositories import evaluations, leases
from db.session import TransactionMaker
from plugin.records import Policy
from plugin.services import evaluation
from plugin.services.evaluation import Context, LocaleBusyError
from plugin.services.evaluation.lease import lease_name
from tests.integration.evaluation.conftest import LOCALE
from tests.integration.evaluation.lookup import LookupTrainer
from tests.servers import CHECKOUT

TTL_SECONDS = 2.0
PATIENCE_SECONDS = 90.0

WORKER = """
import sys, time
from datetime import timedelta
from pathlib import Path
from db.session import make_engine, transaction_maker
from plugin.services import evaluation
from tests.integration.evaluation.lookup import LookupTrainer, workshop

url, run_id, models, ttl = sys.argv[1:]
trainer = LookupTrainer()
trainer.during = lambda: time.sleep(3600 if len(trainer.seen) == 2 else 0)
context = evaluation.Context(
    transaction_maker(make_engine(url)), workshop(Path(models), trainer), lease_ttl=timedelta(seconds=float(ttl))
)
evaluation.execute(context, int(run_id))
"""


@contextmanager
def worker(*arguments: object) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen([sys.executable, "-c", WORKER, *map(str, arguments)], cwd=CHECKOUT)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def wait_until(happened: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not happened():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def steps_of(transaction: TransactionMaker, run_id: int) -> list[str]:
    with transaction() as session:
        return list(evaluations.steps(session, run_id))


def is_busy(transaction: TransactionMaker) -> bool:
    with transaction() as session:
        return leases.live(session, lease_name(LOCALE)) is not None


def refused(context: Context, run_id: int) -> bool:
    try:
        evaluation.execute(context, run_id)
    except LocaleBusyError:
        return True
    return False


def test_a_killed_run_is_resumed_and_its_finished_step_kept(
    committing_context: Context, trainer: LookupTrainer, clean_database_url: str
) -> None:
    context = replace(committing_context, lease_ttl=timedelta(seconds=TTL_SECONDS))
    transaction, models = context.transaction, context.workshop.models_folder
    with transaction() as session:
        run = evaluation.create_run(session, LOCALE, "test", {"*": Policy()}, trigger="test", requested_by="me")

    with worker(clean_database_url, run.id, models, TTL_SECONDS):
        wait_until(lambda: steps_of(transaction, run.id) == ["freeze", "train candidate 0"])
        time.sleep(2 * TTL_SECONDS)  # it lives, so its lease outlasts its time
        assert refused(context, run.id)

    wait_until(lambda: not is_busy(transaction))
    with transaction() as session:
        later = datetime.now(UTC) + timedelta(hours=1)
        assert evaluation.tick(session, later).retrain == [run.id]
    done = evaluation.execute(context, run.id)
    assert (done.state, done.attempts) == ("done", 2)
    assert len(trainer.seen) == 3  # the first candidate is the killed worker's
    with transaction() as session:
        assert session.scalar(select(func.count()).select_from(ModelVersion)) == 1
    assert sorted(path.name for path in Path(models).iterdir()) == ["sw-KE-0001"]
