"""A run: train the baseline, train the candidate, evaluate both. Each finished step is a row, so a run can resume.

No transaction is open while a model trains or predicts; every write asks first whether the lease is still ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from db.models import ModelVersion, TestSet, TrainingRun
from db.repositories import evaluations, examples, models
from db.repositories.examples import Labelled
from db.session import TransactionMaker
from plugin import __version__
from plugin.records import Hypothesis, Policy, TrainingExample
from plugin.services.evaluation import data, measure
from plugin.services.evaluation.data import ArmData
from plugin.services.evaluation.errors import EvaluationError, LeaseLostError, one_line
from plugin.services.evaluation.lease import TTL, Heartbeat, locale_lease
from plugin.services.evaluation.training import Workshop, register, train
from plugin.services.ports import Progress

BASELINE, CANDIDATE = "baseline", "candidate"
TRAIN_BASELINE, TRAIN_CANDIDATE, EVALUATE, PUBLISH = "train baseline", "train candidate", "evaluate", "publish"
MAX_ATTEMPTS = 5

Details = Mapping[str, Mapping[str, Any]]  # finished step -> what it made
Observer = Callable[[str], Progress | None]  # asked at the start of each step


def unobserved(_step: str) -> None:
    return None


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Context:
    transaction: TransactionMaker
    workshop: Workshop
    observe: Observer = unobserved
    clock: Callable[[], datetime] = utc_now
    lease_ttl: timedelta = TTL


def create_run(
    session: Session,
    locale: str,
    test_set: str,
    policy: Mapping[str, Policy],
    *,
    trigger: str,
    requested_by: str,
    seed: int = 0,
    promote: bool = False,
    schedule_id: int | None = None,
    sent_at: datetime | None = None,
) -> TrainingRun:
    """A queued run with a copy of what it is to follow."""
    data.check_test_set_name(test_set)
    return evaluations.add_run(
        session,
        locale=locale,
        test_set=test_set,
        trigger=trigger,
        requested_by=requested_by,
        schedule_id=schedule_id,
        seed=seed,
        settings={"promote": promote, "train_on_weak": data.weak_domains(policy)},
        code_version=__version__,
        sent_at=sent_at,
    )


def check_material(session: Session, locale: str, test_set: str) -> None:
    """Raises EvaluationError when a run of this could not even begin."""
    data.read_test_set(session, test_set, locale)
    data.read_material(session, locale)


def execute(context: Context, run_id: int) -> TrainingRun:
    """Do what is left of the run; nothing if it is over. Raises what went wrong, after recording it.

    LocaleBusyError, LeaseLostError and a database that is away leave the run to be resumed.
    """
    run = current(context, run_id)
    if is_over(run):
        return run
    with locale_lease(context.transaction, run.locale, context.lease_ttl) as lease:
        if is_over(current(context, run_id)):
            return current(context, run_id)
        try:
            begin(context, run_id, lease)
            do_steps(context, run, lease)
        except (OperationalError, LeaseLostError):
            raise
        except (Exception, KeyboardInterrupt) as error:
            with context.transaction() as session:
                lease.guard(session)
                evaluations.finish(session, run_id, context.clock(), error=one_line(error))
            raise
    return current(context, run_id)


def current(context: Context, run_id: int) -> TrainingRun:
    with context.transaction() as session:
        return known_run(session, run_id)


def known_run(session: Session, run_id: int) -> TrainingRun:
    run = evaluations.get_run(session, run_id)
    if run is None:
        raise EvaluationError(f"no run has id {run_id}: see `assay evaluation list`")
    return run


def is_over(run: TrainingRun) -> bool:
    return run.state not in evaluations.UNFINISHED


def begin(context: Context, run_id: int, lease: Heartbeat) -> None:
    with context.transaction() as session:
        lease.guard(session)
        attempts = evaluations.begin(session, run_id, context.clock())
    if attempts > MAX_ATTEMPTS:
        raise EvaluationError(f"begun {MAX_ATTEMPTS} times and never finished: the worker's log says why it died")


def do_steps(context: Context, run: TrainingRun, lease: Heartbeat) -> None:
    steps = {TRAIN_BASELINE: train_baseline, TRAIN_CANDIDATE: train_candidate, EVALUATE: evaluate}
    for name, step in steps.items():
        with context.transaction() as session:
            done = finished(session, run.id)
        if name not in done:
            step(context, run, done, lease)
    with context.transaction() as session:
        lease.guard(session)
        evaluations.finish(session, run.id, context.clock())


def finished(session: Session, run_id: int) -> dict[str, dict[str, Any]]:
    return {name: step.detail for name, step in evaluations.steps(session, run_id).items() if step.error is None}


def train_baseline(context: Context, run: TrainingRun, _done: Details, lease: Heartbeat) -> None:
    with context.transaction() as session:
        test_set = data.freeze_test_set(session, run.test_set, run.locale)
        material = data.read_material(session, run.locale)
        larger = data.candidate(session, run.locale, material, run.settings["train_on_weak"])
    pinned = {
        "test_set_id": test_set.id,
        "test_size": test_set.size,
        "material": material.content_hash,
        # Both arms take as many optimiser steps as the larger one needs: a difference is then the data's.
        "schedule_size": len(larger.examples),
    }
    train_arm(context, run, TRAIN_BASELINE, data.baseline(material), lease, pinned)


def train_candidate(context: Context, run: TrainingRun, done: Details, lease: Heartbeat) -> None:
    pinned = done[TRAIN_BASELINE]
    with context.transaction() as session:
        material = data.read_material(session, run.locale)
        arm = data.candidate(session, run.locale, material, run.settings["train_on_weak"])
    check_unchanged(run, material.content_hash == pinned["material"])
    if arm.reviewed or arm.weak:
        return train_arm(context, run, TRAIN_CANDIDATE, arm, lease, {"schedule_size": pinned["schedule_size"]})
    # Nothing new to learn from: the same data and seed would give the same model.
    with context.transaction() as session:
        lease.guard(session)
        same = {name: pinned[name] for name in ("model_version_id", "model_version")}
        evaluations.put_step(session, run.id, TRAIN_CANDIDATE, {**same, **counts(arm)}, context.clock())
    return None


def train_arm(
    context: Context,
    run: TrainingRun,
    step: str,
    arm: ArmData,
    lease: Heartbeat,
    pinned: Mapping[str, Any],
) -> None:
    started_at = context.clock()
    with (
        train(
            context.transaction,
            context.workshop,
            run.locale,
            arm,
            lease,
            seed=run.seed,
            schedule_size=pinned["schedule_size"],
            progress=context.observe(step),
        ) as trained,
        context.transaction() as session,
    ):
        lease.guard(session)
        version = register(session, run.locale, trained)
        made = {"model_version_id": version.id, "model_version": version.name}
        evaluations.put_step(session, run.id, step, {**made, **counts(arm), **pinned}, started_at)


def counts(arm: ArmData) -> dict[str, int]:
    return {
        "examples": len(arm.examples),
        "dev": len(arm.dev),
        "reviewed": arm.reviewed,
        "weak": arm.weak,
        "suspected": arm.suspected,
        "dropped": arm.dropped,
    }


def evaluate(context: Context, run: TrainingRun, done: Details, lease: Heartbeat) -> None:
    started_at = context.clock()
    arms = {BASELINE: done[TRAIN_BASELINE], CANDIDATE: done[TRAIN_CANDIDATE]}
    with context.transaction() as session:
        test_set, rows = pinned_test_set(session, run, arms[BASELINE]["test_set_id"])
        versions = {arm: known_version(session, detail["model_version_id"]) for arm, detail in arms.items()}
    gold = [data.to_example(row) for row in rows]
    predictions = predict(context, versions, gold, lease)
    measured = measure.compare([example.label for example in gold], predictions, against=BASELINE, seed=run.seed)
    promoted = bool(run.settings["promote"])
    with context.transaction() as session:
        lease.guard(session)
        for arm, version in versions.items():
            evaluations.add_evaluation(
                session,
                measured[arm],
                run_id=run.id,
                test_set_id=test_set.id,
                arm=arm,
                model_version_id=version.id,
                training_size=arms[arm]["examples"],
            )
        if promoted:
            models.promote(session, versions[CANDIDATE].id, context.clock())
        detail = {"test_set_id": test_set.id, "n": len(gold), "promoted": promoted}
        evaluations.put_step(session, run.id, EVALUATE, detail, started_at)


def predict(
    context: Context, versions: Mapping[str, ModelVersion], gold: Sequence[TrainingExample], lease: Heartbeat
) -> dict[str, list[Hypothesis]]:
    """What each arm's model says of the test set, from its saved files; a model that serves both arms is asked once."""
    progress = context.observe(EVALUATE)
    predicted: dict[int, list[Hypothesis]] = {}
    for number, version in enumerate(versions.values(), start=1):
        if version.id not in predicted:
            assert version.uri is not None
            assert version.sha256 is not None
            scorer = context.workshop.load_scorer(Path(version.uri), version.sha256)
            prediction = scorer.predict([example.text for example in gold], [example.locale for example in gold])
            predicted[version.id] = prediction.hypotheses
        lease.check()
        if progress is not None:
            progress(number, len(versions))
    return {arm: predicted[version.id] for arm, version in versions.items()}


def pinned_test_set(session: Session, run: TrainingRun, test_set_id: int) -> tuple[TestSet, list[Labelled]]:
    """The set frozen when the run began, if the partition still says the same."""
    test_set = examples.test_set(session, test_set_id)
    assert test_set is not None
    rows = data.read_test_set(session, run.test_set, run.locale)
    check_unchanged(run, data.content_hash(rows) == test_set.content_hash)
    return test_set, rows


def check_unchanged(run: TrainingRun, unchanged: bool) -> None:
    if not unchanged:
        raise EvaluationError(
            f"the gold data of {run.locale} changed while run {run.id} was at work, so its arms cannot be compared; "
            "start a new run"
        )


def known_version(session: Session, version_id: int) -> ModelVersion:
    version = models.get(session, version_id)
    assert version is not None
    return version
