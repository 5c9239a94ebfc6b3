"""Live: one collection sends what follows, and the sweeps find it where the message was lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import pytest

import tasks.ingest
import tasks.selection
from tests.fakes.label_studio import FakeLabelStudio
from tests.integration.agreement.conftest import Team
from tests.integration.ingest.conftest import Recorder


@pytest.fixture
def wiring(clean_database_url: str, monkeypatch: pytest.MonkeyPatch, server: FakeLabelStudio) -> Iterator[Recorder]:
    recorder = Recorder(clean_database_url)
    recorder.use(server.client())
    for module in ("ingest", "selection"):
        monkeypatch.setattr(f"tasks.{module}.get_wiring", lambda: recorder)
    with closing(recorder):
        yield recorder


@pytest.fixture
def live(wiring: Recorder, server: FakeLabelStudio) -> Team:
    emails = [f"{name}@example.org" for name in ("anna", "ben", "cleo")]
    return Team(wiring.transaction, server.client(), [server.client(email) for email in emails], emails)


def work_off(wiring: Recorder) -> list[str]:
    """Do what was sent, and what that sends; the names."""
    done = []
    while wiring.sent:
        name, *arguments = wiring.sent.pop(0)
        word, verb = name.split(".")
        getattr({"ingest": tasks.ingest, "selection": tasks.selection}[word], verb)(*arguments)
        done.append(name)
    return done


def test_a_review_is_followed_by_its_second_opinion_at_once(live: Team, wiring: Recorder) -> None:
    live.begin(2)
    live.answer(0)
    wiring.send("ingest.reconcile", live.project())
    assert work_off(wiring) == ["ingest.reconcile", "selection.publish"]
    assert list(live.states("second").values()) == ["published"]
    wiring.send("ingest.reconcile", live.project())
    assert "selection.publish" not in work_off(wiring)  # nothing new


def test_a_skip_is_taken_back_at_once(live: Team, wiring: Recorder) -> None:
    live.begin(2, overlap_share=0.0)
    skipped = live.skip(0)
    wiring.send("ingest.reconcile", live.project())
    assert "selection.tidy" in work_off(wiring)
    assert [live.answer(0) for _ in range(2)][-1] == skipped


def test_what_was_never_sent_is_found_by_the_sweep(live: Team, wiring: Recorder) -> None:
    live.begin(3)
    live.answer(0)
    live.skip(0)
    wiring.unplug_broker()
    tasks.ingest.reconcile(live.project())
    assert wiring.sent == []
    assert list(live.states("second").values()) == ["planned"]
    wiring.__dict__["is_away"] = False
    tasks.selection.sweep()
    work_off(wiring)
    assert list(live.states("second").values()) == ["published"]
    assert [row.taken_back_at is None for row in live.reworks()] == [False]


def test_idempotent_reconcile_publish_and_tidy(live: Team, wiring: Recorder, server: FakeLabelStudio) -> None:
    live.begin(2)
    live.answer(0)
    live.skip(0)
    for _ in range(3):
        tasks.ingest.reconcile(live.project())
        for queue_id in {task.queue_id for kind in ("review", "second") for task in live.tasks(kind)}:
            tasks.selection.publish(queue_id)
            tasks.selection.tidy(queue_id)
    assert len(live.reworks()) == len(live.tasks("second")) == 1
    assert len(server.project(live.project("second")).tasks) == 1
