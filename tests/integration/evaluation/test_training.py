"""What becomes of the files of a trained model when its registration fails."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from db.models import ModelVersion
from db.repositories import models
from db.session import TransactionMaker
from plugin.services import evaluation
from plugin.services.evaluation import Context
from tests.integration.evaluation.conftest import LOCALE

NOW = datetime(2026, 11, 1, tzinfo=UTC)


class FailsOnceRegistered:
    """Commits, or not, the transaction that adds a model version, and then fails."""

    def __init__(self, transaction: TransactionMaker, error: Exception, *, committed: bool) -> None:
        self.transaction, self.error, self.committed = transaction, error, committed

    @contextmanager
    def __call__(self) -> Iterator[Session]:
        with self.transaction() as session:
            yield session
            registered = any(isinstance(row, ModelVersion) for row in session.identity_map.values())
            if registered and not self.committed:
                raise self.error
        if registered:
            raise self.error


def train(context: Context, error: Exception, *, committed: bool) -> None:
    transaction = FailsOnceRegistered(context.transaction, error, committed=committed)
    with pytest.raises(type(error)):
        evaluation.train_first(transaction, context.workshop, LOCALE, NOW)


def folders(context: Context) -> list[str]:
    return sorted(path.name for path in context.workshop.models_folder.iterdir())


def test_files_whose_registration_may_have_been_committed_stay(context: Context) -> None:
    train(context, OperationalError("", {}, Exception("the connection broke")), committed=True)
    with context.transaction() as session:
        [version] = models.versions(session)
    assert version.uri is not None
    assert Path(version.uri).is_dir()


def test_files_that_cannot_be_registered_go_again(context: Context) -> None:
    train(context, ValueError("refused"), committed=False)
    assert folders(context) == []


def test_files_that_stayed_unregistered_are_not_written_over(context: Context) -> None:
    train(context, OperationalError("", {}, Exception("a deadlock")), committed=False)
    version = evaluation.train_first(context.transaction, context.workshop, LOCALE, NOW)
    assert folders(context) == [f"{LOCALE}-0001", f"{LOCALE}-0002"]
    assert version.name == f"{LOCALE}-0002"
