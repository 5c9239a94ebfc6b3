"""A trained ensemble: texts in, probabilities and hypotheses out.

Axes: R replicates, N utterances, D domains, I intents, S slot labels, K = 2S + 1 tags, E embedding, C snapshots,
P passes with dropout.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from plugin.model.batches import Batch, make_batch, prediction_batches
from plugin.model.config import TrainConfig
from plugin.model.decoding import decode_intents, decode_tags
from plugin.model.encoder import Encoder
from plugin.model.features import Encoded, FeatureTable, Ints
from plugin.model.network import Logits, Network, ThinningDropout
from plugin.model.text import slots_of_tags
from plugin.quality.scores import mutual_information
from plugin.quality.scores.slots import path_margin
from plugin.records import Hypothesis, Slot, Vocabulary

Floats = NDArray[np.float32]

_CHUNK = 8192  # utterances held as features at a time
_BATCH_TOKENS = 2048


@dataclass(frozen=True, slots=True)
class Predictions:
    """What an ensemble says about N utterances, in their order.

    domain_probs        (R, N, D) final checkpoint, temperature-scaled; rows sum to 1
    early_domain_probs  (R, N, D) early checkpoint, not scaled: the input of EL2N
    intent_probs        (R, N, I) final checkpoint, temperature-scaled
    hypotheses          N; decoded from the replicates' mean probabilities. Domain and intent are the pair,
                        among those seen in training, with the highest product, so the domain may differ
                        from the argmax of the domain head
    confidence          (N,) in [0, 1], the NLU score, high is sure: geometric mean of the decoded domain's
                        and the decoded intent's probability and of the mean probability of the decoded tags
    token_entropy_mean  (N,) nats in [0, ln K]: entropy of the mean tag probabilities, mean over the tokens
    token_entropy_sum   (N,) nats, at least 0: the same, of all tokens
    token_entropy_max   (N,) nats in [0, ln K]: the same, of the most uncertain token
    sequence_margin     (N,) in [0, 1], high is sure: `plugin.quality.scores.sequence_margin` of those probabilities
    slot_mass           (N, S), at least 0: expected number of tokens inside a slot of each label
    embedding           (N, E) of length 1: mean over the replicates of the utterance's representation, each
                        brought to length 1 first; 0 where no unit of it is active, such as for an empty text
                        before a model of a single class
    snapshot_domain_probs  (C, N, D) mean over the replicates at each snapshot, not scaled; None without snapshots
    dropout_mutual_information  (N,) nats in [0, ln D]: mutual information of the domain over P passes with
                        dropout, each replicate by itself, mean over the replicates; None without passes
    """

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

    @classmethod
    def empty(cls, utterances: int, config: TrainConfig, vocabulary: Vocabulary, snapshots: int) -> Predictions:
        replicates, n, passes = config.replicates, utterances, config.dropout_passes
        by_snapshot = (snapshots, n, len(vocabulary.domains))
        return cls(
            domain_probs=np.zeros((replicates, n, len(vocabulary.domains)), np.float32),
            early_domain_probs=np.zeros((replicates, n, len(vocabulary.domains)), np.float32),
            intent_probs=np.zeros((replicates, n, len(vocabulary.intents)), np.float32),
            hypotheses=[Hypothesis("", "")] * n,
            confidence=np.zeros(n, np.float32),
            token_entropy_mean=np.zeros(n, np.float32),
            token_entropy_sum=np.zeros(n, np.float32),
            token_entropy_max=np.zeros(n, np.float32),
            sequence_margin=np.zeros(n, np.float32),
            slot_mass=np.zeros((n, len(vocabulary.slots)), np.float32),
            embedding=np.zeros((n, config.hidden), np.float32),
            snapshot_domain_probs=np.zeros(by_snapshot, np.float32) if snapshots else None,
            dropout_mutual_information=np.zeros(n, np.float32) if passes else None,
        )


@dataclass(frozen=True, slots=True)
class Ensemble:
    """R trained replicates and all that is needed to use them. Made by `train` or `checkpoint.load`."""

    config: TrainConfig
    vocabulary: Vocabulary
    pairs: Ints  # (P, 2) domains and intents seen together
    features: FeatureTable
    final: Network
    early: Network
    seeds: tuple[int, ...]
    temperature: dict[str, float]
    el2n_epoch: int
    data_hash: str
    snapshots: tuple[Network, ...] = ()
    snapshot_epochs: tuple[int, ...] = ()
    encoder: Encoder | None = None

    @property
    def device(self) -> torch.device:
        return self.final.table.device

    def predict(self, texts: Sequence[str], locales: Sequence[str] | None = None, batch_size: int = 256) -> Predictions:
        """Predict `texts`, in their order; beyond the result, memory does not grow with their number.

        Neither `batch_size` nor the other texts change a text's numbers, up to rounding. An empty text gets
        what the biases of each head say; of a script never seen, little but the shape of its words is known.
        Tokens after `config.max_tokens` are not read. The locale is not an input: one table serves all languages.

        Raises:
            EncoderMissingError: the model reads an encoder that is not installed here.
            ValueError: `locales` and `texts` differ in length, or `batch_size` is below 1.
        """
        if locales is not None and len(locales) != len(texts):
            raise ValueError(f"{len(texts)} texts, but {len(locales)} locales: give one for each text")
        if batch_size < 1:
            raise ValueError(f"batch_size must be at least 1, not {batch_size}")
        found = Predictions.empty(len(texts), self.config, self.vocabulary, len(self.snapshots))
        with torch.inference_mode():
            for first, encoded, indices, batch in self._batches(texts, batch_size):
                self._fill(found, indices + first, self.final.forward(batch), batch, encoded, indices)
                early = self.early.domain_logits(batch).softmax(-1)
                found.early_domain_probs[:, indices + first] = early.cpu().numpy()
                if found.snapshot_domain_probs is not None:
                    found.snapshot_domain_probs[:, indices + first] = self._snapshot_probs(batch)
                if found.dropout_mutual_information is not None:
                    found.dropout_mutual_information[indices + first] = self._dropout_mutual_information(batch)
        return found

    def head_logits(self, texts: Sequence[str]) -> tuple[Floats, Floats]:
        """Domain (R, N, D) and intent (R, N, I) logits of the final checkpoint, not scaled."""
        replicates = self.config.replicates
        domains = np.zeros((replicates, len(texts), len(self.vocabulary.domains)), np.float32)
        intents = np.zeros((replicates, len(texts), len(self.vocabulary.intents)), np.float32)
        with torch.inference_mode():
            for first, _, indices, batch in self._batches(texts, 256):
                logits = self.final.forward(batch)
                domains[:, indices + first] = logits.domain.cpu().numpy()
                intents[:, indices + first] = logits.intent.cpu().numpy()
        return domains, intents

    def save(self, folder: Path) -> str:
        """`plugin.model.checkpoint.save`."""
        from plugin.model.checkpoint import save

        return save(self, folder)

    def _batches(self, texts: Sequence[str], batch_size: int) -> Iterator[tuple[int, Encoded, Ints, Batch]]:
        for first in range(0, len(texts), _CHUNK):
            chunk = texts[first : first + _CHUNK]
            encoded = self.features.encode(chunk)
            sentences = None if self.encoder is None else self.encoder(chunk)
            for indices in prediction_batches(encoded.lengths, batch_size, _BATCH_TOKENS):
                yield first, encoded, indices, make_batch(encoded, indices, self.device, sentences=sentences)

    def _snapshot_probs(self, batch: Batch) -> Floats:
        """(C, B, D)"""
        means = [snapshot.domain_logits(batch).softmax(-1).mean(0) for snapshot in self.snapshots]
        probs: Floats = torch.stack(means).cpu().numpy()
        return probs

    def _dropout_mutual_information(self, batch: Batch) -> NDArray[np.float64]:
        """(B,). Every batch meets the same P thinned networks of each replicate, so that an utterance's number does
        not hang on its company (the consistent dropout of Kirsch et al., arXiv 1906.08158).
        """
        dropouts = [
            ThinningDropout([thinning_seed(seed, number) for seed in self.seeds])
            for number in range(self.config.dropout_passes)
        ]
        rates = (self.config.dropout, self.config.embedding_dropout)
        logits = self.final.domain_logits_with(dropouts, rates, batch)  # (P, R, B, D)
        probs = (logits / self.temperature["domain"]).softmax(-1).flatten(1, 2)  # (P, R * B, D)
        within = mutual_information(probs.cpu().numpy())  # (R * B,)
        mean: NDArray[np.float64] = within.reshape(len(self.seeds), -1).mean(0)
        return mean

    def _fill(
        self, found: Predictions, rows: Ints, logits: Logits, batch: Batch, encoded: Encoded, indices: Ints
    ) -> None:
        domain = (logits.domain / self.temperature["domain"]).softmax(-1)  # (R, B, D)
        intent = (logits.intent / self.temperature["intent"]).softmax(-1)  # (R, B, I)
        tags = logits.tags.softmax(-1).mean(0)  # (R, B, T, K) -> (B, T, K)
        entropy = torch.special.entr(tags).sum(-1).clamp(min=0.0) * batch.mask  # (B, T)
        count = batch.mask.sum(1).clamp(min=1.0)  # (B,)
        inside = (tags * batch.mask.unsqueeze(-1)).sum(1)[:, 1:]  # (B, 2S)
        found.domain_probs[:, rows] = domain.cpu().numpy()
        found.intent_probs[:, rows] = intent.cpu().numpy()
        total = entropy.sum(1)  # (B,)
        found.token_entropy_mean[rows] = (total / count).cpu().numpy()
        found.token_entropy_sum[rows] = total.cpu().numpy()
        found.token_entropy_max[rows] = entropy.amax(1).cpu().numpy()
        found.slot_mass[rows] = inside.view(len(rows), -1, 2).sum(-1).cpu().numpy()
        found.embedding[rows] = _embedding(logits.utterance).cpu().numpy()
        self._decode(found, rows, domain.mean(0), intent.mean(0), tags, batch.mask, encoded, indices)

    def _decode(
        self,
        found: Predictions,
        rows: Ints,
        domain: Tensor,
        intent: Tensor,
        tags: Tensor,
        mask: Tensor,
        encoded: Encoded,
        indices: Ints,
    ) -> None:
        domain_probs, intent_probs, tag_probs = (x.cpu().numpy() for x in (domain, intent, tags))
        exists = mask.cpu().numpy() > 0  # (B, T)
        domains, intents = decode_intents(domain_probs, intent_probs, self.pairs)
        path = decode_tags(tag_probs, exists)  # (B, T)
        chosen = np.take_along_axis(tag_probs, path[..., None], 2)[..., 0]  # (B, T)
        sure = np.where(exists.any(1), (chosen * exists).sum(1) / np.maximum(exists.sum(1), 1), 1.0)
        batch = np.arange(len(rows))
        product = domain_probs[batch, domains] * intent_probs[batch, intents] * sure
        found.confidence[rows] = np.cbrt(product)
        found.sequence_margin[rows] = path_margin(exists.sum(1), lambda token, some: tag_probs[some, token])
        for row, index, d, i, line in zip(rows, indices, domains, intents, path, strict=True):
            slots = self._slots(line, encoded.spans[index])
            found.hypotheses[row] = Hypothesis(self.vocabulary.domains[d], self.vocabulary.intents[i], slots)

    def _slots(self, tags: Ints, spans: list[tuple[int, int]]) -> tuple[Slot, ...]:
        if not tags.any():
            return ()
        return slots_of_tags(tags[: len(spans)].tolist(), spans, self.vocabulary.slots)


def thinning_seed(seed: int, number: int) -> int:
    """That of a replicate's dropout in pass `number`; the first passes stay the same when more are made."""
    return int(np.random.SeedSequence([seed, 2, number]).generate_state(1)[0])


def _embedding(utterance: Tensor) -> Tensor:
    """(R, B, H) -> (B, H), rows of length 1"""
    return torch.nn.functional.normalize(torch.nn.functional.normalize(utterance, dim=-1).mean(0), dim=-1)
