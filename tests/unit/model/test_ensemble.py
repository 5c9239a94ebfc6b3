from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch

from plugin.model import ensemble as ensemble_module
from plugin.model.batches import make_batch
from plugin.model.config import TrainConfig
from plugin.model.ensemble import Ensemble, Predictions
from plugin.model.text import bio_tags
from plugin.model.train import train
from plugin.records import TrainingExample
from plugin.tokens import token_spans
from tests.unit.model.compare import assert_close, identical, numbers
from tests.unit.model.corpus import BRIEF, SMALL, labelled, plain_example

ODD = {
    "empty": "",
    "blank": " \n\t\u200b",
    "control": "\x00\x1f",
    "lone surrogate": "\ud83d",
    "one letter": "a",
    "one sign": "?",
    "emoji": "play 🎉❤️👩‍👩‍👧 halo",
    "right to left": "ما هو الطقس في oslo؟ \u202eolso\u202c",
    "unseen script": "ᚠᚢᚦ ᚨᚱᚲ",
    "unspaced script": "明天berlin的天气",
    "combining marks": "z̷̢̛a̶l̸g̵o̶ " * 3,
    "one long word": "x" * 20_000,
    "many words": "play halo in berlin at noon " * 400,
}
PLAIN = ["play halo", "wake me up at noon", "will it rain in oslo today", "cancel the alarm for ten please"]
TEXTS = [*PLAIN, *ODD.values()]


def check(found: Predictions, texts: list[str], trained: Ensemble) -> None:
    """Everything that `Predictions` promises of its numbers."""
    config, vocabulary = trained.config, trained.vocabulary
    r, n, tags = config.replicates, len(texts), 2 * len(vocabulary.slots) + 1
    assert found.domain_probs.shape == found.early_domain_probs.shape == (r, n, len(vocabulary.domains))
    assert found.intent_probs.shape == (r, n, len(vocabulary.intents))
    assert found.slot_mass.shape == (n, len(vocabulary.slots))
    assert found.embedding.shape == (n, config.hidden)
    for probs in (found.domain_probs, found.early_domain_probs, found.intent_probs):
        assert (probs >= 0).all()
        np.testing.assert_allclose(probs.sum(-1, dtype=np.float64), 1.0, atol=1e-5)
    lengths = np.array([len(token_spans(text, config.max_tokens)) for text in texts])
    assert ((found.confidence >= 0) & (found.confidence <= 1 + 1e-6)).all()
    assert (found.token_entropy_mean >= 0).all()
    assert (found.token_entropy_mean <= found.token_entropy_max + 1e-6).all()
    assert (found.token_entropy_max <= np.log(tags) + 1e-6).all()
    np.testing.assert_allclose(found.token_entropy_sum, found.token_entropy_mean * lengths, rtol=1e-5, atol=1e-6)
    assert ((found.sequence_margin >= 0) & (found.sequence_margin <= 1 + 1e-6)).all()
    assert (found.slot_mass >= 0).all()
    assert (found.slot_mass.sum(1) <= lengths * (1 + 1e-5)).all()
    assert np.isfinite(found.embedding).all()
    for text, hypothesis in zip(texts, found.hypotheses, strict=True):
        pair = vocabulary.domains.index(hypothesis.domain), vocabulary.intents.index(hypothesis.intent)
        assert list(pair) in trained.pairs.tolist()
        assert all(0 <= slot.start < slot.end <= len(text) for slot in hypothesis.slots)
        assert all(left.end <= right.start for left, right in pairwise(hypothesis.slots))


@pytest.mark.parametrize("text", ODD.values(), ids=ODD)
def test_any_text_gets_valid_numbers(ensemble: Ensemble, text: str) -> None:
    check(ensemble.predict([text]), [text], ensemble)


def test_numbers_are_valid_together(ensemble: Ensemble) -> None:
    found = ensemble.predict(TEXTS)
    check(found, TEXTS, ensemble)
    np.testing.assert_allclose(np.linalg.norm(found.embedding, axis=1), 1.0, atol=1e-5)


@pytest.mark.parametrize("text", [*PLAIN, ""])
def test_confidence_is_the_geometric_mean_of_what_was_decoded(ensemble: Ensemble, text: str) -> None:
    found, vocabulary = ensemble.predict([text]), ensemble.vocabulary
    hypothesis = found.hypotheses[0]
    encoded = ensemble.features.encode([text])
    batch = make_batch(encoded, np.array([0]), ensemble.device)
    with torch.inference_mode():
        tag_probs = ensemble.final.forward(batch).tags.softmax(-1).mean(0)[0].numpy()  # (R, 1, T, K) -> (T, K)
    labels = {label: number for number, label in enumerate(vocabulary.slots)}
    tags = bio_tags(encoded.spans[0], hypothesis.slots, labels)
    of_tags = float(np.mean([tag_probs[position, tag] for position, tag in enumerate(tags)])) if tags else 1.0
    of_domain = float(found.domain_probs.mean(0)[0, vocabulary.domains.index(hypothesis.domain)])
    of_intent = float(found.intent_probs.mean(0)[0, vocabulary.intents.index(hypothesis.intent)])
    assert found.confidence[0] == pytest.approx((of_domain * of_intent * of_tags) ** (1 / 3), abs=1e-5)
    assert found.confidence[0] > of_domain * of_intent * of_tags + 1e-4


def test_no_texts_give_no_rows(ensemble: Ensemble) -> None:
    check(ensemble.predict([]), [], ensemble)


def test_texts_without_a_token_are_one_and_the_same(ensemble: Ensemble) -> None:
    found = ensemble.predict([ODD["empty"], ODD["blank"], ODD["control"], ODD["lone surrogate"]])
    assert len(set(found.hypotheses)) == 1
    assert found.hypotheses[0].slots == ()
    assert (found.domain_probs == found.domain_probs[:, :1]).all()
    assert (found.token_entropy_max == 0).all()
    assert (found.sequence_margin == 1).all()
    assert (found.slot_mass == 0).all()


