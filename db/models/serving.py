"""How a Label Studio keeps an order, as it was tried."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Text, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from db.base import Base


class ServingTrial(Base):
    """One a version of an instance. `sampling`: the setting that serves a queue in its planned order there.

    `problems`: what it does otherwise than the queues rest on, a sentence each.
    """

    __tablename__ = "serving_trials"

    instance: Mapped[str] = mapped_column(primary_key=True)
    version: Mapped[str] = mapped_column(primary_key=True)
    sampling: Mapped[str]
    problems: Mapped[list[str]] = mapped_column(ARRAY(Text))
    on_sqlite: Mapped[bool]
    tried_at: Mapped[datetime] = mapped_column(server_default=func.clock_timestamp())
