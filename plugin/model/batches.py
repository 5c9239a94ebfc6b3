"""Batches of utterances of like length, ready for the network.

Axes: B utterances, T tokens of the longest, X distinct tokens of the batch, F its distinct features,
E size of a sentence embedding.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plugin.model.features import Encoded, Ints


@dataclass(frozen=True, slots=True)
class Batch:
    """What the network reads. Bags are the batch's X distinct tokens (the first is padding), then its B pair lists."""

    rows: Tensor  # (F,) rows of the embedding table
    bags: Tensor  # numbers into `rows`, ragged over X + B bags
    bag_offsets: Tensor  # (X + B,)
    bag_scale: Tensor  # (X + B, 1), 1 / sqrt(size of the bag)
    tokens: Tensor  # (B, T), numbers of the first X bags
    mask: Tensor  # (B, T), 1.0 where there is a token
    sentences: Tensor | None = None  # (B, E), of a pretrained encoder

    @property
    def types(self) -> int:
        return len(self.bag_offsets) - len(self.tokens)


def make_batch(
    encoded: Encoded,
    indices: Ints,
    device: torch.device,
    *,
    feature_dropout: float = 0.0,
    rng: np.random.Generator | None = None,
    sentences: NDArray[np.float32] | None = None,
) -> Batch:
    """The utterances `indices` of `encoded`; with `rng`, each feature of a bag is left out at that probability.

    `sentences` (N, E) are those of all utterances of `encoded`.
    """
    lengths = encoded.lengths[indices]
    positions = np.arange(max(1, int(lengths.max())))
    mask = positions < lengths[:, None]  # (B, T)
    types = np.zeros(mask.shape, np.int64)
    types[mask] = encoded.types[(encoded.offsets[indices][:, None] + positions)[mask]]
    # Type 0 leads the distinct types even in a batch without padding.
    distinct, tokens = np.unique(np.concatenate(([0], types.ravel())), return_inverse=True)
    features, sizes = _rows(encoded.type_features, encoded.type_offsets, distinct)
    pairs, pair_sizes = _rows(encoded.pair_features, encoded.pair_offsets, indices)
    features, sizes = np.concatenate([features, pairs]), np.concatenate([sizes, pair_sizes])
    if rng is not None:
        keep = rng.random(len(features)) >= feature_dropout
        owner = np.repeat(np.arange(len(sizes)), sizes)[keep]
        features, sizes = features[keep], np.bincount(owner, minlength=len(sizes))
    rows, bags = np.unique(features, return_inverse=True)
    scale = 1.0 / np.sqrt(np.maximum(sizes, 1))
    return Batch(
        rows=torch.from_numpy(rows).to(device),
        bags=torch.from_numpy(bags).to(device),
        bag_offsets=torch.from_numpy(np.cumsum(sizes) - sizes).to(device),
        bag_scale=torch.from_numpy(scale.astype(np.float32)[:, None]).to(device),
        tokens=torch.from_numpy(tokens[1:].reshape(mask.shape)).to(device),
        mask=torch.from_numpy(mask.astype(np.float32)).to(device),
        sentences=None if sentences is None else torch.from_numpy(sentences[indices]).to(device),
    )


def _rows(values: Ints, offsets: Ints, chosen: Ints) -> tuple[Ints, Ints]:
    """The ragged rows `chosen`, joined, and their sizes."""
    sizes = offsets[chosen + 1] - offsets[chosen]
    ends = np.cumsum(sizes)
    shift = np.repeat(offsets[chosen] - (ends - sizes), sizes)
    return values[shift + np.arange(len(shift))], sizes


def training_batches(lengths: Ints, batch_size: int, rng: np.random.Generator) -> list[Ints]:
    """One epoch: every utterance once, in batches of like length, shuffled within a length and as batches."""
    order = np.argsort(lengths + rng.random(len(lengths)), kind="stable")
    batches = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    return [batches[index] for index in rng.permutation(len(batches))]


def prediction_batches(lengths: Ints, batch_size: int, max_tokens: int) -> list[Ints]:
    """Every utterance once, by length; no batch has more than `max_tokens` tokens, padding counted."""
    order = np.argsort(lengths, kind="stable")
    batches: list[Ints] = []
    start = 0
    while start < len(order):
        end = start + 1
        while end < len(order) and end - start < batch_size:
            if (end - start + 1) * max(1, lengths[order[end]]) > max_tokens:
                break
            end += 1
        batches.append(order[start:end])
        start = end
    return batches
