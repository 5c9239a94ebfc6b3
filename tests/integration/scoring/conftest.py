from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, func, select
from sqlalchemy.orm import Session

from db.models import Score
from db.session import TransactionMaker, make_engine, transaction_maker
from plugin.settings import Settings
from tasks import scoring as celery_tasks
from tests.fakes.scorer import FakeScorer

EVERYTHING = (0, 2**62)


@dataclass
class FakeWiring:
    """Messages are kept instead of sent."""

    transaction: TransactionMaker
    settings: Settings = field(default_factory=Settings)
    sent: list[tuple[Any, ...]] = field(default_factory=list)

    def send(self, name: str, *args: Any) -> bool:
        self.sent.append((name, *args))
        return True


@dataclass
class Scorers:
    """What `load_scorer` finds at a model version's URI: a fake, unless a test puts another there."""

    usual: FakeScorer = field(default_factory=FakeScorer)
    at: dict[str, Callable[[], FakeScorer]] = field(default_factory=dict)

    def __call__(self, folder: Path, sha256: str) -> FakeScorer:
        return self.at.get(str(folder), lambda: self.usual)()


@pytest.fixture
def committing_engine(clean_database_url: str) -> Iterator[Engine]:
    engine = make_engine(clean_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def committing(committing_engine: Engine) -> TransactionMaker:
    """Real commits, from any thread, in a database of the test's own."""
    return transaction_maker(committing_engine)


@pytest.fixture
def transaction(connection: Connection) -> TransactionMaker:
    """Commits that the test's outer transaction takes back."""

    @contextmanager
    def transaction() -> Iterator[Session]:
        with (
            Session(connection, join_transaction_mode="create_savepoint", expire_on_commit=False) as session,
            session.begin(),
        ):
            yield session

    return transaction


@pytest.fixture
def scorers(monkeypatch: pytest.MonkeyPatch) -> Scorers:
    scorers = Scorers()
    monkeypatch.setattr(celery_tasks, "load_scorer", scorers)
    return scorers


@pytest.fixture
def wiring(transaction: TransactionMaker, scorers: Scorers, monkeypatch: pytest.MonkeyPatch) -> FakeWiring:
    wiring = FakeWiring(transaction)
    monkeypatch.setattr(celery_tasks, "get_wiring", lambda: wiring)
    return wiring


@pytest.fixture
def batches_of_two(wiring: FakeWiring) -> FakeWiring:
    wiring.settings = Settings(scoring_batch_size=2)
    return wiring


@pytest.fixture
def score_all(wiring: FakeWiring) -> Callable[[], int]:
    """Run the Celery task over everything; how many scores are new."""

    def score_all() -> int:
        before = count_scores(wiring.transaction)
        celery_tasks.score_batch(*EVERYTHING)
        return count_scores(wiring.transaction) - before

    return score_all


def count_scores(transaction: TransactionMaker) -> int:
    with transaction() as session:
        return session.scalar(select(func.count()).select_from(Score)) or 0
