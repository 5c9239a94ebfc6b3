from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass
from typing import cast

import pytest

from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.imports import BulkApi
from plugin.label_studio.protocol import LabelStudio
from plugin.label_studio.queues import LabelSet, QueueTask, project_settings, rank_codes, task_json
from plugin.label_studio.screen import queue_marker
from plugin.records import Hypothesis, Slot
from tests.fakes.label_studio import FakeLabelStudio
from tests.label_studio_hands import FakeHands, Hands, RealHands, post
from tests.servers import LabelStudioServer, PostgresServer

LABELS = LabelSet({"music": ["play_song", "stop"], "home & garden": ["lights_on"]}, ["artist", "song", "device <x>"])
PLAY = Hypothesis("music", "play_song")
_domains = itertools.count(1)


@dataclass(frozen=True)
class Site:
    """A Label Studio, real or fake, as an admin and four annotators see it."""

    admin: LabelStudio
    annotators: list[LabelStudio]
    emails: list[str]
    hands: Hands

    @property
    def bulk(self) -> BulkApi:
        """Single bulk calls, unchecked and unrepeated."""
        return cast("BulkApi", self.admin)

    def queue(self, locale: str = "en-US") -> int:
        """A project of its own for each test."""
        domain = f"music {next(_domains)}"
        settings = project_settings(locale, domain, LABELS)
        return self.admin.ensure_project(settings, queue_marker(locale, domain))

    def publish(self, project_id: int, tasks: list[QueueTask], version: str = "round-1") -> list[int]:
        ids = self.admin.import_tasks(project_id, [task_json(task, version, LABELS) for task in tasks])
        self.admin.set_order(project_id, version)
        return ids


def queue_tasks(count: int, text: str = "play thriller", label: Hypothesis = PLAY) -> list[QueueTask]:
    return [
        QueueTask(100 + number, text, label, "Chosen for review: it may teach the assistant something.", code)
        for number, code in enumerate(rank_codes(count))
    ]


def slot(text: str, value: str, label: str) -> Slot:
    start = text.index(value)
    return Slot(start, start + len(value), label)


@pytest.fixture(scope="session")
def fake_site() -> Site:
    server = FakeLabelStudio(deliver=post, ssrf_open="127.0.0.1")
    emails = [f"annotator{number}@example.org" for number in range(1, 5)]
    return Site(server.client(), [server.client(email) for email in emails], emails, FakeHands(server))


@pytest.fixture(scope="session")
def real_site(label_studio_server: LabelStudioServer, postgres_server: PostgresServer) -> Iterator[Site]:
    people = label_studio_server.annotators(4)
    with ExitStack() as stack:
        admin, *annotators = (
            stack.enter_context(closing(SdkLabelStudio(label_studio_server.url, token, timeout_s=60)))
            for token in (label_studio_server.token, *(person.token for person in people))
        )
        hands = RealHands(label_studio_server, postgres_server.url("label_studio"))
        yield Site(admin, list(annotators), [person.email for person in people], hands)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.label_studio)])
def site(request: pytest.FixtureRequest) -> Site:
    found: Site = request.getfixturevalue(f"{request.param}_site")
    return found
