"""`assay selection` says by which strategy a round was chosen, and what the score beside an item is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from plugin.cli import selection as selection_cli
from plugin.cli.errors import CliError
from plugin.services import scoring, selection
from tests import factories
from tests.fakes.scorer import FakeScorer
from tests.integration.selection.test_rounds import new_round, scored_pool, set_policy


@pytest.fixture(autouse=True)
def _wired(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def transaction() -> Iterator[Session]:
        yield session

    monkeypatch.setattr(selection_cli, "get_wiring", lambda: SimpleNamespace(transaction=transaction, instance="main"))


@pytest.fixture
def round_id(session: Session) -> int:
    scored_pool(session, 60, nlu_score=0.5)
    set_policy(session, strategy="margin", budget=10)
    set_policy(session, domain="music", strategy="random", budget=4)
    return new_round(session).id


def test_list_names_the_strategies_of_each_round(round_id: int, capsys: pytest.CaptureFixture[str]) -> None:
    selection_cli.list_(as_json=True)
    [shown] = json.loads(capsys.readouterr().out)
    assert (shown["id"], shown["strategy"]) == (round_id, "margin; music: random")
    selection_cli.list_()
    assert "margin" in capsys.readouterr().out


def test_show_names_the_score_that_ranks(round_id: int, capsys: pytest.CaptureFixture[str]) -> None:
    selection_cli.show(round_id, domain="weather")
    out = capsys.readouterr().out
    assert f"round {round_id}, weather, by margin" in out
    selection_cli.show(round_id, domain="music")
    assert f"round {round_id}, music, by random" in capsys.readouterr().out


def test_refresh_says_by_which_strategy(session: Session, round_id: int, capsys: pytest.CaptureFixture[str]) -> None:
    selection_cli.refresh("en-US", publish=False, as_json=True)
    summary = json.loads(capsys.readouterr().out)
    assert summary["strategy"] == "margin; music: random"
    assert summary["items"] == 14
    selection_cli.refresh("en-US", publish=False)
    assert "of en-US by margin; music: random: 14 of 60 eligible" in " ".join(capsys.readouterr().out.split())


def test_replay_says_whether_the_frame_or_the_code_changed(
    session: Session, round_id: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    selection_cli.replay(round_id, as_json=True)
    assert json.loads(capsys.readouterr().out).items() >= {"same": True, "same_frame": True}.items()
    with monkeypatch.context() as patch:
        patch.setattr(selection, "choose", lambda _: [])
        with pytest.raises(CliError, match=rf"round {round_id} stored .* its frame is the same, the code changed \("):
            selection_cli.replay(round_id)
    session.execute(text("UPDATE scores SET margin = 1 - margin"))
    with pytest.raises(CliError, match=rf"round {round_id} stored .* but replays to .*: its frame changed"):
        selection_cli.replay(round_id)


def test_a_replay_of_the_same_items_from_another_frame_is_no_replay(
    session: Session, capsys: pytest.CaptureFixture[str]
) -> None:
    scored_pool(session, 30, nlu_score=0.5)
    set_policy(session, strategy="margin", budget=10)
    round_ = new_round(session)
    session.execute(text("UPDATE scores SET margin = margin / 2"))  # the same order
    session.execute(text("UPDATE selections SET items_hash = :hash"), {"hash": replayed_hash(session, round_.id)})
    session.refresh(round_)
    with pytest.raises(CliError, match=rf"round {round_.id} replays to the same items .*: its frame changed"):
        selection_cli.replay(round_.id, as_json=True)
    assert json.loads(capsys.readouterr().out).items() >= {"same": True, "same_frame": False}.items()


def replayed_hash(session: Session, round_id: int) -> str:
    return selection.items_hash(selection.choose(selection.replay(session, round_id)[1]))


def test_extensions_are_listed_shown_and_replayed(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    scored_pool(session, 180, nlu_score=0.5)
    set_policy(session, strategy="margin", budget=60)
    set_policy(session, domain="music", strategy="bandit", budget=4)

    @contextmanager
    def transaction() -> Iterator[Session]:
        yield session

    first = selection.keep_up(transaction, "en-US", datetime.now(UTC), "main").round_id
    assert first is not None
    for row in factories.utterances(session, 36, source="new", nlu_score=0.5):
        row.text = f"new and {row.text}"
    session.flush()
    [batch] = scoring.read_batches(session, 0, 2**62)
    scoring.write(session, scoring.compute(batch, FakeScorer()))
    extension = selection.keep_up(transaction, "en-US", datetime.now(UTC), "main").extension_id
    assert extension is not None

    selection_cli.list_(as_json=True)
    listed = {row["id"]: row for row in json.loads(capsys.readouterr().out)}
    assert listed[extension]["extends_id"] == first
    assert listed[extension]["strategy"] == "margin"  # music has too few arrivals for a place
    assert listed[first]["strategy"].startswith("margin; music: bandit played ")

    selection_cli.show(first, as_json=True)
    items = json.loads(capsys.readouterr().out)
    assert {item["stratum"] for item in items} == {first, extension}
    left = [item for item in items if item["dropped_by"] is not None]
    assert len(items) - len(left) == 64
    selection_cli.show(first)
    out = capsys.readouterr().out
    assert f" of {extension}" in out
    assert ", left" in out
    selection_cli.show(extension)
    assert f"round {extension}, weather, by margin" in capsys.readouterr().out

    selection_cli.replay(extension)
    assert f"round {extension} replays byte for byte" in capsys.readouterr().out
