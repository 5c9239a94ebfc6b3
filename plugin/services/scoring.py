"""Scoring: read what lacks a score, compute without a transaction, write once.

A Celery task composes the three, so no transaction is open during a forward pass.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
from numpy.typing import ArrayLike
from sqlalchemy.orm import Session

from db.models import ModelVersion
from db.repositories import models, polls
from db.repositories import scores as score_rows
from db.repositories.scores import Lane, Unscored
from plugin import __version__
from plugin.quality import scores
from plugin.services.ports import Floats, Prediction, Scorer

NO_HYPOTHESIS = "the record has no hypothesis"
NO_REPLICATES = "a source's own scores have no replicates"
OF_LABEL = frozenset({"el2n", "el2n_spread", "el2n_replicates", "label_confidence", "variability", "forgetting"})
SENT_BY_NOW = timedelta(minutes=2)
# A row is seen at its commit, later than its `ingested_at`; no transaction that ingests lasts nearly as long as this.
COMMITTED_BY_NOW = timedelta(hours=1)
RANGES_A_SWEEP = 16
FLOAT16_BYTES = np.dtype("<f2")


@dataclass(frozen=True)
class Batch:
    """Utterances that one model version has not scored yet."""

    version: ModelVersion
    rows: Sequence[Unscored]


@dataclass(frozen=True)
class Scored:
    """Rows as `db.repositories.scores.write` takes them."""

    scores: list[tuple[Any, ...]]
    features: list[tuple[Any, ...]]


def read_batches(session: Session, first_id: int, last_id: int, *, limit: int | None = None) -> list[Batch]:
    """What the champions have not scored among the pool's utterances in [first_id, last_id], `limit` for each."""
    batches = []
    locales: dict[int, list[str]] = {}
    versions = {}
    for locale, version in models.champions(session):
        locales.setdefault(version.id, []).append(locale)
        versions[version.id] = version
    for version_id, names in locales.items():
        rows = score_rows.unscored(session, version_id, names, first_id, last_id, limit=limit)
        if rows:
            batches.append(Batch(versions[version_id], rows))
    return batches


def read_batch(session: Session, version_id: int, first_id: int, last_id: int) -> Batch:
    version = known_version(session, version_id)
    return Batch(version, score_rows.unscored(session, version_id, version.locales, first_id, last_id))


def register_external(session: Session, first_id: int, last_id: int) -> None:
    """A model version for each source that brings its own domain scores; a transaction of its own, before reading."""
    for source, locales in score_rows.unscored_external_sources(session, first_id, last_id):
        models.external(session, source, locales, __version__)


def read_external(session: Session, first_id: int, last_id: int, *, limit: int | None = None) -> list[Batch]:
    """Utterances whose record brings its own domain scores: their source is a model version of kind `external`."""
    by_source: dict[str, list[Unscored]] = {}
    for row in score_rows.unscored_external(session, first_id, last_id, limit=limit):
        by_source.setdefault(row.source, []).append(row)
    # A source whose first records came in after the registration is left to the sweep.
    return [Batch(version, by_source[source]) for source, version in models.externals(session, by_source).items()]


def columns(prediction: Prediction, labels: ArrayLike) -> dict[str, Floats]:
    """Every score that a prediction gives, by the name of its column, each (N,): what policies rank by.

    A score whose signal the model does not give has no entry. Pure: production and the benchmark call this one
    function. docs/scores.md has formula, range, direction and unit of each.

    Args:
        prediction: of N utterances.
        labels: (N,) integer, each record's own hypothesised domain as its number in the vocabulary, -1 for one
            outside it. The scores of `OF_LABEL` mean nothing for a record without hypothesis: the caller leaves
            them out.

    Raises:
        ValueError: probabilities or labels that `plugin.quality.scores` refuses.
    """
    return _columns(prediction, labels, scores.el2n_replicates(prediction.early_domain_probs, labels))


