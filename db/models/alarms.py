"""What has drifted: alarms, and when each locale was last looked at."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt

ALARM_KINDS = ("scores", "nlu_scores", "domains", "ranking", "accepts", "annotators", "calibration")


class Alarm(Base):
    """One of a kind at a time for a locale and domain (* is all of them); `docs/watching.md` says what kinds there are.

    value, threshold     as last seen, at `seen_at`; raised when it reached the threshold
    run_id               a retraining that it asked for
    raised_sent_at, ...  when the webhook took the message; `next_try_at` is when it is to be tried, `tries` how often
                         it was, for the message that is due
    """

    __tablename__ = "alarms"
    __table_args__ = (
        CheckConstraint(f"kind IN {ALARM_KINDS}", name="kind_is_known"),
        CheckConstraint("resolved_at >= raised_at", name="resolved_after_raised"),
        CheckConstraint("resolved_sent_at IS NULL OR resolved_at IS NOT NULL", name="sent_what_has_happened"),
        CheckConstraint("tries >= 0", name="tries_are_not_negative"),
        Index("uq_alarms_open", "kind", "locale", "domain", unique=True, postgresql_where=text("resolved_at IS NULL")),
        Index("ix_alarms_raised_at", "raised_at"),
    )

    id: Mapped[BigId]
    kind: Mapped[str]
    locale: Mapped[str]
    domain: Mapped[str]
    value: Mapped[float]
    threshold: Mapped[float]
    sentence: Mapped[str]
    details: Mapped[dict[str, Any]]
    raised_at: Mapped[CreatedAt]
    seen_at: Mapped[CreatedAt]
    resolved_at: Mapped[datetime | None]
    run_id: Mapped[int | None] = mapped_column(ForeignKey("training_runs.id"))
    raised_sent_at: Mapped[datetime | None]
    resolved_sent_at: Mapped[datetime | None]
    next_try_at: Mapped[datetime | None]
    tries: Mapped[int] = mapped_column(server_default=text("0"))
    send_problem: Mapped[str | None]


class DriftLook(Base):
    """When a locale was last looked at, and everything that was seen, alarming or not."""

    __tablename__ = "drift_looks"

    locale: Mapped[str] = mapped_column(primary_key=True)
    looked_at: Mapped[datetime]
    seen: Mapped[list[Any]] = mapped_column(JSONB)
