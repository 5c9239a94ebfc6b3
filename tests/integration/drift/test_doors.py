"""Where alarms are seen: Celery tasks, commands, the status."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy.orm import Session

from db.session import TransactionMaker
from plugin import wiring as wiring_module
from plugin.cli import alarms as cli
from plugin.cli.errors import CliError
from plugin.services import drift
from plugin.services.status import status
from plugin.settings import Settings
from plugin.wiring import Wiring
from tasks import evaluation as celery_tasks
from tests.integration.drift.conftest import NOW, SECRET, Inbox, World


@dataclass(frozen=True)
class OneTransaction(Wiring):
    """With the database of the test, and messages kept instead of sent."""

    session: Session | None = None
    sent: list[tuple[Any, ...]] = field(default_factory=list)

    @property
    def transaction(self) -> TransactionMaker:
        session = self.session
        assert session is not None

        @contextmanager
        def make() -> Iterator[Session]:
            with session.begin_nested():
                yield session
            session.expire_all()

        return make

    @property
    def engine(self) -> Any:
        return None

    def send(self, name: str, *args: Any) -> bool:
        self.sent.append((name, *args))
        return True


@pytest.fixture
def wiring(session: Session, inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> OneTransaction:
    @contextmanager
    def held(*_: Any, **__: Any) -> Iterator[bool]:
        yield True

    monkeypatch.setattr(wiring_module, "advisory_lock", held)
    settings = Settings(
        alarm_webhook_url=SecretStr(inbox.url),
        alarm_webhook_secret=SecretStr(SECRET),
        drift_fewest=200,
        drift_fewest_reviews=50,
    )
    wiring = OneTransaction(settings, session=session)
    for door in (celery_tasks, cli):
        monkeypatch.setattr(door, "get_wiring", lambda: wiring)
    return wiring


@pytest.fixture
def moved(world: World) -> World:
    """Something has changed in the week that ends now."""
    now = datetime.now(UTC)
    world.arrive(800, NOW - (now - timedelta(days=20)))
    world.arrive(300, NOW - (now - timedelta(days=3)), moved=0.5)
    return world


@pytest.mark.usefixtures("moved")
def test_the_sweep_finds_due_locales_and_a_look_raises_and_sends(wiring: OneTransaction, inbox: Inbox) -> None:
    celery_tasks.watch()
    assert wiring.sent == [("evaluation.look", "en-US")]
    for _ in range(2):
        celery_tasks.look("en-US")
    [message] = inbox.messages
    assert (message["type"], message["data"]["kind"]) == ("alarm.raised", "scores")
    celery_tasks.watch()
    assert len(wiring.sent) == 1  # looked at just now
    assert len(inbox.messages) == 1


@pytest.mark.usefixtures("moved")
def test_the_sweep_sends_what_a_look_could_not(wiring: OneTransaction, inbox: Inbox, session: Session) -> None:
    drift.look(wiring.transaction, "en-US", datetime.now(UTC), wiring.limits)
    celery_tasks.watch()
    assert len(inbox.messages) == 1
    assert drift.list_alarms(session)[0]["raised_sent_at"] is not None


@pytest.mark.usefixtures("moved")
def test_without_a_receiver_or_a_pause_nothing_is_sent_or_looked_at(wiring: OneTransaction, inbox: Inbox) -> None:
    quiet = OneTransaction(Settings(watch_seconds=0.0), session=wiring.session)
    assert quiet.send_alarms() == 0
    wiring.settings.watch_seconds = 0.0
    celery_tasks.watch()
    assert wiring.sent == []
    assert inbox.messages == []


@pytest.mark.usefixtures("moved")
def test_commands_show_alarms_and_looks(wiring: OneTransaction, capsys: pytest.CaptureFixture[str]) -> None:
    cli.show_alarms()
    assert "no locale has been looked at" in capsys.readouterr().out
    cli.watch(as_json=True)
    [look] = json.loads(capsys.readouterr().out)["looks"]
    assert (look["locale"], len(look["raised"])) == ("en-US", 1)
    cli.watch("en-US")
    told = " ".join(capsys.readouterr().out.split())
    assert "scores * alarm" in told
    assert "it takes 50" in told
    cli.show_alarms("en-US")
    told = " ".join(capsys.readouterr().out.split())
    assert "scores en-US *" in told
    assert "en-US was last looked at on" in told
    cli.show_alarms(as_json=True)
    shown = json.loads(capsys.readouterr().out)
    assert [row["kind"] for row in shown["alarms"]] == ["scores"]
    cli.show_alarms("sw-KE", as_json=True)
    assert json.loads(capsys.readouterr().out)["alarms"] == []
    with pytest.raises(CliError, match="no model is promoted for sw-KE"):
        cli.watch("sw-KE")
    assert wiring.sent == []


@pytest.mark.usefixtures("moved")
def test_the_status_names_open_alarms(wiring: OneTransaction, session: Session) -> None:
    assert status(session, datetime.now(UTC))["alarms"] == []
    wiring.look_for_drift("en-US")
    [alarm] = status(session, datetime.now(UTC))["alarms"]
    assert alarm["kind"] == "scores"
    assert cli.alarm_said(alarm).startswith(f"{alarm['id']} (en-US), since 20")
