from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console
from sqlalchemy import update
from typer.testing import CliRunner

from db.models import Queue, TrainingStep
from db.repositories import leases, models
from plugin.cli import evaluation as cli
from plugin.cli import evaluation_table, output
from plugin.cli.errors import CliError
from plugin.services.evaluation import Context
from plugin.services.evaluation.lease import lease_name
from tests.integration.evaluation.conftest import INSTANCE, LOCALE, World
from tests.integration.evaluation.doors import FakeWiring
from tests.integration.evaluation.lookup import LookupTrainer

RUN = ("run", "--locale", LOCALE, "--test-set", "test")


@pytest.fixture
def wiring(context: Context, monkeypatch: pytest.MonkeyPatch) -> FakeWiring:
    wiring = FakeWiring(context.transaction)
    monkeypatch.setattr(cli, "get_wiring", lambda: wiring)
    monkeypatch.setattr(cli, "make_workshop", lambda _wiring: context.workshop)
    wide = Console(width=200)
    monkeypatch.setattr(output, "console", wide)
    monkeypatch.setattr(evaluation_table, "console", wide)
    return wiring


def assay(*arguments: str) -> str:
    result = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def as_json(*arguments: str) -> Any:
    return json.loads(assay(*arguments, "--json"))


def refused(*arguments: str) -> str:
    with pytest.raises(CliError) as caught:
        CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_train_says_what_was_made_and_has_the_pool_scored(wiring: FakeWiring) -> None:
    assert "sw-KE-0001: 2 replicates, temperature domain 1.00; it is the champion now" in assay(
        "train", "--locale", LOCALE
    )
    again = as_json("train", "--locale", LOCALE, "--seed", "5")
    assert (again["name"], again["promoted_at"]) == ("sw-KE-0002", None)
    with wiring.transaction() as session:
        champion = models.champion(session, LOCALE)
        assert champion is not None
        assert wiring.sent == [("scoring.backfill", champion.id)]
    assert "no gold data to train is-IS on" in refused("train", "--locale", "is-IS")


def test_run_prints_the_table_and_writes_into_label_studio(wiring: FakeWiring) -> None:
    project_id = wiring.label_studio.create_project({"title": "Assay · sw-KE · audio"})
    with wiring.transaction() as session:
        session.add(Queue(instance=INSTANCE, locale=LOCALE, domain="audio", project_id=project_id))
    shown = assay(*RUN, "--promote")
    assert "candidate: sw-KE-0001, trained on 18 utterances with 2 seeds" in shown
    assert "n = 18" in shown
    lines = [" ".join(line.split()) for line in shown.splitlines()]
    assert any(line.startswith("DCER ↓ 33.3% [") and line.endswith("] 0.0% -100.0%") for line in lines)
    by_domain = lines[lines.index("DCER ↓ by domain of the gold label") :]
    assert "audio 6 (few) 100.0% 0.0% -100.0%" in by_domain
    assert "music 6 (few) 0.0% 0.0% –" in by_domain
    assert all(len(line) <= 80 for line in shown.splitlines() if "%" in line)
    assert "6 reviewed and 0 weak utterances" in shown
    assert "the candidate was promoted" in shown
    assert "SEMER 0.0%" in wiring.server.project(project_id).settings["description"]
    assert [name for name, *_ in wiring.sent] == ["scoring.backfill"]


def test_a_run_is_listed_and_shown(wiring: FakeWiring) -> None:
    run_id = as_json(*RUN)["id"]
    (row,) = as_json("list")["runs"]
    assert (row["id"], row["state"], row["locale"], row["trigger"]) == (run_id, "done", LOCALE, "command")
    assert as_json("list", "--locale", "is-IS") == {"runs": []}
    report = as_json("show", str(run_id))
    assert report["arms"]["candidate"]["test_set"]["size"] == 18
    assert {"domain", "metric", "value", "ci_low", "ci_high", "n", "weighted_value"} == set(
        report["arms"]["baseline"]["metrics"][0]
    )
    assert [step["name"] for step in report["steps"]] == [
        "freeze", "train candidate 0", "train baseline 0", "train candidate 1", "train baseline 1",
        "evaluate", "publish",
    ]  # fmt: skip
    assert f"run {run_id}" in assay("show", str(run_id))
    assert "done" in assay("list")
    assert refused("show", "999") == "no run has id 999: see `assay evaluation list`"


def test_a_run_can_be_left_to_the_worker(wiring: FakeWiring, trainer: LookupTrainer) -> None:
    answer = as_json(*RUN, "--enqueue", "--seed", "3")
    assert answer["state"] == "queued"
    assert wiring.sent == [("evaluation.retrain", answer["id"])]
    assert trainer.seen == []
    wiring.broker_is_there = False
    assert "stays queued until it does" in refused(*RUN, "--enqueue")


