"""Checks of Label Studio itself: is it there, does it let us in, is it one that keeps an order."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from db.repositories import polls
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.queues import BY_IMPORT
from plugin.services.doctor.findings import Finding
from plugin.services.doctor.parts import spell
from plugin.services.doctor.patient import DATABASE, LABEL_STUDIO, SCHEMA, Patient, check
from plugin.settings import SettingsError

# The contract tests have passed against these, and `make test` runs them against the newest. (1.22.0 refuses webhooks
# to no address: those tests alone ask for 1.23.1.)
OLDEST_TESTED, NEWEST_TESTED = "1.22.0", "1.23.2"
UNAUTHORISED = frozenset({401, 403})
SQLITE = "django.db.backends.sqlite3"
TOLERATED_SKEW = timedelta(seconds=30)
EXPIRES_SOON = timedelta(days=14)


@check("Label Studio", gives=LABEL_STUDIO, fatal=["label-studio-unreachable", "token-dead"])
def connection(patient: Patient) -> Iterator[Finding]:
    try:
        client = patient.label_studio
        client.version()
        client.whoami()
    except SettingsError as error:
        yield Finding("label-studio-unreachable", str(error))
    except LabelStudioError as error:
        yield _no_entry(patient, error)
    else:
        yield from _token(patient.token or "", datetime.now(UTC))


def _no_entry(patient: Patient, error: LabelStudioError) -> Finding:
    if error.status not in UNAUTHORISED:
        return Finding("label-studio-unreachable", f"{patient.url} does not serve us: {error}.")
    of_what_kind = "access token" if _expiry(patient.token or "") else "legacy token"
    return Finding("token-dead", f"Label Studio refuses our {of_what_kind} (status {error.status}).")


def _token(token: str, now: datetime) -> Iterator[Finding]:
    expiry = _expiry(token)
    if expiry is None:
        yield Finding("token-legacy", "ASSAY_LABEL_STUDIO_TOKEN is a legacy token, not a personal access token.")
    elif expiry - now < EXPIRES_SOON:
        yield Finding("token-expires", f"The access token expires on {expiry:%Y-%m-%d}.")


def _expiry(token: str) -> datetime | None:
    """When a personal access token (a JWT) expires; None for what is none."""
    parts = token.split(".")
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
        return datetime.fromtimestamp(float(claims["exp"]), UTC)
    except (IndexError, KeyError, TypeError, ValueError, OverflowError, OSError, binascii.Error):
        return None


@check("version", LABEL_STUDIO)
def version(patient: Patient) -> Iterator[Finding]:
    found = patient.label_studio.version()
    if not _number(OLDEST_TESTED) <= _number(found) <= _number(NEWEST_TESTED):
        tested = NEWEST_TESTED if OLDEST_TESTED == NEWEST_TESTED else f"{OLDEST_TESTED} to {NEWEST_TESTED}"
        yield Finding("version-untested", f"This is Label Studio {found}; tested is {tested}.")


def _number(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:3])


@check("Label Studio's settings", LABEL_STUDIO)
def settings(patient: Patient) -> Iterator[Finding]:
    """They are told to a superuser only."""
    facts = patient.label_studio.server_facts()
    if facts.engine == SQLITE:
        yield Finding("label-studio-on-sqlite", "Label Studio says that it keeps its tasks in SQLite.")
    if facts.lock_ttl_s is not None and facts.lock_ttl_s > patient.lock_ttl_s:
        theirs, ours = timedelta(seconds=facts.lock_ttl_s), timedelta(seconds=patient.lock_ttl_s)
        yield Finding("locks-outlive-ours", f"Its locks last {spell(theirs)}; Assay takes them to last {spell(ours)}.")


@check("clocks", LABEL_STUDIO, DATABASE)
def clocks(patient: Patient) -> Iterator[Finding]:
    with patient.transaction()() as session:
        before = polls.clock(session)
    here = datetime.now(UTC)
    theirs = patient.label_studio.clock()
    with patient.transaction()() as session:
        after = polls.clock(session)
    for whose, clock in (("Label Studio's", theirs), ("This host's", here)):
        if clock is None or before - TOLERATED_SKEW <= clock <= after + TOLERATED_SKEW:
            continue
        ahead = clock > after
        skew = clock - after if ahead else before - clock
        yield Finding(
            "clock-skew", f"{whose} clock is {spell(skew)} {'ahead of' if ahead else 'behind'} the database's."
        )


@check("serving order", LABEL_STUDIO, SCHEMA)
def serving(patient: Patient) -> Iterator[Finding]:
    trial = patient.tried
    if trial.on_sqlite and patient.label_studio.server_facts().engine is None:
        yield Finding("label-studio-on-sqlite", "Label Studio sorts numbers in columns of tasks as SQLite does.")
    if trial.sampling != BY_IMPORT:
        return
    problems = "; ".join(trial.problems)
    if trial.serves_as_imported:
        yield Finding("serving-fallback", f"Queues are served as they were imported, because {problems}.")
    else:
        yield Finding("order-not-kept", f"This Label Studio serves in no order of ours: {problems}.")
