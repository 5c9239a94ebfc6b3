"""Rounds under the strategy `auto`: what verdicts make it play, how it divides a round, what it stores, its replay."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from db.models import SelectionRow, TestSet
from db.repositories import evaluations, polls, selections, verdicts
from db.repositories.verdicts import Verdict
from plugin.cli import policy as policy_cli
from plugin.cli import selection as selection_cli
from plugin.quality.auto import CANDIDATES
from plugin.quality.metrics import PRIMARY
from plugin.quality.selection import frame_hash
from plugin.records import Policy, Strategy
from plugin.services import auto, policies, selection
from plugin.services.evaluation.steps import FREEZE
from plugin.services.selection import to_frame
from tests.integration.selection.test_rounds import new_round, set_policy
from tests.integration.selection.test_strategies import known_pool

Effects = Mapping[str, Mapping[str, float]]  # domain -> strategy -> relative change
# Weather is served by entropy, music by EL2N, and neither by the other.
APART: Effects = {"weather": {"entropy": -0.3, "el2n": 0.1}, "music": {"entropy": 0.1, "el2n": -0.3}}


def evaluated(
    session: Session,
    effects: Effects,
    *,
    reach: float = 0.02,
    state: str = "done",
    metric: str = PRIMARY,
    n: int = 300,
    shares: Mapping[str, Mapping[str, float]] | None = None,
) -> int:
    """A run that measured these effects, with intervals of `reach` either way; its id."""
    run = evaluations.add_run(
        session, locale="en-US", test_set="test", trigger="test", requested_by="test", seed=0, code_version="test"
    )
    evaluations.finish(session, run.id, polls.clock(session), error=None if state == "done" else "it broke")
    if shares is not None:
        evaluations.put_step(session, run.id, FREEZE, {auto.OWN_SHARES: shares}, polls.clock(session))
    add_verdicts(session, run.id, effects, reach=reach, metric=metric, n=n)
    return run.id


def add_verdicts(
    session: Session, run_id: int, effects: Effects, *, reach: float = 0.02, metric: str = PRIMARY, n: int = 300
) -> None:
    test_set = TestSet(name=f"test of {n}", locale="en-US", content_hash=f"{run_id} {n}", size=n)
    session.add(test_set)
    session.flush()
    rows = [
        Verdict(
            domain=domain, metric=metric, arm=arm, control="random", n=n, seeds=6, state="no difference", sentence="",
            relative=effect, relative_low=effect - reach, relative_high=effect + reach,
        )
        for domain, arms in effects.items()
        for arm, effect in arms.items()
    ]  # fmt: skip
    verdicts.put(session, run_id, test_set.id, "en-US", rows)


def strategies(row: SelectionRow) -> dict[str, str]:
    return {part: str(values["strategy"]) for part, values in row.policy.items()}


def replays(session: Session, row: SelectionRow) -> bool:
    _, snapshot = selection.replay(session, row.id)
    frame = to_frame(snapshot, range(len(snapshot.rows)), snapshot.features)
    return (selection.items_hash(selection.choose(snapshot)), frame_hash(frame)) == (row.items_hash, row.frame_hash)


def test_without_evidence_it_is_the_default_and_says_so(session: Session) -> None:
    known_pool(session, 60)
    set_policy(session, strategy="auto", budget=20)
    row = new_round(session)
    stored = row.policy["*"]
    assert stored["strategy"] == Policy().strategy
    assert stored["chosen_by"] == "auto"
    assert stored["why"] == "no run has compared strategies in en-US yet: the default until one has"
    assert set(strategies(row)) == {"*"}
    assert replays(session, row)
    set_policy(session, strategy="k-means")
    chosen = selection.choose(selection.read(session, "en-US", row.created_at))
    assert selection.items_hash(chosen) == row.items_hash


def test_where_the_default_cannot_be_played_something_simpler_is(session: Session) -> None:
    known_pool(session, 40)
    set_policy(session, strategy="auto", budget=10)
    session.execute(text("DELETE FROM features"))
    row = new_round(session)
    assert strategies(row) == {"*": "joint"}
    assert row.policy["*"]["why"].endswith("joint, as the model gives less than the default needs, until one has")


def test_domains_play_what_serves_them_and_the_round_replays_when_verdicts_have_come(session: Session) -> None:
    """The paper's third finding, end to end."""
    known_pool(session, 240)
    evaluated(session, {**APART, "audio": {"entropy": -0.3, "el2n": 0.1}})
    set_policy(session, strategy="auto", budget=60, control_share=0.2)
    row = new_round(session)
    assert strategies(row) == {"*": "entropy", "music": "el2n"}
    assert {policy["chosen_by"] for policy in row.policy.values()} == {"auto"}
    assert {policy["control_share"] for policy in row.policy.values()} == {0.2}
    items = selections.items(session, row.id)
    sizes = Counter(item.domain for item in items)
    assert len(items) == 60
    assert sum(policy["budget"] for policy in row.policy.values()) == 60
    assert sizes["music"] == row.policy["music"]["budget"] == 20
    control = Counter(item.domain == "music" for item in items if "control" in item.arms)
    assert control == {True: 4, False: 8}
    evaluated(session, {"music": {"entropy": -0.5}})
    assert replays(session, row)
    assert new_round(session).policy["music"]["evidence"] != row.policy["music"]["evidence"]