def test_what_cannot_run_makes_no_run(wiring: FakeWiring) -> None:
    assert "there is test" in refused("run", "--locale", LOCALE, "--test-set", "tset")
    assert "no test set" in refused("run", "--locale", LOCALE, "--test-set", "train")
    with wiring.transaction() as session:
        leases.take(session, lease_name(LOCALE), "worker-7", timedelta(minutes=1))
    assert "another training of sw-KE is at work (worker-7)" in refused(*RUN)
    assert as_json("list") == {"runs": []}


def test_a_failed_run_says_why_in_one_line_and_keeps_it(wiring: FakeWiring, trainer: LookupTrainer) -> None:
    def breaks() -> None:
        raise RuntimeError("no memory [left]")

    trainer.during = breaks
    assert refused(*RUN).startswith("RuntimeError: no memory [left]")
    (row,) = as_json("list")["runs"]
    assert (row["state"], row["error"]) == ("failed", "RuntimeError: no memory [left]")
    assert "no memory [left]" in assay("list")
    assert "failed: RuntimeError: no memory [left]" in assay("show", str(row["id"]))


def test_schedules(wiring: FakeWiring) -> None:
    set_nightly = ("schedule", "set", "nightly", "--locale", LOCALE, "--test-set", "test")
    assert "nightly: next at" in assay(*set_nightly, "--cron", "0 3 * * *")
    (row,) = as_json("schedule", "list")["schedules"]
    assert (row["name"], row["cron"], row["enabled"]) == ("nightly", "0 3 * * *", True)
    assert "nightly" in assay("schedule", "list")
    assert "needs five fields" in refused(*set_nightly, "--cron", "daily")
    assert as_json("schedule", "remove", "nightly") == {"removed": "nightly"}
    assert "no schedule is called 'nightly'" in refused("schedule", "remove", "nightly")


def test_weak_utterances_that_were_held_back_are_counted() -> None:
    frozen = {"name": "freeze", "reviewed": 3, "weak": 7, "dropped": 0, "suspected": 2, "spared": 0, "shrank": {}}
    lines = evaluation_table.notes({"steps": [frozen]})
    assert lines[1] == "2 weak utterances left out because their domain is likely wrong"
    assert len(evaluation_table.notes({"steps": [{**frozen, "suspected": 0}]})) == 1
    told = evaluation_table.notes({"steps": [{**frozen, "suspected": 0, "spared": 4, "shrank": {"test": [2000, 9]}}]})
    assert told[1:] == [
        "4 control labels never train: they are the test set 'recent'",
        "test set test shrank from 2,000 to 9: numbers of before do not compare",
    ]


def test_a_run_is_cancelled_once(wiring: FakeWiring) -> None:
    run_id = as_json(*RUN, "--enqueue", "--seeds", "3")["id"]
    assert "not begun" in assay("list")
    assert as_json("cancel", str(run_id)) == {"id": run_id, "state": "cancelled"}
    assert refused("cancel", str(run_id)) == f"run {run_id} is over: it is cancelled"
    assert refused("replay", str(run_id)) == f"run {run_id} cannot be replayed: it is cancelled"


def test_two_runs_are_compared_on_what_both_asked(wiring: FakeWiring) -> None:
    first, second = (as_json(*RUN, "--seeds", seeds)["id"] for seeds in ("1", "2"))
    found = as_json("compare", str(first), str(second))
    assert (found["seeds"], [one["name"] for one in found["test_sets"]]) == (1, ["test"])
    overall = [row for row in found["test_sets"][0]["metrics"] if (row["domain"], row["metric"]) == ("*", "irer")]
    assert (overall[0]["old"]["value"], overall[0]["new"]["value"]) == (0.0, 0.0)
    shown = assay("compare", str(first), str(second), "--arm", "baseline")
    assert "baseline on test, n = 18, 1 seed each" in shown
    assert "+0.0%" in shown
    assert refused("compare", str(first), str(second), "--arm", "bald") == (
        f"run {first} has no arm 'bald': it has candidate, baseline"
    )


def test_a_run_is_replayed_from_what_it_froze(wiring: FakeWiring, trainer: LookupTrainer) -> None:
    run_id = as_json(*RUN)["id"]
    trained = len(trainer.seen)
    with wiring.transaction() as session:
        World(session).gold("play something new", "train")
    assert assay("replay", str(run_id)) == f"run {run_id}: the same, to the bit (4 trainings)\n"
    assert trainer.seen[trained:] == trainer.seen[:trained]
    assert as_json("replay", str(run_id), "--no-train") == {
        "run_id": run_id, "trainings": 0, "differing": [], "changed": [], "same": True,
    }  # fmt: skip
    with wiring.transaction() as session:
        session.execute(
            update(TrainingStep)
            .where(TrainingStep.name == "train baseline 1")
            .values(detail=TrainingStep.detail.op("||")({"predictions": "another"}))
        )
    assert refused("replay", str(run_id)) == f"run {run_id} comes out otherwise: train baseline 1: other predictions"
