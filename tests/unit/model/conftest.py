from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from plugin.model.config import TrainConfig
from plugin.model.ensemble import Ensemble
from plugin.model.train import train
from plugin.records import Hypothesis, Slot, TrainingExample

PLACES = ("berlin", "nairobi", "paris", "oslo", "lima", "quito", "accra", "hanoi")
SONGS = ("yellow submarine", "bad guy", "halo", "malaika", "la vie en rose", "thriller", "jambo bwana")
TIMES = ("noon", "eight pm", "seven am", "midnight", "six thirty", "ten")
TEMPLATES = (
    ("weather", "weather_query", "what is the weather in {place}", PLACES),
    ("weather", "weather_query", "will it rain in {place} today", PLACES),
    ("music", "music_play", "play {song}", SONGS),
    ("music", "music_like", "i love the song {song}", SONGS),
    ("alarm", "alarm_set", "wake me up at {time}", TIMES),
    ("alarm", "alarm_remove", "cancel the alarm for {time} please", TIMES),
)
SMALL = TrainConfig(
    replicates=3, seed=7, epochs=12, early_epoch=1, batch_size=8, width=16, hidden=32, min_count=1, device="cpu"
)


def labelled(id_: str, domain: str, intent: str, template: str, value: str) -> TrainingExample:
    """`template` with its one {label} filled with `value`."""
    start, end = template.index("{"), template.index("}")
    label = template[start + 1 : end]
    text = template[:start] + value + template[end + 1 :]
    slots = (Slot(start, start + len(value), label),)
    return TrainingExample(id_, "en-US", text, Hypothesis(domain, intent, slots))


def templated() -> list[TrainingExample]:
    return [
        labelled(f"{number}-{value}", domain, intent, template, value)
        for number, (domain, intent, template, values) in enumerate(TEMPLATES)
        for value in values
    ]


@pytest.fixture(autouse=True, scope="session")
def two_threads() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(min(2, before))
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def examples() -> list[TrainingExample]:
    return templated()


@pytest.fixture(scope="session")
def ensemble(examples: list[TrainingExample]) -> Ensemble:
    return train(examples, examples, SMALL)
