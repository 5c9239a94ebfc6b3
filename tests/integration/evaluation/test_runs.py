from __future__ import annotations

import threading
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import delete, func, select, text, update
from sqlalchemy.exc import OperationalError

from db.models import (
    AnnotationRow,
    Evaluation,
    EvaluationMetric,
    Lease,
    ModelVersion,
    TestSet,
    TrainingRun,
    UtteranceRow,
)
from db.repositories import evaluations, leases, models
from db.session import TransactionMaker
from plugin.records import Policy
from plugin.services import evaluation
from plugin.services.evaluation import Context, EvaluationError, LeaseLostError, LocaleBusyError
from plugin.services.evaluation.lease import lease_name
from plugin.services.evaluation.runs import MAX_ATTEMPTS
from tests.integration.evaluation.conftest import LOCALE, World
from tests.integration.evaluation.lookup import LookupTrainer

POLICY = {"*": Policy()}


def queued(transaction: TransactionMaker, **changed: Any) -> int:
    with transaction() as session:
        values: dict[str, Any] = {"trigger": "test", "requested_by": "me", **changed}
        return evaluation.create_run(session, LOCALE, "test", POLICY, **values).id


def run_of(transaction: TransactionMaker, run_id: int) -> TrainingRun:
    with transaction() as session:
        run = evaluations.get_run(session, run_id)
        assert run is not None
        return run


def report_of(transaction: TransactionMaker, run_id: int) -> dict[str, Any]:
    with transaction() as session:
        return evaluation.run_report(session, run_id)


def metric(report: dict[str, Any], arm: str, name: str, domain: str = "*") -> dict[str, Any]:
    found = [row for row in report["arms"][arm]["metrics"] if (row["domain"], row["metric"]) == (domain, name)]
    assert len(found) == 1
    return dict(found[0])


STEPS = ["freeze", "train candidate 7", "train baseline 7", "train candidate 8", "train baseline 8", "evaluate"]


def test_a_run_measures_what_review_brought(context: Context, trainer: LookupTrainer) -> None:
    run_id = queued(context.transaction, seed=7)
    assert evaluation.execute(context, run_id).state == "done"

    reviewed, gold = trainer.seen[:2]
    assert len(gold) == 12
    assert {example.id for example in reviewed} - {example.id for example in gold} == {
        f"log/pool-hush-please-{number}" for number in range(6)
    }
    assert trainer.seen[2:] == [reviewed, gold]
    assert trainer.seeds_seen == [7, 7, 8, 8]

    report = report_of(context.transaction, run_id)
    assert [step["name"] for step in report["steps"]] == STEPS
    assert report["arms"]["baseline"]["training_size"] == 12
    assert report["arms"]["candidate"]["training_size"] == 18
    assert report["arms"]["candidate"]["seeds"] == 2
    # Six of 18 test utterances are audio, which the baseline cannot know and the candidate does.
    assert metric(report, "baseline", "dcer")["value"] == pytest.approx(6 / 18)
    assert metric(report, "candidate", "dcer") == {
        "domain": "*", "metric": "dcer", "value": 0.0, "ci_low": None, "ci_high": None, "n": 18, "weighted_value": 0.0,
    }  # fmt: skip
    assert metric(report, "baseline", "semer", "audio")["value"] == 1.0
    assert metric(report, "baseline", "semer", "audio")["n"] == 6
    change = metric(report, "candidate", "semer_change")
    assert change["value"] == -1.0
    low, high = (metric(report, "baseline", "irer")[end] for end in ("ci_low", "ci_high"))
    assert 0.0 < low < 6 / 18 < high < 1.0


def test_only_what_may_be_promoted_is_kept_with_what_made_it(context: Context) -> None:
    run_id = queued(context.transaction)
    evaluation.execute(context, run_id)
    with context.transaction() as session:
        (version,) = models.versions(session, locale=LOCALE)
        assert version.name == "sw-KE-0001"
        assert version.uri == str(context.workshop.models_folder / version.name)
        assert (version.kind, version.el2n_variant, version.el2n_epoch) == ("ensemble", "trusted", 1)
        assert version.seeds == [0, 1]
        assert version.promoted_at is None
        assert version.vocabulary["intent_domains"]["audio_volume"] == "audio"
    report = report_of(context.transaction, run_id)
    assert [report["arms"][arm]["model_version"] for arm in ("candidate", "baseline")] == [version.name, None]


