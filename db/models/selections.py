"""Rounds of selection and their extensions, each with all that its replay needs."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import REAL, BigInteger, CheckConstraint, ForeignKey, Index, LargeBinary, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt


class SelectionRow(Base):
    """One round: a copy of the policy, the frame it chose from, and under which code it chose.

    `labels` is what its queues let a person choose; it is read when the first of them is published.
    An extension chose in the same way from what became eligible since: a stratum of the round `extends_id`, with a
    frame, a policy (of the parts of the round that it extends) and inclusion probabilities of its own.
    """

    __tablename__ = "selections"
    __table_args__ = (
        CheckConstraint("frame_size >= 0", name="frame_size_is_not_negative"),
        Index("ix_selections_locale_id", "locale", "id"),
        Index("ix_selections_extends_id", "extends_id", postgresql_where=text("extends_id IS NOT NULL")),
    )

    id: Mapped[BigId]
    extends_id: Mapped[int | None] = mapped_column(ForeignKey("selections.id"))
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
    """`dropped_by`: the extension that took its place, so that the round keeps its budget; it leaves its queue."""

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
    dropped_by: Mapped[int | None] = mapped_column(ForeignKey("selections.id"))


class Refresh(Base):
    """How a locale's queues keep up with what comes in; one row per locale.

    began_at   when the last refresh began
    looked_at  when the last that came to an end had begun: all that was there then has been looked at
    waiting    eligible utterances that it left waiting: too few for a place, since `waiting_since`
    problem    why the last could not refresh
    """

    __tablename__ = "refreshes"
    __table_args__ = (
        CheckConstraint("waiting >= 0", name="waiting_is_not_negative"),
        CheckConstraint("(waiting = 0) = (waiting_since IS NULL)", name="waiting_has_a_beginning"),
    )

    locale: Mapped[str] = mapped_column(primary_key=True)
    began_at: Mapped[datetime]
    looked_at: Mapped[datetime | None]
    waiting: Mapped[int] = mapped_column(server_default=text("0"))
    waiting_since: Mapped[datetime | None]
    problem: Mapped[str | None]