def test_the_choice_and_why_are_stored_with_all_that_is_known(session: Session) -> None:
    known_pool(session, 120)
    evaluated(session, APART)
    set_policy(session, strategy="auto", budget=40)
    row = new_round(session)
    played = {**row.policy, **row.policy["*"]["domains"]}
    for domain, best in (("weather", "entropy"), ("music", "el2n")):
        told = played[domain]
        assert set(told["evidence"]) == {strategy.value for strategy in CANDIDATES}
        assert told["evidence"][best]["verdicts"] == 1
        assert told["evidence"][best]["effect"] == pytest.approx(-0.3, abs=0.02)
        assert best in told["why"]
    for part in row.policy:
        evidence = row.policy[part]["evidence"]
        open_ = {name: known["drawn"] for name, known in evidence.items() if known["drawn"] is not None}
        assert row.policy[part]["strategy"] == min(open_, key=lambda name: open_[name])
    assert policies.from_json(row.policy["*"]).strategy in CANDIDATES


def test_the_same_verdicts_frame_and_seed_play_the_same_and_another_seed_another(session: Session) -> None:
    known_pool(session, 90)
    evaluated(session, {"music": {"entropy": 0.0}}, reach=0.5)
    set_policy(session, strategy="auto", budget=10)
    assert new_round(session).items_hash == new_round(session).items_hash
    plays = [selection.read(session, "en-US", polls.clock(session), seed=seed).rounds["*"] for seed in range(30)]
    assert len({policy.strategy for policy in plays}) > 3


def test_a_domain_with_a_budget_of_its_own_is_chosen_for_by_itself(session: Session) -> None:
    known_pool(session, 120)
    evaluated(session, APART)
    set_policy(session, strategy="random", budget=20)
    set_policy(session, domain="music", strategy="auto", budget=9)
    row = new_round(session)
    assert strategies(row) == {"*": "random", "music": "el2n"}
    assert "chosen_by" not in row.policy["*"]
    assert row.policy["music"]["budget"] == 9


def test_a_domain_too_small_for_a_control_of_its_own_plays_with_the_others(session: Session) -> None:
    known_pool(session, 60)
    evaluated(session, APART)
    set_policy(session, strategy="auto", budget=12)
    row = new_round(session)
    assert set(row.policy) == {"*"}
    assert row.policy["*"]["budget"] == 12
    told = row.policy["*"]["domains"]
    assert any(domain["why"].startswith("too small for a part of its own") for domain in told.values())


def test_of_runs_between_two_rounds_the_newest_speaks_on_its_largest_test_set(session: Session) -> None:
    known_pool(session, 60)
    set_policy(session, strategy="auto", budget=10)
    first = evaluated(session, {"music": {"entropy": -0.5}})
    new_round(session)
    evaluated(session, {"music": {"entropy": -0.4}})
    newest = evaluated(session, {"music": {"entropy": -0.1, "candidate": -0.3}}, n=200)
    add_verdicts(session, newest, {"music": {"entropy": -0.2}}, n=400)
    evaluated(session, {"music": {"entropy": -0.9}}, state="failed")
    evaluated(session, {"music": {"entropy": -0.9}}, metric="irer")
    found = {(one.age, one.strategy): one.effect for one in auto.measured(session, "en-US")}
    assert found == {(1, Strategy.ENTROPY): -0.5, (0, Strategy.ENTROPY): -0.2}
    assert auto.measured(session, "sw-KE") == []
    assert first < newest


