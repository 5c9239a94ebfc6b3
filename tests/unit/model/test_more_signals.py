"""What the scores beyond entropy and EL2N need of an ensemble: slot scores, snapshots, passes with dropout."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.special import softmax

from plugin.model import checkpoint
from plugin.model import ensemble as ensemble_module
from plugin.model.batches import make_batch
from plugin.model.config import Schedule, TrainConfig
from plugin.model.ensemble import Ensemble, thinning_seed
from plugin.model.labels import canonical_order
from plugin.model.network import Dropout, Network, ThinningDropout, resolve_device
from plugin.model.train import TrainingData, fit, train
from plugin.quality import scores
from plugin.records import TrainingExample
from plugin.tokens import token_spans
from tests.unit.model.compare import assert_close, identical
from tests.unit.model.corpus import BRIEF, SMALL

TEXTS = [
    "play halo", "wake me up at noon", "will it rain in oslo today", "cancel the alarm for ten please", "明天 🎉", "",
    "play the weather in berlin at noon " * 30, "oslo",
]  # fmt: skip


@pytest.fixture(scope="module")
def restless(examples: list[TrainingExample]) -> Ensemble:
    """An ensemble with everything on."""
    return train(examples, examples, replace(BRIEF, epochs=6, snapshots=3, dropout_passes=4))


def tag_probs(ensemble: Ensemble, text: str) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """(T, K), of the text alone."""
    encoded = ensemble.features.encode([text])
    with torch.inference_mode():
        logits = ensemble.final.forward(make_batch(encoded, np.array([0]), ensemble.device)).tags
    return logits.double().softmax(-1).mean(0)[0, : encoded.lengths[0]].numpy()


def test_slot_scores_are_those_of_the_quality_room(ensemble: Ensemble) -> None:
    found = ensemble.predict(TEXTS)
    tables = [tag_probs(ensemble, text) for text in TEXTS]
    lengths = [len(token_spans(text, ensemble.config.max_tokens)) for text in TEXTS]
    entropy = scores.token_entropy(np.concatenate(tables), lengths)
    np.testing.assert_allclose(found.token_entropy_sum, entropy.sum, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.token_entropy_mean, entropy.mean, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found.token_entropy_max, entropy.max, rtol=1e-4, atol=1e-5)
    margins = scores.sequence_margin(np.concatenate(tables), lengths)
    np.testing.assert_allclose(found.sequence_margin, margins, rtol=1e-3, atol=1e-5)
    assert np.ptp(margins) > 0.1


def spied_on(name: str, calls: list[str]) -> Callable[..., Any]:
    method = getattr(Network, name)

    def spy(*args: Any, **keywords: Any) -> Any:
        calls.append(name)
        return method(*args, **keywords)

    return spy


def test_off_means_nothing_is_kept_and_nothing_is_computed(ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ensemble.snapshots == ()
    monkeypatch.setattr(ensemble_module, "mutual_information", None)
    monkeypatch.setattr(ensemble_module, "ThinningDropout", None)
    calls: list[str] = []
    for name in ("forward", "domain_logits", "domain_logits_with"):
        monkeypatch.setattr(Network, name, spied_on(name, calls))
    found = ensemble.predict(TEXTS[:2])
    assert calls == ["forward", "domain_logits"]  # the final checkpoint, and the early one
    assert found.snapshot_domain_probs is None
    assert found.dropout_mutual_information is None


def test_signals_change_nothing_else(restless: Ensemble, examples: list[TrainingExample]) -> None:
    plain = train(examples, examples, replace(BRIEF, epochs=6))
    assert torch.equal(plain.final.table, restless.final.table)
    assert plain.temperature == restless.temperature
    found = replace(restless.predict(TEXTS), snapshot_domain_probs=None, dropout_mutual_information=None)
    assert identical(found, plain.predict(TEXTS))


@pytest.mark.parametrize(
    ("early", "epochs", "snapshots", "expected"),
    [
        (1, 10, 0, ()),
        (1, 10, 2, (1, 10)),
        (1, 10, 4, (1, 4, 7, 10)),
        (4, 10, 3, (4, 7, 10)),
        (2, 3, 5, (2, 3)),
        (3, 3, 5, ()),
        (1, 1, 5, ()),
    ],
)
def test_snapshots_are_spread_from_the_early_epoch_to_the_last(
    early: int, epochs: int, snapshots: int, expected: tuple[int, ...]
) -> None:
    schedule = replace(BRIEF, epochs=epochs, early_epoch=early, snapshots=snapshots).schedule(42)
    assert schedule.snapshot_epochs == expected
    assert schedule.snapshot_steps == tuple(epoch * 6 for epoch in expected)  # 42 utterances in batches of 8


def test_snapshots_follow_the_epochs_of_the_steps_given() -> None:
    schedule = TrainConfig(steps=20, batch_size=8, snapshots=2).schedule(42)
    assert schedule.snapshot_epochs == (1, 3)  # two steps of a fourth epoch come after the last snapshot


def test_a_snapshot_is_the_network_after_its_step(examples: list[TrainingExample]) -> None:
    data = TrainingData.prepare(canonical_order(examples), BRIEF)
    cpu = resolve_device("cpu")
    schedule = Schedule(8, 12, 1, 6, (1, 2), (6, 12))
    fitted = fit(data, BRIEF, BRIEF.seeds, schedule, cpu)
    first, last = fitted.snapshots
    assert torch.equal(first.table, fitted.early.table)
    assert torch.equal(last.table, fitted.final.table)
    assert not torch.equal(first.table, last.table)
    assert all(torch.equal(weight, fitted.final.weights[name]) for name, weight in last.weights.items())


def test_snapshot_probabilities_are_the_mean_of_the_replicates(restless: Ensemble) -> None:
    found = restless.predict(TEXTS).snapshot_domain_probs
    assert found is not None
    assert found.shape == (3, len(TEXTS), 3)
    logits, _ = restless.head_logits(TEXTS)
    np.testing.assert_allclose(found[-1], softmax(logits, axis=-1).mean(0), atol=1e-6)  # of the last epoch's end
    assert np.abs(found[0] - found[-1]).max() > 1e-2


def test_snapshots_and_passes_are_kept_with_the_model(restless: Ensemble, tmp_path: Path) -> None:
    restless.save(tmp_path / "model")
    loaded = checkpoint.load(tmp_path / "model", "cpu")
    assert loaded.snapshot_epochs == restless.snapshot_epochs == (1, 4, 6)
    assert loaded.config == restless.config
    assert identical(loaded.predict(TEXTS), restless.predict(TEXTS))


def test_dropout_information_is_that_of_each_replicates_passes(restless: Ensemble) -> None:
    """By hand, one pass and one replicate's mean after another."""
    encoded = restless.features.encode(TEXTS[:1])
    batch = make_batch(encoded, np.array([0]), restless.device)
    rates = (restless.config.dropout, restless.config.embedding_dropout)
    passes = []
    for number in range(4):
        dropout = ThinningDropout([thinning_seed(seed, number) for seed in restless.seeds])
        with torch.inference_mode():
            logits = restless.final.forward(batch, dropout=dropout, rates=rates).domain
        passes.append(softmax(logits.numpy() / restless.temperature["domain"], axis=-1))
    stack = np.stack(passes)  # (P, R, 1, D)
    expected = np.mean([scores.mutual_information(stack[:, replicate]) for replicate in range(2)])
    found = restless.predict(TEXTS[:1]).dropout_mutual_information
    assert found == pytest.approx([expected], abs=1e-6)
    assert expected > 1e-5


