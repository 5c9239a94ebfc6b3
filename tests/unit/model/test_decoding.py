from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from plugin.model.calibration import fit_temperature
from plugin.model.decoding import decode_intents, decode_tags


def valid(tags: tuple[int, ...]) -> bool:
    return all(
        not (tag and tag % 2 == 0) or before in (tag, tag - 1) for before, tag in zip((0, *tags), tags, strict=False)
    )


@pytest.mark.parametrize("seed", range(20))
def test_tags_are_the_best_valid_sequence_by_brute_force(seed: int) -> None:
    rng = np.random.default_rng(seed)
    probs = rng.dirichlet(np.full(5, 0.5), size=(3, 4))  # B=3, T=4, K=5
    lengths = rng.integers(0, 5, 3)
    mask = np.arange(4) < lengths[:, None]
    found = decode_tags(probs, mask)
    for row, length in enumerate(lengths):
        scored = {
            tags: sum(np.log(probs[row, i, tag]) for i, tag in enumerate(tags))
            for tags in product(range(5), repeat=int(length))
            if valid(tags)
        }
        assert tuple(found[row, :length]) == max(scored, key=lambda tags: scored[tags])
        assert not found[row, length:].any()


def test_the_intent_belongs_to_the_domain() -> None:
    domain, intent = decode_intents(
        np.array([[0.6, 0.4]]), np.array([[0.1, 0.2, 0.7]]), np.array([[0, 0], [0, 1], [1, 2]])
    )
    assert (domain.tolist(), intent.tolist()) == ([1], [2])
    domain, intent = decode_intents(
        np.array([[0.95, 0.05]]), np.array([[0.1, 0.2, 0.7]]), np.array([[0, 0], [0, 1], [1, 2]])
    )
    assert (domain.tolist(), intent.tolist()) == ([0], [1])


def test_temperature_recovers_the_scale_of_the_logits() -> None:
    rng = np.random.default_rng(0)
    logits = rng.normal(size=(1, 4000, 6)) * 2
    probs = np.exp(logits[0]) / np.exp(logits[0]).sum(1, keepdims=True)
    labels = np.array([rng.choice(6, p=row) for row in probs])
    everyone = np.ones((1, 4000), np.bool_)
    assert fit_temperature(logits, labels, everyone) == pytest.approx(1.0, abs=0.1)
    assert fit_temperature(logits * 3, labels, everyone) == pytest.approx(3.0, abs=0.3)


def test_temperature_hears_only_the_voters_and_skips_unknown_labels() -> None:
    rng = np.random.default_rng(1)
    honest = rng.normal(size=(1, 500, 3)) * 2
    labels = honest[0].argmax(1).astype(np.int64)
    labels[::7] = (labels[::7] + 1) % 3
    liar = -5 * honest
    both = np.concatenate([honest, liar])
    voters = np.stack([np.ones(500, np.bool_), np.zeros(500, np.bool_)])
    alone = fit_temperature(honest, labels, voters[:1])
    assert fit_temperature(both, labels, voters) == pytest.approx(alone, rel=1e-6)
    unknown = np.concatenate([labels, np.full(100, -1)])
    padded = np.concatenate([honest, rng.normal(size=(1, 100, 3)) * 50], axis=1)
    assert fit_temperature(padded, unknown, np.ones((1, 600), np.bool_)) == pytest.approx(alone, rel=1e-6)


def test_temperature_is_one_when_too_few_can_tell() -> None:
    logits = np.full((2, 10, 3), 5.0)
    labels = np.zeros(10, np.int64)
    assert fit_temperature(logits, labels, np.ones((2, 10), np.bool_)) == 1.0
    assert fit_temperature(np.ones((2, 50, 1)), np.zeros(50, np.int64), np.ones((2, 50), np.bool_)) == 1.0
    assert fit_temperature(np.ones((2, 50, 3)), np.zeros(50, np.int64), np.zeros((2, 50), np.bool_)) == 1.0
