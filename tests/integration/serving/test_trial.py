"""Does this Label Studio keep an order? The trial says yes to the real one, and no where it does not."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime

import pytest
from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import ServingTrial
from db.session import TransactionMaker
from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.queues import BY_IMPORT, BY_SCORE
from plugin.services.serving import DOMAIN, LOCALE, MARKER, known_or_tried, try_serving
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.surroundings import SQLITE
from tests.servers import LabelStudioServer

TITLE = f"Assay · {LOCALE} · {DOMAIN}"


@pytest.fixture
def transaction(session: Session) -> TransactionMaker:
    @contextmanager
    def make() -> Iterator[Session]:
        with session.begin_nested():
            yield session

    return make


@pytest.fixture
def real(label_studio_server: LabelStudioServer) -> Iterator[SdkLabelStudio]:
    client = SdkLabelStudio(label_studio_server.url, label_studio_server.token, timeout_s=60)
    yield client
    client.close()


@pytest.mark.label_studio
def test_the_real_one_keeps_every_promise_and_is_left_as_it_was(real: SdkLabelStudio) -> None:
    trial = try_serving(real, real.version())
    assert (trial.sampling, trial.problems, trial.on_sqlite) == (BY_SCORE, (), False)
    assert real.find_project(TITLE, MARKER) is None


def test_the_fake_keeps_them_too() -> None:
    server = FakeLabelStudio()
    trial = try_serving(server.client(), "1.23.2")
    assert (trial.sampling, trial.problems, trial.on_sqlite) == (BY_SCORE, (), False)
    assert server.projects == {}


def test_where_scores_are_ignored_tasks_are_served_as_imported() -> None:
    server = FakeLabelStudio()
    server.ignores_scores = True
    trial = try_serving(server.client(), "9.0.0")
    assert trial.sampling == BY_IMPORT
    assert "a change of the model version does not order the queue anew" in trial.problems
    assert not any("import" in problem for problem in trial.problems)
    assert server.projects == {}


def test_sqlite_is_told_by_the_way_it_sorts() -> None:
    server = FakeLabelStudio()
    server.engine = SQLITE
    assert try_serving(server.client("annotator@example.org"), "1.23.2").on_sqlite


def test_what_a_killed_trial_left_is_removed() -> None:
    server = FakeLabelStudio()
    stranger = server.client().create_project({"title": "Somebody else's", "label_config": "<View/>"})
    left = server.client().create_project({"title": TITLE, "label_config": f'<View idAttr="{MARKER}"/>'})
    try_serving(server.client(), "1.23.2")
    assert set(server.projects) == {stranger}
    assert left not in server.projects


def test_a_version_is_tried_once(session: Session, transaction: TransactionMaker) -> None:
    server = FakeLabelStudio()
    first = known_or_tried(transaction, server.client(), "main", "1.23.2")
    server.ignores_scores = True
    assert known_or_tried(transaction, server.client(), "main", "1.23.2") == first
    newer = known_or_tried(transaction, server.client(), "main", "1.24.0")
    assert newer.sampling == BY_IMPORT
    assert known_or_tried(transaction, server.client(), "other", "1.23.2").sampling == BY_IMPORT
    rows = session.scalars(select(ServingTrial).order_by(ServingTrial.instance, ServingTrial.version)).all()
    assert [(row.instance, row.version, row.sampling) for row in rows] == [
        ("main", "1.23.2", BY_SCORE),
        ("main", "1.24.0", BY_IMPORT),
        ("other", "1.23.2", BY_IMPORT),
    ]
    assert all(row.tried_at <= datetime.now(UTC) for row in rows)


def test_a_failed_trial_is_cleaned_up_and_not_remembered(
    session: Session, transaction: TransactionMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = FakeLabelStudio()
    client = server.client()

    def fail(*_: object) -> None:
        raise RuntimeError("killed")

    monkeypatch.setattr(client, "set_order", fail)
    with pytest.raises(RuntimeError):
        known_or_tried(transaction, client, "main", "1.23.2")
    assert server.projects == {}
    assert session.scalars(select(ServingTrial)).all() == []