def test_a_verdict_on_all_domains_stands_in_where_there_is_none_on_any(session: Session) -> None:
    evaluated(session, {"*": {"entropy": -0.1, "el2n": -0.2}, "music": {"el2n": -0.3}})
    found = {(one.domain, one.strategy.value): one.effect for one in auto.measured(session, "en-US")}
    assert found == {("*", "entropy"): -0.1, ("music", "el2n"): -0.3}


def test_an_arm_that_was_filled_up_with_control_labels_has_shown_less_of_itself(session: Session) -> None:
    """Half of its labels are its own: what it did is half of what it does, and half as sure."""
    shares = {"entropy": {"music": 0.5, "weather": 0.1}}
    evaluated(session, {"music": {"entropy": -0.1}, "weather": {"entropy": -0.1}}, reach=0.1, shares=shares)
    [one] = auto.measured(session, "en-US")
    assert (one.domain, one.effect) == ("music", -0.2)
    assert one.error == pytest.approx(0.2 / 1.96, rel=1e-3)


def test_a_policy_without_control_is_refused_wherever_it_comes_from(session: Session) -> None:
    with pytest.raises(ValueError, match="strategy auto learns from the control: of sw-KE"):
        set_policy(session, locale="sw-KE", strategy="auto", control_share=0.0)
    policies.change(session, "sw-KE", "*", {"control_share": None}, changed_by="t", comment="")
    set_policy(session, locale="sw-KE", strategy="auto")
    with pytest.raises(ValueError, match="strategy auto learns from the control: of sw-KE"):
        set_policy(session, locale="*", control_share=0.0)


@pytest.fixture
def _wired(session: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    @contextmanager
    def transaction() -> Iterator[Session]:
        yield session

    wiring = SimpleNamespace(transaction=transaction, instance="main")
    for cli in (selection_cli, policy_cli):
        monkeypatch.setattr(cli, "get_wiring", lambda: wiring)


@pytest.mark.usefixtures("_wired")
def test_the_commands_say_what_it_plays_and_why(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    def said(text: str) -> bool:
        return text in " ".join(capsys.readouterr().out.split())

    known_pool(session, 240)
    evaluated(session, {**APART, "audio": {"entropy": -0.3, "el2n": 0.1}})
    set_policy(session, strategy="auto", budget=60)
    selection_cli.refresh("en-US", publish=False, as_json=True)
    summary: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert summary["strategy"] == "auto played entropy; music: auto played el2n"
    assert summary["played"]["music"]["strategy"] == "el2n"
    assert summary["played"]["weather"]["strategy"] == "entropy"
    selection_cli.show(summary["selection"], domain="music")
    assert said(f"music plays el2n: {summary['played']['music']['why']}")
    selection_cli.list_(as_json=True)
    assert json.loads(capsys.readouterr().out)[0]["played"] == summary["played"]
    policy_cli.show("en-US")
    assert said("music plays el2n: thought best in music, el2n -")
    policy_cli.show("en-US", as_json=True)
    shown = json.loads(capsys.readouterr().out)["*"]
    assert (shown["strategy"], shown["played"]["music"]["strategy"]) == ("auto", "el2n")
    selection_cli.replay(summary["selection"])
    assert "byte for byte" in capsys.readouterr().out


def test_arrivals_join_the_part_of_their_domain(session: Session) -> None:
    """An extension goes on with what the round played, verdicts or none."""
    from plugin.services.selection import extensions

    known_pool(session, 240)
    evaluated(session, {**APART, "audio": {"entropy": -0.3, "el2n": 0.1}})
    set_policy(session, strategy="auto", budget=60)
    row = new_round(session)
    evaluated(session, {"music": {"entropy": -0.9, "el2n": 0.9}})
    arrived = extensions.read_arrivals(session, row)
    assert {part: policy.strategy.value for part, policy in arrived.rounds.items()} == strategies(row)


def test_age_counts_rounds_that_were_evaluated(session: Session) -> None:
    known_pool(session, 60)
    set_policy(session, strategy="auto", budget=10)
    for number in range(3):
        evaluated(session, {"music": {"entropy": -0.1 * number}})
        for _ in range(2):
            new_round(session)
    ages = sorted((one.age, round(one.effect, 3)) for one in auto.measured(session, "en-US"))
    assert ages == [(0, -0.2), (1, -0.1), (2, 0.0)]
