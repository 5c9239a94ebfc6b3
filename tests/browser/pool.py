"""A tiny pool, scored, selected and published into a Label Studio, for people and their browsers."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.models import AnnotationRow
from db.repositories import queues as queue_rows
from db.repositories import selections
from db.session import TransactionMaker
from plugin.label_studio.protocol import LabelStudio
from plugin.quality.selection import is_blind
from plugin.records import MAX_BLIND_SHARE, Vocabulary
from plugin.services import ingest, policies, queues, scoring, selection
from plugin.services.ports import Scorer
from tests import factories

INSTANCE = "main"


@dataclass(frozen=True)
class Heard:
    """What the assistant made of an utterance; `slots` are (label, the words it covers)."""

    text: str
    intent: str
    slots: Sequence[tuple[str, str]] = ()
    nlu_score: float = 0.5

    def spans(self) -> list[list[int | str]]:
        return [span(self.text, words, label) for label, words in self.slots]


@dataclass(frozen=True)
class Queue:
    """A queue as it stands in Label Studio; `texts` in planned order."""

    project_id: int
    domain: str
    texts: Sequence[str]
    utterance_ids: Mapping[str, int] = field(default_factory=dict)


def span(text: str, words: str, label: str) -> list[int | str]:
    start = text.index(words)
    return [start, start + len(words), label]


def publish(
    transaction: TransactionMaker,
    label_studio: LabelStudio,
    scorer: Scorer,
    locale: str,
    domain: str,
    heard: Sequence[Heard],
    blind: Collection[Heard] = (),
) -> Queue:
    """All of `heard` in the queue of one domain, in the order of the scorer's entropies."""
    now = datetime.now(UTC)
    with transaction() as session:
        ids = add_pool(session, locale, domain, heard)
        add_champion(session, locale, scorer.vocabulary)
    with transaction() as session:
        batches = scoring.read_batches(session, min(ids.values()), max(ids.values()))
    scored = [scoring.compute(batch, scorer) for batch in batches]
    with transaction() as session:
        for part in scored:
            scoring.write(session, part)
        everything = {"budget": len(heard), "control_share": 0.0, "nlu_low": 0.0, "nlu_high": 1.0}
        drawn = draw(ids, {one.text for one in blind})
        policies.change(session, locale, "*", everything | drawn, changed_by="test", comment="")
    selection.refresh(transaction, locale, now, INSTANCE)
    with transaction() as session:
        [queue] = queue_rows.of_locale(session, INSTANCE, locale)
    queues.publish(transaction, label_studio, INSTANCE, queue.id, now)
    with transaction() as session:
        return read_queue(session, locale, domain, ids)


def draw(ids: Mapping[str, int], blind: set[str]) -> dict[str, float | int]:
    """A policy by which these are blind and no others."""
    share = MAX_BLIND_SHARE if blind else 0.0
    seeds = itertools.count()
    seed = next(
        seed for seed in seeds if all(is_blind(seed, id_, share) == (text in blind) for text, id_ in ids.items())
    )
    return {"blind_share": share, "seed": seed}


def collect(transaction: TransactionMaker, label_studio: LabelStudio, queue: Queue) -> dict[str, AnnotationRow]:
    """What has come back, by text."""
    ingest.reconcile(transaction, label_studio, INSTANCE, queue.project_id, overlap=timedelta(minutes=5), force=True)
    texts = {id_: text for text, id_ in queue.utterance_ids.items()}
    with transaction() as session:
        rows = session.scalars(select(AnnotationRow).where(AnnotationRow.annotation_id.is_not(None))).all()
    return {texts[row.utterance_id]: row for row in rows if row.utterance_id in texts}


def add_pool(session: Session, locale: str, domain: str, heard: Sequence[Heard]) -> dict[str, int]:
    ids = {}
    for number, one in enumerate(heard):
        [row] = factories.utterances(
            session, 1, external_id=f"{locale}-{number:03d}", locale=locale, domain=domain, text=one.text,
            intent=one.intent, slots=one.spans(), nlu_score=one.nlu_score,
        )  # fmt: skip
        ids[one.text] = row.id
    return ids


def add_gold(session: Session, locale: str, domain: str, labelled: Sequence[Heard]) -> None:
    """Labels of people that came in a file."""
    for number, one in enumerate(labelled):
        add_annotation(session, locale, domain, one, external_id=f"gold-{locale}-{number}", instance="file:gold")


def add_reviews(session: Session, locale: str, domain: str, labelled: Sequence[Heard]) -> None:
    """What people said of earlier queues: most accepted, some fixed, a few rejected."""
    for number, one in enumerate(labelled):
        verdict = "reject" if number % 12 == 0 else "fix" if number % 4 == 0 else "accept"
        add_annotation(
            session, locale, domain, one, external_id=f"earlier-{locale}-{number}", instance=INSTANCE,
            annotation_id=-1 - number, verdict=verdict,
        )  # fmt: skip


def add_annotation(
    session: Session, locale: str, domain: str, one: Heard, *, external_id: str, verdict: str = "accept", **more: Any
) -> None:
    [row] = factories.utterances(
        session, 1, external_id=external_id, locale=locale, domain=domain, partition="train", text=one.text,
        intent=one.intent,
    )  # fmt: skip
    now = datetime.now(UTC)
    label = {} if verdict == "reject" else {"domain": domain, "intent": one.intent, "slots": one.spans()}
    values: dict[str, Any] = {
        "utterance_id": row.id, "revision": 1, "verdict": verdict, **label, "annotator": "ann@example.org",
        "created_at": now, "updated_at": now, **more,
    }  # fmt: skip
    session.add(AnnotationRow(**values))


def add_champion(session: Session, locale: str, vocabulary: Vocabulary) -> None:
    factories.champion(session, locale, name=f"champion-{locale}").vocabulary = {
        "domains": list(vocabulary.domains),
        "intents": list(vocabulary.intents),
        "intent_domains": dict(vocabulary.intent_domains),
        "slots": list(vocabulary.slots),
    }


def read_queue(session: Session, locale: str, domain: str, ids: Mapping[str, int]) -> Queue:
    current = selections.current(session, locale)
    [queue] = queue_rows.of_locale(session, INSTANCE, locale)
    assert current is not None
    assert queue.project_id is not None
    texts = {id_: text for text, id_ in ids.items()}
    planned = [texts[item.utterance_id] for item in selections.items(session, current.id, domain)]
    return Queue(queue.project_id, domain, planned, ids)
