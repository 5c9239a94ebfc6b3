"""Alarms on their way out, to a receiver that checks signatures with the standard's own library."""

from __future__ import annotations

import logging
from datetime import timedelta

import pytest
from sqlalchemy.orm import Session

from db.models import Alarm
from db.repositories import alarms
from db.session import TransactionMaker
from plugin.services.drift import Receiver, send_due, sending
from tests.integration.drift.conftest import NOW, SECRET, Inbox

MINUTE = timedelta(minutes=1)


@pytest.fixture
def receiver(inbox: Inbox) -> Receiver:
    return Receiver(inbox.url, SECRET)


def raised(session: Session, domain: str = "*") -> Alarm:
    alarm, _ = alarms.raise_or_see(
        session,
        "scores",
        "en-US",
        domain,
        value=0.3,
        threshold=0.2,
        sentence="it has moved",
        details={"ks": 0.2},
        at=NOW,
    )
    return alarm


def read(session: Session, alarm: Alarm) -> Alarm:
    session.refresh(alarm)
    return alarm


def test_an_alarm_and_its_end_are_each_sent_once_signed(
    session: Session, transaction: TransactionMaker, inbox: Inbox, receiver: Receiver
) -> None:
    alarm = raised(session)
    assert send_due(transaction, receiver, NOW) == 1
    assert send_due(transaction, receiver, NOW + MINUTE) == 0
    assert read(session, alarm).raised_sent_at is not None
    alarms.resolve(session, "scores", "en-US", "*", NOW + MINUTE)
    assert [send_due(transaction, receiver, NOW + MINUTE) for _ in range(2)] == [1, 0]
    assert inbox.forged == 0
    assert inbox.ids == [f"assay-alarm-{alarm.id}-raised", f"assay-alarm-{alarm.id}-resolved"]
    first, last = inbox.messages
    assert (first["type"], last["type"]) == ("alarm.raised", "alarm.resolved")
    assert first["timestamp"].startswith("2026-03-01T00:00:00")
    assert first["data"] == {
        "id": alarm.id, "kind": "scores", "locale": "en-US", "domain": "*", "value": 0.3, "threshold": 0.2,
        "sentence": "it has moved", "details": {"ks": 0.2}, "raised_at": first["timestamp"], "resolved_at": None,
        "run_id": None,
    }  # fmt: skip


def test_what_is_not_taken_is_sent_again_later_and_later_under_the_same_id(
    session: Session, transaction: TransactionMaker, inbox: Inbox, receiver: Receiver
) -> None:
    alarm = raised(session)
    inbox.answers = [500, 302]
    assert send_due(transaction, receiver, NOW) == 0
    assert (read(session, alarm).send_problem, alarm.tries) == ("HTTP 500", 1)
    assert send_due(transaction, receiver, NOW + MINUTE / 2) == 0  # not yet
    assert send_due(transaction, receiver, NOW + MINUTE) == 0
    assert read(session, alarm).send_problem == "HTTP 302"  # a redirect is not followed
    assert send_due(transaction, receiver, NOW + 2 * MINUTE) == 0  # the pause has doubled
    assert send_due(transaction, receiver, NOW + 3 * MINUTE) == 1
    assert inbox.ids == [f"assay-alarm-{alarm.id}-raised"] * 3
    assert (read(session, alarm).send_problem, alarm.tries) == (None, 0)


def test_who_dies_after_posting_posts_it_again(
    session: Session, transaction: TransactionMaker, inbox: Inbox, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm = raised(session)
    with monkeypatch.context() as patch:
        patch.setattr(alarms, "set_sent", lambda *_, **__: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            send_due(transaction, receiver, NOW)
    assert read(session, alarm).raised_sent_at is None
    assert send_due(transaction, receiver, NOW + MINUTE) == 1
    assert inbox.ids == [f"assay-alarm-{alarm.id}-raised"] * 2


def test_who_is_gone_is_left_alone_and_so_is_who_never_answers(
    session: Session, transaction: TransactionMaker, inbox: Inbox, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    gone = raised(session)
    inbox.answers = [410]
    with caplog.at_level(logging.WARNING):
        assert send_due(transaction, receiver, NOW) == 0
    assert read(session, gone).tries == sending.MOST_TRIES
    assert send_due(transaction, receiver, NOW + timedelta(days=9)) == 0
    assert len(inbox.ids) == 1
    silent = raised(session, "music")
    nowhere = Receiver("http://127.0.0.1:1/alarms?key=hunter2", SECRET)
    with caplog.at_level(logging.WARNING):
        for day in range(30):
            send_due(transaction, nowhere, NOW + timedelta(days=day))
    assert (read(session, silent).tries, silent.send_problem) == (sending.MOST_TRIES, "ConnectError")
    assert caplog.records[-1].levelno == logging.ERROR
    assert caplog.records[-1].message.endswith("and is not sent again: ConnectError")


def test_no_secret_is_logged_stored_or_shown(
    session: Session, transaction: TransactionMaker, inbox: Inbox, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    alarm = raised(session)
    inbox.answers = [500]
    with caplog.at_level(logging.DEBUG):
        send_due(transaction, receiver, NOW)
        send_due(transaction, Receiver("http://127.0.0.1:1/?key=hunter2", SECRET), NOW + MINUTE)
    ours = " ".join(record.getMessage() for record in caplog.records if record.name.startswith("plugin"))
    shown = f"{ours} {receiver!r} {read(session, alarm).send_problem}"
    assert "hunter2" not in shown
    assert SECRET.removeprefix("whsec_") not in caplog.text + shown


def test_the_end_of_what_nobody_heard_of_is_not_sent(
    session: Session, transaction: TransactionMaker, inbox: Inbox, receiver: Receiver
) -> None:
    raised(session)
    alarms.resolve(session, "scores", "en-US", "*", NOW + MINUTE)
    assert send_due(transaction, receiver, NOW + MINUTE) == 0
    assert inbox.ids == []
