"""What came in: utterances with their revisions, annotations, and the inbox of webhooks."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import REAL, CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy import text as sql
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt
from db.models.queues import QUEUE_KINDS

POOL = "pool"
# Out of the pool: the task it came from was deleted. What was said of it stays.
GONE = "gone"
REJECT_REASONS = ("not an utterance", "other language", "unintelligible", "private or offensive", "other")


class UtteranceRow(Base):
    """The current revision of a record. `partition` is pool, train, dev, the name of a test set, or gone."""

    __tablename__ = "utterances"
    __table_args__ = (
        UniqueConstraint("source", "external_id"),
        CheckConstraint("(domain IS NULL) = (intent IS NULL)", name="hypothesis_is_whole"),
        CheckConstraint("nlu_score BETWEEN 0 AND 1", name="nlu_score_range"),
        CheckConstraint("revision >= 1", name="revision_counts_from_one"),
        CheckConstraint("length(text) > 0", name="text_is_not_empty"),
        CheckConstraint("octet_length(content_hash) = 32", name="content_hash_is_sha256"),
        Index("ix_utterances_locale_partition_id", "locale", "partition", "id"),
        Index("ix_utterances_locale_partition_ingested_at", "locale", "partition", "ingested_at"),
        Index(
            "ix_utterances_own_scores_ingested_at",
            "ingested_at",
            postgresql_where=sql("domain_scores IS NOT NULL"),
        ),
    )

    id: Mapped[BigId]
    source: Mapped[str]
    external_id: Mapped[str]
    revision: Mapped[int] = mapped_column(server_default=sql("1"))
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    partition: Mapped[str] = mapped_column(server_default=POOL)
    locale: Mapped[str]
    text: Mapped[str]
    domain: Mapped[str | None]
    intent: Mapped[str | None]
    slots: Mapped[list[Any]] = mapped_column(JSONB, server_default=sql("'[]'"))
    nlu_score: Mapped[float | None] = mapped_column(REAL)
    domain_scores: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    defect: Mapped[bool] = mapped_column(server_default=sql("false"))
    occurred_at: Mapped[datetime | None]
    ingested_at: Mapped[CreatedAt]


class UtteranceRevision(Base):
    """The content that a later revision replaced, whole."""

    __tablename__ = "utterance_revisions"
    __table_args__ = (CheckConstraint("octet_length(content_hash) = 32", name="content_hash_is_sha256"),)

    utterance_id: Mapped[int] = mapped_column(ForeignKey("utterances.id"), primary_key=True)
    revision: Mapped[int] = mapped_column(primary_key=True)
    content_hash: Mapped[bytes] = mapped_column(LargeBinary)
    content: Mapped[dict[str, Any]]
    replaced_at: Mapped[CreatedAt]


class AnnotationRow(Base):
    """What a person said: from Label Studio (`annotation_id` set) or from a file of gold data.

    `kind` is that of its queue: a review, a second opinion, or the adjudication of the two.
    `withdrawn_at` is set when the annotation was deleted in Label Studio, or does not count; the row stays.
    """

    __tablename__ = "annotations"
    __table_args__ = (
        CheckConstraint("verdict IN ('accept', 'fix', 'reject')", name="verdict_is_known"),
        CheckConstraint("(verdict = 'reject') = (domain IS NULL)", name="rejected_has_no_label"),
        CheckConstraint(f"reject_reason IN {REJECT_REASONS}", name="reject_reason_is_known"),
        CheckConstraint("reject_reason IS NULL OR verdict = 'reject'", name="only_rejects_have_a_reason"),
        CheckConstraint("(domain IS NULL) = (intent IS NULL)", name="label_is_whole"),
        CheckConstraint(f"kind IN {QUEUE_KINDS}", name="kind_is_known"),
        CheckConstraint("lead_time_s >= 0", name="lead_time_is_not_negative"),
        Index("uq_annotations_instance_annotation_id", "instance", "annotation_id", unique=True),
        Index(
            "uq_annotations_file_utterance_id",
            "utterance_id",
            unique=True,
            postgresql_where=sql("annotation_id IS NULL"),
        ),
        Index("ix_annotations_utterance_id", "utterance_id"),
        Index("ix_annotations_instance_task_id", "instance", "task_id"),
    )

    id: Mapped[BigId]
    utterance_id: Mapped[int] = mapped_column(ForeignKey("utterances.id"))
    revision: Mapped[int]
    instance: Mapped[str]
    annotation_id: Mapped[int | None]
    task_id: Mapped[int | None]
    kind: Mapped[str] = mapped_column(server_default="review")
    verdict: Mapped[str]
    domain: Mapped[str | None]
    intent: Mapped[str | None]
    slots: Mapped[list[Any]] = mapped_column(JSONB, server_default=sql("'[]'"))
    annotator: Mapped[str]
    lead_time_s: Mapped[float | None]
    reject_reason: Mapped[str | None]
    shown_blind: Mapped[bool] = mapped_column(server_default=sql("false"))
    note: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    collected_at: Mapped[CreatedAt]
    withdrawn_at: Mapped[datetime | None]


class WebhookEventRow(Base):
    """The inbox. A row without `handled_at` is work; replaying the table is the recovery."""

    __tablename__ = "webhook_events"
    __table_args__ = (
        UniqueConstraint("dedup_key"),
        Index("ix_webhook_events_unhandled", "id", postgresql_where=sql("handled_at IS NULL")),
    )

    id: Mapped[BigId]
    dedup_key: Mapped[str]
    action: Mapped[str]
    payload: Mapped[dict[str, Any]]
    received_at: Mapped[CreatedAt]
    handled_at: Mapped[datetime | None]
    error: Mapped[str | None]
