"""What is in Label Studio, apart from what was selected."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt

QUEUE_KINDS = ("review", "second", "adjudication")
TASK_STATES = ("planned", "published", "leaving", "annotated", "removed")


class Queue(Base):
    """A queue is one Label Studio project. `dirty`: its plan is not yet published.

    kind  `review`: that of a (locale, domain); or one for all domains of a locale, `*`: for second opinions on a part
          of what was reviewed, and for the adjudication of those that differ

    All changes up to `collected_until` are collected, by Label Studio's clock; `polled_at` is when we last looked, by
    ours. `surplus` is by how many the project's tasks outnumbered ours when their ids were last compared: tasks made by
    hand, less annotated ones that were deleted by hand.

    It shows `selection_id`, the last extension of a round or the round itself. Its order is that of `order_id`, served
    as `order_name`. Since `importing_since` an import may have left tasks in the project that no row knows; NULL: none
    has. A publishing that has begun and not ended tells by `begun_name` under which name it sends, and by
    `begun_digest` what. `changes` counts how often the queue became dirty.

    `settings` is the project as we last set it up, `settings_seen_at` when it was last compared with that.
    """

    __tablename__ = "queues"
    __table_args__ = (
        UniqueConstraint("instance", "locale", "kind", "domain"),
        UniqueConstraint("instance", "project_id"),
        CheckConstraint("state IN ('active', 'paused')", name="state_is_known"),
        CheckConstraint(f"kind IN {QUEUE_KINDS}", name="kind_is_known"),
        CheckConstraint("kind = 'review' OR domain = '*'", name="opinions_are_of_all_domains"),
    )

    id: Mapped[BigId]
    instance: Mapped[str]
    locale: Mapped[str]
    kind: Mapped[str] = mapped_column(server_default="review")
    domain: Mapped[str]
    project_id: Mapped[int | None]
    state: Mapped[str] = mapped_column(server_default="active")
    dirty: Mapped[bool] = mapped_column(server_default=text("true"))
    changes: Mapped[int] = mapped_column(server_default=text("0"))
    selection_id: Mapped[int | None] = mapped_column(ForeignKey("selections.id"))
    order_id: Mapped[int | None] = mapped_column(ForeignKey("selections.id"))
    order_name: Mapped[str | None]
    begun_name: Mapped[str | None]
    begun_digest: Mapped[str | None]
    published_at: Mapped[datetime | None]
    importing_since: Mapped[datetime | None]
    collected_until: Mapped[datetime | None]
    polled_at: Mapped[datetime | None]
    surplus: Mapped[int] = mapped_column(server_default=text("0"))
    settings: Mapped[dict[str, Any] | None]
    settings_seen_at: Mapped[datetime | None]
    created_at: Mapped[CreatedAt]


class QueueTask(Base):
    """An utterance's place in a queue. `rank_code` ascends in serving order.

    `blind`: nothing is filled in. Drawn once, when the utterance first enters the queue, and kept.
    `overlap`: somebody else is asked too. Drawn when the first annotation comes, and kept; NULL before.
    `mark` is what Label Studio's column of reviews says of it, as we last wrote it there.
    """

    __tablename__ = "queue_tasks"
    __table_args__ = (
        UniqueConstraint("queue_id", "utterance_id"),
        UniqueConstraint("queue_id", "task_id"),
        CheckConstraint(f"state IN {TASK_STATES}", name="state_is_known"),
        CheckConstraint("state IN ('planned', 'removed') OR task_id IS NOT NULL", name="published_has_a_task"),
        Index("ix_queue_tasks_utterance_id", "utterance_id"),
    )

    id: Mapped[BigId]
    queue_id: Mapped[int] = mapped_column(ForeignKey("queues.id"))
    utterance_id: Mapped[int] = mapped_column(ForeignKey("utterances.id"))
    revision: Mapped[int]
    selection_id: Mapped[int] = mapped_column(ForeignKey("selections.id"))
    task_id: Mapped[int | None]
    rank_code: Mapped[float]
    blind: Mapped[bool] = mapped_column(server_default=text("false"))
    overlap: Mapped[bool | None]
    mark: Mapped[str | None]
    state: Mapped[str]
    state_since: Mapped[datetime]


class Rework(Base):
    """An answer that is none, so that its task is to be served again: a skip, or a second opinion of the first person.

    `taken_back_at`: when Label Studio was told; NULL is work to do. A person's last skips stay as they are, `stays`:
    who skips an item that often is not asked again.
    """

    __tablename__ = "reworks"
    __table_args__ = (
        UniqueConstraint("queue_id", "annotation_id"),
        CheckConstraint("reason IN ('skipped', 'same person')", name="reason_is_known"),
        CheckConstraint("NOT stays OR taken_back_at IS NULL", name="what_stays_is_not_taken_back"),
        Index("ix_reworks_queue_id_utterance_id", "queue_id", "utterance_id"),
        Index("ix_reworks_open", "queue_id", postgresql_where=text("taken_back_at IS NULL AND NOT stays")),
    )

    id: Mapped[BigId]
    queue_id: Mapped[int] = mapped_column(ForeignKey("queues.id"))
    utterance_id: Mapped[int] = mapped_column(ForeignKey("utterances.id"))
    task_id: Mapped[int]
    annotation_id: Mapped[int]
    annotator: Mapped[str]
    reason: Mapped[str]
    stays: Mapped[bool] = mapped_column(server_default=text("false"))
    created_at: Mapped[CreatedAt]
    taken_back_at: Mapped[datetime | None]