def _columns(prediction: Prediction, labels: ArrayLike, el2n: Floats) -> dict[str, Floats]:
    """`el2n` is (R, N)."""
    mean = mean_domain_probs(prediction)
    intent = prediction.intent_probs.mean(axis=0, dtype=np.float64)  # (R, N, I) -> (N, I)
    of_slots = prediction.token_entropy_sum
    found: dict[str, Floats] = {
        "entropy": scores.entropy(mean),
        "margin": scores.margin(mean),
        "least_confidence": scores.least_confidence(mean),
        "mutual_information": scores.mutual_information(prediction.domain_probs),
        "el2n": el2n.mean(axis=0),
        "el2n_spread": el2n.std(axis=0),
        "intent_entropy": scores.entropy(intent),
        "token_entropy_mean": prediction.token_entropy_mean,
        "token_entropy_sum": of_slots,
        "token_entropy_max": prediction.token_entropy_max,
        "sequence_margin": prediction.sequence_margin,
        "joint_uncertainty": scores.joint_uncertainty(mean, intent, of_slots),
        "confidence": prediction.confidence,
    }
    if prediction.dropout_mutual_information is not None:
        found["dropout_mutual_information"] = prediction.dropout_mutual_information
    if prediction.snapshot_domain_probs is not None:
        course = scores.cartography(prediction.snapshot_domain_probs, labels)
        found["label_confidence"], found["variability"] = course
        found["forgetting"] = scores.forgetting(prediction.snapshot_domain_probs, labels).astype(np.float64)
    return found


def mean_domain_probs(prediction: Prediction) -> Floats:
    """(R, N, D) -> (N, D), float64."""
    mean: Floats = prediction.domain_probs.mean(axis=0, dtype=np.float64)
    return mean


def compute(batch: Batch, scorer: Scorer) -> Scored:
    """Every score of a batch, from one prediction."""
    rows = batch.rows
    if not rows:
        return Scored([], [])
    prediction = scorer.predict([row.text for row in rows], [row.locale for row in rows])
    domains = scorer.vocabulary.domains
    index = {domain: number for number, domain in enumerate(domains)}
    labels = np.array([index.get(row.domain or "", -1) for row in rows])
    el2n = scores.el2n_replicates(prediction.early_domain_probs, labels)  # (R, N)
    values: dict[str, list[Any]] = {
        name: column.tolist() for name, column in _columns(prediction, labels, el2n).items()
    }
    values["el2n_replicates"] = el2n.T.tolist()
    mean = mean_domain_probs(prediction)
    values["predicted_domain"] = [domains[best] for best in mean.argmax(axis=1).tolist()]
    unlabelled = [number for number, row in enumerate(rows) if row.domain is None]
    values["el2n_missing"] = [None] * len(rows)
    for number in unlabelled:
        values["el2n_missing"][number] = NO_HYPOTHESIS
        for name in OF_LABEL & values.keys():
            values[name][number] = None
    return Scored(score_rows_of(batch, values), list(feature_rows(batch, prediction, mean)))


def score_rows_of(batch: Batch, values: Mapping[str, Sequence[Any]]) -> list[tuple[Any, ...]]:
    """`values` hold N entries by column; NULL where there is no such column."""
    nothing = [None] * len(batch.rows)
    whole = {
        "model_version_id": [batch.version.id] * len(batch.rows),
        "utterance_id": [row.id for row in batch.rows],
        "revision": [row.revision for row in batch.rows],
        **values,
    }
    return list(zip(*(whole.get(name, nothing) for name in score_rows.SCORE_COLUMNS), strict=True))


def feature_rows(batch: Batch, prediction: Prediction, mean_domain_probs: Floats) -> Iterator[tuple[Any, ...]]:
    arrays = [
        array.astype(FLOAT16_BYTES)
        for array in (
            mean_domain_probs,
            prediction.intent_probs.mean(axis=0),
            prediction.slot_mass,
            prediction.embedding,
        )
    ]
    for number, row in enumerate(batch.rows):
        yield (batch.version.id, row.id, row.revision, *(array[number].tobytes() for array in arrays))


