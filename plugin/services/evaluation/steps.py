"""The steps of a run: freeze, a training for each arm and seed, evaluate. Each that is finished is a row.

No transaction is open while a model trains or predicts; every write asks first whether the run is still ours to write.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from db.models import TrainingRun
from db.repositories import evaluations
from db.session import TransactionMaker
from plugin.records import Hypothesis, Slot
from plugin.services.evaluation import arms, data, freezing, frozen
from plugin.services.evaluation.arms import CANDIDATE, Plan
from plugin.services.evaluation.data import ArmData
from plugin.services.evaluation.errors import EvaluationError
from plugin.services.evaluation.frozen import Frame
from plugin.services.evaluation.lease import TTL, Heartbeat
from plugin.services.evaluation.training import Workshop, fit, register, saved
from plugin.services.ports import Progress, Scorer

FREEZE, EVALUATE, PUBLISH, CANCEL = "freeze", "evaluate", "publish", "cancel"

Details = Mapping[str, Mapping[str, Any]]  # finished step -> what it made


@dataclass(frozen=True)
class Step:
    """The `number`-th of `total`, from 1; before a run is frozen, no one knows how many there will be."""

    name: str
    number: int
    total: int


Observer = Callable[[Step], Progress | None]  # asked at the start of each step


def unobserved(_step: Step) -> None:
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


@dataclass(frozen=True)
class Training:
    """One arm with one seed."""

    arm: str
    seed: int

    @property
    def name(self) -> str:
        return f"train {self.arm} {self.seed}"


@dataclass(frozen=True)
class Agenda:
    """What is left after freezing: trainings, seed after seed, so that a cut-off run has all arms of some seeds."""

    frame: Frame
    plan: Plan
    seeds: Sequence[int]
    replicates: int
    schedule_size: int

    @property
    def trainings(self) -> list[Training]:
        return [Training(arm, seed) for seed in self.seeds for arm in self.plan.arms]

    def data_of(self, training: Training) -> ArmData:
        added = arms.rows_of(self.frame, self.plan, training.arm, training.seed)
        rows = [*self.frame.train, *added]
        weak = any(row.annotation_id is None for row in added)
        return ArmData([data.to_example(row) for row in rows], [data.to_example(row) for row in self.frame.dev], weak)

    def keeps_weights(self, training: Training) -> bool:
        """Only what may be promoted: the weights of all others have served once they have predicted."""
        return training == Training(CANDIDATE, self.seeds[0])


def freeze(context: Context, run: TrainingRun, lease: Heartbeat) -> None:
    started_at = context.clock()
    with context.transaction() as session:
        lease.guard(session)
        frame, told = freezing.freeze(session, run.locale, run.test_set, run.settings["train_on_weak"])
        plan = arms.plan(frame, run.settings.get("strategies", ()))
        content_hash, content = frozen.pack(frame)
        evaluations.put_frame(session, run.id, content_hash, content)
        workshop = context.workshop
        settings = {"replicates": workshop.replicates, "trainer": dict(workshop.about)}
        asked = run.settings.get("seed_count", workshop.seeds)
        seeds = list(range(run.seed, run.seed + asked))
        evaluations.put_settings(session, run.id, {**settings, **run.settings, "seeds": seeds})
        detail = {
            **told,
            "content_hash": content_hash,
            "arms": list(plan.arms),
            "left_out": dict(plan.left_out),
            "places": dict(plan.places),
            "own_labels": {arm: arms.own_labels(frame, plan, arm) for arm in plan.strategies},
            "own_shares": {arm: arms.own_shares(frame, plan, arm) for arm in plan.strategies},
            "trainings": len(plan.arms) * len(seeds),
            # All arms take as many optimiser steps as the largest one needs: a difference is then the data's.
            "schedule_size": len(frame.train) + len(frame.everything),
        }
        evaluations.put_step(session, run.id, FREEZE, detail, started_at)


def details(session: Session, run_id: int) -> Details:
    return {name: step.detail for name, step in evaluations.steps(session, run_id).items()}


def read_agenda(session: Session, run: TrainingRun) -> Agenda:
    """Raises EvaluationError when utterances of the frame are gone."""
    stored = evaluations.frame(session, run.id)
    step = evaluations.steps(session, run.id).get(FREEZE)
    if stored is None or step is None:
        raise EvaluationError(f"run {run.id} has not been frozen: it never began")
    frame = frozen.unpack(session, stored.content)
    plan = Plan(tuple(step.detail["arms"]), step.detail["left_out"], step.detail["places"])
    settings = run.settings
    return Agenda(frame, plan, settings["seeds"], settings["replicates"], step.detail["schedule_size"])


def train(context: Context, run: TrainingRun, agenda: Agenda, training: Training, lease: Heartbeat, at: Step) -> None:
    """Train and ask about every test utterance. The same data and seed give the same model: it is asked once."""
    started_at = context.clock()
    arm = agenda.data_of(training)
    detail: dict[str, Any] = {
        "arm": training.arm,
        "seed": training.seed,
        "examples": len(arm.examples),
        "data_hash": arm.content_hash,
    }
    if not agenda.keeps_weights(training):
        with context.transaction() as session:
            lease.guard(session)
            if copied(session, run, training, detail, started_at):
                return
    scorer = fit(
        context.workshop, run.locale, arm, lease, seed=training.seed, replicates=agenda.replicates,
        schedule_size=agenda.schedule_size, progress=context.observe(at),
    )  # fmt: skip
    with kept(context, run, agenda, training, arm, scorer, lease) as (asked, extra):
        said = pack_predictions(ask(asked, agenda.frame))
        lease.check()
        with context.transaction() as session:
            lease.guard(session)
            evaluations.put_predictions(session, run.id, training.arm, training.seed, *said)
            detail |= {**extra(session), "predictions": said[0]}
            evaluations.put_step(session, run.id, training.name, detail, started_at)


Extra = Callable[[Session], Mapping[str, Any]]


@contextmanager
def kept(
    context: Context,
    run: TrainingRun,
    agenda: Agenda,
    training: Training,
    arm: ArmData,
    scorer: Scorer,
    lease: Heartbeat,
) -> Iterator[tuple[Scorer, Extra]]:
    """Whom to ask, and what to register beside the answers: a model that is kept is asked as its files have it."""
    if not agenda.keeps_weights(training):
        yield scorer, lambda _session: {}
        return
    with saved(context.transaction, context.workshop, run.locale, arm, scorer, lease) as trained:

        def registered(session: Session) -> Mapping[str, Any]:
            version = register(session, run.locale, trained)
            return {"model_version_id": version.id, "model_version": version.name}

        yield context.workshop.load_scorer(Path(trained.folder), trained.sha256), registered


def copied(
    session: Session, run: TrainingRun, training: Training, detail: Mapping[str, Any], started_at: datetime
) -> bool:
    """Whether another arm had the same data with the same seed, and its answers serve."""
    for step in evaluations.steps(session, run.id).values():
        other = step.detail
        if other.get("data_hash") == detail["data_hash"] and other["seed"] == training.seed:
            found = evaluations.predictions(session, run.id, other["arm"], training.seed)
            assert found is not None
            evaluations.put_predictions(session, run.id, training.arm, training.seed, found.content_hash, found.content)
            same = {**detail, "predictions": found.content_hash, "same_as": other["arm"]}
            evaluations.put_step(session, run.id, training.name, same, started_at)
            return True
    return False


def ask(scorer: Scorer, frame: Frame) -> list[Hypothesis]:
    questions = frame.questions
    return scorer.predict([row.text for row in questions], [row.locale for row in questions]).hypotheses


def pack_predictions(said: Sequence[Hypothesis]) -> tuple[str, bytes]:
    """SHA-256 and compressed content."""
    rows = [[one.domain, one.intent, [[slot.start, slot.end, slot.label] for slot in one.slots]] for one in said]
    text = json.dumps(rows, separators=(",", ":"), ensure_ascii=False).encode()
    return hashlib.sha256(text).hexdigest(), zlib.compress(text)


def unpack_predictions(content: bytes) -> list[Hypothesis]:
    return [
        Hypothesis(domain, intent, tuple(Slot(*slot) for slot in slots))
        for domain, intent, slots in json.loads(zlib.decompress(content))
    ]
