"""Arms of strategies beside random choice, and what a run says of them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import delete, select
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from db.models import AnnotationRow, SelectionItemRow, SelectionRow, TestSet
from plugin.cli import evaluation_table, output
from plugin.records import Policy
from plugin.services import evaluation
from plugin.services.evaluation import Context, data
from tests import factories
from tests.integration.evaluation.conftest import LOCALE, World
from tests.integration.evaluation.lookup import LookupTrainer


def reviewed_round(
    session: Session, arms: dict[str, tuple[str, int]], *, strategy: str = "entropy", domain: str | None = None
) -> None:
    """A round whose items are reviewed: arm -> (first word, how many); `domain`: that has a round of its own."""
    world = World(session)
    world.annotation_id = 1000 * (1 + session.query(SelectionRow).count())
    round_ = SelectionRow(
        locale=LOCALE,
        model_version_id=factories.champion(session, LOCALE, name=f"fake-{world.annotation_id}").id,
        policy={name: {"strategy": strategy} for name in ("*", *([domain] if domain else ()))},
        frame_watermark=datetime.now(UTC), frame_hash="", frame_size=0, items_hash="", seed=0, code_version="test",
    )  # fmt: skip
    session.add(round_)
    session.flush()
    rank = 0
    for arm, (word, count) in arms.items():
        for number in range(count):
            row = world.utterance(f"{word} by {arm} {world.annotation_id} {number}")
            world.annotate(row)
            rank += 1
            session.add(
                SelectionItemRow(
                    selection_id=round_.id, utterance_id=row.id, revision=1, domain=row.domain or "", rank=rank,
                    arms=arm.split("+"), inclusion_probability=1.0,
                )
            )  # fmt: skip
    session.flush()


@pytest.fixture
def empty(context: Context) -> Context:
    """With gold data, and without a review."""
    with context.transaction() as session:
        session.execute(delete(AnnotationRow).where(AnnotationRow.annotation_id.is_not(None)))
    return context


def done(context: Context, *, seeds: int = 6, policy: Policy | None = None) -> dict[str, Any]:
    with context.transaction() as session:
        run = evaluation.create_run(
            session, LOCALE, "test", {"*": policy or Policy()}, trigger="test", requested_by="me", seeds=seeds
        )
    evaluation.execute(context, run.id)
    with context.transaction() as session:
        return evaluation.run_report(session, run.id)


def shown(report: dict[str, Any], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> list[str]:
    wide = Console(width=200)
    monkeypatch.setattr(output, "console", wide)
    monkeypatch.setattr(evaluation_table, "console", wide)
    evaluation_table.print_report(report)
    return [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]


def frozen(report: dict[str, Any]) -> dict[str, Any]:
    return dict(report["steps"][0])


def test_a_strategy_is_compared_with_equally_many_control_labels(empty: Context, trainer: LookupTrainer) -> None:
    with empty.transaction() as session:
        # Only what the strategy chooses teaches the domain that the test set asks for.
        reviewed_round(session, {"control": ("play", 60), "strategy": ("hush", 70)})
    report = done(empty)
    detail = frozen(report)
    assert detail["arms"] == ["candidate", "baseline", "random", "entropy"]
    places = detail["places"]["*"]
    assert places + detail["spared"] == 60
    assert 15 < places < 45  # about half
    assert detail["own_labels"] == {"entropy": places}
    sizes = {arm: values["training_size"] for arm, values in report["arms"].items()}
    assert sizes == {"candidate": 12 + places + 70, "baseline": 12, "random": 12 + places, "entropy": 12 + places}

    # The same seeds in every arm, as many optimiser steps, another subsample each time.
    assert Counter(trainer.seeds_seen) == dict.fromkeys(range(6), 4)
    assert len(set(trainer.sizes_seen)) == 1
    chosen = {tuple(example.id for example in seen) for seen in trainer.seen if seen[-1].text.startswith("hush")}
    assert len(chosen) == 7  # of six seeds, and everything

    (verdict,) = [
        row for row in report["verdicts"] if (row["test_set"], row["domain"], row["metric"]) == ("test", "*", "dcer")
    ]
    assert (verdict["arm"], verdict["control"], verdict["seeds"], verdict["n"]) == ("entropy", "random", 6, 18)
    assert verdict["difference"] == pytest.approx(-6 / 18)
    assert verdict["relative"] == pytest.approx(-1.0)
    assert verdict["state"] == "better"
    assert verdict["p_holm"] < 0.05
    assert verdict["sentence"].startswith("entropy makes 100 % [")
    assert verdict["sentence"].endswith(" fewer domain errors than random choice")
    assert {row["test_set"] for row in report["verdicts"]} == {"test", "recent"}


def test_half_of_the_control_labels_are_the_test_set_recent_and_never_train(
    empty: Context, trainer: LookupTrainer
) -> None:
    with empty.transaction() as session:
        reviewed_round(session, {"control": ("play", 40), "control+strategy": ("rain", 20), "strategy": ("hush", 20)})
    first = frozen(done(empty, seeds=1))
    recent = first["test_sets"]["recent"]
    assert recent["size"] == first["spared"] > 0
    with empty.transaction() as session:
        spared = data.read_material(session, LOCALE).tests["recent"]
    assert not {f"{row.source}/{row.external_id}" for row in spared} & {
        example.id for seen in trainer.seen for example in seen
    }
    # A hash says which: what is spared stays so when more comes in, and the set grows.
    with empty.transaction() as session:
        reviewed_round(session, {"control": ("play", 20)})
    second = frozen(done(empty, seeds=1))
    assert second["test_sets"]["recent"]["size"] > recent["size"]
    with empty.transaction() as session:
        assert {row.utterance_id for row in spared} < {
            row.utterance_id for row in data.read_material(session, LOCALE).tests["recent"]
        }
        assert session.scalar(select(TestSet.size).where(TestSet.id == recent["id"])) == recent["size"]


def test_recent_can_be_the_run_s_own_test_set(empty: Context) -> None:
    with empty.transaction() as session:
        reviewed_round(session, {"control": ("play", 40)})
        run = evaluation.create_run(
            session, LOCALE, "recent", {"*": Policy()}, trigger="test", requested_by="me", seeds=1
        )
    assert evaluation.execute(empty, run.id).state == "done"


def test_an_arm_without_labels_falls_away_and_says_why(empty: Context) -> None:
    with empty.transaction() as session:
        reviewed_round(session, {"control": ("play", 40), "strategy": ("hush", 30)})
        reviewed_round(session, {"strategy": ("hush", 9)}, strategy="bald")
    report = done(empty, seeds=1)
    assert frozen(report)["arms"] == ["candidate", "baseline", "random", "entropy"]
    assert report["left_out"] == {
        "bald": "9 of its labels are of rounds that have control labels, and at least 10 are needed",
        "k-means": "no label of what it chose has come back",
    }


def test_few_control_labels_compare_nothing(empty: Context) -> None:
    with empty.transaction() as session:
        reviewed_round(session, {"control": ("play", 8), "strategy": ("hush", 30)})
    report = done(empty, seeds=1)
    assert frozen(report)["arms"] == ["candidate", "baseline"]
    assert report["left_out"]["entropy"] == report["left_out"]["random"]
    assert "control labels can train, and at least 10 are needed" in report["left_out"]["random"]
    assert report["verdicts"] == []


def test_with_too_few_seeds_there_is_no_verdict(empty: Context) -> None:
    with empty.transaction() as session:
        reviewed_round(session, {"control": ("play", 40), "strategy": ("hush", 30)})
    states = {row["state"] for row in done(empty, seeds=2)["verdicts"]}
    assert states == {"not enough evidence"}


def test_a_domain_with_a_round_of_its_own_is_compared_within_it(empty: Context, trainer: LookupTrainer) -> None:
    with empty.transaction() as session:
        reviewed_round(session, {"control": ("play", 40), "strategy": ("hush", 30)})
        reviewed_round(session, {"control": ("rain", 40), "strategy": ("rain", 15)}, domain="weather")
    report = done(empty, seeds=1)
    places = frozen(report)["places"]
    assert places.keys() == {"*", "weather"}
    assert places["weather"] <= 15
    for arm, seen in zip(frozen(report)["arms"], trainer.seen, strict=True):
        rain = sum(example.label.domain == "weather" for example in seen)
        assert rain == {"baseline": 6, "random": 6 + places["weather"], "entropy": 6 + places["weather"]}.get(arm, rain)


def test_what_may_be_said_is_shown(
    empty: Context, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with empty.transaction() as session:
        reviewed_round(session, {"control": ("play", 40), "strategy": ("hush", 30)})
    report = done(empty)
    lines = shown(report, monkeypatch, capsys)
    assert any(line.startswith("entropy test 0.0% 33.3% -100.0% [") for line in lines)
    assert any(line.startswith("test: entropy makes 100 % [") for line in lines)
    assert any(line.startswith("recent: not enough evidence on entropy: ") for line in lines)
    assert "not compared: k-means: no label of what it chose has come back" in lines
    assert f"{frozen(report)['spared']} control labels never train: they are the test set 'recent'" in lines
    assert any(line.startswith("recent ") and "–" in line for line in lines)


def test_a_killed_run_goes_on_in_the_middle_of_its_arms(empty: Context, trainer: LookupTrainer) -> None:
    with empty.transaction() as session:
        reviewed_round(session, {"control": ("play", 40), "strategy": ("hush", 30)})
    whole = done(empty, seeds=2)
    trainings = len(trainer.seen)
    trainer.seen.clear()

    def dies() -> None:
        if len(trainer.seen) == 4:
            raise OperationalError("", {}, Exception("the database went away"))

    trainer.during = dies
    with pytest.raises(OperationalError):
        done(empty, seeds=2)
    trainer.during = lambda: None
    with empty.transaction() as session:
        run_id = evaluation.list_runs(session)[0]["id"]
    evaluation.execute(empty, run_id)
    assert len(trainer.seen) == trainings + 1
    with empty.transaction() as session:
        resumed = evaluation.run_report(session, run_id)
    # As if nothing had happened.
    results = [step["result_hash"] for report in (whole, resumed) for step in report["steps"] if "result_hash" in step]
    assert results[0] == results[1]


def test_a_run_says_which_part_of_an_arms_labels_is_its_own(empty: Context) -> None:
    """The places are those of the strategy with most labels; the control makes up the other's number."""
    with empty.transaction() as session:
        reviewed_round(session, {"strategy": ("play", 30), "control": ("play", 90)}, strategy="entropy")
        reviewed_round(session, {"strategy": ("rain", 15)}, strategy="el2n")
    detail = frozen(done(empty, seeds=1))
    [places] = detail["places"].values()
    assert detail["own_labels"] == {"entropy": places, "el2n": min(places, 15)}
    shares = detail["own_shares"]
    assert shares["entropy"] == {"music": 1.0}
    assert shares["el2n"] == {"music": 0.0, "weather": 1.0}
