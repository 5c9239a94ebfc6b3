"""What a training run is told, and what it works out from the size of its data."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from plugin.model.encoder import ENCODERS

_DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True, slots=True)
class TrainConfig:
    """Settings of `train`; None means that the size of the training data decides.

    replicates    R, the networks of the ensemble
    seed          everything random derives from it: replicates, bags, order of batches, dropout
    epochs        passes over the data: 40 for up to 1,000 utterances, falling to 12 for 10,000 and more
    steps         optimiser steps, in place of `epochs`, so that runs on other data train equally long
    early_epoch   epoch after which the early checkpoint (EL2N) is taken; None: after a fifth of the epochs,
                  at least one whole epoch (epoch 2 of 10 in arXiv 2311.16298)
    batch_size    utterances a step; None: 16 up to 600 utterances, 32 up to 4,000, else 64
    bag_fraction  part of the training data that each replicate sees, drawn without replacement
    width         size of a token's embedding, per replicate
    hidden        channels of the convolution, and units of the utterance's representation
    layers        convolution layers, each over a window of three tokens
    min_count     utterances that a feature must occur in to get an embedding
    max_tokens    tokens read of an utterance; slots beyond them are never predicted
    snapshots     epochs whose domain head is kept, for cartography and forgetting: spread evenly from that of the
                  early checkpoint to the last, all where there are fewer; 0 keeps none. Before it, a network from
                  scratch knows next to nothing: variability would only tell how much was learned (docs/scores.md)
    dropout_passes  predictions of the domain head with dropout left on, for their mutual information; 0 makes none
    encoder       name of a pretrained encoder whose embedding of the utterance is read too (docs/model.md); None: none
    """

    replicates: int = 5
    seed: int = 0
    epochs: int | None = None
    steps: int | None = None
    early_epoch: int | None = None
    batch_size: int | None = None
    bag_fraction: float = 0.8
    width: int = 64
    hidden: int = 128
    layers: int = 1
    min_count: int = 2
    max_tokens: int = 128
    snapshots: int = 0
    dropout_passes: int = 0
    learning_rate: float = 0.003
    embedding_learning_rate: float = 0.02
    weight_decay: float = 0.01
    dropout: float = 0.2
    embedding_dropout: float = 0.15
    feature_dropout: float = 0.15
    slot_weight: float = 2.0
    device: str = "auto"
    encoder: str | None = None

    def __post_init__(self) -> None:
        for name in ("replicates", "width", "hidden", "layers", "min_count", "max_tokens"):
            _at_least(name, getattr(self, name), 1)
        for name in ("snapshots", "dropout_passes"):
            _at_least(name, getattr(self, name), 0)
            if getattr(self, name) == 1:
                raise ValueError(f"{name} must be 0, for none, or at least 2: one alone has nothing to differ from")
        for name in ("epochs", "steps", "early_epoch", "batch_size"):
            if getattr(self, name) is not None:
                _at_least(name, getattr(self, name), 1)
        for name in ("learning_rate", "embedding_learning_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, not {getattr(self, name)}")
        for name in ("weight_decay", "slot_weight"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} must be at least 0, not {getattr(self, name)}")
        for name in ("dropout", "embedding_dropout", "feature_dropout"):
            if not 0.0 <= getattr(self, name) < 1.0:
                raise ValueError(f"{name} must lie in [0, 1), not {getattr(self, name)}")
        if not 0.0 < self.bag_fraction <= 1.0:
            raise ValueError(f"bag_fraction must lie in (0, 1], not {self.bag_fraction}")
        if self.seed < 0:
            raise ValueError(f"seed must be at least 0, not {self.seed}")
        if self.device not in _DEVICES:
            raise ValueError(f"device must be one of {', '.join(_DEVICES)}, not {self.device!r}")
        if self.encoder is not None and self.encoder not in ENCODERS:
            raise ValueError(f"encoder must be one of {', '.join(ENCODERS)}, or None, not {self.encoder!r}")
        if self.epochs is not None and self.steps is not None:
            raise ValueError("give epochs or steps, not both")

    @property
    def seeds(self) -> tuple[int, ...]:
        """One seed for each replicate; the first ones stay the same when replicates are added."""
        return tuple(
            int(np.random.SeedSequence([self.seed, replicate]).generate_state(1)[0])
            for replicate in range(self.replicates)
        )

    def schedule(self, utterances: int) -> Schedule:
        """Steps and checkpoints for training on `utterances` utterances.

        Raises:
            ValueError: when `steps` is less than one epoch, or `early_epoch` lies behind the end.
        """
        batch_size = self.batch_size or (16 if utterances <= 600 else 32 if utterances <= 4000 else 64)
        per_epoch = -(-utterances // batch_size)
        steps = self.steps or per_epoch * (self.epochs or _usual_epochs(utterances))
        if steps < per_epoch:
            raise ValueError(
                f"steps={steps} is less than one epoch ({per_epoch} batches of {batch_size}): "
                "the early checkpoint needs at least one; raise steps or batch_size"
            )
        early_epoch = self.early_epoch or max(1, round(steps / per_epoch / 5))
        if early_epoch * per_epoch > steps:
            raise ValueError(
                f"early_epoch={early_epoch} lies behind the last of {steps / per_epoch:.1f} epochs: lower it"
            )
        kept = _spread(early_epoch, steps // per_epoch, self.snapshots)
        snapshot_steps = tuple(epoch * per_epoch for epoch in kept)
        return Schedule(batch_size, steps, early_epoch, early_epoch * per_epoch, kept, snapshot_steps)


@dataclass(frozen=True, slots=True)
class Schedule:
    batch_size: int
    steps: int
    early_epoch: int
    early_step: int
    snapshot_epochs: tuple[int, ...] = ()
    snapshot_steps: tuple[int, ...] = ()

    def rate(self, step: int) -> float:
        """Share of the learning rate at `step`: up over the first tenth (at most 100 steps), then down to 0."""
        warm_up = min(100, self.steps // 10 + 1)
        return min(1.0, (step + 1) / warm_up) * (1.0 - step / self.steps)


def _usual_epochs(utterances: int) -> int:
    return min(40, max(12, 8 + 32_000 // max(utterances, 1)))


def _spread(first: int, last: int, snapshots: int) -> tuple[int, ...]:
    """Epochs evenly from the first to the last, each at most once; none where the two are one."""
    kept = {round(float(epoch)) for epoch in np.linspace(first, last, snapshots)}
    return tuple(sorted(kept)) if len(kept) > 1 else ()


def _at_least(name: str, value: int, low: int) -> None:
    if value < low:
        raise ValueError(f"{name} must be at least {low}, not {value}")
