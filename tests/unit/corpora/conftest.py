from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
from numpy.typing import NDArray

from plugin.records import Hypothesis, TrainingExample, Vocabulary


@dataclass(frozen=True)
class FakePrediction:
    hypotheses: list[Hypothesis]
    confidence: NDArray[np.float64]
    domain_probs: NDArray[np.float64]


class FakeScorer:
    """Says of a text what the training text with the most words in common was labelled; the share is its confidence."""

    def __init__(self, examples: Sequence[TrainingExample]) -> None:
        self._examples = [(frozenset(example.text.split()), example.label) for example in examples]
        domains = tuple(sorted({example.label.domain for example in examples}))
        self.vocabulary = Vocabulary(domains, (), ())

    def predict(self, texts: Sequence[str], locales: Sequence[str]) -> FakePrediction:
        assert len(texts) == len(locales)
        best = [self._nearest(frozenset(text.split())) for text in texts]
        domains = self.vocabulary.domains
        probs = np.full((2, len(texts), len(domains)), 0.1 / len(domains))
        for index, (_, label) in enumerate(best):
            probs[:, index, domains.index(label.domain)] += 0.9
        labels = [Hypothesis(label.domain, label.intent) for _, label in best]
        return FakePrediction(labels, np.array([share for share, _ in best]), probs)

    def _nearest(self, words: frozenset[str]) -> tuple[float, Hypothesis]:
        shares = [len(words & own) / len(words | own) for own, _ in self._examples]
        place = max(range(len(shares)), key=shares.__getitem__)
        return shares[place], self._examples[place][1]


class FakeTrainer:
    def __init__(self) -> None:
        self.calls: list[tuple[int, int, int]] = []

    def train(
        self,
        examples: Sequence[TrainingExample],
        dev: Sequence[TrainingExample],
        *,
        seed: int,
        replicates: int | None = None,
        progress: Callable[[int, int], None] | None = None,
    ) -> FakeScorer:
        self.calls.append((len(examples), len(dev), seed))
        assert replicates != 0
        if progress:
            progress(1, 1)
        return FakeScorer(examples)


@pytest.fixture(scope="package")
def shared_trainer() -> FakeTrainer:
    return FakeTrainer()


@pytest.fixture
def fake_trainer() -> FakeTrainer:
    return FakeTrainer()
