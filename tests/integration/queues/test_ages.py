"""How far behind the queues are, as `assay status` says it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text, update
from sqlalchemy.orm import Session

from db.models import Queue, Refresh
from db.session import TransactionMaker
from plugin.cli.status import published
from plugin.services import ages, policies, scoring, selection
from plugin.services.status import status
from tests import factories
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.scorer import FakeScorer
from tests.integration.queues.conftest import INSTANCE, music, publish_all

pytestmark = pytest.mark.usefixtures("pool")


def arrive(session: Session, count: int) -> None:
    for row in factories.utterances(session, count, source="new", nlu_score=0.5):
        row.text = f"new and {row.text}"
    session.flush()
    [batch] = scoring.read_batches(session, 0, 2**62)
    scoring.write(session, scoring.compute(batch, FakeScorer()))


def keep_up(transaction: TransactionMaker) -> None:
    selection.keep_up(transaction, "en-US", datetime.now(UTC), INSTANCE)


def said(session: Session, after: timedelta = timedelta(0)) -> str:
    [line] = ages.locales(session, datetime.now(UTC) + after)
    return str(line["said"])


def be_quiet(session: Session) -> None:
    session.execute(text("UPDATE scores SET scored_at = scored_at - interval '1 hour'"))


def test_before_the_first_round_there_is_nothing_to_say(session: Session) -> None:
    assert ages.locales(session, datetime.now(UTC)) == []


def test_what_is_done_what_waits_and_what_nobody_sees(session: Session, transaction: TransactionMaker) -> None:
    keep_up(transaction)
    be_quiet(session)
    assert said(session, timedelta(minutes=5)) == "up to date, as of 5 min ago"
    arrive(session, 3)
    assert said(session) == "new ones are coming in"
    assert "for 10 min and nobody looks; do worker and beat run?" in said(session, timedelta(minutes=10))
    keep_up(transaction)
    be_quiet(session)
    assert said(session, timedelta(minutes=1)).startswith("3 utterances, too few for a place, wait for more since")
    policies.change(session, "en-US", "*", {"nlu_low": 0.9, "nlu_high": 1.0}, changed_by="test", comment="")
    keep_up(transaction)
    assert said(session).startswith("not refreshed for 0 s: no utterance of en-US is eligible")


def test_each_queue_says_for_how_long_it_is_behind(session: Session, transaction: TransactionMaker) -> None:
    def said_of_music() -> str:
        found = status(session, datetime.now(UTC) + timedelta(minutes=3))
        [line] = [line for line in found["queues"] if line["domain"] == "music"]
        return published(line)

    keep_up(transaction)
    assert said_of_music() == "waits"
    publish_all(transaction, FakeLabelStudio())
    assert said_of_music() == "3 min"
    arrive(session, 22)
    session.execute(update(Refresh).values(began_at=Refresh.began_at - timedelta(seconds=30)))
    keep_up(transaction)
    session.execute(update(Queue).where(Queue.id == music(session).id).values(dirty=True))
    session.expire_all()
    assert said_of_music() == "behind for 3 min"
