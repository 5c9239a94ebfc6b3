"""What the services need of the machine-learning room, so that web, beat and the queue workers never load torch.

Axes: R replicates, N utterances, D domains, I intents, S slot labels, E embedding, C snapshots.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from plugin.records import Hypothesis, TrainingExample, Vocabulary

Floats = NDArray[np.floating[Any]]
Progress = Callable[[int, int], None]  # (steps done, steps in all)


class Prediction(Protocol):
    @property
    def domain_probs(self) -> Floats: ...  # (R, N, D), final checkpoint
    @property
    def early_domain_probs(self) -> Floats: ...  # (R, N, D), early checkpoint: EL2N
    @property
    def intent_probs(self) -> Floats: ...  # (R, N, I)
    @property
    def hypotheses(self) -> list[Hypothesis]: ...  # N
    @property
    def confidence(self) -> Floats: ...  # (N,) in [0, 1]
    @property
    def token_entropy_mean(self) -> Floats: ...  # (N,) nats
    @property
    def token_entropy_sum(self) -> Floats: ...  # (N,) nats
    @property
    def token_entropy_max(self) -> Floats: ...  # (N,) nats
    @property
    def sequence_margin(self) -> Floats: ...  # (N,) in [0, 1]
    @property
    def slot_mass(self) -> Floats: ...  # (N, S)
    @property
    def embedding(self) -> Floats: ...  # (N, E)
    @property
    def snapshot_domain_probs(self) -> Floats | None: ...  # (C, N, D), C >= 2; None: the model kept none
    @property
    def dropout_mutual_information(self) -> Floats | None: ...  # (N,) nats; None: the model makes no passes


class Scorer(Protocol):
    """A trained ensemble, ready to predict."""

    @property
    def vocabulary(self) -> Vocabulary: ...
    @property
    def seeds(self) -> tuple[int, ...]: ...
    @property
    def temperature(self) -> dict[str, float]: ...
    @property
    def el2n_epoch(self) -> int: ...
    @property
    def data_hash(self) -> str: ...
    def predict(self, texts: Sequence[str], locales: Sequence[str]) -> Prediction: ...
    def save(self, folder: Path) -> str:
        """Write the checkpoint whole or not at all; its SHA-256."""
        ...


class Trainer(Protocol):
    def train(
        self,
        examples: Sequence[TrainingExample],
        dev: Sequence[TrainingExample],
        *,
        seed: int,
        replicates: int | None = None,
        schedule_size: int | None = None,
        progress: Progress | None = None,
    ) -> Scorer:
        """`schedule_size`: train in the batches and for the steps that so many examples get, for a fair comparison."""
        ...


class ScorerLoader(Protocol):
    def __call__(self, folder: Path, sha256: str) -> Scorer:
        """Raises ValueError when the files are not those of `sha256`."""
        ...
