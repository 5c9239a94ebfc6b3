"""Trains R replicates at once, from scratch.

All replicates see the same batches in the same order, so features are looked up once for all of them. They
differ in their initial parameters, their dropout and their bag: an utterance outside a replicate's bag has
weight 0 in its loss. A replicate is the same alone or among others, up to rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as nnf
from numpy.typing import NDArray
from torch import Tensor

from plugin.model.batches import make_batch, training_batches
from plugin.model.calibration import fit_temperature
from plugin.model.config import Schedule, TrainConfig
from plugin.model.encoder import Encoder, size_of
from plugin.model.ensemble import Ensemble
from plugin.model.features import Encoded, FeatureTable, Ints
from plugin.model.labels import canonical_order, data_hash, numbers_of, pairs_of, vocabulary_of
from plugin.model.network import Dropout, Logits, Network, Sizes, resolve_device
from plugin.model.optimiser import RowAdam
from plugin.model.text import bio_tags
from plugin.records import TrainingExample, Vocabulary
from plugin.tokens import token_spans

__all__ = ["TrainConfig", "train"]

Progress = Callable[[int, int], None]

_IGNORED = -100
_MOST_FOR_TEMPERATURE = 4000


@dataclass(frozen=True, slots=True)
class TrainingData:
    """Examples as numbers. `tags` are ragged like `encoded.types`; `sentences` are there with an encoder."""

    features: FeatureTable
    encoded: Encoded
    vocabulary: Vocabulary
    domains: Ints  # (N,)
    intents: Ints  # (N,)
    tags: Ints
    encoder: Encoder | None = None
    sentences: NDArray[np.float32] | None = None  # (N, E)

    @classmethod
    def prepare(cls, examples: Sequence[TrainingExample], config: TrainConfig) -> TrainingData:
        texts = [example.text for example in examples]
        features = FeatureTable.build(texts, min_count=config.min_count, max_tokens=config.max_tokens)
        encoded = features.encode(texts)
        vocabulary = vocabulary_of(examples)
        encoder, sentences = (None, None) if config.encoder is None else Encoder.fit(config.encoder, texts)
        labels = {label: number for number, label in enumerate(vocabulary.slots)}
        tags = [
            tag
            for spans, example in zip(encoded.spans, examples, strict=True)
            for tag in bio_tags(spans, example.label.slots, labels)
        ]
        return cls(
            features=features,
            encoded=encoded,
            vocabulary=vocabulary,
            domains=numbers_of([example.label.domain for example in examples], vocabulary.domains),
            intents=numbers_of([example.label.intent for example in examples], vocabulary.intents),
            tags=np.asarray(tags, np.int64),
            encoder=encoder,
            sentences=sentences,
        )


class Fitted(NamedTuple):
    """What one training leaves: the networks at its end, at the early checkpoint, and at each snapshot."""

    final: Network
    early: Network
    snapshots: tuple[Network, ...]


def train(
    examples: Sequence[TrainingExample],
    dev: Sequence[TrainingExample],
    config: TrainConfig,
    progress: Progress | None = None,
) -> Ensemble:
    """Train an ensemble on `examples`, and its temperatures on `dev`.

    The result depends on the examples' content and on `config` alone, to the bit on one machine with one number
    of threads: not on the order of the examples, nor on any global random state. With no `dev`, temperatures
    are fitted on `examples`, each judged by the replicates whose bag it is not in; with `bag_fraction` 1 there
    are none, and temperatures are 1. `dev` never trains weights; its labels outside the vocabulary are skipped.

    Args:
        examples: at least one; none without a letter, digit or sign.
        dev: held out from `examples`; may be empty.
        config: see `TrainConfig`.
        progress: called after every step with (steps done, steps in all).

    Raises:
        EncoderMissingError: the encoder of `config` is not installed.
        ValueError: no examples, an empty text or label, or a schedule that does not fit their number.
    """
    _validate(examples)
    device = resolve_device(config.device)
    ordered = canonical_order(examples)
    data = TrainingData.prepare(ordered, config)
    schedule = config.schedule(len(ordered))
    fitted = fit(data, config, config.seeds, schedule, device, progress)
    ensemble = Ensemble(
        config=config,
        vocabulary=data.vocabulary,
        pairs=pairs_of(ordered, data.vocabulary),
        features=data.features,
        final=fitted.final,
        early=fitted.early,
        seeds=config.seeds,
        temperature={"domain": 1.0, "intent": 1.0},
        el2n_epoch=schedule.early_epoch,
        data_hash=data_hash(ordered),
        snapshots=fitted.snapshots,
        snapshot_epochs=schedule.snapshot_epochs,
        encoder=data.encoder,
    )
    return replace(ensemble, temperature=_temperatures(ensemble, ordered, canonical_order(dev)))


def fit(
    data: TrainingData,
    config: TrainConfig,
    seeds: Sequence[int],
    schedule: Schedule,
    device: torch.device,
    progress: Progress | None = None,
) -> Fitted:
    """Train one replicate for each of `seeds`."""
    network = Network.initialise(_sizes(data, config, len(seeds)), seeds).to(device)
    weights = [weight.requires_grad_() for weight in network.weights.values()]
    dense = torch.optim.AdamW(weights, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)
    rows = RowAdam(network.table)
    dropout = Dropout(seeds, device)
    bags = torch.from_numpy(draw_bags(seeds, len(data.encoded), config.bag_fraction)).float().to(device)
    rng = np.random.default_rng([config.seed, 0])
    early, snapshots = network, []
    queue: list[Ints] = []
    for step in range(schedule.steps):
        if not queue:
            queue = training_batches(data.encoded.lengths, schedule.batch_size, rng)
        indices = queue.pop()
        batch = make_batch(
            data.encoded, indices, device, feature_dropout=config.feature_dropout, rng=rng, sentences=data.sentences
        )
        embeddings = network.table.index_select(0, batch.rows).requires_grad_()
        rates = (config.dropout, config.embedding_dropout)
        logits = network.forward(batch, embeddings=embeddings, dropout=dropout, rates=rates)
        loss = _loss(logits, data, indices, bags[:, torch.from_numpy(indices).to(device)], config.slot_weight)
        dense.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        rate = schedule.rate(step)
        for group in dense.param_groups:
            group["lr"] = config.learning_rate * rate
        dense.step()
        rows.step(batch.rows, embeddings, config.embedding_learning_rate * rate)
        if step + 1 == schedule.early_step:
            early = network.early_copy()
        if step + 1 in schedule.snapshot_steps:
            snapshots.append(network.early_copy())
        if progress is not None:
            progress(step + 1, schedule.steps)
    for weight in weights:
        weight.requires_grad_(False)
    return Fitted(network, early, tuple(snapshots))


def draw_bags(seeds: Sequence[int], utterances: int, fraction: float) -> NDArray[np.bool_]:
    """(R, N): whether utterance n is in the bag of replicate r; each bag has ceil(fraction * N) of them."""
    size = int(np.ceil(fraction * utterances))
    ranks = [np.random.default_rng([seed, 1]).permutation(utterances) for seed in seeds]
    return np.stack(ranks) < size


def _validate(examples: Sequence[TrainingExample]) -> None:
    if not examples:
        raise ValueError("no training examples: give at least one labelled utterance")
    for example in examples:
        if not token_spans(example.text, 1):
            raise ValueError(f"training example {example.id!r} has an empty text: remove it")
        if not example.label.domain or not example.label.intent:
            raise ValueError(f"training example {example.id!r} has no domain or no intent: label or remove it")


def _sizes(data: TrainingData, config: TrainConfig, replicates: int) -> Sizes:
    return Sizes(
        replicates=replicates,
        features=len(data.features),
        domains=len(data.vocabulary.domains),
        intents=len(data.vocabulary.intents),
        tags=2 * len(data.vocabulary.slots) + 1,
        width=config.width,
        hidden=config.hidden,
        layers=config.layers,
        sentence=size_of(config.encoder),
    )


def _loss(logits: Logits, data: TrainingData, indices: Ints, weights: Tensor, slot_weight: float) -> Tensor:
    """Sum over the replicates of the cross-entropies of their bags' utterances; `weights` is (R, B)."""
    device = weights.device
    lengths = data.encoded.lengths[indices]
    length = logits.tags.shape[2]
    mask = np.arange(length) < lengths[:, None]  # (B, T)
    tags = np.full(mask.shape, _IGNORED, np.int64)
    tags[mask] = data.tags[(data.encoded.offsets[indices][:, None] + np.arange(length))[mask]]
    domain = _cross_entropy(logits.domain, torch.from_numpy(data.domains[indices]).to(device))
    intent = _cross_entropy(logits.intent, torch.from_numpy(data.intents[indices]).to(device))
    slots = _cross_entropy(logits.tags, torch.from_numpy(tags).to(device)).sum(2)  # (R, B, T) -> (R, B)
    per_utterance = (domain + intent) / len(indices) + slots * (slot_weight / int(lengths.sum()))
    return (per_utterance * weights).sum()


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    """(R, ..., K) against (...) -> (R, ...)"""
    spread = labels.expand(logits.shape[0], *labels.shape)
    flat = nnf.cross_entropy(
        logits.reshape(-1, logits.shape[-1]), spread.reshape(-1), reduction="none", ignore_index=_IGNORED
    )
    return flat.view(spread.shape)


def _temperatures(
    ensemble: Ensemble, trained_on: Sequence[TrainingExample], dev: Sequence[TrainingExample]
) -> dict[str, float]:
    voters: NDArray[np.bool_]
    if dev:
        judged = list(dev)
        voters = np.ones((len(ensemble.seeds), len(judged)), np.bool_)
    else:
        judged = list(trained_on)
        voters = ~draw_bags(ensemble.seeds, len(judged), ensemble.config.bag_fraction)
    step = -(-len(judged) // _MOST_FOR_TEMPERATURE)
    judged, voters = judged[::step], voters[:, ::step]
    domains, intents = ensemble.head_logits([example.text for example in judged])
    vocabulary = ensemble.vocabulary
    domain_labels = numbers_of([example.label.domain for example in judged], vocabulary.domains)
    intent_labels = numbers_of([example.label.intent for example in judged], vocabulary.intents)
    return {
        "domain": fit_temperature(domains, domain_labels, voters),
        "intent": fit_temperature(intents, intent_labels, voters),
    }
