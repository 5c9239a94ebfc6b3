"""Schedules, runs, test sets and metrics."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt

RUN_STATES = ("queued", "running", "done", "failed", "cancelled")
VERDICT_STATES = ("better", "worse", "no difference", "not enough evidence")


class Schedule(Base):
    """When a locale is retrained and evaluated: five cron fields, in UTC. Admins edit rows at run time.

    `on_drift`: an alarm of the locale asks for a run too.
    """

    __tablename__ = "schedules"
    __table_args__ = (UniqueConstraint("name"),)

    id: Mapped[BigId]
    name: Mapped[str]
    locale: Mapped[str]
    test_set: Mapped[str]
    cron: Mapped[str]
    enabled: Mapped[bool] = mapped_column(server_default=text("true"))
    on_drift: Mapped[bool] = mapped_column(server_default=text("false"))
    next_due_at: Mapped[datetime]
    last_run_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class Lease(Base):
    """Who does a long piece of work; an expired row is free to take."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    expires_at: Mapped[datetime]


class TestSet(Base):
    """A frozen set: `content_hash` covers ids, texts and labels."""

    __tablename__ = "test_sets"
    __test__ = False  # not a class of pytest's
    __table_args__ = (UniqueConstraint("name", "locale", "content_hash"),)

    id: Mapped[BigId]
    name: Mapped[str]
    locale: Mapped[str]
    content_hash: Mapped[str]
    size: Mapped[int]
    created_at: Mapped[CreatedAt]


class TestSetItem(Base):
    __tablename__ = "test_set_items"
    __test__ = False

    test_set_id: Mapped[int] = mapped_column(ForeignKey("test_sets.id"), primary_key=True)
    utterance_id: Mapped[int] = mapped_column(ForeignKey("utterances.id"), primary_key=True)
    annotation_id: Mapped[int] = mapped_column(ForeignKey("annotations.id"))


class TrainingRun(Base):
    """One retraining and evaluation: what was asked, and how it went.

    `sent_at` is when a worker was last asked for it, `attempts` how often one has begun it.
    """

    __tablename__ = "training_runs"
    __table_args__ = (
        CheckConstraint(f"state IN {RUN_STATES}", name="state_is_known"),
        CheckConstraint("(state = 'failed') = (error IS NOT NULL)", name="failed_has_an_error"),
        Index("ix_training_runs_locale_id", "locale", "id"),
    )

    id: Mapped[BigId]
    locale: Mapped[str]
    test_set: Mapped[str]
    trigger: Mapped[str]
    requested_by: Mapped[str]
    schedule_id: Mapped[int | None] = mapped_column(ForeignKey("schedules.id"))
    seed: Mapped[int]
    settings: Mapped[dict[str, Any]] = mapped_column(JSONB, server_default=text("'{}'"))
    state: Mapped[str] = mapped_column(server_default="queued")
    error: Mapped[str | None]
    code_version: Mapped[str]
    attempts: Mapped[int] = mapped_column(server_default=text("0"))
    created_at: Mapped[CreatedAt]
    sent_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class TrainingStep(Base):
    """A step without an error is finished, and not done again when its run resumes."""

    __tablename__ = "training_steps"

    run_id: Mapped[int] = mapped_column(ForeignKey("training_runs.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    detail: Mapped[dict[str, Any]]
    error: Mapped[str | None]
    started_at: Mapped[datetime]
    finished_at: Mapped[CreatedAt]


class TrainingFrame(Base):
    """What a run trains and tests on, frozen at its first step: zlib-compressed JSON of ids, revisions and labels.

    Texts are not copied: revisions keep them. `content_hash` is the SHA-256 of the JSON.
    """

    __tablename__ = "training_frames"

    run_id: Mapped[int] = mapped_column(ForeignKey("training_runs.id"), primary_key=True)
    content_hash: Mapped[str]
    content: Mapped[bytes] = mapped_column(LargeBinary)


class TrainingPrediction(Base):
    """What one training of a run says of all test utterances of its frame, zlib-compressed JSON, in their order."""

    __tablename__ = "training_predictions"

    run_id: Mapped[int] = mapped_column(ForeignKey("training_runs.id"), primary_key=True)
    arm: Mapped[str] = mapped_column(primary_key=True)
    seed: Mapped[int] = mapped_column(primary_key=True)
    content_hash: Mapped[str]
    content: Mapped[bytes] = mapped_column(LargeBinary)


class Evaluation(Base):
    """One arm of a run on one test set, over `seeds` trainings. A model version only where its weights were kept."""

    __tablename__ = "evaluations"
    __table_args__ = (UniqueConstraint("run_id", "test_set_id", "arm"),)

    id: Mapped[BigId]
    run_id: Mapped[int] = mapped_column(ForeignKey("training_runs.id"))
    test_set_id: Mapped[int] = mapped_column(ForeignKey("test_sets.id"))
    arm: Mapped[str]
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))
    training_size: Mapped[int]
    seeds: Mapped[int] = mapped_column(server_default=text("1"))
    created_at: Mapped[CreatedAt]


