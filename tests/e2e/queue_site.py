"""A scored pool and the queue of one of its domains in a real Label Studio, published as a round says."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from time import monotonic
from typing import Any

import pytest
from sqlalchemy import create_engine
from sqlalchemy.orm import Session

from db.models import Queue
from db.repositories import queues as queue_rows
from db.session import TransactionMaker, transaction_maker
from plugin.label_studio.client import SdkLabelStudio
from plugin.services import policies, queues, scoring, selection
from tests import factories
from tests.fakes.scorer import FakeScorer
from tests.servers import LabelStudioServer

DOMAIN, INSTANCE = "music", "main"
POLICY = {"strategy": "entropy", "control_share": 0.1, "hard_share": 0.8, "noise_share": 0.05}
_numbers = itertools.count(1)


@dataclass(frozen=True)
class Planned:
    """Of a round's queue: utterances in serving order, and what counts for each: control, noise, hard or easy."""

    order: list[int]
    part: dict[int, str]


class Site:
    """Each has a locale of its own."""

    def __init__(self, transaction: TransactionMaker, server: LabelStudioServer, admin: SdkLabelStudio) -> None:
        self.transaction = transaction
        self.server = server
        self.admin = admin
        self.locale = f"en-{next(_numbers):03}"
        self.flipped: tuple[float, float] = (0.0, 0.0)

    def fill(self, size: int, budget: int) -> None:
        """`size` utterances of the queue's domain, and some of others, so that labels can be suspected of error."""
        with self.transaction() as session:
            self.arrive(session, size, "music", "music_play")
            self.arrive(session, size // 4, "weather", "weather_query")
            factories.champion(session, self.locale)
        self.score()
        with self.transaction() as session:
            policies.change(session, self.locale, "*", {"budget": 1}, changed_by="test", comment="")
        self.set_policy(budget=budget, **POLICY)

    def arrive(self, session: Session, count: int, domain: str, intent: str, nlu_score: float = 0.5) -> list[int]:
        source = f"{self.locale} log {next(_numbers)}"
        told = {"locale": self.locale, "domain": domain, "intent": intent, "nlu_score": nlu_score, "source": source}
        # Words of its own keep each from being nearly the same as another.
        texts = [f"{source} says {number} n{number} m{number}" for number in range(count)]
        return [row.id for row in factories.log(session, texts, **told)]

    def score(self, scorer: FakeScorer | None = None) -> None:
        with self.transaction() as session:
            [batch] = scoring.read_batches(session, 0, 2**62)
            scoring.write(session, scoring.compute(batch, scorer or FakeScorer()))

    def set_policy(self, **changes: Any) -> None:
        with self.transaction() as session:
            policies.change(session, self.locale, DOMAIN, changes, changed_by="test", comment="")

    def new_round(self, seed: int) -> Planned:
        row, items = selection.refresh(self.transaction, self.locale, datetime.now(UTC), INSTANCE, seed=seed)
        assert row is not None
        ordered = sorted((item for item in items if item.domain == DOMAIN), key=lambda item: item.rank)
        part = {
            item.utterance_id: next((arm.value for arm in item.arms if arm != "strategy"), str(item.composition))
            for item in ordered
        }
        return Planned(list(part), part)

    def publish(self) -> queues.Published:
        done = queues.publish(self.transaction, self.admin, INSTANCE, self.queue().id, datetime.now(UTC))
        assert done is not None
        return done

    def queue(self) -> Queue:
        with self.transaction() as session:
            queues_there = queue_rows.of_locale(session, INSTANCE, self.locale)
        return next(queue for queue in queues_there if queue.domain == DOMAIN)

    def project(self) -> int:
        found = self.queue().project_id
        assert found is not None
        return found

    def watch_the_flip(self, patch: pytest.MonkeyPatch) -> None:
        """Note when the one PATCH was sent that makes the new order the served one, and when it was answered."""
        set_order = self.admin.set_order

        def noted(project_id: int, model_version: str) -> None:
            began = monotonic()
            set_order(project_id, model_version)
            self.flipped = (began, monotonic())

        patch.setattr(self.admin, "set_order", noted)


@contextmanager
def queue_site(
    database_url: str, server: LabelStudioServer, *, url: str | None = None, timeout_s: float = 120
) -> Iterator[Site]:
    """`url`: by which way Assay itself speaks to Label Studio, where it is another."""
    engine = create_engine(database_url)
    with closing(SdkLabelStudio(url or server.url, server.token, timeout_s=timeout_s)) as admin:
        yield Site(transaction_maker(engine), server, admin)
    engine.dispose()
