"""`assay selection` says by which strategy a round was chosen, and what the score beside an item is."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace

import pytest
from sqlalchemy.orm import Session

from plugin.cli import selection as selection_cli
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