def test_passes_hang_neither_on_the_batch_nor_on_the_order(restless: Ensemble) -> None:
    together = restless.predict(TEXTS)
    assert identical(restless.predict(TEXTS), together)
    assert_close(restless.predict(TEXTS, batch_size=2), together)
    backwards = restless.predict(TEXTS[::-1]).dropout_mutual_information
    assert backwards is not None
    assert together.dropout_mutual_information is not None
    np.testing.assert_allclose(backwards[::-1], together.dropout_mutual_information, atol=1e-5)
    alone = restless.predict(TEXTS[:1]).dropout_mutual_information
    assert alone == pytest.approx(together.dropout_mutual_information[:1], abs=1e-5)


def test_without_dropout_passes_cannot_disagree(restless: Ensemble) -> None:
    steady = replace(restless, config=replace(restless.config, dropout=0.0, embedding_dropout=0.0))
    found = steady.predict(TEXTS).dropout_mutual_information
    assert found == pytest.approx(np.zeros(len(TEXTS)), abs=1e-6)


def test_a_thinned_network_is_one_for_all_utterances_and_each_replicate_has_its_own() -> None:
    x = torch.ones(2, 50, 40)
    found = ThinningDropout([3, 4])(x, (50, 40), 0.2)
    assert torch.equal(found, found[:, :1].expand_as(found))
    assert not torch.equal(found[0], found[1])
    assert set(found.flatten().tolist()) == {0.0, 1.25}
    assert torch.equal(found[:, :1], Dropout([3, 4], resolve_device("cpu"))(x[:, :1], (1, 40), 0.2))


@pytest.mark.parametrize("name", ["snapshots", "dropout_passes"])
def test_one_alone_and_less_than_none_are_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name} must be 0, for none, or at least 2"):
        replace(SMALL, **{name: 1})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=f"{name} must be at least 0"):
        replace(SMALL, **{name: -1})  # type: ignore[arg-type]
