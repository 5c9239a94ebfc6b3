"""What a person may choose on the screen of a queue."""

from __future__ import annotations

import logging

import pytest
from sqlalchemy import Connection, event, func, select, update
from sqlalchemy.orm import Session

from db.models import QueueTask, UtteranceRow
from db.session import TransactionMaker
from plugin.services import queues
from tests import factories
from tests.fakes.label_studio import FakeLabelStudio
from tests.integration.queues.conftest import INSTANCE, music, planned, publish_all, refresh

pytestmark = pytest.mark.usefixtures("pool")


def task_count(session: Session) -> int:
    return session.scalar(select(func.count()).select_from(QueueTask)) or 0


@pytest.mark.parametrize("domain", ["music, video", "$music"])
def test_a_pool_row_with_a_domain_that_cannot_be_shown_harms_no_queue(
    session: Session, transaction: TransactionMaker, domain: str
) -> None:
    factories.utterances(session, 1, external_id="odd", domain=domain, intent="play")
    server = FakeLabelStudio()
    refresh(transaction, 1)
    publish_all(transaction, server)
    assert task_count(session) == 30
    assert domain not in queues.label_set(session, "en-US").intents


@pytest.mark.parametrize("column", ["intent", "slots"])
def test_selected_utterances_whose_label_cannot_be_shown_are_left_out_and_counted(
    session: Session, transaction: TransactionMaker, caplog: pytest.LogCaptureFixture, column: str
) -> None:
    refresh(transaction, 1)
    odd, other, *rest = planned(session, "music")
    value: object = "$play" if column == "intent" else [[0, 3, "$play"]]
    session.execute(update(UtteranceRow).where(UtteranceRow.id.in_([odd, other])).values({column: value}))
    with caplog.at_level(logging.WARNING, logger="plugin.services.queues"):
        publish_all(transaction, FakeLabelStudio())
    found = session.scalars(select(QueueTask.utterance_id).where(QueueTask.queue_id == music(session).id))
    assert set(found) == set(rest)
    assert (
        f"{column.rstrip('s')} '$play' of en-US: Label Studio cannot show it; 2 utterances are left out" in caplog.text
    )


def test_a_domain_that_cannot_be_shown_gets_no_project(session: Session, transaction: TransactionMaker) -> None:
    refresh(transaction, 1)
    session.execute(update(UtteranceRow).where(UtteranceRow.domain == "music").values(domain="$music"))
    server = FakeLabelStudio()
    publish_all(transaction, server)
    assert len(server.projects) == 2
    assert music(session).project_id is None
    assert queues.dirty(session, INSTANCE) == []


@pytest.mark.parametrize("label", ["क्\u200dष", "می\u200cخواهم"], ids=["joiner", "non-joiner"])
def test_names_may_hold_the_joiners_that_their_script_needs(
    session: Session, transaction: TransactionMaker, label: str
) -> None:
    refresh(transaction, 1)
    first, *_ = planned(session, "music")
    session.execute(update(UtteranceRow).where(UtteranceRow.id == first).values(slots=[[0, 3, label]]))
    server = FakeLabelStudio()
    publish_all(transaction, server)
    assert task_count(session) == 30
    assert label in server.project(music(session).project_id or 0).settings["label_config"]


def test_the_labels_of_a_locale_are_read_once_a_round(connection: Connection, transaction: TransactionMaker) -> None:
    """They are spread over the whole pool."""
    refresh(transaction, 1)
    statements: list[str] = []
    event.listen(connection, "before_cursor_execute", lambda *args: statements.append(args[2]))
    assert len(publish_all(transaction, FakeLabelStudio())) == 3
    assert len([statement for statement in statements if "jsonb_array_elements(utterances" in statement]) == 1
