from __future__ import annotations

from collections.abc import Iterator

import pytest
from sqlalchemy import Engine

from db.session import TransactionMaker, make_engine, transaction_maker


@pytest.fixture
def committing_engine(clean_database_url: str) -> Iterator[Engine]:
    engine = make_engine(clean_database_url)
    yield engine
    engine.dispose()


@pytest.fixture
def committing(committing_engine: Engine) -> TransactionMaker:
    """Real commits, from any thread, in a database of the test's own."""
    return transaction_maker(committing_engine)
