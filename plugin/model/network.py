"""R small networks, run as one: every product is batched over the replicates, and they share one table.

    token      = sum of its features' embeddings / sqrt(number of them)
    context    = ReLU(convolution over three tokens), `layers` times, residual
    utterance  = ReLU(dense[max of context, mean of context, sum of tokens / sqrt(T), word pairs, sentence])
    domain, intent = dense(utterance);   tag of a token = dense(context) + dense(utterance)

The sentence is what a pretrained encoder says of the utterance, if the model has one.

Axes: R replicates, B utterances, T tokens, W embedding width, H hidden units, K tags, X distinct tokens,
E size of the encoder's embedding.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as nnf
from torch import Tensor

from plugin.model.batches import Batch

_EARLY = ("convolution", "utterance", "domain")  # what the domain head alone needs


@dataclass(frozen=True, slots=True)
class Sizes:
    replicates: int
    features: int
    domains: int
    intents: int
    tags: int
    width: int
    hidden: int
    layers: int
    sentence: int = 0  # E


@dataclass(frozen=True, slots=True)
class Logits:
    domain: Tensor  # (R, B, D)
    intent: Tensor  # (R, B, I)
    tags: Tensor  # (R, B, T, K)
    utterance: Tensor  # (R, B, H)


class Dropout:
    """Dropout with one random stream for each replicate, so that none depends on how many run beside it."""

    def __init__(self, seeds: Sequence[int], device: torch.device) -> None:
        self._streams = [torch.Generator(device).manual_seed(seed) for seed in seeds]
        self._device = device

    def __call__(self, x: Tensor, shape: Sequence[int], rate: float) -> Tensor:
        """`x` (R, ...) times one mask of `shape` for each replicate, broadcast over the axes of size 1."""
        if rate == 0.0:
            return x
        drawn = [torch.rand(*shape, generator=stream, device=self._device) for stream in self._streams]
        return x * ((torch.stack(drawn) >= rate).to(x) / (1.0 - rate))


class ThinningDropout(Dropout):
    """One mask for all utterances: each replicate becomes one thinned network, whatever else is in the batch.

    Make a new one for every batch: its streams then begin anew, and every batch meets the same thinned networks.
    """

    def __init__(self, seeds: Sequence[int]) -> None:
        super().__init__(seeds, torch.device("cpu"))  # so that every device draws the same

    def __call__(self, x: Tensor, shape: Sequence[int], rate: float) -> Tensor:
        return super().__call__(x, (1, *shape[1:]), rate)


class Network:
    """The parameters of R replicates: `table` (features, R * W), and `weights` by name, (R, inputs, outputs)."""

    def __init__(self, sizes: Sizes, table: Tensor, weights: Mapping[str, Tensor]) -> None:
        self.sizes = sizes
        self.table = table
        self.weights = dict(weights)

    @classmethod
    def initialise(cls, sizes: Sizes, seeds: Sequence[int]) -> Network:
        """Replicate r's parameters are drawn from `seeds[r]` alone, on the CPU."""
        streams = [torch.Generator().manual_seed(seed) for seed in seeds]
        table = torch.cat([_normal(s, sizes.features, sizes.width, 0.1) for s in streams], 1)
        weights: dict[str, Tensor] = {}
        for name, (inputs, outputs, gain) in _shapes(sizes).items():
            scale = gain * inputs**-0.5
            weights[name] = torch.stack([_normal(s, inputs, outputs, scale) for s in streams])
            weights[f"{name}.bias"] = torch.zeros(sizes.replicates, 1, outputs)
        return cls(sizes, table, weights)

    def to(self, device: torch.device) -> Network:
        weights = {name: weight.to(device) for name, weight in self.weights.items()}
        return Network(self.sizes, self.table.to(device), weights)

    @property
    def parameters(self) -> int:
        return self.table.numel() + sum(weight.numel() for weight in self.weights.values())

    def early_copy(self) -> Network:
        """A frozen copy of what the domain head needs."""
        weights = {n: w.detach().clone() for n, w in self.weights.items() if n.startswith(_EARLY)}
        return Network(self.sizes, self.table.clone(), weights)

    def forward(
        self,
        batch: Batch,
        *,
        embeddings: Tensor | None = None,
        dropout: Dropout | None = None,
        rates: tuple[float, float] = (0.0, 0.0),
    ) -> Logits:
        """All heads. `embeddings` (F, R * W) stand for `table[batch.rows]` when gradients are wanted."""
        context, utterance = self._encode(batch, *self._embed(batch, embeddings), dropout, rates)
        replicates, size, length, hidden = context.shape
        tags = self._dense("tag", context.reshape(replicates, size * length, hidden))
        return Logits(
            domain=self._dense("domain", utterance),
            intent=self._dense("intent", utterance),
            tags=tags.view(replicates, size, length, -1) + self._dense("tag_of_utterance", utterance).unsqueeze(2),
            utterance=utterance,
        )

    def domain_logits(self, batch: Batch) -> Tensor:
        """The domain head alone, (R, B, D)."""
        _, utterance = self._encode(batch, *self._embed(batch), None, (0.0, 0.0))
        return self._dense("domain", utterance)

    def domain_logits_with(self, dropouts: Sequence[Dropout], rates: tuple[float, float], batch: Batch) -> Tensor:
        """The domain head once with each of P dropouts, (P, R, B, D); embeddings are looked up once for all."""
        embedded = self._embed(batch)
        passes = [self._encode(batch, *embedded, dropout, rates)[1] for dropout in dropouts]
        return torch.stack([self._dense("domain", utterance) for utterance in passes])

    def _encode(
        self, batch: Batch, tokens: Tensor, pairs: Tensor, dropout: Dropout | None, rates: tuple[float, float]
    ) -> tuple[Tensor, Tensor]:
        """Context (R, B, T, H) and utterance (R, B, H)."""
        size, length = batch.mask.shape
        mask = batch.mask.view(1, size, length, 1)
        count = batch.mask.sum(1).clamp(min=1.0).view(1, size, 1)  # (1, B, 1)
        bag = tokens.sum(2) / count.sqrt()  # (R, B, W)
        context = tokens if dropout is None else dropout(tokens, (size, 1, self.sizes.width), rates[1])
        for layer in range(self.sizes.layers):
            output = self._convolve(layer, context) * mask
            if dropout is not None:
                output = dropout(output, (size, 1, self.sizes.hidden), rates[0])
            context = output + context if layer else output
        # Context is never negative, so padding (0) cannot win the maximum.
        parts = [context.amax(2), context.sum(2) / count, bag, pairs]
        if batch.sentences is not None:
            parts.append(self._sentences(batch.sentences, dropout, rates[1]))
        pooled = torch.cat(parts, -1)
        utterance = self._dense("utterance", pooled).relu_()
        if dropout is not None:
            utterance = dropout(utterance, (size, self.sizes.hidden), rates[0])
        return context, utterance

    def _sentences(self, sentences: Tensor, dropout: Dropout | None, rate: float) -> Tensor:
        """(B, E) -> (R, B, E)"""
        spread = sentences.expand(self.sizes.replicates, *sentences.shape)
        return spread if dropout is None else dropout(spread, sentences.shape, rate)

    def _embed(self, batch: Batch, embeddings: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Tokens (R, B, T, W) and word pairs (R, B, W)."""
        if embeddings is None:
            embeddings = self.table.index_select(0, batch.rows)
        size, length = batch.mask.shape
        width = self.sizes.width
        bags = nnf.embedding_bag(batch.bags, embeddings, batch.bag_offsets, mode="sum")
        bags = bags * batch.bag_scale  # (X + B, R * W)
        tokens = nnf.embedding(batch.tokens.view(-1), bags[: batch.types])  # (B * T, R * W)
        tokens = tokens.view(size, length, -1, width).permute(2, 0, 1, 3)
        return tokens.contiguous(), bags[batch.types :].view(size, -1, width).transpose(0, 1)

    def _convolve(self, layer: int, x: Tensor) -> Tensor:
        replicates, size, length, width = x.shape
        padded = nnf.pad(x, (0, 0, 1, 1))  # (R, B, T + 2, width)
        windows = torch.cat([padded[:, :, shift : shift + length] for shift in range(3)], -1)
        flat = windows.view(replicates, size * length, 3 * width)
        return self._dense(f"convolution{layer}", flat).relu_().view(replicates, size, length, -1)

    def _dense(self, name: str, x: Tensor) -> Tensor:
        """(R, N, inputs) -> (R, N, outputs)"""
        return torch.baddbmm(self.weights[f"{name}.bias"], x, self.weights[name])


def resolve_device(name: str) -> torch.device:
    """The device of that name; "auto" is CUDA where there is one.

    Raises:
        ValueError: "cuda" on a machine without it.
    """
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise ValueError('device "cuda": this machine or this build of torch has none; use "auto" or "cpu"')
    return torch.device("cuda" if available and name != "cpu" else "cpu")


def _shapes(sizes: Sizes) -> dict[str, tuple[int, int, float]]:
    """Inputs, outputs and initial gain of every dense layer."""
    hidden, width = sizes.hidden, sizes.width
    shapes = {f"convolution{layer}": (3 * (hidden if layer else width), hidden, 1.2) for layer in range(sizes.layers)}
    return shapes | {
        "utterance": (2 * hidden + 2 * width + sizes.sentence, hidden, 1.2),
        "domain": (hidden, sizes.domains, 0.4),
        "intent": (hidden, sizes.intents, 0.4),
        "tag": (hidden, sizes.tags, 0.3),
        "tag_of_utterance": (hidden, sizes.tags, 0.3),
    }


def _normal(stream: torch.Generator, rows: int, columns: int, scale: float) -> Tensor:
    return torch.randn(rows, columns, generator=stream) * scale
