"""A real Label Studio that goes away while its projects are read and written to, and whose webhooks get lost."""

from __future__ import annotations

import http.server
import json
import secrets
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

import tasks.ingest
from db.repositories import overview, polls
from db.repositories import sources as source_rows
from plugin.label_studio.client import SdkLabelStudio
from plugin.label_studio.errors import LabelStudioError
from plugin.label_studio.payloads import parse_webhook
from plugin.records import Hypothesis
from plugin.services import ingest, sources
from plugin.services.queues import Webhook
from plugin.services.sources import WrittenBack, polling
from plugin.stack import accounts
from plugin.stack.label_studio import LabelStudio
from tests import servers
from tests.integration.ingest.conftest import Recorder
from tests.integration.sources.conftest import PLAY, Bearer, House, RealHands, Studio

pytestmark = [pytest.mark.label_studio, pytest.mark.full]

QUERY = Hypothesis("weather", "weather_query")


@pytest.fixture
def label_studio(server_folder: Path, postgres_server: servers.PostgresServer) -> Iterator[LabelStudio]:
    """One of this test's own, not started."""
    yield LabelStudio(
        python=servers.label_studio_python(),
        folder=server_folder / "restarted",
        templates=servers.cache_folder(),
        postgres=postgres_server.postgres,
        port=servers.free_port(),
        email="admin@example.org",
        password=secrets.token_urlsafe(12),
        database="restarted",
    )
    postgres_server.drop("restarted")


@pytest.fixture
def wiring(clean_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    recorder = Recorder(clean_database_url)
    monkeypatch.setattr("tasks.ingest.get_wiring", lambda: recorder)
    yield recorder
    recorder.engine.dispose()


@contextmanager
def inbox(wiring: Recorder) -> Iterator[str]:
    """Takes webhooks as the web part does."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            with wiring.transaction() as session:
                event_id = ingest.receive_webhook(session, parse_webhook(body))
            if event_id is not None:
                wiring.send("ingest.webhook_event", event_id)
            self.send_response(202)
            self.end_headers()

        def log_request(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/webhooks/label-studio"
        server.shutdown()


def test_two_projects_of_two_locales_through_restarts_and_lost_webhooks(
    label_studio: LabelStudio,
    wiring: Recorder,
    server_folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(polling, "PAGE", 10)
    monkeypatch.setattr(polling, "PAGES_A_POLL", 2)
    with servers.running(label_studio.part(), server_folder):
        token = accounts.mint_token(label_studio.url, label_studio.email, label_studio.password)
    with closing(SdkLabelStudio(label_studio.url, token, timeout_s=60)) as client, httpx.Client() as api:
        api.base_url, api.auth = label_studio.url, Bearer(lambda: accounts.access_token(label_studio.url, token))
        studio = Studio(client, client, RealHands(api))
        wiring.__dict__["label_studio"] = client
        house = House(wiring.transaction, client)
        with servers.running(label_studio.part(), server_folder):
            english, swahili = studio.project(title="English"), studio.project(title="Swahili")
            ids = studio.add(english, *(f"play {number}" for number in range(35)), **PLAY)
            studio.add(swahili, "cheza", **{**PLAY, "lang": "sw-KE"})
            first, second = house.attach(english), house.attach(swahili)
            assert [house.poll(first).is_done, house.poll(second).is_done] == [False, True]
        with pytest.raises(LabelStudioError, match="no answer"):
            house.poll(first)
        assert len(house.utterances(first)) == 20
        error = house.row(first).error
        assert error is not None
        assert "no answer" in error

        with servers.running(label_studio.part(), server_folder):
            assert house.poll(first).is_done
            assert len(house.utterances(first)) == 35
            assert house.row(first).error is None
            with inbox(wiring) as url:
                for project in (english, swahili):
                    assert sources.ask_for_news(client, project, Webhook(url, "secret")) is None
                [told] = studio.add(english, "stop", **PLAY)
                studio.hands.delete(english, ids[:1])
            follow(wiring)
            assert house.utterances(first)[str(told)].text == "stop"
            assert house.utterances(first)[str(ids[0])].partition == "gone"
            [lost] = studio.add(swahili, "simama", **{**PLAY, "lang": "sw-KE"})  # nobody listens any more
            assert wiring.sent == []
            with wiring.transaction() as session:
                source_rows.change(session, second, polled_at=polls.clock(session) - 2 * ingest.POLL_EVERY)
            tasks.ingest.sweep()
            assert wiring.sent == [("ingest.poll_source", second)]
            follow(wiring)
            assert {row.locale for row in house.utterances(second).values()} == {"sw-KE"}
            for source, task in ((first, told), (second, lost)):
                house.review(source, task, "fix", QUERY)
                assert house.write_back(source) == WrittenBack(source, written=1)
        house.review(first, ids[5], "fix", QUERY)
        with pytest.raises(LabelStudioError):
            house.write_back(first)

        with servers.running(label_studio.part(), server_folder):
            assert house.write_back(first) == WrittenBack(first, written=1)
            assert house.write_back(second) == WrittenBack(second)
            assert [len(studio.hands.task(task)["annotations"]) for task in (told, lost, ids[5])] == [1, 1, 1]
            while not house.poll(first).is_done:
                pass
            house.poll(second)
            revisions = {row.revision for source in (first, second) for row in house.utterances(source).values()}
            assert revisions == {1}  # what we wrote has not come back as a change
    with wiring.transaction() as session:
        assert overview.unhandled_webhooks(session) == 0


def follow(wiring: Recorder) -> None:
    """What the worker does with what it was sent."""
    shells = {"ingest.webhook_event": tasks.ingest.webhook_event, "ingest.poll_source": tasks.ingest.poll_source}
    while wiring.sent:
        name, *args = wiring.sent.pop(0)
        if name in shells:
            shells[name](*args)
