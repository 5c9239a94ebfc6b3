from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from plugin.model import checkpoint, encoder
from plugin.model.checkpoint import MODEL
from plugin.model.encoder import ENCODERS, Encoder, EncoderMissingError, embeddings, size_of
from plugin.model.ensemble import Ensemble
from plugin.model.train import train
from plugin.records import TrainingExample
from tests.unit.model.compare import assert_close, identical
from tests.unit.model.corpus import BRIEF, SMALL, plain_example
from tests.unit.model.encoders import NAME, FakeEncoder

SIZE = ENCODERS[NAME][1]
# Words that only the encoder knows: those of the first half are learned from, those of the other half are met later.
LEARNED = {f"{letter}{number}": letter for letter in "ab" for number in range(20)}
MET = {f"{letter}{chr(110 + number)}": meaning for letter, meaning in ("xa", "yb") for number in range(10)}


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEncoder]:
    module = FakeEncoder(LEARNED | MET)
    monkeypatch.setitem(sys.modules, NAME, module)
    encoder._load.cache_clear()
    yield module
    encoder._load.cache_clear()


@pytest.fixture
def missing(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setitem(sys.modules, NAME, None)
    encoder._load.cache_clear()
    yield
    encoder._load.cache_clear()


def examples(words: dict[str, str]) -> list[TrainingExample]:
    return [plain_example(word, word, letter, f"{letter}_it") for word, letter in words.items()]


def trained(words: dict[str, str], name: str | None) -> Ensemble:
    return train(examples(words), [], replace(SMALL, encoder=name, min_count=1))


def test_each_distinct_text_is_encoded_once(fake: FakeEncoder) -> None:
    found = embeddings(NAME, ["play", "stop", "play", "play"])
    assert fake.asked == [["play", "stop"]]
    assert np.array_equal(found, fake.query(["play", "stop", "play", "play"]))


def test_no_text_needs_no_encoder(missing: None) -> None:
    assert embeddings(NAME, []).shape == (0, SIZE)
    assert size_of(None) == 0


def test_training_data_has_mean_0_and_spread_1(fake: FakeEncoder) -> None:
    texts = [f"play song {number}" for number in range(30)]
    fitted, found = Encoder.fit(NAME, texts)
    np.testing.assert_allclose(found.mean(0), 0.0, atol=1e-5)
    np.testing.assert_allclose(found.std(0), 1.0, atol=1e-4)
    assert np.array_equal(fitted(texts), found)


def test_a_text_that_stands_alone_in_training_divides_by_nothing(fake: FakeEncoder) -> None:
    fitted, found = Encoder.fit(NAME, ["play"])
    assert np.array_equal(found, np.zeros((1, SIZE), np.float32))
    assert np.isfinite(fitted(["stop"])).all()


def test_the_network_uses_what_only_the_encoder_knows(fake: FakeEncoder) -> None:
    """Words never seen, that share no character n-gram with those of training: without it a model can but guess."""
    gold = list(MET.values())
    found = {
        name: [hypothesis.domain for hypothesis in trained(LEARNED, name).predict(list(MET)).hypotheses]
        for name in (NAME, None)
    }
    right = {name: sum(map(str.__eq__, said, gold)) for name, said in found.items()}
    assert right[NAME] == len(gold)
    assert right[None] < len(gold)


def test_neither_batch_nor_company_changes_a_prediction(fake: FakeEncoder) -> None:
    model = trained(LEARNED, NAME)
    texts = [*MET, "", "a1 b2 a3"]
    assert_close(model.predict(texts, batch_size=2), model.predict(texts))


def test_a_checkpoint_names_its_encoder_and_predicts_to_the_bit_as_before(fake: FakeEncoder, tmp_path: Path) -> None:
    model = trained(LEARNED, NAME)
    model.save(tmp_path / "model")
    assert json.loads((tmp_path / "model" / MODEL).read_text())["config"]["encoder"] == NAME
    loaded = checkpoint.load(tmp_path / "model", "cpu")
    assert identical(loaded.predict(list(MET)), model.predict(list(MET)))


def test_without_the_encoder_a_model_that_has_one_says_what_to_install(
    fake: FakeEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained(LEARNED, NAME).save(tmp_path / "model")
    monkeypatch.setitem(sys.modules, NAME, None)
    encoder._load.cache_clear()
    loaded = checkpoint.load(tmp_path / "model", "cpu")
    with pytest.raises(EncoderMissingError, match=r"pip install 'assay-label-studio\[encoder\]'"):
        loaded.predict(["a1"])


def test_without_the_encoder_training_says_what_to_install(missing: None) -> None:
    with pytest.raises(EncoderMissingError, match="which is not installed"):
        trained(LEARNED, NAME)


def test_a_model_without_encoder_asks_none(fake: FakeEncoder, tmp_path: Path) -> None:
    """And a checkpoint from before there were any is read as one."""
    model = train(examples(LEARNED), [], BRIEF)
    assert model.final.weights["utterance"].shape[1] == 2 * BRIEF.hidden + 2 * BRIEF.width
    model.save(tmp_path / "model")
    description = json.loads((tmp_path / "model" / MODEL).read_text())
    del description["config"]["encoder"], description["sizes"]["sentence"]
    (tmp_path / "model" / MODEL).write_text(json.dumps(description))
    assert identical(checkpoint.load(tmp_path / "model", "cpu").predict(["a1"]), model.predict(["a1"]))
    assert fake.asked == []


def test_the_real_one_keeps_its_promise() -> None:
    """Where the extra `encoder` is installed: size, and the same numbers alone and among others."""
    pytest.importorskip(NAME)
    texts = ["turn on the light", "switch the lamp on", "play some music", "明天 🎉", ""]
    found = embeddings(NAME, texts)
    assert found.shape == (len(texts), SIZE)
    assert np.isfinite(found).all()
    assert all(np.array_equal(embeddings(NAME, [text])[0], row) for text, row in zip(texts, found, strict=True))
    assert found[0] @ found[1] > found[0] @ found[2]
