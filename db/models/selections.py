"""Rounds of selection, each with all that its replay needs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import REAL, BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt


class SelectionRow(Base):
    """One round: a copy of the policy, the frame it chose from, and under which code it chose.

    `labels` is what its queues let a person choose; it is read when the first of them is published.
    """

    __tablename__ = "selections"
    __table_args__ = (
        CheckConstraint("frame_size >= 0", name="frame_size_is_not_negative"),
        Index("ix_selections_locale_id", "locale", "id"),
    )

    id: Mapped[BigId]
    locale: Mapped[str]
    model_version_id: Mapped[int] = mapped_column(ForeignKey("model_versions.id"))
    policy: Mapped[dict[str, Any]]
    frame_watermark: Mapped[datetime]
    frame_hash: Mapped[str]
    frame_size: Mapped[int]
    items_hash: Mapped[str]
    seed: Mapped[int] = mapped_column(BigInteger)
    code_version: Mapped[str]
    created_at: Mapped[CreatedAt]
    superseded_at: Mapped[datetime | None]
    labels: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))


class SelectionFrame(Base):
    """The eligible utterances in ascending id, zlib-compressed: int64 id differences, int32 revisions."""

    __tablename__ = "selection_frames"

    selection_id: Mapped[int] = mapped_column(ForeignKey("selections.id"), primary_key=True)
    ids: Mapped[bytes] = mapped_column(LargeBinary)
    revisions: Mapped[bytes] = mapped_column(LargeBinary)


class SelectionItemRow(Base):
    __tablename__ = "selection_items"
    __table_args__ = (
        UniqueConstraint("selection_id", "domain", "rank"),
        CheckConstraint("rank >= 1", name="rank_counts_from_one"),
        CheckConstraint("inclusion_probability > 0 AND inclusion_probability <= 1", name="inclusion_probability_range"),
        CheckConstraint("cardinality(arms) >= 1", name="has_an_arm"),
        CheckConstraint("arms <@ ARRAY['strategy', 'control', 'noise']", name="arms_are_known"),
        Index("ix_selection_items_utterance_id", "utterance_id"),
    )

    selection_id: Mapped[int] = mapped_column(ForeignKey("selections.id"), primary_key=True)
    utterance_id: Mapped[int] = mapped_column(ForeignKey("utterances.id"), primary_key=True)
    revision: Mapped[int]
    domain: Mapped[str]
    rank: Mapped[int]
    arms: Mapped[list[str]] = mapped_column(ARRAY(TEXT))
    composition: Mapped[str | None]
    inclusion_probability: Mapped[float]
    score: Mapped[float | None] = mapped_column(REAL)
