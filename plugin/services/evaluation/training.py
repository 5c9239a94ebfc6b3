"""From examples to a registered model version: train, save, register."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from db.models import ModelVersion
from db.repositories import models
from db.session import TransactionMaker
from plugin import __version__
from plugin.services.evaluation import data
from plugin.services.evaluation.data import ArmData
from plugin.services.evaluation.errors import EvaluationError
from plugin.services.evaluation.lease import Heartbeat, locale_lease
from plugin.services.ports import Progress, Scorer, ScorerLoader, Trainer

TRUSTED, TRUSTED_AND_POOL = "trusted", "trusted+pool"


# No sign-flip test of fewer can tell anything from chance, and no spread over fewer is known at all well.
TRAINING_SEEDS = 6


@dataclass(frozen=True)
class Workshop:
    """What training needs from outside. `about`: what else decides how a model turns out, to compare replays by."""

    trainer: Trainer
    load_scorer: ScorerLoader
    models_folder: Path
    replicates: int
    seeds: int = TRAINING_SEEDS
    about: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Trained:
    """A saved ensemble that is not registered yet."""

    scorer: Scorer
    name: str
    folder: Path
    sha256: str
    variant: str


def train_first(
    transaction: TransactionMaker,
    workshop: Workshop,
    locale: str,
    now: datetime,
    *,
    seed: int = 0,
    promote: bool | None = None,
    progress: Progress | None = None,
) -> ModelVersion:
    """An ensemble from the locale's gold data alone. `promote` None: only where there is no champion yet."""
    with locale_lease(transaction, locale) as lease:
        with transaction() as session:
            arm = data.baseline(data.read_material(session, locale))
        scorer = fit(
            workshop,
            locale,
            arm,
            lease,
            seed=seed,
            replicates=workshop.replicates,
            schedule_size=None,
            progress=progress,
        )
        with saved(transaction, workshop, locale, arm, scorer, lease) as trained, transaction() as session:
            lease.guard(session)
            version = register(session, locale, trained)
            if promote or (promote is None and models.champion(session, locale) is None):
                models.promote(session, version.id, now)
                session.refresh(version)
        return version


def fit(
    workshop: Workshop,
    locale: str,
    arm: ArmData,
    lease: Heartbeat,
    *,
    seed: int,
    replicates: int,
    schedule_size: int | None,
    progress: Progress | None,
) -> Scorer:
    """Train with no transaction open; stops soon after the lease is lost."""

    def watched(done: int, total: int) -> None:
        lease.check()
        if progress is not None:
            progress(done, total)

    try:
        scorer = workshop.trainer.train(
            arm.examples, arm.dev, seed=seed, replicates=replicates, schedule_size=schedule_size, progress=watched
        )
    except ValueError as error:
        raise EvaluationError(f"{locale} cannot be trained: {error}") from error
    lease.check()
    return scorer


@contextmanager
def saved(
    transaction: TransactionMaker, workshop: Workshop, locale: str, arm: ArmData, scorer: Scorer, lease: Heartbeat
) -> Iterator[Trained]:
    """Save under a name of its own; the files go again if the block refuses to register them."""
    with transaction() as session:
        taken = [version.name for version in models.versions(session)]
    name = next_name(locale, taken, workshop.models_folder)
    folder = workshop.models_folder / name
    try:
        sha256 = scorer.save(folder)
    except OSError as error:
        raise EvaluationError(f"the model cannot be saved in {folder}: {error.strerror or error}") from error
    try:
        lease.check()
        yield Trained(scorer, name, folder, sha256, TRUSTED_AND_POOL if arm.weak else TRUSTED)
    except OperationalError:
        # The commit may have been done all the same. Files that no version names harm nobody: `next_name` skips them.
        raise
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def next_name(locale: str, taken: list[str], models_folder: Path) -> str:
    """`sw-KE-0001` and on. A folder without a model version is skipped: it may be another database's."""
    present = [path.name for path in models_folder.iterdir()] if models_folder.is_dir() else []
    numbered = re.compile(rf"{re.escape(locale)}-(\d+)")
    numbers = [int(found[1]) for name in [*taken, *present] if (found := numbered.fullmatch(name))]
    return f"{locale}-{max(numbers, default=0) + 1:04d}"


def register(session: Session, locale: str, trained: Trained) -> ModelVersion:
    scorer = trained.scorer
    return models.register(
        session,
        name=trained.name,
        kind="ensemble",
        locales=[locale],
        vocabulary=asdict(scorer.vocabulary),
        replicates=len(scorer.seeds),
        seeds=list(scorer.seeds),
        temperature=dict(scorer.temperature),
        el2n_variant=trained.variant,
        el2n_epoch=scorer.el2n_epoch,
        uri=str(trained.folder),
        sha256=trained.sha256,
        data_hash=scorer.data_hash,
        code_version=__version__,
    )
