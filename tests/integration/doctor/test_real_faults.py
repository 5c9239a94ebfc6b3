"""Faults that only a real Label Studio has: revoked and legacy tokens, SQLite, and an order that it does not keep."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest
from sqlalchemy import text

from db.session import make_engine
from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.queues import BY_IMPORT
from plugin.services.doctor import CHECKS, Finding, Patient, examine
from plugin.services.serving import Trial, try_serving
from plugin.stack import accounts
from plugin.stack.label_studio import LabelStudio
from plugin.stack.part import Start
from tests import servers
from tests.integration.doctor.conftest import Clinic
from tests.servers import LabelStudioServer, PostgresServer

pytestmark = [pytest.mark.label_studio, pytest.mark.full]

DAY = 86_400
DISORDER = """
    CREATE FUNCTION disorder() RETURNS trigger AS $$
    BEGIN
        INSERT INTO projects_projectmember (enabled, created_at, updated_at, project_id, user_id)
        SELECT true, now(), now(), NEW.id, id FROM htx_user ORDER BY id LIMIT 2;
        RETURN NULL;
    END $$ LANGUAGE plpgsql;
    CREATE TRIGGER disorder AFTER INSERT ON project FOR EACH ROW EXECUTE FUNCTION disorder();
"""
ORDER_AGAIN = "DROP TRIGGER IF EXISTS disorder ON project; DROP FUNCTION IF EXISTS disorder();"


@pytest.fixture
def admin(label_studio_server: LabelStudioServer) -> Iterator[httpx.Client]:
    access = accounts.access_token(label_studio_server.url, label_studio_server.token)
    with httpx.Client(base_url=label_studio_server.url, timeout=60, trust_env=False) as client:
        client.headers["Authorization"] = f"Bearer {access}"
        yield client


@contextmanager
def client_with(server: LabelStudioServer, token: str) -> Iterator[SdkLabelStudio]:
    client = SdkLabelStudio(server.url, token, timeout_s=60)
    yield client
    client.close()


def only(findings: list[Finding], name: str) -> Finding:
    assert [finding.name for finding in findings] == [name]
    return findings[0]


def test_a_revoked_token_is_dead(fake_clinic: Clinic, label_studio_server: LabelStudioServer) -> None:
    account = label_studio_server.sign_up("revoked@example.org")
    accounts.mint_token(label_studio_server.url, account.email, account.password)  # revokes the one before
    with client_with(label_studio_server, account.token) as client:
        finding = only(fake_clinic.findings(connect=lambda: client, token=account.token), "token-dead")
    assert finding.what == "Label Studio refuses our access token (status 401)."


def test_a_legacy_token_is_told_where_it_works_and_dead_where_it_does_not(
    real_clinic: Clinic, label_studio_server: LabelStudioServer, admin: httpx.Client
) -> None:
    token = admin.get("/api/current-user/token").raise_for_status().json()["token"]
    with client_with(label_studio_server, token) as client:
        dead = only(real_clinic.findings(connect=lambda: client, token=token), "token-dead")
        assert "legacy token" in dead.what
        allow_legacy_tokens(admin, allowed=True)
        try:
            only(real_clinic.findings(connect=lambda: client, token=token), "token-legacy")
        finally:
            allow_legacy_tokens(admin, allowed=False)


def allow_legacy_tokens(admin: httpx.Client, *, allowed: bool) -> None:
    settings = {"api_tokens_enabled": True, "legacy_api_tokens_enabled": allowed}
    admin.post("/api/jwt/settings", json=settings).raise_for_status()


@contextmanager
def disorder(url: str) -> Iterator[None]:
    """Every project that is made gets two membership rows: Label Studio then serves it at random."""
    engine = make_engine(url)
    with engine.begin() as connection:
        connection.execute(text(ORDER_AGAIN + DISORDER))
    try:
        yield
    finally:
        with engine.begin() as connection:
            connection.execute(text(ORDER_AGAIN))
        engine.dispose()


def test_where_the_order_is_not_kept_queues_are_served_as_imported_in_the_planned_order(
    real_clinic: Clinic, postgres_server: PostgresServer
) -> None:
    with disorder(postgres_server.url("label_studio")):
        finding = only(real_clinic.findings(), "serving-fallback")
        assert "a change of the model version does not order the queue anew" in finding.what
        assert real_clinic.wiring.sampling() == BY_IMPORT
        real_clinic.site.hands.delete_project(real_clinic.project_id)
        real_clinic.publish_one(real_clinic.queue.id)
    assert real_clinic.site.admin.get_project(real_clinic.project_id)["sampling"] == BY_IMPORT
    planned = list(real_clinic.site.admin.task_ids(real_clinic.project_id).values())
    scores = {
        state.utterance_id: min(state.scores.values())
        for state in real_clinic.site.admin.list_tasks(real_clinic.project_id)
    }
    assert planned == sorted(planned, key=lambda utterance: scores[utterance])
    served = []
    while (tasks := [person.next_task(real_clinic.project_id) for person in real_clinic.site.annotators])[
        0
    ] is not None:
        for person, task in zip(real_clinic.site.annotators, tasks, strict=True):
            if task is not None:
                served.append(task.utterance_id)
                person.submit_annotation(task.task_id, [])
    assert served == planned


@dataclass(frozen=True)
class OnSqlite(LabelStudio):
    """As `label-studio start` runs without further ado, its locks lasting a day."""

    def environment(self, database: str) -> dict[str, str]:
        return {**LabelStudio.environment(self, database), "DJANGO_DB": "sqlite", "TASK_LOCK_TTL": str(DAY)}

    def prepare(self, start: Start) -> None:
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)


@pytest.mark.timeout(1800)  # it migrates an empty database
def test_a_label_studio_on_sqlite_is_told_to_whoever_asks(
    fake_clinic: Clinic, postgres_server: PostgresServer, server_folder: Path
) -> None:
    studio = OnSqlite(
        python=servers.label_studio_python(),
        folder=server_folder / "on-sqlite",
        templates=servers.cache_folder(),
        postgres=postgres_server.postgres,
        port=servers.free_port(),
        email="admin@example.org",
        password="a-long-password",
    )
    with servers.running(replace(studio.part(), name="on-sqlite"), server_folder):
        token = accounts.mint_token(studio.url, studio.email, studio.password)
        server = LabelStudioServer(studio.url, studio.email, studio.password, token)
        person = server.sign_up("nobody@example.org")
        for who, words in ((token, "says"), (person.token, "sorts")):
            with client_with(server, who) as client:
                patient = fake_clinic.patient(connect=lambda: client, trial=lambda: trial_of(client))
                found = {finding.name: finding.what for finding in look_at_server(patient)}
            assert words in found["label-studio-on-sqlite"]
            assert ("locks-outlive-ours" in found) == (who == token)


def trial_of(client: SdkLabelStudio) -> Trial:
    return try_serving(client, client.version())


def look_at_server(patient: Patient) -> list[Finding]:
    wanted = {"database", "migrations", "Label Studio", "Label Studio's settings", "serving order"}
    return examine(patient, [check for check in CHECKS if check.name in wanted]).findings
