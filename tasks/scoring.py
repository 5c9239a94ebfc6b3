"""Celery tasks of the word scoring: a forward pass between two short transactions."""

from __future__ import annotations

import logging
from pathlib import Path

from celery.exceptions import SoftTimeLimitExceeded
from sqlalchemy.exc import OperationalError

from db.session import TransactionMaker
from plugin.services import scoring
from plugin.services.ports import Scorer
from plugin.wiring import get_wiring
from plugin.wiring_ml import load_scorer
from tasks.app import app

log = logging.getLogger(__name__)

POLICY = {"autoretry_for": (OperationalError,), "retry_backoff": 2, "retry_jitter": True, "max_retries": 8}


@app.task(name="scoring.score_batch", **POLICY)
def score_batch(first_id: int, last_id: int) -> None:
    """Score what the champions have not scored in [first_id, last_id]; twice equals once.

    A range may hold more than a batch's worth: the rest is left to the sweep.
    Each model's part stands for itself: one that fails keeps no other locale from its scores, and is raised at the end.
    """
    wiring = get_wiring()
    transaction, size = wiring.transaction, wiring.settings.scoring_batch_size
    with transaction() as session:
        scoring.register_external(session, first_id, last_id)
    with transaction() as session:
        batches = scoring.read_batches(session, first_id, last_id, limit=size)
        batches += scoring.read_external(session, first_id, last_id, limit=size)
    failures = []
    for batch in batches:
        try:
            score(transaction, batch)
        except (OperationalError, SoftTimeLimitExceeded):
            raise
        except Exception as error:
            log.warning("%d utterances were not scored by %s", len(batch.rows), batch.version.name, exc_info=True)
            failures.append(error)
    if failures:
        raise failures[0]


@app.task(name="scoring.score_version", **POLICY)
def score_version(version_id: int, first_id: int, last_id: int) -> None:
    """The same for one model version, champion or not: a part of a backfill."""
    transaction = get_wiring().transaction
    with transaction() as session:
        batch = scoring.read_batch(session, version_id, first_id, last_id)
    score(transaction, batch)


@app.task(name="scoring.backfill", **POLICY)
def backfill(version_id: int) -> None:
    """Send the whole pool, in ranges, to `scoring.score_version`; what is scored already is not sent."""
    wiring = get_wiring()
    with wiring.transaction() as session:
        ids = scoring.backlog(session, version_id)
    for first_id, last_id in scoring.id_ranges(ids, wiring.settings.scoring_batch_size):
        wiring.send("scoring.score_version", version_id, first_id, last_id)


@app.task(name="scoring.sweep", **POLICY)
def sweep() -> None:
    """Find what was committed and never sent."""
    wiring = get_wiring()
    with wiring.transaction() as session:
        ranges = scoring.unsent(session, wiring.settings.scoring_batch_size)
    for first_id, last_id in ranges:
        wiring.send("scoring.score_batch", first_id, last_id)


def score(transaction: TransactionMaker, batch: scoring.Batch) -> None:
    if batch.version.kind == "external":
        scored = scoring.compute_external(batch)
    else:
        scored = scoring.compute(batch, scorer_of(batch))
    with transaction() as session:
        scoring.write(session, scored)


def scorer_of(batch: scoring.Batch) -> Scorer:
    assert batch.version.uri is not None
    assert batch.version.sha256 is not None
    return load_scorer(Path(batch.version.uri), batch.version.sha256)
