"""Model versions, and the partitions that hold their scores and features."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import func, select, text, update
from sqlalchemy.orm import Session

from db.models import ModelVersion

PARTITIONED = ("scores", "features")


def register(session: Session, **columns: Any) -> ModelVersion:
    """Insert a model version and make its partitions. Raises IntegrityError when the name is taken."""
    _lock_partitioned(session)
    version = ModelVersion(**columns)
    session.add(version)
    session.flush()
    create_partitions(session, version.id)
    return version


def create_partitions(session: Session, version_id: int) -> None:
    """Those that are not there yet; whoever scores with another version does not wait for it.

    CREATE TABLE .. PARTITION OF would lock `scores` and `features` against readers and writers; ATTACH does not.
    """
    _lock_partitioned(session)
    for table in PARTITIONED:
        partition = f"{table}_of_{version_id:d}"
        if session.scalar(select(func.to_regclass(partition))) is None:
            session.execute(text(f"CREATE TABLE {partition} (LIKE {table} INCLUDING ALL)"))
            session.execute(text(f"ALTER TABLE {table} ATTACH PARTITION {partition} FOR VALUES IN ({version_id:d})"))


def _lock_partitioned(session: Session) -> None:
    """One registration at a time. Before anything is written: a foreign key's partition locks `model_versions` too."""
    session.execute(text(f"LOCK TABLE ONLY {', ONLY '.join(PARTITIONED)} IN SHARE UPDATE EXCLUSIVE MODE"))


def external(session: Session, source: str, locales: Sequence[str], code_version: str) -> ModelVersion:
    """The version that stands for a source's own production NLU; made on first use, its locales grow."""
    name = f"external-{source}"
    version = by_name(session, name)
    if version is None:
        _lock_partitioned(session)
        version = by_name(session, name)  # another may have made it before we had the lock
    if version is None:
        return register(
            session, name=name, kind="external", source=source, locales=sorted(locales), vocabulary={}, replicates=1,
            seeds=[], temperature={}, code_version=code_version,
        )  # fmt: skip
    if not set(locales) <= set(version.locales):
        session.refresh(version, with_for_update=True)
        version.locales = sorted({*version.locales, *locales})
    return version


def externals(session: Session, sources: Iterable[str]) -> dict[str, ModelVersion]:
    """The versions of those of the sources that have one."""
    query = select(ModelVersion).where(ModelVersion.kind == "external", ModelVersion.source.in_(list(sources)))
    return {version.source: version for version in session.scalars(query) if version.source is not None}


def get(session: Session, version_id: int) -> ModelVersion | None:
    return session.get(ModelVersion, version_id)


def by_name(session: Session, name: str) -> ModelVersion | None:
    return session.scalars(select(ModelVersion).where(ModelVersion.name == name)).one_or_none()


def versions(session: Session, *, locale: str | None = None) -> Sequence[ModelVersion]:
    query = select(ModelVersion).order_by(ModelVersion.id)
    if locale is not None:
        query = query.where(ModelVersion.locales.contains([locale]))
    return session.scalars(query).all()


def champion(session: Session, locale: str) -> ModelVersion | None:
    """The ensemble promoted last among those that know the locale."""
    return dict(champions(session)).get(locale)


def champions(session: Session) -> list[tuple[str, ModelVersion]]:
    """(locale, champion) for every locale that has one."""
    promoted = session.scalars(
        select(ModelVersion)
        .where(ModelVersion.promoted_at.is_not(None), ModelVersion.kind == "ensemble")
        .order_by(ModelVersion.promoted_at, ModelVersion.id)
    )
    newest = {locale: version for version in promoted for locale in version.locales}
    return sorted(newest.items())


def promote(session: Session, version_id: int, at: datetime) -> None:
    session.execute(update(ModelVersion).where(ModelVersion.id == version_id).values(promoted_at=at))
