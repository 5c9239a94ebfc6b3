"""How each version of a Label Studio was found to serve its queues."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import func
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Session

from db.models import ServingTrial


def get(session: Session, instance: str, version: str) -> ServingTrial | None:
    return session.get(ServingTrial, (instance, version))


def put(
    session: Session, instance: str, version: str, sampling: str, problems: Sequence[str], *, on_sqlite: bool
) -> None:
    found = {"sampling": sampling, "problems": list(problems), "on_sqlite": on_sqlite}
    statement = insert(ServingTrial).values(instance=instance, version=version, **found)
    session.execute(
        statement.on_conflict_do_update(
            index_elements=["instance", "version"], set_={**found, "tried_at": func.clock_timestamp()}
        )
    )
