"""Model versions and what they say of each utterance. Scores and features never change: a new model is new rows.

`scores` and `features` are partitioned by model version; `db.repositories.models` makes a version's partitions
when it registers the version, and retention drops them whole.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import (
    REAL,
    BigInteger,
    CheckConstraint,
    ForeignKey,
    Index,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt


class ModelVersion(Base):
    """An ensemble of ours, or, kind `external`, the source's own production NLU."""

    __tablename__ = "model_versions"
    __table_args__ = (
        UniqueConstraint("name"),
        CheckConstraint("kind IN ('ensemble', 'external')", name="kind_is_known"),
        CheckConstraint("replicates >= 1", name="replicates_at_least_one"),
        CheckConstraint("kind = 'external' OR (uri IS NOT NULL AND sha256 IS NOT NULL)", name="ensemble_has_weights"),
        CheckConstraint("el2n_variant IN ('trusted', 'trusted+pool')", name="el2n_variant_is_known"),
        CheckConstraint("el2n_epoch >= 1", name="el2n_epoch_counts_from_one"),
        CheckConstraint(
            "kind = 'external' OR (el2n_variant IS NOT NULL AND el2n_epoch IS NOT NULL)",
            name="ensemble_says_which_el2n",
        ),
        CheckConstraint("cardinality(locales) >= 1", name="names_a_locale"),
        Index("ix_model_versions_promoted_at", "promoted_at"),
    )

    id: Mapped[BigId]
    name: Mapped[str]
    kind: Mapped[str]
    source: Mapped[str | None]
    locales: Mapped[list[str]] = mapped_column(ARRAY(TEXT))
    vocabulary: Mapped[dict[str, Any]]
    replicates: Mapped[int]
    seeds: Mapped[list[int]] = mapped_column(ARRAY(BigInteger))
    temperature: Mapped[dict[str, Any]]
    el2n_variant: Mapped[str | None]
    el2n_epoch: Mapped[int | None]
    uri: Mapped[str | None]
    sha256: Mapped[str | None]
    data_hash: Mapped[str | None]
    code_version: Mapped[str]
    created_at: Mapped[CreatedAt]
    promoted_at: Mapped[datetime | None]


class Score(Base):
    """One model version's numbers for one revision; docs/scores.md says what each is.

    NULL el2n: `el2n_missing` says why. NULL elsewhere: the model version has no such signal, or the score is of the
    record's label and it has none.
    The checks leave 1e-6 for the rounding to float32.
    """

    __tablename__ = "scores"
    __table_args__ = (
        CheckConstraint("entropy >= -1e-6", name="entropy_range"),
        CheckConstraint("margin BETWEEN -1e-6 AND 1 + 1e-6", name="margin_range"),
        CheckConstraint("least_confidence BETWEEN -1e-6 AND 1 + 1e-6", name="least_confidence_range"),
        CheckConstraint("el2n BETWEEN 0 AND sqrt(2::float8) + 1e-6", name="el2n_range"),
        CheckConstraint("mutual_information >= -1e-6", name="mutual_information_range"),
        CheckConstraint("dropout_mutual_information >= -1e-6", name="dropout_mutual_information_range"),
        CheckConstraint("intent_entropy >= -1e-6", name="intent_entropy_range"),
        CheckConstraint("token_entropy_mean >= -1e-6", name="token_entropy_mean_range"),
        CheckConstraint("token_entropy_sum >= -1e-6", name="token_entropy_sum_range"),
        CheckConstraint("token_entropy_max >= -1e-6", name="token_entropy_max_range"),
        CheckConstraint("sequence_margin BETWEEN -1e-6 AND 1 + 1e-6", name="sequence_margin_range"),
        CheckConstraint("joint_uncertainty >= -1e-6", name="joint_uncertainty_range"),
        CheckConstraint("confidence BETWEEN -1e-6 AND 1 + 1e-6", name="confidence_range"),
        CheckConstraint("label_confidence BETWEEN -1e-6 AND 1 + 1e-6", name="label_confidence_range"),
        CheckConstraint("variability BETWEEN -1e-6 AND 0.5 + 1e-6", name="variability_range"),
        CheckConstraint("forgetting >= 0", name="forgetting_range"),
        CheckConstraint("num_nulls(label_confidence, variability, forgetting) IN (0, 3)", name="snapshots_together"),
        CheckConstraint("(el2n IS NULL) = (el2n_missing IS NOT NULL)", name="el2n_or_reason"),
        Index("ix_scores_scored_at", "scored_at"),
        {"postgresql_partition_by": "LIST (model_version_id)"},
    )

    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), primary_key=True)
    utterance_id: Mapped[int] = mapped_column(ForeignKey("utterances.id"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    entropy: Mapped[float] = mapped_column(REAL)
    margin: Mapped[float] = mapped_column(REAL)
    least_confidence: Mapped[float] = mapped_column(REAL)
    el2n: Mapped[float | None] = mapped_column(REAL)
    el2n_spread: Mapped[float | None] = mapped_column(REAL)
    el2n_replicates: Mapped[list[float] | None] = mapped_column(ARRAY(REAL))
    el2n_missing: Mapped[str | None]
    mutual_information: Mapped[float | None] = mapped_column(REAL)
    dropout_mutual_information: Mapped[float | None] = mapped_column(REAL)
    intent_entropy: Mapped[float | None] = mapped_column(REAL)
    token_entropy_mean: Mapped[float | None] = mapped_column(REAL)
    token_entropy_sum: Mapped[float | None] = mapped_column(REAL)
    token_entropy_max: Mapped[float | None] = mapped_column(REAL)
    sequence_margin: Mapped[float | None] = mapped_column(REAL)
    joint_uncertainty: Mapped[float | None] = mapped_column(REAL)
    label_confidence: Mapped[float | None] = mapped_column(REAL)
    variability: Mapped[float | None] = mapped_column(REAL)
    forgetting: Mapped[float | None] = mapped_column(REAL)
    confidence: Mapped[float | None] = mapped_column(REAL)
    predicted_domain: Mapped[str]
    scored_at: Mapped[datetime] = mapped_column(server_default=text("clock_timestamp()"))


class ScoringWatermark(Base):
    """How far the sweep has looked: all that came in before `scored_before` has its score.

    One row per champion and locale; the row without either is that of the sources' own scores.
    """

    __tablename__ = "scoring_watermarks"
    __table_args__ = (
        UniqueConstraint("model_version_id", "locale", postgresql_nulls_not_distinct=True),
        CheckConstraint("(model_version_id IS NULL) = (locale IS NULL)", name="version_and_locale_or_neither"),
    )

    id: Mapped[BigId]
    model_version_id: Mapped[int | None] = mapped_column(ForeignKey("model_versions.id"))
    locale: Mapped[str | None]
    scored_before: Mapped[datetime]


class Feature(Base):
    """What strategies need beyond one number, as little-endian float16: (D,), (I,), (S,), (E,)."""

    __tablename__ = "features"
    __table_args__ = ({"postgresql_partition_by": "LIST (model_version_id)"},)

    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"), primary_key=True)
    utterance_id: Mapped[int] = mapped_column(ForeignKey("utterances.id"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    domain_probs: Mapped[bytes] = mapped_column(LargeBinary)
    intent_probs: Mapped[bytes] = mapped_column(LargeBinary)
    slot_mass: Mapped[bytes] = mapped_column(LargeBinary)
    embedding: Mapped[bytes] = mapped_column(LargeBinary)