class EvaluationMetric(Base):
    """Long form. `domain` * is all of them; `n` counts test utterances; rates are shares, not percents.

    `weighted_value` counts each test utterance as often as the log says its text.
    """

    __tablename__ = "evaluation_metrics"
    __table_args__ = (
        CheckConstraint("n >= 0", name="n_is_not_negative"),
        CheckConstraint("ci_low <= ci_high", name="ci_order"),
    )

    evaluation_id: Mapped[int] = mapped_column(ForeignKey("evaluations.id"), primary_key=True)
    domain: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[float]
    ci_low: Mapped[float | None]
    ci_high: Mapped[float | None]
    weighted_value: Mapped[float | None]
    n: Mapped[int]


class VerdictRow(Base):
    """One arm of a run against its control, on one test set, in one domain (* is all), by one metric.

    Changes are rates of the arm less the control's (`difference`), and that as a share of the control's rate
    (`relative`): of an error rate, negative is better. `labels_saved` is a share of labels, and what is not
    estimable is NULL. `seeds` counts training seeds, `n` test utterances.
    """

    __tablename__ = "verdicts"
    __table_args__ = (
        CheckConstraint(f"state IN {VERDICT_STATES}", name="state_is_known"),
        CheckConstraint("metric = lower(metric)", name="metric_is_lower_case"),
        CheckConstraint("arm <> control", name="arm_is_not_its_control"),
        CheckConstraint("std_error >= 0", name="std_error_is_not_negative"),
        CheckConstraint("ci_low <= ci_high", name="ci_order"),
        CheckConstraint("relative_low <= relative_high", name="relative_order"),
        CheckConstraint("shrunken_low <= shrunken_high", name="shrunken_order"),
        CheckConstraint("labels_saved_low <= labels_saved_high", name="labels_saved_order"),
        CheckConstraint("labels_saved <= 1 AND labels_saved_high <= 1", name="labels_saved_is_a_share"),
        CheckConstraint("p_value BETWEEN 0 AND 1 AND p_holm BETWEEN 0 AND 1", name="p_is_a_probability"),
        CheckConstraint("n >= 0 AND seeds >= 0 AND control_labels_needed >= 0", name="counts_are_not_negative"),
    )

    run_id: Mapped[int] = mapped_column(ForeignKey("training_runs.id"), primary_key=True)
    test_set_id: Mapped[int] = mapped_column(ForeignKey("test_sets.id"), primary_key=True)
    domain: Mapped[str] = mapped_column(primary_key=True)
    metric: Mapped[str] = mapped_column(primary_key=True)
    arm: Mapped[str] = mapped_column(primary_key=True)
    control: Mapped[str]
    locale: Mapped[str]
    difference: Mapped[float | None]
    std_error: Mapped[float | None]
    ci_low: Mapped[float | None]
    ci_high: Mapped[float | None]
    relative: Mapped[float | None]
    relative_low: Mapped[float | None]
    relative_high: Mapped[float | None]
    shrunken: Mapped[float | None]
    shrunken_low: Mapped[float | None]
    shrunken_high: Mapped[float | None]
    p_value: Mapped[float | None]
    p_holm: Mapped[float | None]
    labels_saved: Mapped[float | None]
    labels_saved_low: Mapped[float | None]
    labels_saved_high: Mapped[float | None]
    control_labels_needed: Mapped[int | None]
    n: Mapped[int]
    seeds: Mapped[int]
    state: Mapped[str]
    sentence: Mapped[str]
    created_at: Mapped[CreatedAt]
