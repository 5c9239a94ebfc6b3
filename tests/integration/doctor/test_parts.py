"""Faults of our own parts: database, schema, broker, workers, beat. They need no Label Studio."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import text, update

from db.migrate import head_revision
from db.models import Queue, SelectionRow
from db.repositories import sources, webhook_events
from db.session import make_engine
from plugin.services.doctor.patient import WORDS
from plugin.settings import Settings, SettingsError
from plugin.wiring import Wiring
from tests import servers
from tests.integration.doctor.conftest import Clinic
from tests.integration.doctor.test_label_studio import only

NEED_SCHEMA = {"beat", "what waits", "serving order", "arrival of webhooks", "queues", "order of reviews", "sources"}


def long_ago() -> datetime:
    return datetime.now(UTC) - timedelta(hours=1)


def wiring_with(**settings: object) -> Wiring:
    return Wiring(Settings(**settings))  # type: ignore[arg-type]


def test_a_dead_database_is_told_without_its_password_and_the_rest_is_checked(fake_clinic: Clinic) -> None:
    dead = wiring_with(database_url=SecretStr("postgresql://assay:pass-word@127.0.0.1:9/assay"))
    report = fake_clinic.report(transaction=lambda: dead.transaction)
    finding = only(report.findings, "database-unreachable")
    assert "Connection refused" in finding.what
    assert "pass-word" not in str(report.to_json())
    assert set(report.left_out) == {"migrations", "clocks", *NEED_SCHEMA}
    assert {"broker", "workers", "Label Studio", "version", "address of webhooks"} <= set(report.done)
    dead.close()


def test_no_database_at_all_is_told(fake_clinic: Clinic) -> None:
    def transaction() -> object:
        raise SettingsError("ASSAY_DATABASE_URL is not set")

    assert only(fake_clinic.findings(transaction=transaction), "database-unreachable").what.startswith("ASSAY_DATABASE")


def test_an_empty_database_and_an_older_schema_are_told(fake_clinic: Clinic) -> None:
    head = head_revision()
    for there, words in ((None, "empty"), ("0000", "at revision 0000")):
        report = fake_clinic.report(revisions=lambda there=there: (there, head))
        finding = only(report.findings, "migrations-behind")
        assert finding.what == f"The database is {words}, and the code at revision {head}."
        assert set(report.left_out) == NEED_SCHEMA


def test_the_revision_is_that_of_the_database(empty_database_url: str, clean_database_url: str) -> None:
    from plugin.cli.doctor import revisions

    head = head_revision()
    assert revisions(Settings(database_url=SecretStr(empty_database_url))) == (None, head)
    assert revisions(Settings(database_url=SecretStr(clean_database_url))) == (head, head)
    engine = make_engine(clean_database_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'older'"))
    engine.dispose()
    assert revisions(Settings(database_url=SecretStr(clean_database_url))) == ("older", head)


def test_a_dead_broker_is_told_without_its_password(fake_clinic: Clinic) -> None:
    dead = wiring_with(broker_url=SecretStr("redis://:pass-word@127.0.0.1:9/0"))
    report = fake_clinic.report(consumers=dead.consumers)
    finding = only(report.findings, "broker-down")
    assert "pass-word" not in str(report.to_json())
    assert finding.what == "The broker does not answer (ConnectionError)."
    assert set(report.left_out) == {"workers", "beat"}
    dead.close()


def test_no_broker_at_all_is_told(fake_clinic: Clinic) -> None:
    assert only(fake_clinic.findings(consumers=wiring_with().consumers), "broker-down").what.startswith("ASSAY_BROKER")


def test_a_broker_without_workers_is_told_queue_by_queue(fake_clinic: Clinic, redis_url: str) -> None:
    wiring = wiring_with(broker_url=SecretStr(redis_url))
    findings = fake_clinic.findings(consumers=wiring.consumers)
    assert [finding.name for finding in findings] == ["queue-without-consumer"] * len(WORDS)
    assert [finding.what.split("'")[1] for finding in findings] == list(WORDS)
    wiring.close()


def test_a_worker_that_consumes_two_queues_leaves_two_without(
    fake_clinic: Clinic, redis_url: str, pool_url: str, tmp_path: object
) -> None:
    variables = {"ASSAY_BROKER_URL": redis_url, "ASSAY_DATABASE_URL": pool_url, "PYTHONPATH": str(servers.CHECKOUT)}
    command = [
        sys.executable,
        "-m",
        "celery",
        "-A",
        "tasks",
        "worker",
        "-Q",
        "ingest,selection",
        "-c",
        "1",
        "-n",
        "a@b",
    ]
    worker = subprocess.Popen(
        command,
        env={**os.environ, **variables},
        cwd=str(tmp_path),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    wiring = wiring_with(broker_url=SecretStr(redis_url))
    try:
        deadline = time.monotonic() + 90
        while "ingest" not in wiring.consumers():
            assert time.monotonic() < deadline, "the worker never came up"
        found = wiring.consumers()
        assert found == {"ingest": ["a@b"], "selection": ["a@b"]}
        findings = fake_clinic.findings(consumers=wiring.consumers)
        assert [finding.what.split("'")[1] for finding in findings] == ["scoring", "evaluation"]
    finally:
        worker.terminate()
        worker.wait(30)
        wiring.close()


def test_queues_that_nobody_polls_tell_that_beat_is_silent(fake_clinic: Clinic) -> None:
    with fake_clinic.wiring.transaction() as session:
        session.execute(update(Queue).values(polled_at=long_ago(), published_at=long_ago()))
    finding = only(fake_clinic.findings(), "beat-silent")
    assert finding.what == "No queue of Label Studio has been polled for 60 minutes."
    assert fake_clinic.names(consumers=dict) == ["queue-without-consumer"] * len(WORDS)


def test_a_round_that_nobody_publishes_is_told(fake_clinic: Clinic) -> None:
    with fake_clinic.wiring.transaction() as session:
        session.execute(update(Queue).where(Queue.id == fake_clinic.queue.id).values(dirty=True))
    assert fake_clinic.names() == []  # its round is new
    with fake_clinic.wiring.transaction() as session:
        session.execute(update(SelectionRow).values(created_at=long_ago()))
    finding = only(fake_clinic.findings(), "queues-wait")
    assert fake_clinic.queue.domain in finding.what


def test_a_webhook_that_nobody_handles_is_told(fake_clinic: Clinic) -> None:
    with fake_clinic.wiring.transaction() as session:
        event_id = webhook_events.receive(session, "doctor", "ANNOTATION_CREATED", {"project_id": 4711})
        session.execute(
            text("UPDATE webhook_events SET received_at = now() - interval '1 hour' WHERE id = :id"), {"id": event_id}
        )
    finding = only(fake_clinic.findings(), "webhooks-wait")
    assert "60 minutes" in finding.what
    with fake_clinic.wiring.transaction() as session:
        webhook_events.mark_handled(session, event_id or 0)
    assert fake_clinic.names() == []


def test_a_source_that_cannot_be_read_is_told(fake_clinic: Clinic) -> None:
    with fake_clinic.wiring.transaction() as session:
        values = {"title": "Tickets", "name": "tickets", "mapping": {}, "write_back": "none"}
        source = sources.attach(session, fake_clinic.wiring.instance, 4711, values)
    assert fake_clinic.names() == []
    with fake_clinic.wiring.transaction() as session:
        sources.change(session, source.id, error="the project 4711 is no longer in Label Studio")
    finding = only(fake_clinic.findings(), "source-fails")
    assert finding.what == (
        "The source 'tickets', project 4711, is not read: the project 4711 is no longer in Label Studio"
    )


def test_a_part_of_the_stack_that_does_not_run_is_told(fake_clinic: Clinic) -> None:
    states = [("postgres", "running"), ("migrations", "done"), ("beat", "failed"), ("web", "orphaned")]
    found = fake_clinic.findings(parts=states)
    assert [(finding.name, finding.what) for finding in found] == [
        ("part-not-running", "beat is failed."),
        ("part-not-running", "web is orphaned."),
    ]


@pytest.mark.parametrize("dead", ["everything"])
def test_where_nothing_is_there_nothing_crashes(fake_clinic: Clinic, dead: str) -> None:
    def fail() -> object:
        raise SettingsError(f"{dead} is not set")

    report = fake_clinic.report(transaction=fail, consumers=fail, connect=fail)
    names = ["database-unreachable", "broker-down", "label-studio-unreachable"]
    assert [finding.name for finding in report.findings] == names
    assert report.done == ["database", "broker", "parts of the stack", "Label Studio"]
