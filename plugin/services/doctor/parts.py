"""Checks of our own parts: database, schema, broker, workers, beat."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from sqlalchemy.exc import SQLAlchemyError

from db.repositories import polls, sources, symptoms
from plugin.services.doctor.findings import Finding
from plugin.services.doctor.patient import BROKER, DATABASE, SCHEMA, WORDS, Patient, check
from plugin.settings import SettingsError

POLLED_LATELY = timedelta(minutes=4)
PATIENCE = timedelta(minutes=10)
WELL = frozenset({"running", "done"})


@check("database", gives=DATABASE, fatal=["database-unreachable"])
def database(patient: Patient) -> Iterator[Finding]:
    try:
        with patient.transaction()() as session:
            polls.clock(session)
    except SettingsError as error:
        yield Finding("database-unreachable", str(error))
    except SQLAlchemyError as error:
        reason = next(iter(str(getattr(error, "orig", None) or type(error).__name__).splitlines()))
        yield Finding("database-unreachable", f"The database does not answer: {reason}")


@check("migrations", DATABASE, gives=SCHEMA, fatal=["migrations-behind"])
def migrations(patient: Patient) -> Iterator[Finding]:
    there, ours = patient.revisions()
    if there != ours:
        found = "empty" if there is None else f"at revision {there}"
        yield Finding("migrations-behind", f"The database is {found}, and the code at revision {ours}.")


@check("broker", gives=BROKER, fatal=["broker-down"])
def broker(patient: Patient) -> Iterator[Finding]:
    try:
        assert patient.workers is not None
    except SettingsError as error:
        yield Finding("broker-down", str(error))
    except OSError as error:  # kombu's OperationalError is none, but its connections' errors are
        yield Finding("broker-down", f"The broker does not answer ({type(error).__name__}).")


@check("parts of the stack")
def stack(patient: Patient) -> Iterator[Finding]:
    for name, state in patient.parts:
        if state not in WELL:
            yield Finding("part-not-running", f"{name} is {state}.")


@check("workers", BROKER)
def workers(patient: Patient) -> Iterator[Finding]:
    for word in WORDS:
        if not patient.workers.get(word):
            yield Finding("queue-without-consumer", f"No worker consumes the Celery queue {word!r}.")


@check("beat", SCHEMA, BROKER)
def beat(patient: Patient) -> Iterator[Finding]:
    """Beat cannot be asked, but what it asks for is seen: queues are polled every minute."""
    if not patient.workers.get("ingest"):
        return
    with patient.transaction()() as session:
        last, now = symptoms.last_poll(session, patient.instance), polls.clock(session)
    if last is not None and now - last > POLLED_LATELY:
        yield Finding("beat-silent", f"No queue of Label Studio has been polled for {spell(now - last)}.")


@check("what waits", SCHEMA)
def waiting(patient: Patient) -> Iterator[Finding]:
    with patient.transaction()() as session:
        queues = symptoms.waiting_queues(session, patient.instance, PATIENCE)
        oldest, now = symptoms.oldest_event(session), polls.clock(session)
    if queues:
        names = ", ".join(f"{queue.locale} {queue.domain}" for queue in queues)
        yield Finding("queues-wait", f"Chosen more than {spell(PATIENCE)} ago and not published: {names}.")
    if waits_too_long(oldest, now):
        yield Finding("webhooks-wait", f"A webhook has waited for {spell(now - (oldest or now))} to be handled.")


@check("sources", SCHEMA)
def attached(patient: Patient) -> Iterator[Finding]:
    with patient.transaction()() as session:
        rows = sources.attached(session, patient.instance)
    for row in rows:
        if row.error:
            yield Finding(
                "source-fails", f"The source {row.name!r}, project {row.project_id}, is not read: {row.error}"
            )


def waits_too_long(oldest: datetime | None, now: datetime) -> bool:
    return oldest is not None and now - oldest > PATIENCE


def spell(duration: timedelta) -> str:
    seconds = round(abs(duration.total_seconds()))
    if seconds < 120:
        return f"{seconds} seconds"
    return f"{round(seconds / 60)} minutes" if seconds < 7200 else f"{round(seconds / 3600)} hours"