def compute_external(batch: Batch) -> Scored:
    """Entropy, margin and least confidence of a source's own domain scores; EL2N needs replicates it has not."""
    values: dict[str, list[Any]] = {"entropy": [], "margin": [], "least_confidence": [], "predicted_domain": []}
    for row in batch.rows:
        assert row.domain_scores
        probs = [list(scores.complete_with_rest(row.domain_scores).values())]  # (1, K + 1)
        values["entropy"].append(scores.entropy(probs).item())
        values["margin"].append(scores.margin(probs).item())
        values["least_confidence"].append(scores.least_confidence(probs).item())
        # Never the rest, which is no domain.
        values["predicted_domain"].append(max(row.domain_scores, key=row.domain_scores.__getitem__))
    values["el2n_missing"] = [NO_REPLICATES] * len(batch.rows)
    return Scored(score_rows_of(batch, values), [])


def write(session: Session, scored: Scored) -> int:
    return score_rows.write(session, scored.scores, scored.features)


def id_ranges(ids: Sequence[int], size: int) -> list[tuple[int, int]]:
    """Cut ascending ids into ranges [first, last] of `size` ids each."""
    return [(ids[start], ids[min(start + size, len(ids)) - 1]) for start in range(0, len(ids), size)]


def backlog(session: Session, version_id: int) -> list[int]:
    return score_rows.unscored_ids(session, version_id, known_version(session, version_id).locales)


def count_backlog(session: Session, version_id: int) -> int:
    return score_rows.count_unscored(session, version_id, known_version(session, version_id).locales)


def unsent(session: Session, size: int, *, older_than: timedelta = SENT_BY_NOW) -> list[tuple[int, int]]:
    """Ranges committed a while ago and not scored; a few at a time, the rest is for the next sweep.

    Looks only at what came in since all was scored, and moves that mark on. A new champion has none: the whole pool.
    """
    now = polls.clock(session)
    limit = size * RANGES_A_SWEEP
    ids: set[int] = set()
    champions = [Lane(version.id, locale) for locale, version in models.champions(session)]
    for lane in (None, *champions):
        since = score_rows.watermark(session, lane)
        found = score_rows.unscored_since(session, lane, since=since, until=now - older_than, limit=limit)
        ids.update(id_ for _, id_ in found)
        earliest = [ingested_at for ingested_at, _ in found[:1]]
        score_rows.set_watermark(session, lane, min([now - COMMITTED_BY_NOW, *earliest]))
    return id_ranges(sorted(ids)[:limit], size)


def known_version(session: Session, version_id: int) -> ModelVersion:
    version = models.get(session, version_id)
    if version is None:
        raise LookupError(f"no model version has id {version_id}")
    return version


NUMBERS = (
    "entropy", "margin", "least_confidence", "mutual_information", "dropout_mutual_information", "intent_entropy",
    "token_entropy_mean", "token_entropy_sum", "token_entropy_max", "sequence_margin", "joint_uncertainty",
    "label_confidence", "variability", "forgetting", "confidence", "el2n", "el2n_spread",
)  # fmt: skip
SHOWN = ("revision", *NUMBERS, "el2n_replicates", "el2n_missing", "predicted_domain", "scored_at")
SHOWN_OF_VERSION = ("el2n_variant", "el2n_epoch")


def of_utterance(session: Session, external_id: str, source: str | None = None) -> list[dict[str, Any]]:
    """Every score row of the utterances with this id, with the names of source and model version."""
    return [
        {
            "source": utterance.source,
            "model_version": version.name,
            **{name: getattr(score, name) for name in SHOWN},
            **{name: getattr(version, name) for name in SHOWN_OF_VERSION},
        }
        for utterance, version, score in score_rows.of_utterance(session, external_id, source)
    ]
