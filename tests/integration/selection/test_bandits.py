"""Rounds under the strategy `bandit`: what they play, what they learn from, what they store, and their replay."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.models import AnnotationRow, SelectionItemRow, SelectionRow
from db.repositories import selections
from plugin.cli import selection as selection_cli
from plugin.quality.bandit import CANDIDATES
from plugin.quality.selection import frame_hash
from plugin.records import Strategy
from plugin.services import bandits, policies, selection
from plugin.services.selection import to_frame
from tests.integration.selection.test_rounds import NOW, new_round, set_policy
from tests.integration.selection.test_strategies import known_pool


def review(session: Session, item: SelectionItemRow, verdict: str, **changed: Any) -> None:
    label = {} if verdict == "reject" else {"domain": item.domain, "intent": "any"}
    values: dict[str, Any] = {
        "utterance_id": item.utterance_id, "revision": item.revision, "instance": "main",
        "annotation_id": item.utterance_id, "task_id": item.utterance_id, "verdict": verdict, "annotator": "ann",
        "created_at": NOW, "updated_at": NOW, **label, **changed,
    }  # fmt: skip
    session.add(AnnotationRow(**values))
    session.flush()


def of_strategy(session: Session, row: SelectionRow) -> list[SelectionItemRow]:
    return [item for item in selections.items(session, row.id) if "strategy" in item.arms]


def outcomes(session: Session, domain: str = "*") -> list[tuple[str, int, int]]:
    return selections.outcomes(session, "en-US", domain, "*")


def played(row: SelectionRow, domain: str = "*") -> str:
    return str(row.policy[domain]["strategy"])


def test_a_round_plays_a_strategy_stores_why_and_replays_when_reviews_have_come(session: Session) -> None:
    known_pool(session, 150)
    set_policy(session, strategy="bandit", budget=15)
    names: list[str] = []
    hashes: list[tuple[int, str, str]] = []
    for number in range(4):
        row = new_round(session)
        stored = row.policy["*"]
        assert stored["chosen_by"] == "bandit"
        assert set(stored["evidence"]) == {strategy.value for strategy in CANDIDATES}
        assert played(row) == max(stored["evidence"], key=lambda name: stored["evidence"][name]["drawn"])
        assert sum(known["reviewed"] for known in stored["evidence"].values()) == pytest.approx(
            sum(12 * 0.8**age for age in range(number))
        )
        for item in of_strategy(session, row)[:12]:
            review(session, item, "fix" if played(row) in ("el2n", "joint") else "accept")
        names.append(played(row))
        hashes.append((row.id, row.items_hash, row.frame_hash))
    assert [name for name, *_ in outcomes(session)] == names
    for id_, items, frame in hashes:
        _, snapshot = selection.replay(session, id_)
        assert selection.items_hash(selection.choose(snapshot)) == items
        assert frame_hash(to_frame(snapshot, range(len(snapshot.rows)), snapshot.features)) == frame


def test_what_found_the_most_errors_is_played_and_the_choice_is_the_strategys_own(session: Session) -> None:
    known_pool(session, 240)
    for strategy in CANDIDATES:
        set_policy(session, strategy=strategy.value, budget=20, control_share=0.0)
        for item in of_strategy(session, new_round(session)):
            review(session, item, "fix" if strategy is Strategy.MARGIN else "accept")
    set_policy(session, strategy="bandit")
    for seed in range(20):
        snapshot = selection.read(session, "en-US", NOW, seed=seed)
        assert snapshot.rounds["*"].strategy is Strategy.MARGIN
        assert snapshot.columns == ("margin",)
        assert not snapshot.features
    chosen = selection.choose(snapshot)
    set_policy(session, strategy="margin")
    assert selection.choose(selection.read(session, "en-US", NOW, seed=19)) == chosen


def test_the_same_frame_and_seed_play_the_same_and_another_seed_another(session: Session) -> None:
    known_pool(session, 60)
    set_policy(session, strategy="bandit", budget=10)
    assert new_round(session).items_hash == new_round(session).items_hash
    seeds = [selection.read(session, "en-US", NOW, seed=seed).rounds["*"].strategy for seed in range(40)]
    assert len(set(seeds)) > 4


def test_only_a_mended_hypothesis_counts_as_found(session: Session) -> None:
    known_pool(session, 60)
    set_policy(session, strategy="entropy", budget=10, control_share=0.0)
    items = of_strategy(session, new_round(session))
    for item, verdict in zip(items, ("fix", "fix", "accept", "reject"), strict=False):
        review(session, item, verdict)
    review(session, items[4], "fix", withdrawn_at=NOW)
    review(session, items[5], "fix", annotation_id=None, task_id=None)  # gold data from a file
    review(session, items[6], "fix", revision=items[6].revision + 1)  # of what the record says since
    assert outcomes(session) == [("entropy", 4, 2)]
    # The last word counts.
    review(session, items[0], "accept", annotation_id=10**6, updated_at=NOW + timedelta(minutes=1))
    assert outcomes(session) == [("entropy", 4, 1)]


def test_control_alone_is_no_evidence(session: Session) -> None:
    known_pool(session, 60)
    set_policy(session, strategy="entropy", budget=20, control_share=0.5)
    row = new_round(session)
    for item in selections.items(session, row.id):
        review(session, item, "fix")
    of_arm = len(of_strategy(session, row))
    assert 10 <= of_arm < 20
    assert outcomes(session) == [("entropy", of_arm, of_arm)]


@pytest.mark.parametrize("strategy", ["entropy", "random"])
def test_the_easy_are_no_evidence_and_a_uniform_strategy_has_none(session: Session, strategy: str) -> None:
    known_pool(session, 60)
    set_policy(session, strategy=strategy, budget=20, control_share=0.0, hard_share=0.3)
    row = new_round(session)
    for item in of_strategy(session, row):
        review(session, item, "fix" if item.composition == "easy" else "accept")
    assert outcomes(session) == [(strategy, 6 if strategy == "entropy" else 20, 0)]


def test_a_review_counts_in_the_last_round_that_asked_for_it(session: Session) -> None:
    known_pool(session, 30)
    rows = []
    for strategy in ("random", "entropy"):
        set_policy(session, strategy=strategy, budget=30, control_share=0.0)
        rows.append(new_round(session))
    for item in of_strategy(session, rows[0])[:7]:
        review(session, item, "fix")
    assert outcomes(session) == [("entropy", 7, 7)]


def test_domains_with_a_budget_of_their_own_learn_by_themselves(session: Session) -> None:
    known_pool(session, 120)
    set_policy(session, strategy="bandit", budget=12, control_share=0.0)
    set_policy(session, domain="music", strategy="bandit", budget=9, control_share=0.0)
    row = new_round(session)
    for item in selections.items(session, row.id):
        review(session, item, "fix" if item.domain == "music" else "accept")
    assert outcomes(session) == [(played(row), 12, 0)]
    assert outcomes(session, "music") == [(played(row, "music"), 9, 9)]
    assert outcomes(session, "weather") == []
    assert selections.outcomes(session, "sw-KE", "*", "*") == []

    # Without a budget of its own the domain shares the locale's round; its own evidence stays with its own rounds.
    policies.change(
        session, "en-US", "music", dict.fromkeys(("strategy", "budget", "control_share")), changed_by="t", comment=""
    )
    shared = new_round(session)
    assert set(shared.policy) == {"*"}
    for item in selections.items(session, shared.id):
        review(session, item, "fix")
    assert outcomes(session) == [(played(row), 12, 0), (played(shared), 12, 12)]
    assert outcomes(session, "music") == [(played(row, "music"), 9, 9)]


def test_only_what_the_champion_gives_is_played(session: Session) -> None:
    known_pool(session, 40)
    set_policy(session, strategy="bandit", budget=5)
    session.execute(text("UPDATE scores SET mutual_information = NULL WHERE utterance_id % 4 = 0"))
    evidence = new_round(session).policy["*"]["evidence"]
    assert set(evidence) == {strategy.value for strategy in CANDIDATES} - {"bald"}
    session.execute(text("DELETE FROM features WHERE utterance_id % 4 = 0"))
    evidence = new_round(session).policy["*"]["evidence"]
    assert set(evidence) == {"random", "entropy", "el2n", "margin", "joint"}
    session.execute(text("UPDATE scores SET joint_uncertainty = NULL, el2n = NULL, el2n_missing = 'no_domain'"))
    assert set(new_round(session).policy["*"]["evidence"]) == {"random", "entropy", "margin"}


def test_the_stored_policy_is_that_of_the_strategy_and_reads_back(session: Session) -> None:
    known_pool(session, 40)
    set_policy(session, strategy="bandit", budget=5, hard_share=0.5)
    row = new_round(session)
    stored = policies.from_json(row.policy["*"])
    assert (stored.strategy, stored.hard_share, stored.budget) == (Strategy(played(row)), 0.5, 5)
    assert policies.resolve(session, "en-US")["*"].strategy is Strategy.BANDIT


@pytest.fixture
def _wired(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def transaction() -> Iterator[Session]:
        yield session

    monkeypatch.setattr(selection_cli, "get_wiring", lambda: SimpleNamespace(transaction=transaction, instance="main"))


@pytest.mark.usefixtures("_wired")
def test_the_commands_say_what_the_bandit_played(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    known_pool(session, 60)
    set_policy(session, strategy="entropy", budget=10)
    set_policy(session, domain="music", strategy="bandit", budget=4)
    selection_cli.refresh("en-US", publish=False, as_json=True)
    summary = json.loads(capsys.readouterr().out)
    row = selections.get(session, summary["selection"])
    assert row is not None
    said = f"bandit played {played(row, 'music')}"
    assert summary["strategy"] == f"entropy; music: {said}"
    assert bandits.strategy_said(row, "weather") == "entropy"
    selection_cli.show(row.id, domain="music")
    assert f"round {row.id}, music, by {said}" in " ".join(capsys.readouterr().out.split())
    selection_cli.replay(row.id)
    assert "byte for byte" in capsys.readouterr().out