@pytest.mark.parametrize("batch_size", [1, 3])
def test_the_batch_size_does_not_change_an_utterance(ensemble: Ensemble, batch_size: int) -> None:
    assert_close(ensemble.predict(TEXTS, batch_size=batch_size), ensemble.predict(TEXTS))


def test_the_company_of_an_utterance_does_not_change_it(ensemble: Ensemble) -> None:
    together = ensemble.predict(TEXTS)
    order = np.random.default_rng(0).permutation(len(TEXTS))
    shuffled = ensemble.predict([TEXTS[position] for position in order])
    assert_close(shuffled, rows_of(together, order.tolist()))
    for position, text in enumerate(PLAIN):
        assert_close(ensemble.predict([text]), rows_of(together, [position]))


def test_chunks_keep_the_order(ensemble: Ensemble, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ensemble.predict(TEXTS)
    monkeypatch.setattr(ensemble_module, "_CHUNK", 5)
    assert_close(ensemble.predict(TEXTS), whole)
    domains, intents = ensemble.head_logits(TEXTS)
    assert (domains.argmax(-1) == whole.domain_probs.argmax(-1)).all()
    assert (intents.argmax(-1) == whole.intent_probs.argmax(-1)).all()


def test_more_layers_do_not_see_the_padding(examples: list[TrainingExample]) -> None:
    deep = train(examples, [], replace(BRIEF, layers=3))
    together = deep.predict(TEXTS)
    check(together, TEXTS, deep)
    for position, text in enumerate(PLAIN):
        assert_close(deep.predict([text]), rows_of(together, [position]))


def test_tokens_beyond_the_limit_are_not_read(examples: list[TrainingExample]) -> None:
    short = train(examples, [], replace(BRIEF, max_tokens=4))
    read = short.predict(["play bad guy in berlin", "wake me up at noon"])
    assert identical(read, short.predict(["play bad guy in oslo today", "wake me up at"]))
    assert short.predict(["play bad guy"]).confidence != pytest.approx(read.confidence[:1], abs=1e-6)


def test_the_locale_is_not_an_input_but_is_counted(ensemble: Ensemble) -> None:
    named = ensemble.predict(PLAIN, ["sw-KE"] * len(PLAIN))
    assert identical(named, ensemble.predict(PLAIN))
    with pytest.raises(ValueError, match="4 texts, but 1 locales"):
        ensemble.predict(PLAIN, ["sw-KE"])


def test_a_batch_holds_at_least_one(ensemble: Ensemble) -> None:
    with pytest.raises(ValueError, match="batch_size must be at least 1, not 0"):
        ensemble.predict(PLAIN, batch_size=0)


@pytest.mark.parametrize(
    ("corpus", "config"),
    [
        pytest.param([plain_example("0", "a")], BRIEF, id="one example of one letter"),
        pytest.param([plain_example("0", "🎉")], BRIEF, id="one emoji"),
        pytest.param(
            [plain_example(str(n), text) for n, text in enumerate(("play halo", "stop", "louder", "next song"))],
            BRIEF,
            id="one domain, one intent, no slots",
        ),
        pytest.param(
            [
                plain_example("0", "play halo"),
                plain_example("1", "stop it", intent="music_stop"),
                plain_example("2", "louder", intent="music_volume"),
            ],
            replace(BRIEF, bag_fraction=0.3),
            id="one domain, every intent once, most outside each bag",
        ),
        pytest.param(
            [
                plain_example("0", "明天的天气", "weather", "ask"),
                labelled("1", "weather", "ask", "الطقس في {place}", "دبي"),
                labelled("2", "alarm", "set", "wake me at {time}", "7"),
            ],
            BRIEF,
            id="three scripts, an intent of one example",
        ),
        pytest.param(
            [plain_example("0", "on"), plain_example("1", "off", "home", "off")],
            replace(BRIEF, epochs=20, feature_dropout=0.95),
            id="batches whose every feature is dropped",
        ),
        pytest.param(
            [plain_example("0", "halt", "home", "stop"), plain_example("1", "halt", "music", "stop")],
            BRIEF,
            id="one intent in two domains, one text with two labels",
        ),
        pytest.param([plain_example("0", "word " * 500)] * 3, BRIEF, id="the same very long example three times"),
    ],
)
def test_odd_corpora_train(corpus: list[TrainingExample], config: TrainConfig) -> None:
    trained = train(corpus, corpus[:1], config)
    assert trained.vocabulary.domains == tuple(sorted({example.label.domain for example in corpus}))
    check(trained.predict(TEXTS), TEXTS, trained)


def test_a_slot_beyond_the_limit_is_a_label_never_predicted() -> None:
    beyond = labelled("0", "music", "music_play", "one two three {song}", "halo")
    trained = train([beyond], [], replace(SMALL, max_tokens=2))
    assert trained.vocabulary.slots == ("song",)
    assert trained.predict([beyond.text]).hypotheses[0].slots == ()


def rows_of(found: Predictions, positions: list[int]) -> Predictions:
    """The predictions of the utterances at `positions`."""
    per_replicate = ("domain_probs", "early_domain_probs", "intent_probs")
    others = (
        "confidence", "token_entropy_mean", "token_entropy_sum", "token_entropy_max", "sequence_margin", "slot_mass",
        "embedding",
    )  # fmt: skip
    return Predictions(
        hypotheses=[found.hypotheses[position] for position in positions],
        **{name: numbers(found, name)[:, positions] for name in per_replicate},
        **{name: numbers(found, name)[positions] for name in others},
    )
