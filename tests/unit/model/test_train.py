from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax

from plugin.model.calibration import fit_temperature
from plugin.model.config import Schedule, TrainConfig
from plugin.model.ensemble import Ensemble
from plugin.model.labels import canonical_order, data_hash, numbers_of
from plugin.model.network import resolve_device
from plugin.model.train import TrainingData, draw_bags, fit, train
from plugin.records import Hypothesis, TrainingExample
from tests.unit.model.compare import identical
from tests.unit.model.corpus import BRIEF, SMALL, mislabelled, plain_example, separable

TEXTS = ["play halo", "wake me up at noon", "will it rain in oslo", "sing", ""]


class SteadySchedule(Schedule):
    """Does not slow down towards its end, so that a short run is the beginning of a long one."""

    def rate(self, step: int) -> float:
        return 1.0


@pytest.fixture(scope="module")
def brief(examples: list[TrainingExample]) -> Ensemble:
    return train(examples, [], BRIEF)


def same_weights(left: Ensemble, right: Ensemble) -> bool:
    return all(same_weights_of(left, right, replicate) for replicate in range(left.config.replicates))


def same_weights_of(left: Ensemble, right: Ensemble, replicate: int) -> bool:
    mine = slice(replicate * left.config.width, (replicate + 1) * left.config.width)
    return torch.equal(left.final.table[:, mine], right.final.table[:, mine]) and all(
        torch.equal(weight[replicate], right.final.weights[name][replicate])
        for name, weight in left.final.weights.items()
    )


def negative_log_likelihood(
    ensemble: Ensemble, held_out: list[TrainingExample], temperature: float, head: str
) -> float:
    domain, intent = ensemble.head_logits([example.text for example in held_out])
    logits = (domain if head == "domain" else intent).astype(np.float64)
    known = ensemble.vocabulary.domains if head == "domain" else ensemble.vocabulary.intents
    labels = numbers_of([getattr(example.label, head) for example in held_out], known)
    probs = softmax(logits / temperature, axis=-1).mean(0)[np.arange(len(held_out)), labels]
    return float(-np.log(probs).mean())


def test_one_seed_gives_one_ensemble_to_the_bit(brief: Ensemble, examples: list[TrainingExample]) -> None:
    torch.manual_seed(1234)
    before = torch.get_rng_state()
    again = train(examples[::-1], [], BRIEF)
    assert torch.equal(torch.get_rng_state(), before)
    assert identical(again.predict(TEXTS), brief.predict(TEXTS))
    assert same_weights(again, brief)
    assert again.data_hash == brief.data_hash == data_hash(examples)


def test_two_threads_give_one_ensemble_to_the_bit(examples: list[TrainingExample]) -> None:
    wide = replace(BRIEF, width=64, hidden=128, batch_size=42)
    torch.set_num_threads(2)
    try:
        first, second = (train(examples, [], wide) for _ in range(2))
        assert same_weights(first, second)
        assert identical(first.predict(TEXTS), second.predict(TEXTS))
    finally:
        torch.set_num_threads(1)


def test_another_seed_gives_another_ensemble(brief: Ensemble, examples: list[TrainingExample]) -> None:
    other = train(examples, [], replace(BRIEF, seed=8))
    assert other.data_hash == brief.data_hash
    assert not set(other.seeds) & set(brief.seeds)
    for replicate in range(BRIEF.replicates):
        assert not same_weights_of(other, brief, replicate)


def test_replicates_differ_from_one_another(ensemble: Ensemble) -> None:
    found = ensemble.predict(TEXTS[:4])
    for probs in (found.domain_probs, found.early_domain_probs, found.intent_probs):
        for one, two in ((0, 1), (0, 2), (1, 2)):
            assert np.abs(probs[one] - probs[two]).max() > 1e-3


def test_a_replicate_is_the_same_alone_or_among_others(ensemble: Ensemble, examples: list[TrainingExample]) -> None:
    data = TrainingData.prepare(canonical_order(examples), SMALL)
    schedule = SMALL.schedule(len(examples))
    among = ensemble.predict(TEXTS)
    for replicate, seed in enumerate(SMALL.seeds):
        fitted = fit(data, SMALL, [seed], schedule, resolve_device("cpu"))
        config = replace(SMALL, replicates=1)
        single = replace(ensemble, config=config, final=fitted.final, early=fitted.early, seeds=(seed,))
        alone = single.predict(TEXTS)
        for name in ("domain_probs", "early_domain_probs", "intent_probs"):
            expected = getattr(among, name)[replicate]
            np.testing.assert_allclose(getattr(alone, name)[0], expected, atol=1e-4, err_msg=name)