def test_what_decides_a_run_is_pinned_when_it_begins(context: Context, trainer: LookupTrainer) -> None:
    run_id = queued(context.transaction)
    trainer.during = DiesAt(2)
    with pytest.raises(OperationalError):
        evaluation.execute(context, run_id)
    elsewhere = replace(context, workshop=replace(context.workshop, seeds=5, replicates=3))
    evaluation.execute(elsewhere, run_id)
    settings = report_of(context.transaction, run_id)["settings"]
    assert (settings["seeds"], settings["replicates"]) == ([0, 1], 2)
    assert trainer.seeds_seen == [0, 0, 0, 1, 1]


def test_only_a_run_that_is_told_to_promotes(context: Context) -> None:
    evaluation.execute(context, queued(context.transaction))
    with context.transaction() as session:
        assert models.champion(session, LOCALE) is None
    run_id = queued(context.transaction, promote=True)
    evaluation.execute(context, run_id)
    with context.transaction() as session:
        champion = models.champion(session, LOCALE)
        assert champion is not None
        assert evaluation.promoted_version(session, run_id) == champion.id
        assert evaluations.results(session, run_id)["candidate"].evaluation.model_version_id == champion.id


def test_a_run_that_is_over_is_not_done_again(context: Context, trainer: LookupTrainer) -> None:
    run_id = queued(context.transaction)
    first = evaluation.execute(context, run_id)
    again = evaluation.execute(context, run_id)
    assert (again.state, again.finished_at, again.attempts) == ("done", first.finished_at, 1)
    assert len(trainer.seen) == 4


class DiesAt:
    """Kills the process' part in the n-th training, as a lost worker would: nothing is recorded."""

    def __init__(self, training: int) -> None:
        self.left = training

    def __call__(self) -> None:
        self.left -= 1
        if self.left == 0:
            raise OperationalError("", {}, Exception("the database went away"))


def test_a_broken_off_run_resumes_after_its_last_finished_step(context: Context, trainer: LookupTrainer) -> None:
    run_id = queued(context.transaction)
    trainer.during = DiesAt(2)
    with pytest.raises(OperationalError):
        evaluation.execute(context, run_id)
    run = run_of(context.transaction, run_id)
    assert (run.state, run.error, run.attempts) == ("running", None, 1)
    report = report_of(context.transaction, run_id)
    assert [step["name"] for step in report["steps"]] == ["freeze", "train candidate 0"]
    assert (report["progress"]["done"], report["progress"]["steps"]) == (2, 6)

    run = evaluation.execute(context, run_id)
    assert (run.state, run.attempts) == ("done", 2)
    assert len(trainer.seen) == 5  # the candidate, the baseline that died, three more
    with context.transaction() as session:
        assert session.scalar(select(func.count()).select_from(ModelVersion)) == 1


def test_a_run_that_kills_its_worker_again_and_again_is_given_up(context: Context, trainer: LookupTrainer) -> None:
    run_id = queued(context.transaction)
    for _ in range(MAX_ATTEMPTS):
        trainer.during = DiesAt(1)
        with pytest.raises(OperationalError):
            evaluation.execute(context, run_id)
    with pytest.raises(EvaluationError, match="never finished"):
        evaluation.execute(context, run_id)
    assert run_of(context.transaction, run_id).state == "failed"


def test_what_goes_wrong_is_kept_as_one_line(context: Context, trainer: LookupTrainer) -> None:
    def breaks() -> None:
        raise RuntimeError("out of\nmemory")

    trainer.during = breaks
    run_id = queued(context.transaction)
    with pytest.raises(RuntimeError):
        evaluation.execute(context, run_id)
    run = run_of(context.transaction, run_id)
    assert (run.state, run.error) == ("failed", "RuntimeError: out of memory")
    with context.transaction() as session:
        assert leases.live(session, lease_name(LOCALE)) is None


def test_two_runs_of_a_locale_never_train_at_once(context: Context, trainer: LookupTrainer) -> None:
    first, second = queued(context.transaction), queued(context.transaction)
    refused: list[BaseException] = []

    def try_the_second() -> None:
        trainer.during = lambda: None
        try:
            evaluation.execute(context, second)
        except LocaleBusyError as error:
            refused.append(error)

    trainer.during = try_the_second
    evaluation.execute(context, first)
    assert len(refused) == 1
    assert LOCALE in str(refused[0])
    assert run_of(context.transaction, second).state == "queued"
    assert evaluation.execute(context, second).state == "done"


