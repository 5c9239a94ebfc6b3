"""What admins set. A NULL column inherits: (locale, domain), then (locale, *), then (*, *), then the default."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt


class PolicyRow(Base):
    __tablename__ = "policies"
    __table_args__ = (
        UniqueConstraint("locale", "domain"),
        CheckConstraint("budget >= 1", name="budget_is_positive"),
        CheckConstraint("control_share BETWEEN 0 AND 1", name="control_share_range"),
        CheckConstraint("hard_share BETWEEN 0 AND 1", name="hard_share_range"),
        CheckConstraint("noise_share BETWEEN 0 AND 0.5", name="noise_share_range"),
        CheckConstraint("blind_share BETWEEN 0 AND 0.5", name="blind_share_range"),
        CheckConstraint("overlap_share BETWEEN 0 AND 1", name="overlap_share_range"),
        CheckConstraint("nlu_low BETWEEN 0 AND 1 AND nlu_high BETWEEN 0 AND 1", name="nlu_band_range"),
        CheckConstraint("nlu_low <= nlu_high", name="nlu_band_order"),
        CheckConstraint("(nlu_low IS NULL) = (nlu_high IS NULL)", name="nlu_band_is_whole"),
        CheckConstraint("domain = '*' OR locale <> '*'", name="a_domain_belongs_to_a_locale"),
    )

    id: Mapped[BigId]
    locale: Mapped[str]
    domain: Mapped[str]
    strategy: Mapped[str | None]
    budget: Mapped[int | None]
    allocation: Mapped[str | None]
    control_share: Mapped[float | None]
    hard_share: Mapped[float | None]
    noise_share: Mapped[float | None]
    blind_share: Mapped[float | None]
    overlap_share: Mapped[float | None]
    nlu_low: Mapped[float | None]
    nlu_high: Mapped[float | None]
    exclude_defects: Mapped[bool | None]
    train_on_weak: Mapped[bool | None]
    seed: Mapped[int | None]
    updated_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())


class PolicyChange(Base):
    """Who changed what, when and why; never updated."""

    __tablename__ = "policy_changes"

    id: Mapped[BigId]
    locale: Mapped[str]
    domain: Mapped[str]
    changed_by: Mapped[str]
    changed_at: Mapped[CreatedAt]
    before: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    after: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    comment: Mapped[str]
