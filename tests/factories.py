"""Rows that tests start from."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy.orm import Session

from db.models import ModelVersion, UtteranceRow
from db.repositories import models
from tests.fakes.scorer import VOCABULARY

DOMAINS = VOCABULARY.domains


def utterances(session: Session, count: int, **changed: Any) -> list[UtteranceRow]:
    """Pool utterances u0, u1, ... over the three domains, with NLU scores from 0.05 to 1."""
    return added(session, [utterance(number, **changed) for number in range(count)])


def log(session: Session, texts: Sequence[str], **changed: Any) -> list[UtteranceRow]:
    """Pool utterances that say these texts, by which they are known."""
    return added(session, [utterance(n, external_id=text, text=text, **changed) for n, text in enumerate(texts)])


def utterance(number: int, **changed: Any) -> UtteranceRow:
    values: dict[str, Any] = {
        "source": "log",
        "external_id": f"u{number}",
        "locale": "en-US",
        "text": f"utterance number {number}",
        "domain": DOMAINS[number % 3],
        "intent": VOCABULARY.intents[number % 3],
        "nlu_score": 0.05 + 0.95 * (number % 20) / 19,
        **changed,
    }
    values["content_hash"] = hashlib.sha256(repr(sorted(values.items())).encode()).digest()
    return UtteranceRow(**values)


def added(session: Session, rows: list[UtteranceRow]) -> list[UtteranceRow]:
    session.add_all(rows)
    session.flush()
    return rows


def champion(session: Session, locale: str = "en-US", name: str = "fake-1") -> ModelVersion:
    return models.register(
        session,
        name=name,
        kind="ensemble",
        locales=[locale],
        vocabulary={"domains": list(DOMAINS), "intents": list(VOCABULARY.intents), "slots": list(VOCABULARY.slots)},
        replicates=5,
        seeds=[1, 2, 3, 4, 5],
        temperature={"domain": 1.0},
        el2n_variant="trusted",
        el2n_epoch=2,
        uri="nowhere",
        sha256="0" * 64,
        code_version="test",
        promoted_at=datetime.now(UTC),
    )
