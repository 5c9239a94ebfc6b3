"""An Assay with published queues and its Label Studio, the fake or the real one, where a fault can be caused."""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from db.models import Queue
from db.session import make_engine, transaction_maker
from plugin.cli.doctor import patient_of
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.inspection import SECRET_HEADER
from plugin.label_studio.payloads import parse_webhook
from plugin.services import policies, scoring, selection
from plugin.services.doctor import Finding, Patient, Report, examine
from plugin.services.doctor.patient import WORDS
from plugin.services.ingest import receive_webhook
from tests import factories
from tests.fakes.label_studio import FakeLabelStudio
from tests.fakes.scorer import FakeScorer
from tests.integration.ingest.conftest import Recorder
from tests.integration.label_studio.conftest import Site, real_site
from tests.label_studio_hands import FakeHands, post, serving
from tests.servers import PostgresServer

__all__ = ["real_site"]

LOCALE = "is-IS"
SECRET = "the right secret"
_numbers = itertools.count(1)


@dataclass
class Clinic:
    """`server` is the fake's own side; None where Label Studio is real."""

    site: Site
    wiring: Recorder
    server: FakeLabelStudio | None

    def patient(self, **changes: Any) -> Patient:
        well = {
            "consumers": lambda: {word: ["worker@host"] for word in WORDS},
            "publish": self.publish_one,
            "parts": (),
        }
        return replace(patient_of(self.wiring), **{**well, **changes})

    def report(self, **changes: Any) -> Report:
        return examine(self.patient(**changes))

    def findings(self, **changes: Any) -> list[Finding]:
        return self.report(**changes).findings

    def names(self, **changes: Any) -> list[str]:
        return [finding.name for finding in self.findings(**changes)]

    def publish(self) -> None:
        row, _ = selection.refresh(
            self.wiring.transaction, LOCALE, datetime.now(UTC), self.wiring.instance, seed=next(_numbers)
        )
        assert row is not None
        for queue in self.queues():
            self.publish_one(queue.id)

    def publish_one(self, queue_id: int) -> object:
        return self.wiring.publish(queue_id, wait=True)

    def queues(self) -> list[Queue]:
        with self.wiring.transaction() as session:
            query = select(Queue).where(Queue.instance == self.wiring.instance).order_by(Queue.domain)
            return list(session.scalars(query))

    @property
    def queue(self) -> Queue:
        return self.queues()[0]

    @property
    def project_id(self) -> int:
        assert self.queue.project_id is not None
        return self.queue.project_id


@pytest.fixture(scope="module")
def pool_url(postgres_server: PostgresServer, _migrated_template: str) -> Iterator[str]:
    """A database with a scored pool. Each test has an instance of its own in it."""
    name = f"assay_doctor_{next(_numbers)}"
    url = postgres_server.create(name, template=_migrated_template)
    engine = make_engine(url)
    with transaction_maker(engine)() as session:
        factories.utterances(session, 300, nlu_score=0.5, locale=LOCALE)
        factories.champion(session, LOCALE)
        [batch] = scoring.read_batches(session, 0, 2**62)
        scoring.write(session, scoring.compute(batch, FakeScorer()))
        policies.change(session, LOCALE, "*", {"budget": 90, "blind_share": 0.0}, changed_by="test", comment="")
    engine.dispose()
    yield url
    postgres_server.drop(name)


@pytest.fixture
def inbox(pool_url: str) -> Iterator[str]:
    """Our web door, as far as webhooks go."""
    engine = make_engine(pool_url)
    transaction = transaction_maker(engine)

    def take(headers: Mapping[str, str], body: Any) -> None:
        if headers.get(SECRET_HEADER.lower()) == SECRET:
            with transaction() as session:
                receive_webhook(session, parse_webhook(body))

    with serving(take) as url:
        yield url
    engine.dispose()


@pytest.fixture
def fake_clinic(pool_url: str, inbox: str) -> Iterator[Clinic]:
    server = FakeLabelStudio(deliver=post, ssrf_open="127.0.0.1")
    emails = [f"annotator{number}@example.org" for number in range(1, 5)]
    site = Site(server.client(), [server.client(email) for email in emails], emails, FakeHands(server))
    with ExitStack() as stack:
        yield open_clinic(stack, site, pool_url, inbox, server)


@pytest.fixture
def real_clinic(real_site: Site, pool_url: str, inbox: str) -> Iterator[Clinic]:
    with ExitStack() as stack:
        yield open_clinic(stack, real_site, pool_url, inbox, None)


@pytest.fixture(params=["fake", pytest.param("real", marks=[pytest.mark.label_studio, pytest.mark.full])])
def clinic(request: pytest.FixtureRequest) -> Clinic:
    found: Clinic = request.getfixturevalue(f"{request.param}_clinic")
    return found


def open_clinic(stack: ExitStack, site: Site, url: str, inbox: str, server: FakeLabelStudio | None) -> Clinic:
    wiring = Recorder(
        url,
        label_studio_url="http://label-studio.example",
        label_studio_token=SecretStr(token(days=365)),
        label_studio_instance=f"clinic-{next(_numbers)}",
        webhook_base_url=inbox,
        webhook_secret=SecretStr(SECRET),
    )
    stack.callback(wiring.engine.dispose)
    wiring.use(site.admin)
    clinic = Clinic(site, wiring, server)
    stack.callback(clear, clinic)
    clinic.publish()
    return clinic


def clear(clinic: Clinic) -> None:
    """A queue's project is known by its title: the next test must not find this one's."""
    for queue in clinic.queues():
        if queue.project_id is not None:
            try:
                clinic.site.admin.delete_project(queue.project_id)
            except LabelStudioError:
                continue


def token(days: float) -> str:
    """As a personal access token looks from outside."""
    expiry = datetime.now(UTC) + timedelta(days=days)
    claims = json.dumps({"exp": expiry.timestamp(), "token_type": "refresh"}).encode()
    return f"e30.{base64.urlsafe_b64encode(claims).decode().rstrip('=')}.c2lnbmF0dXJl"


Cause = Callable[[Clinic], object]
