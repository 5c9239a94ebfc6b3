from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from plugin.model.batches import make_batch
from plugin.model.network import Dropout, Network, Sizes, resolve_device
from plugin.model.train import TrainingData, _loss
from tests.unit.model.corpus import BRIEF, templated

CPU = resolve_device("cpu")
SIZES = Sizes(replicates=2, features=30, domains=3, intents=4, tags=5, width=8, hidden=6, layers=2)


def test_a_replicate_is_drawn_from_its_own_seed() -> None:
    both = Network.initialise(SIZES, [3, 4])
    for replicate, seed in enumerate((3, 4)):
        alone = Network.initialise(replace(SIZES, replicates=1), [seed])
        assert torch.equal(alone.table, both.table[:, replicate * 8 : (replicate + 1) * 8])
        assert all(torch.equal(alone.weights[name][0], weight[replicate]) for name, weight in both.weights.items())
    assert (both.table[:, :8] != both.table[:, 8:]).all()


def test_dropout_keeps_the_mean_and_each_replicate_its_own_stream() -> None:
    x = torch.ones(2, 400, 50)
    both = Dropout([3, 4], CPU)(x, (400, 50), 0.2)
    assert set(both.flatten().tolist()) == {0.0, 1.25}
    assert abs(float(both.mean()) - 1.0) < 0.01
    assert torch.equal(Dropout([4], CPU)(x[:1], (400, 50), 0.2)[0], both[1])
    assert not torch.equal(both[0], both[1])
    assert torch.equal(Dropout([3, 4], CPU)(x, (400, 50), 0.0), x)


def test_the_loss_weighs_utterances_by_their_bag_and_never_counts_padding() -> None:
    """Against the formula, one utterance and one token at a time."""
    data = TrainingData.prepare(templated(), BRIEF)
    sizes = replace(
        SIZES,
        features=len(data.features),
        domains=len(data.vocabulary.domains),
        intents=len(data.vocabulary.intents),
        tags=2 * len(data.vocabulary.slots) + 1,
    )
    indices = np.array([0, 20, 41])
    lengths = data.encoded.lengths[indices]
    assert len(set(lengths.tolist())) > 1
    logits = Network.initialise(sizes, [3, 4]).forward(make_batch(data.encoded, indices, CPU))
    weights = torch.tensor([[1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    domain, intent, tags = (x.double().log_softmax(-1) for x in (logits.domain, logits.intent, logits.tags))
    expected = 0.0
    for replicate in range(2):
        for row, index in enumerate(indices):
            if not weights[replicate, row]:
                continue
            heads = domain[replicate, row, data.domains[index]] + intent[replicate, row, data.intents[index]]
            expected -= float(heads) / len(indices)
            for position in range(lengths[row]):
                tag = data.tags[data.encoded.offsets[index] + position]
                expected -= 1.5 * float(tags[replicate, row, position, tag]) / int(lengths.sum())
    torch.testing.assert_close(float(_loss(logits, data, indices, weights, 1.5)), expected, rtol=1e-5, atol=1e-5)
