"""No one can tell an item's arm by the sentence above it: the same templates stand in both arms."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sqlalchemy.orm import Session

from db.repositories import models, selections
from db.repositories import queues as queue_rows
from db.session import TransactionMaker
from plugin.services import policies, scoring
from plugin.services.ports import Floats
from plugin.services.reasons import sentence
from tests import factories
from tests.fakes.scorer import FakeScorer
from tests.integration.queues.conftest import refresh


@dataclass
class DecidedScorer(FakeScorer):
    """Sure of some utterances, of two minds about others, and each replicate of its own mind about a few."""

    def probs(self, head: str, texts: Sequence[str], classes: int) -> Floats:
        raw = super().probs(head, texts, classes).astype(np.float64)  # (R, N, K)
        shared = super().probs(f"shared {head}", texts, classes).astype(np.float64)[:1]
        sharp = shared ** np.array([1 + len(text) % 3 * 8 for text in texts])[:, np.newaxis] * raw**2
        probs: Floats = (sharp / sharp.sum(axis=2, keepdims=True)).astype(np.float32)
        return probs


def test_the_same_templates_occur_in_both_arms(session: Session, transaction: TransactionMaker) -> None:
    for number, row in enumerate(factories.utterances(session, 900, nlu_score=0.5)):
        row.text = f"utterance {number} {'x' * (number % 7)}"
    session.flush()
    factories.champion(session)
    [batch] = scoring.read_batches(session, 0, 2**62)
    scoring.write(session, scoring.compute(batch, DecidedScorer()))
    settings = {"budget": 500, "control_share": 0.5, "hard_share": 0.3, "strategy": "entropy"}
    policies.change(session, "en-US", "*", settings, changed_by="test", comment="")
    refresh(transaction, 1)

    current = selections.current(session, "en-US")
    assert current is not None
    version = models.get(session, current.model_version_id)
    assert version is not None
    templates: dict[str, set[str]] = defaultdict(set)
    arms = {item.utterance_id: item.arms for item in selections.items(session, current.id)}
    for domain in factories.DOMAINS:
        for item in queue_rows.planned_items(session, current, domain).values():
            template = re.sub("“[^”]*”", "“...”", sentence(item, version.vocabulary, version.replicates))
            for arm in arms[item.utterance_id]:
                templates[arm].add(template)
    assert templates["strategy"] == templates["control"]
    assert len(templates["control"]) >= 4
