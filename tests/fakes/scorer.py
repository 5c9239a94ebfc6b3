"""A scorer without torch: its probabilities follow from a hash of the text, so they are the same everywhere."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from plugin.records import Hypothesis, Vocabulary
from plugin.services.ports import Floats

VOCABULARY = Vocabulary(
    domains=("audio", "music", "weather"),
    intents=("audio_volume", "music_play", "weather_query"),
    slots=("artist", "date"),
    intent_domains={"audio_volume": "audio", "music_play": "music", "weather_query": "weather"},
)


@dataclass(frozen=True)
class FakePrediction:
    domain_probs: Floats
    early_domain_probs: Floats
    intent_probs: Floats
    hypotheses: list[Hypothesis]
    confidence: Floats
    token_entropy_mean: Floats
    token_entropy_sum: Floats
    token_entropy_max: Floats
    sequence_margin: Floats
    slot_mass: Floats
    embedding: Floats
    snapshot_domain_probs: Floats | None = None
    dropout_mutual_information: Floats | None = None


@dataclass
class FakeScorer:
    vocabulary: Vocabulary = VOCABULARY
    seeds: tuple[int, ...] = (1, 2, 3, 4, 5)
    temperature: dict[str, float] = field(default_factory=lambda: {"domain": 1.0, "intent": 1.0})
    el2n_epoch: int = 2
    data_hash: str = "0" * 64
    texts_seen: list[str] = field(default_factory=list)
    snapshots: int = 0
    dropout_passes: int = 0

    def predict(self, texts: Sequence[str], locales: Sequence[str]) -> FakePrediction:
        self.texts_seen.extend(texts)
        return FakePrediction(
            domain_probs=self.probs("final", texts, len(self.vocabulary.domains)),
            early_domain_probs=self.probs("early", texts, len(self.vocabulary.domains)),
            intent_probs=self.probs("intent", texts, len(self.vocabulary.intents)),
            hypotheses=[Hypothesis("music", "music_play")] * len(texts),
            confidence=np.full(len(texts), 0.5, dtype=np.float32),
            token_entropy_mean=np.full(len(texts), 0.2, dtype=np.float32),
            token_entropy_sum=np.full(len(texts), 0.6, dtype=np.float32),
            token_entropy_max=np.full(len(texts), 0.4, dtype=np.float32),
            sequence_margin=np.full(len(texts), 0.7, dtype=np.float32),
            slot_mass=np.zeros((len(texts), len(self.vocabulary.slots)), dtype=np.float32),
            embedding=np.ones((len(texts), 4), dtype=np.float32),
            snapshot_domain_probs=self.snapshot_probs(texts) if self.snapshots else None,
            dropout_mutual_information=np.full(len(texts), 0.1) if self.dropout_passes else None,
        )

    def snapshot_probs(self, texts: Sequence[str]) -> Floats:
        """(C, N, D)"""
        heads = [
            self.probs(f"snapshot{number}", texts, len(self.vocabulary.domains)) for number in range(self.snapshots)
        ]
        return np.stack([head.mean(axis=0) for head in heads])

    def probs(self, head: str, texts: Sequence[str], classes: int) -> Floats:
        """(R, N, K), rows sum to 1."""
        weights = [
            [
                [1 + hashlib.sha256(f"{head} {seed} {text} {k}".encode()).digest()[0] for k in range(classes)]
                for text in texts
            ]
            for seed in self.seeds
        ]
        raw = np.array(weights, dtype=np.float64).reshape(len(self.seeds), len(texts), classes)
        probs: Floats = (raw / raw.sum(axis=2, keepdims=True)).astype(np.float32)
        return probs

    def save(self, folder: Path) -> str:
        folder.mkdir(parents=True)
        (folder / "fake").write_text("fake")
        return "0" * 64
