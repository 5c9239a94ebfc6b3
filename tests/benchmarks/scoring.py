"""Scoring: the service from row to row, against the forward passes of the same ensemble on texts already encoded."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from sqlalchemy import text

from db.session import TransactionMaker, make_engine, transaction_maker
from plugin.model.batches import Batch, make_batch, prediction_batches
from plugin.model.config import TrainConfig
from plugin.model.ensemble import Ensemble
from plugin.model.train import train
from plugin.services import scoring
from plugin.services.ingest import score_ranges
from plugin.settings import Settings
from plugin.wiring_ml import use_device
from tests import factories
from tests.benchmarks import data
from tests.benchmarks.data import Site

POOL = "benchmark_pool"
TRAINED_ON = 2000
EPOCHS = 5  # a forward pass is not faster for being right
BATCH_UTTERANCES = 256
BATCH_TOKENS = 2048


@dataclass(frozen=True)
class Scoring:
    """A database with the pool, and the same texts as batches that the network can read."""

    site: Site
    ensemble: Ensemble
    ranges: Sequence[tuple[int, int]]
    batches: Sequence[Batch]
    name: str = "scoring"
    against: str = "forward pass"

    @property
    def size(self) -> int:
        return self.site.size

    @contextmanager
    def ours(self) -> Iterator[Callable[[], None]]:
        with data.database(self.site.server, POOL) as engine:
            scored: list[int] = []
            yield lambda: scored.append(score(transaction_maker(engine), self.ensemble, self.ranges))
            assert scored == [self.size]

    @contextmanager
    def reference(self) -> Iterator[Callable[[], None]]:
        seen: list[int] = []
        yield lambda: seen.append(forward(self.ensemble, self.batches))
        assert seen == [self.size]


@contextmanager
def prepared(site: Site, trained_on: int = TRAINED_ON) -> Iterator[Scoring]:
    ensemble = train_ensemble(site.settings, trained_on)
    utterances = list(data.records(data.corpus(site.size), site.size))
    ids = fill_pool(site.server.create(POOL, site.template), data.write_log(site.folder / "pool.jsonl", utterances))
    yield Scoring(
        site,
        ensemble,
        score_ranges(ids, site.settings.scoring_batch_size),
        encoded_batches(ensemble, [utterance.text for utterance in utterances]),
    )
    site.server.drop(POOL)


def train_ensemble(settings: Settings, trained_on: int) -> Ensemble:
    """Five replicates, on texts of another draw than the pool's."""
    config = TrainConfig(replicates=settings.replicates, epochs=EPOCHS, device=use_device(settings))
    return train(data.corpus(trained_on, seed=1), [], config)


def fill_pool(url: str, log: Path) -> list[int]:
    engine = make_engine(url)
    transaction = transaction_maker(engine)
    ids = data.take_log(transaction, log)
    with transaction() as session:
        factories.champion(session, data.LOCALE)
        session.execute(text("ANALYZE"))
    engine.dispose()
    return ids


def encoded_batches(ensemble: Ensemble, texts: Sequence[str]) -> list[Batch]:
    """Cut like those of `Ensemble.predict`."""
    encoded = ensemble.features.encode(texts)
    cut = prediction_batches(encoded.lengths, BATCH_UTTERANCES, BATCH_TOKENS)
    return [make_batch(encoded, indices, ensemble.device) for indices in cut]


def score(transaction: TransactionMaker, ensemble: Ensemble, ranges: Sequence[tuple[int, int]]) -> int:
    """What the Celery task `scoring.score_batch` does, for one range after the other."""
    written = 0
    for first_id, last_id in ranges:
        with transaction() as session:
            batches = scoring.read_batches(session, first_id, last_id)
        scored = [scoring.compute(batch, ensemble) for batch in batches]
        for part in scored:
            with transaction() as session:
                written += scoring.write(session, part)
    return written


def forward(ensemble: Ensemble, batches: Sequence[Batch]) -> int:
    """Both checkpoints, as the scores need them: all heads of the final one, the domain head of the early one."""
    utterances = 0
    with torch.inference_mode():
        for batch in batches:
            utterances += ensemble.final.forward(batch).domain.shape[1]
            ensemble.early.domain_logits(batch)
    if ensemble.device.type == "cuda":
        torch.cuda.synchronize()
    return utterances
