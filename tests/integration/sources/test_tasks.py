"""The Celery tasks of sources: each twice equals once, and a lost message or webhook costs a sweep."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest

import tasks.ingest
from db.repositories import overview, polls
from db.repositories import sources as source_rows
from db.session import advisory_lock
from plugin.label_studio.payloads import parse_webhook
from plugin.records import Hypothesis
from plugin.services import ingest, sources
from plugin.services.queues import Webhook
from plugin.services.sources import polling, writing
from tests.fakes.label_studio import FakeLabelStudio
from tests.integration.ingest.conftest import Recorder
from tests.integration.sources.conftest import PLAY, TEXT_ONLY, FakeHands, House, Studio

URL = "http://assay.example.org/webhooks/label-studio"
QUERY = Hypothesis("weather", "weather_query")


@pytest.fixture
def wiring(clean_database_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Recorder]:
    recorder = Recorder(clean_database_url)
    monkeypatch.setattr("tasks.ingest.get_wiring", lambda: recorder)
    yield recorder
    recorder.engine.dispose()


@pytest.fixture
def fake_server(wiring: Recorder) -> FakeLabelStudio:
    """Its webhooks arrive in our inbox."""

    def deliver(url: str, headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
        with wiring.transaction() as session:
            event_id = ingest.receive_webhook(session, parse_webhook(body))
        if event_id is not None:
            wiring.send("ingest.webhook_event", event_id)

    return FakeLabelStudio(deliver)


@pytest.fixture
def studio(fake_server: FakeLabelStudio, wiring: Recorder) -> Studio:
    client = fake_server.client()
    wiring.use(client)
    return Studio(client, fake_server.client("ann@example.org"), FakeHands(fake_server))


@pytest.fixture
def house(studio: Studio, wiring: Recorder) -> House:
    return House(wiring.transaction, studio.client)


def attached(house: House, studio: Studio, *texts: str) -> tuple[int, int]:
    project = studio.project(TEXT_ONLY)
    studio.add(project, *texts, **PLAY)
    source = house.attach(project)
    assert sources.ask_for_news(studio.client, project, Webhook(URL, "secret")) is None
    return source, project


def test_idempotent_poll_source(house: House, studio: Studio, wiring: Recorder) -> None:
    source, _ = attached(house, studio, "play", "stop")
    tasks.ingest.poll_source(source)
    ids = sorted(row.id for row in house.utterances(source).values())
    assert wiring.sent == [("scoring.score_batch", ids[0], ids[1])]
    wiring.sent.clear()
    tasks.ingest.poll_source(source)
    assert (wiring.sent, len(house.utterances(source))) == ([], 2)


def test_a_reading_that_is_not_done_goes_on(
    house: House, studio: Studio, wiring: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(polling, "PAGE", 1)
    monkeypatch.setattr(polling, "PAGES_A_POLL", 2)
    source, _ = attached(house, studio, "play", "stop", "louder")
    tasks.ingest.poll_source(source)
    assert wiring.sent[-1] == ("ingest.poll_source", source)
    tasks.ingest.poll_source(source)
    assert len(house.utterances(source)) == 3
    assert ("ingest.poll_source", source) not in wiring.sent[-1:]


def test_idempotent_write_back(house: House, studio: Studio, wiring: Recorder) -> None:
    source, _ = attached(house, studio, "rain?")
    house.poll(source)
    [task] = house.tasks(source)
    house.review(source, task, "fix", QUERY)
    for _ in range(2):
        tasks.ingest.write_back(source)
        assert studio.hands.task(task)["data"]["assay_intent"] == "weather_query"
    assert wiring.sent == []


def test_what_has_to_wait_keeps_nothing_else_from_being_written(
    house: House, studio: Studio, wiring: Recorder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "BATCH", 2)
    monkeypatch.setattr(writing, "BATCHES_A_RUN", 2)
    source, project = attached(house, studio, *(f"rain {number}?" for number in range(6)))
    house.poll(source)
    ids = list(house.tasks(source))
    for task in ids:
        house.review(source, task, "fix", QUERY)
    for task in ids[:5]:
        studio.hands.draft(project, task)

    def run() -> list[int]:
        """What is written then."""
        wiring.sent.clear()
        tasks.ingest.write_back(source)
        return [task for task in ids if "assay_intent" in studio.hands.task(task)["data"]]

    assert (run(), wiring.sent) == ([], [])  # at once another run would find the same
    assert (run(), wiring.sent) == (ids[5:], [])
    for task in ids[:5]:
        studio.hands.task(task).update(draft_exists=False, drafts=[])
    assert (run(), wiring.sent) == ([*ids[:4], ids[5]], [("ingest.write_back", source)])
    assert (run(), wiring.sent) == (ids, [])


def test_idempotent_sweep_finds_what_is_due_and_what_waits_to_be_written(
    house: House, studio: Studio, wiring: Recorder
) -> None:
    source, _ = attached(house, studio, "rain?")
    for _ in range(2):
        tasks.ingest.sweep()
    assert wiring.sent == [("ingest.poll_source", source)] * 2
    tasks.ingest.poll_source(source)
    [task] = house.tasks(source)
    house.review(source, task, "fix", QUERY)
    wiring.sent.clear()
    tasks.ingest.sweep()
    assert wiring.sent == [("ingest.write_back", source)]
    tasks.ingest.write_back(source)
    wiring.sent.clear()
    tasks.ingest.sweep()
    assert wiring.sent == []


def test_a_webhook_has_its_source_polled_at_once(house: House, studio: Studio, wiring: Recorder) -> None:
    source, project = attached(house, studio, "play")
    tasks.ingest.poll_source(source)
    wiring.sent.clear()
    [late] = studio.add(project, "stop", **PLAY)
    [(name, event_id)] = wiring.sent
    assert name == "ingest.webhook_event"
    wiring.sent.clear()
    for _ in range(2):
        tasks.ingest.webhook_event(event_id)
    assert wiring.sent == [("ingest.poll_source", source)] * 2
    tasks.ingest.poll_source(source)
    assert str(late) in house.utterances(source)
    studio.hands.delete(project, [late])
    tasks.ingest.webhook_event(wiring.sent[-1][1])
    tasks.ingest.poll_source(source)
    assert house.utterances(source)[str(late)].partition == "gone"
    with wiring.transaction() as session:
        assert overview.unhandled_webhooks(session) == 0


def test_a_lost_message_is_found_by_the_sweep_and_a_lost_webhook_by_the_next_poll(
    house: House, studio: Studio, wiring: Recorder, fake_server: FakeLabelStudio
) -> None:
    source, project = attached(house, studio, "play")
    tasks.ingest.poll_source(source)
    wiring.unplug_broker()
    studio.add(project, "stop", **PLAY)
    wiring.__dict__["is_away"] = False
    wiring.sent.clear()
    tasks.ingest.sweep()
    assert wiring.sent == [("ingest.poll_source", source)]
    tasks.ingest.poll_source(source)
    assert len(house.utterances(source)) == 2
    fake_server.deliver = None
    studio.add(project, "louder", **PLAY)
    wiring.sent.clear()
    tasks.ingest.sweep()
    assert wiring.sent == []
    with wiring.transaction() as session:
        source_rows.change(session, source, polled_at=polls.clock(session) - timedelta(minutes=1))
    tasks.ingest.sweep()
    tasks.ingest.poll_source(source)
    assert len(house.utterances(source)) == 3


def test_what_a_detached_project_still_sends_is_ignored(house: House, studio: Studio, wiring: Recorder) -> None:
    source, project = attached(house, studio, "play")
    with wiring.transaction() as session:
        source_rows.detach(session, source)
    studio.add(project, "stop", **PLAY)
    [(_, event_id)] = wiring.sent
    wiring.sent.clear()
    tasks.ingest.webhook_event(event_id)
    tasks.ingest.poll_source(source)
    tasks.ingest.sweep()
    assert wiring.sent == []
    with wiring.transaction() as session:
        assert overview.unhandled_webhooks(session) == 0


def test_a_second_poll_leaves_it_to_the_first_and_nothing_is_written_meanwhile(
    house: House, studio: Studio, wiring: Recorder
) -> None:
    source, _ = attached(house, studio, "rain?")
    house.poll(source)
    [task] = house.tasks(source)
    house.review(source, task, "fix", QUERY)
    with advisory_lock(wiring.engine, f"source:{source}", wait=True):
        tasks.ingest.poll_source(source)
        tasks.ingest.write_back(source)
        assert "assay_intent" not in studio.hands.task(task)["data"]
    tasks.ingest.write_back(source)
    assert studio.hands.task(task)["data"]["assay_intent"] == "weather_query"
