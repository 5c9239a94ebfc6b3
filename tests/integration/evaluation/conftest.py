"""A small world: gold data of two domains, a pool of which some are reviewed, and a test set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from db.models import AnnotationRow, UtteranceRow
from db.session import TransactionMaker, make_engine, transaction_maker
from plugin.services.evaluation import Context
from tests.integration.evaluation.lookup import LookupTrainer, workshop

LOCALE = "sw-KE"
INSTANCE = "http://label-studio.test"
LABELS = {"play": ("music", "music_play"), "rain": ("weather", "weather_query"), "hush": ("audio", "audio_volume")}


class World:
    """Adds rows; the label follows from the first word of the text."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.annotation_id = 0

    def utterance(self, text: str, partition: str = "pool", **changed: Any) -> UtteranceRow:
        domain, intent = LABELS[text.split()[0].lower()]
        values: dict[str, Any] = {
            "source": "gold" if partition != "pool" else "log",
            "external_id": f"{partition}-{text}".replace(" ", "-"),
            "locale": LOCALE,
            "text": text,
            "partition": partition,
            "domain": domain,
            "intent": intent,
            "nlu_score": 0.5,
            "content_hash": hashlib.sha256(text.encode()).digest(),
            **changed,
        }
        row = UtteranceRow(**values)
        self.session.add(row)
        self.session.flush()
        return row

    def annotate(self, row: UtteranceRow, verdict: str = "accept", **changed: Any) -> AnnotationRow:
        """What a person said in Label Studio."""
        self.annotation_id += 1
        return self._annotation(row, verdict, instance=INSTANCE, annotation_id=self.annotation_id, **changed)

    def gold(self, text: str, partition: str, **changed: Any) -> UtteranceRow:
        row = self.utterance(text, partition, **changed)
        self._annotation(row, "accept", instance="file", annotation_id=None)
        return row

    def _annotation(self, row: UtteranceRow, verdict: str, **changed: Any) -> AnnotationRow:
        domain, intent = LABELS[row.text.split()[0].lower()]
        now = datetime.now(UTC)
        values: dict[str, Any] = {
            "utterance_id": row.id,
            "revision": row.revision or 1,
            "verdict": verdict,
            "domain": None if verdict == "reject" else domain,
            "intent": None if verdict == "reject" else intent,
            "annotator": "amina@example.org",
            "created_at": now,
            "updated_at": now + timedelta(seconds=self.annotation_id),
            **changed,
        }
        annotation = AnnotationRow(**values)
        self.session.add(annotation)
        self.session.flush()
        return annotation


def fill(world: World) -> None:
    """Gold knows music and weather; only reviewed data knows audio, which the test set asks for."""
    for number in range(6):
        world.gold(f"play song {number}", "train")
        world.gold(f"rain today {number}", "train")
        world.gold(f"play tune {number}", "dev")
        world.gold(f"play old {number}", "test")
        world.gold(f"rain soon {number}", "test")
        world.gold(f"hush now {number}", "test")
        world.annotate(world.utterance(f"hush please {number}"))
    world.annotate(world.utterance("rain rejected"), "reject")
    world.utterance("play unreviewed")


@pytest.fixture
def world(session: Session) -> World:
    return World(session)


@pytest.fixture
def transaction(connection: Connection) -> TransactionMaker:
    """Commits that the test's outer transaction takes back, with the small world in it. One thread only."""

    @contextmanager
    def transaction() -> Iterator[Session]:
        with (
            Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    with transaction() as session:
        fill(World(session))
    return transaction


@pytest.fixture
def committing(clean_database_url: str) -> Iterator[TransactionMaker]:
    """Real commits, from any thread, in a database of the test's own."""
    engine = make_engine(clean_database_url)
    transaction = transaction_maker(engine)
    with transaction() as session:
        fill(World(session))
    yield transaction
    engine.dispose()


@pytest.fixture
def trainer() -> LookupTrainer:
    return LookupTrainer()


@pytest.fixture
def context(transaction: TransactionMaker, trainer: LookupTrainer, tmp_path: Path) -> Context:
    return Context(transaction, workshop(tmp_path / "models", trainer))


@pytest.fixture
def committing_context(committing: TransactionMaker, trainer: LookupTrainer, tmp_path: Path) -> Context:
    return Context(committing, workshop(tmp_path / "models", trainer))
