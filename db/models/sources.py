"""Foreign Label Studio projects whose tasks are utterances of ours, and what we know of each task."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, UniqueConstraint, text
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, TEXT
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base, BigId, CreatedAt

WRITE_BACK = ("none", "data", "annotation")


class SourceRow(Base):
    """An attached project. `name` is the `source` of its utterances.

    mapping         field of the record format -> where it stands in a task, as the user wrote it
    write_controls  what an annotation there is made of: domain, intent, slots, verdict -> control
    collected_until all changes up to then are read, by Label Studio's clock; NULL before the first whole reading
    reading_after   a reading of all tasks is under way, and has come to this task id
    reading_since   Label Studio's time when it began
    read_at         when it last ended, by our clock
    predictions     how many the project had when it was last read: they come without a task being changed
    writing_after   a run over all that is to be written back is under way, and has come to this task id
    our_versions    of predictions of ours that may be there: written down before they are sent, until they are deleted
    """

    __tablename__ = "sources"
    __table_args__ = (
        UniqueConstraint("instance", "project_id"),
        UniqueConstraint("name"),
        CheckConstraint("state IN ('attached', 'detached')", name="state_is_known"),
        CheckConstraint(f"write_back IN {WRITE_BACK}", name="write_back_is_known"),
        CheckConstraint("(state = 'detached') = (detached_at IS NOT NULL)", name="detached_has_a_time"),
    )

    id: Mapped[BigId]
    instance: Mapped[str]
    project_id: Mapped[int]
    title: Mapped[str]
    name: Mapped[str]
    mapping: Mapped[dict[str, Any]]
    write_back: Mapped[str]
    write_controls: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'"))
    state: Mapped[str] = mapped_column(server_default="attached")
    collected_until: Mapped[datetime | None]
    reading_after: Mapped[int | None]
    reading_since: Mapped[datetime | None]
    read_at: Mapped[datetime | None]
    polled_at: Mapped[datetime | None]
    predictions: Mapped[int | None]
    writing_after: Mapped[int | None]
    our_versions: Mapped[list[str]] = mapped_column(ARRAY(TEXT), server_default=text("'{}'"))
    error: Mapped[str | None]
    attached_at: Mapped[CreatedAt]
    detached_at: Mapped[datetime | None]


class SourceTaskRow(Base):
    """A task of a source. `live`: its utterance is ours; `rejected`: it never became one; `deleted`: it is gone there.

    problem        why the task, as it stands now, is not taken; a live one keeps its last good revision
    review_id      the review that was last dealt with, as it was at `review_at`: written back, or not (`write_problem`)
    written        what the source task carries of ours; NULL when nothing, or nothing any more
    annotation_id  our annotation over there
    writes         how often we have annotated the task
    """

    __tablename__ = "source_tasks"
    __table_args__ = (
        CheckConstraint("state IN ('live', 'rejected', 'deleted')", name="state_is_known"),
        CheckConstraint("state <> 'live' OR utterance_id IS NOT NULL", name="live_has_an_utterance"),
        CheckConstraint("state <> 'rejected' OR problem IS NOT NULL", name="rejected_has_a_problem"),
        CheckConstraint("(written IS NULL) = (written_at IS NULL)", name="written_has_a_time"),
        Index(
            "uq_source_tasks_live_utterance_id",
            "utterance_id",
            unique=True,
            postgresql_where=text("state = 'live'"),
        ),
    )

    source_id: Mapped[int] = mapped_column(ForeignKey("sources.id"), primary_key=True)
    task_id: Mapped[int] = mapped_column(primary_key=True)
    state: Mapped[str]
    external_id: Mapped[str | None]
    utterance_id: Mapped[int | None] = mapped_column(ForeignKey("utterances.id"))
    problem: Mapped[str | None]
    review_id: Mapped[int | None] = mapped_column(ForeignKey("annotations.id"))
    review_at: Mapped[datetime | None]
    written: Mapped[dict[str, Any] | None] = mapped_column(JSONB(none_as_null=True))
    written_at: Mapped[datetime | None]
    write_problem: Mapped[str | None]
    annotation_id: Mapped[int | None]
    writes: Mapped[int] = mapped_column(server_default=text("0"))