def test_adding_replicates_keeps_the_first(brief: Ensemble, examples: list[TrainingExample]) -> None:
    alone = train(examples, [], replace(BRIEF, replicates=1))
    assert alone.seeds == brief.seeds[:1]
    torch.testing.assert_close(alone.final.table, brief.final.table[:, : BRIEF.width], rtol=0, atol=1e-5)


def test_bags_have_their_size_and_come_from_their_own_seed() -> None:
    bags = draw_bags([3, 4, 5], 101, 0.8)
    assert bags.sum(1).tolist() == [81, 81, 81]
    assert (draw_bags([5], 101, 0.8) == bags[2:]).all()
    assert (bags[0] != bags[1]).any()
    assert (bags[0] != bags[2]).any()
    assert draw_bags([3], 7, 1.0).all()
    assert draw_bags([3], 1, 0.1).all()


def test_a_label_outside_the_bag_never_reaches_the_replicate(brief: Ensemble, examples: list[TrainingExample]) -> None:
    ordered = canonical_order(examples)
    bags = draw_bags(BRIEF.seeds, len(ordered), BRIEF.bag_fraction)
    position = int(np.flatnonzero(bags[0] & ~bags[1])[0])
    wrong = next(e.label for e in ordered if e.label.domain != ordered[position].label.domain)
    relabelled = list(ordered)
    relabelled[position] = replace(ordered[position], label=replace(wrong, slots=ordered[position].label.slots))
    other = train(relabelled, [], BRIEF)
    assert not same_weights_of(other, brief, 0)
    assert same_weights_of(other, brief, 1)


def test_dev_never_trains_weights(brief: Ensemble, examples: list[TrainingExample]) -> None:
    with_dev = train(examples, separable(1)[:40], BRIEF)
    assert same_weights(with_dev, brief)
    assert with_dev.data_hash == brief.data_hash


def test_the_early_checkpoint_is_the_network_after_its_step(examples: list[TrainingExample]) -> None:
    data = TrainingData.prepare(canonical_order(examples), BRIEF)
    cpu = resolve_device("cpu")
    early = fit(data, BRIEF, BRIEF.seeds, SteadySchedule(8, steps=12, early_epoch=1, early_step=6), cpu).early
    short = fit(data, BRIEF, BRIEF.seeds, SteadySchedule(8, steps=6, early_epoch=1, early_step=6), cpu).final
    assert torch.equal(early.table, short.table)
    assert early.weights.keys() == {name for name in short.weights if not name.startswith(("intent", "tag"))}
    assert all(torch.equal(weight, short.weights[name]) for name, weight in early.weights.items())


def test_early_probabilities_are_those_of_the_early_checkpoint_not_scaled(examples: list[TrainingExample]) -> None:
    last = train(examples, examples, replace(BRIEF, early_epoch=2))
    assert last.el2n_epoch == 2
    assert last.temperature["domain"] != 1.0
    logits, _ = last.head_logits(TEXTS)
    found = last.predict(TEXTS).early_domain_probs
    np.testing.assert_allclose(found, softmax(logits, axis=-1), atol=1e-6)
    first = train(examples, examples, replace(BRIEF, early_epoch=1))
    assert first.el2n_epoch == 1
    assert same_weights(first, last)
    assert np.abs(first.predict(TEXTS).early_domain_probs - found).max() > 1e-3


def test_progress_counts_every_step(examples: list[TrainingExample]) -> None:
    seen: list[tuple[int, int]] = []
    train(examples, [], BRIEF, lambda done, total: seen.append((done, total)))
    assert seen == [(step + 1, 12) for step in range(12)]