def test_the_same_run_delivered_twice_at_once_is_done_once(committing_context: Context, trainer: LookupTrainer) -> None:
    run_id = queued(committing_context.transaction)
    outcomes: list[str] = []
    both_ready = threading.Barrier(2)

    def deliver() -> None:
        both_ready.wait()
        try:
            outcomes.append(evaluation.execute(committing_context, run_id).state)
        except LocaleBusyError:
            outcomes.append("busy")

    threads = [threading.Thread(target=deliver) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert "done" in outcomes
    assert set(outcomes) <= {"done", "busy"}
    assert len(trainer.seen) == 4
    with committing_context.transaction() as session:
        assert session.scalar(select(func.count()).select_from(Evaluation)) == 2


def test_who_lost_the_lease_writes_nothing(context: Context, trainer: LookupTrainer) -> None:
    def another_process_takes_over() -> None:
        with context.transaction() as session:
            session.execute(update(Lease).values(holder="another"))

    trainer.during = another_process_takes_over
    run_id = queued(context.transaction)
    with pytest.raises(LeaseLostError):
        evaluation.execute(context, run_id)
    assert [step["name"] for step in report_of(context.transaction, run_id)["steps"]] == ["freeze"]
    assert run_of(context.transaction, run_id).state == "running"
    with context.transaction() as session:
        assert session.scalars(select(ModelVersion)).all() == []
        held = leases.live(session, lease_name(LOCALE))
        assert held is not None
        assert held.holder == "another"
    assert list(context.workshop.models_folder.glob("*")) == []


def test_an_utterance_in_training_and_test_stops_the_run_and_is_named(context: Context) -> None:
    with context.transaction() as session:
        reviewed = session.scalars(select(UtteranceRow).where(UtteranceRow.text == "hush now 3")).one()
        world = World(session)
        world.annotation_id = 100
        world.annotate(reviewed)
    run_id = queued(context.transaction)
    with pytest.raises(EvaluationError, match="gold/test-hush-now-3"):
        evaluation.execute(context, run_id)
    error = run_of(context.transaction, run_id).error
    assert error is not None
    assert "in training and test at once: gold/test-hush-now-3" in error


def test_a_test_text_under_another_id_does_not_train_and_is_counted(context: Context, trainer: LookupTrainer) -> None:
    with context.transaction() as session:
        world = World(session)
        world.annotation_id = 100
        world.annotate(world.utterance("hush  NOW 3"))
        world.gold("play OLD 1", "train")
        world.gold("rain soon 2", "dev")
    run_id = queued(context.transaction)
    evaluation.execute(context, run_id)
    report = report_of(context.transaction, run_id)
    assert report["steps"][0]["dropped"] == 3
    texts = {example.text for examples in trainer.seen for example in examples}
    assert not texts & {"hush  NOW 3", "play OLD 1", "rain soon 2"}
    # The numbers with and without what was asked and would have been learned.
    assert [(one["name"], one["size"]) for one in report["test_sets"]] == [("test", 18), ("test/new", 15)]
    assert report["test_sets"][0]["arms"].keys() == report["test_sets"][1]["arms"].keys()


def test_a_dev_text_does_not_train(context: Context, trainer: LookupTrainer) -> None:
    with context.transaction() as session:
        world = World(session)
        world.annotation_id = 100
        world.gold("rain in dev", "dev")
        world.gold("rain in  DEV", "train")
        world.annotate(world.utterance("Rain in dev"))
    run_id = queued(context.transaction)
    evaluation.execute(context, run_id)
    assert report_of(context.transaction, run_id)["steps"][0]["dropped"] == 2
    assert not {example.text.lower() for examples in trainer.seen for example in examples} & {"rain in dev"}


def test_all_arms_train_as_long_as_the_largest_one(context: Context, trainer: LookupTrainer) -> None:
    evaluation.execute(context, queued(context.transaction))
    candidate, baseline = map(len, trainer.seen[:2])
    assert baseline < candidate
    assert trainer.sizes_seen == [candidate] * 4


def test_without_annotations_both_arms_are_one_model(context: Context, trainer: LookupTrainer) -> None:
    with context.transaction() as session:
        session.execute(delete(AnnotationRow).where(AnnotationRow.annotation_id.is_not(None)))
    run_id = queued(context.transaction)
    evaluation.execute(context, run_id)
    assert trainer.seeds_seen == [0, 1]
    report = report_of(context.transaction, run_id)
    assert [step.get("same_as") for step in report["steps"] if "arm" in step] == [None, "candidate", None, "candidate"]
    assert metric(report, "candidate", "semer_change")["value"] == 0.0
    assert report["left_out"] == {
        "k-means": "no label of what it chose has come back", "random": "no control label has come back",
    }  # fmt: skip


def test_what_is_reviewed_or_mended_in_the_middle_is_for_the_next_run(context: Context, trainer: LookupTrainer) -> None:
    run_id = queued(context.transaction)

    def more() -> None:
        trainer.during = lambda: None
        with context.transaction() as session:
            world = World(session)
            world.annotation_id = 200
            world.gold("rain late", "train")
            world.gold("hush late", "test")
            world.annotate(world.utterance("rain reviewed late"))
            session.execute(
                update(AnnotationRow).where(AnnotationRow.domain == "audio").values(domain="music", intent="music_play")
            )

    trainer.during = more
    evaluation.execute(context, run_id)
    first, baseline, *second = trainer.seen
    assert second == [first, baseline]
    report = report_of(context.transaction, run_id)
    assert metric(report, "baseline", "dcer")["n"] == 18
    assert metric(report, "candidate", "dcer")["value"] == 0.0


def test_a_changed_partition_is_another_frozen_set(context: Context) -> None:
    for _ in range(2):
        evaluation.execute(context, queued(context.transaction))
    with context.transaction() as session:
        World(session).gold("hush late", "test")
    evaluation.execute(context, queued(context.transaction))
    with context.transaction() as session:
        sizes = [test_set.size for test_set in session.scalars(select(TestSet).order_by(TestSet.id))]
    assert sizes == [18, 19]


def test_a_test_set_that_shrank_is_told(context: Context) -> None:
    evaluation.execute(context, queued(context.transaction))
    with context.transaction() as session:
        gone = select(UtteranceRow.id).where(UtteranceRow.text == "hush now 3")
        session.execute(
            update(AnnotationRow).where(AnnotationRow.utterance_id.in_(gone)).values(withdrawn_at=datetime.now(UTC))
        )
    run_id = queued(context.transaction)
    evaluation.execute(context, run_id)
    assert report_of(context.transaction, run_id)["steps"][0]["shrank"] == {"test": [18, 17]}


@pytest.mark.parametrize("name", ["train", "dev", "pool"])
def test_what_models_are_made_from_is_no_test_set(context: Context, name: str) -> None:
    with context.transaction() as session, pytest.raises(EvaluationError, match="no test set"):
        evaluation.create_run(session, LOCALE, name, POLICY, trigger="test", requested_by="me")


def test_a_missing_test_set_or_locale_says_what_there_is(context: Context) -> None:
    with context.transaction() as session:
        with pytest.raises(EvaluationError, match=r"no test set 'nope' for sw-KE \(there is test\)"):
            evaluation.check_material(session, LOCALE, "nope")
        with pytest.raises(EvaluationError, match="no test set 'test' for is-IS"):
            evaluation.check_material(session, "is-IS", "test")


def test_the_first_ensemble_becomes_champion_and_the_second_does_not(context: Context) -> None:
    def train(**changed: Any) -> ModelVersion:
        now = datetime.now(UTC)
        return evaluation.train_first(context.transaction, context.workshop, LOCALE, now, **changed)

    first, second, third = train(), train(seed=3), train(promote=True)
    assert [version.name for version in (first, second, third)] == ["sw-KE-0001", "sw-KE-0002", "sw-KE-0003"]
    assert [version.promoted_at is not None for version in (first, second, third)] == [True, False, True]
    assert second.seeds == [3, 4]
    assert first.uri is not None
    assert Path(first.uri).is_dir()


def test_no_gold_data_says_how_to_bring_it_in(context: Context) -> None:
    with pytest.raises(
        EvaluationError, match=r"no gold data to train is-IS on \(there is some for sw-KE\).*--partition"
    ):
        evaluation.train_first(context.transaction, context.workshop, "is-IS", datetime.now(UTC))


def test_a_model_that_cannot_be_saved_is_said_in_one_line(context: Context) -> None:
    context.workshop.models_folder.write_text("a file where a folder should be")
    with pytest.raises(EvaluationError, match="cannot be saved in"):
        evaluation.train_first(context.transaction, context.workshop, LOCALE, datetime.now(UTC))


def test_no_transaction_is_open_while_a_model_trains(committing_context: Context, trainer: LookupTrainer) -> None:
    open_now: list[int] = []

    def look() -> None:
        with committing_context.transaction() as session:
            query = text(
                "SELECT count(*) FROM pg_stat_activity"
                " WHERE datname = current_database() AND state <> 'idle' AND pid <> pg_backend_pid()"
            )
            open_now.append(session.scalar(query) or 0)

    trainer.during = look
    evaluation.execute(committing_context, queued(committing_context.transaction))
    assert open_now == [0, 0, 0, 0]


def test_metrics_are_within_their_constraints(context: Context) -> None:
    evaluation.execute(context, queued(context.transaction))
    with context.transaction() as session:
        rows = session.scalars(select(EvaluationMetric)).all()
    assert {row.domain for row in rows} == {"*", "audio", "music", "weather"}
    assert {row.metric for row in rows} >= set(evaluation.METRICS) - {"slot_f1"}