def test_it_learns_what_a_few_words_tell() -> None:
    corpus = separable(0)
    trained_on, held_out = corpus[:100], corpus[100:]
    assert not {example.text for example in trained_on} & {example.text for example in held_out}
    found = train(trained_on, [], replace(SMALL, epochs=25)).predict([example.text for example in held_out])
    pairs = list(zip(found.hypotheses, held_out, strict=True))
    majority = max(Counter(example.label.intent for example in held_out).values()) / len(held_out)
    assert majority < 0.5
    assert sum(got.intent == example.label.intent for got, example in pairs) / len(pairs) > 0.95
    assert sum(got.domain == example.label.domain for got, example in pairs) / len(pairs) > 0.95
    assert sum(got.slots == example.label.slots for got, example in pairs) / len(pairs) > 0.8


def test_temperature_lowers_the_loss_on_other_data_and_keeps_the_winners() -> None:
    corpus = mislabelled(separable(0), 0.35, 0)
    dev, held_out = corpus[90:150], corpus[150:]
    noisy = train(corpus[:90], dev, replace(SMALL, epochs=30))
    texts = [example.text for example in held_out]
    found = noisy.predict(texts)
    for head, probs, logits in zip(
        ("domain", "intent"), (found.domain_probs, found.intent_probs), noisy.head_logits(texts), strict=True
    ):
        temperature = noisy.temperature[head]
        assert temperature > 1.2
        for judged in (dev, held_out):
            scaled = negative_log_likelihood(noisy, judged, temperature, head)
            assert scaled < negative_log_likelihood(noisy, judged, 1.0, head) - 0.05
        np.testing.assert_allclose(probs, softmax(logits / temperature, axis=-1), atol=1e-6)
        assert (probs.argmax(-1) == logits.argmax(-1)).all()


def test_temperatures_are_one_where_nothing_can_tell(examples: list[TrainingExample]) -> None:
    neutral = {"domain": 1.0, "intent": 1.0}
    assert train(examples, [], replace(BRIEF, bag_fraction=1.0)).temperature == neutral
    assert train(examples, examples[:19], BRIEF).temperature == neutral


def test_without_dev_each_utterance_is_judged_by_those_who_did_not_train_on_it() -> None:
    corpus = mislabelled(separable(0), 0.35, 0)[:90]
    trained = train(corpus, [], replace(SMALL, epochs=30))
    ordered = canonical_order(corpus)
    logits = trained.head_logits([example.text for example in ordered])
    out_of_bag = ~draw_bags(trained.seeds, len(ordered), trained.config.bag_fraction)
    for head, known, of_head in zip(
        ("domain", "intent"), (trained.vocabulary.domains, trained.vocabulary.intents), logits, strict=True
    ):
        labels = numbers_of([getattr(example.label, head) for example in ordered], known)
        honest = fit_temperature(of_head, labels, out_of_bag)
        assert trained.temperature[head] == pytest.approx(honest, rel=1e-6)
        assert honest > 1.2 * fit_temperature(of_head, labels, out_of_bag[:, ::-1])


def test_labels_of_dev_that_training_never_saw_are_skipped(examples: list[TrainingExample]) -> None:
    known = separable(2)[:60]
    news = [replace(example, id=f"news-{example.id}", label=Hypothesis("news", "news_query")) for example in known[:30]]
    expected = train(examples, known, BRIEF)
    found = train(examples, known + news, BRIEF)
    assert found.vocabulary == expected.vocabulary
    assert found.temperature == pytest.approx(expected.temperature, rel=1e-3)
    assert expected.temperature["intent"] != 1.0


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (plain_example("u1", ""), "training example 'u1' has an empty text"),
        (plain_example("u2", " \u200b\t"), "training example 'u2' has an empty text"),
        (plain_example("u3", "play", domain=""), "training example 'u3' has no domain or no intent"),
        (plain_example("u4", "play", intent=""), "training example 'u4' has no domain or no intent"),
    ],
)
def test_an_example_that_teaches_nothing_is_named(bad: TrainingExample, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        train([plain_example("u0", "play halo"), bad], [], BRIEF)


def test_no_examples_is_an_error() -> None:
    with pytest.raises(ValueError, match="no training examples: give at least one"):
        train([], [], TrainConfig())


def test_cuda_is_refused_where_there_is_none(examples: list[TrainingExample], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto").type == "cpu"
    with pytest.raises(ValueError, match='device "cuda": this machine or this build of torch has none'):
        train(examples, [], replace(BRIEF, device="cuda"))
