"""A tiny corpus of three domains and six intents, which a model can learn by heart or by its words."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np

from plugin.model.config import TrainConfig
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
OPENINGS = ("", "hey ", "now ", "ok then ", "well ")
SMALL = TrainConfig(
    replicates=3, seed=7, epochs=12, early_epoch=1, batch_size=8, width=16, hidden=32, min_count=1, device="cpu"
)
BRIEF = replace(SMALL, replicates=2, epochs=2)


def labelled(id_: str, domain: str, intent: str, template: str, value: str) -> TrainingExample:
    """`template` with its one {label} filled with `value`."""
    start, end = template.index("{"), template.index("}")
    label = template[start + 1 : end]
    text = template[:start] + value + template[end + 1 :]
    slots = (Slot(start, start + len(value), label),)
    return TrainingExample(id_, "en-US", text, Hypothesis(domain, intent, slots))


def plain_example(id_: str, text: str, domain: str = "music", intent: str = "music_play") -> TrainingExample:
    """An utterance without slots."""
    return TrainingExample(id_, "en-US", text, Hypothesis(domain, intent))


def templated() -> list[TrainingExample]:
    return [
        labelled(f"{number}-{value}", domain, intent, template, value)
        for number, (domain, intent, template, values) in enumerate(TEMPLATES)
        for value in values
    ]


def separable(seed: int) -> list[TrainingExample]:
    """210 distinct utterances in random order; a few words of each tell its intent."""
    examples = [
        labelled(f"{opening}{number}-{value}", domain, intent, opening + template, value)
        for opening, (number, (domain, intent, template, values)) in product(OPENINGS, enumerate(TEMPLATES))
        for value in values
    ]
    order = np.random.default_rng(seed).permutation(len(examples))
    return [examples[position] for position in order]


def mislabelled(examples: list[TrainingExample], share: float, seed: int) -> list[TrainingExample]:
    """`examples`, of which about `share` carry the label of another one."""
    rng = np.random.default_rng(seed)
    wrong = rng.random(len(examples)) < share
    others = rng.integers(0, len(examples), len(examples))
    return [
        replace(example, label=replace(examples[other].label, slots=example.label.slots)) if swap else example
        for example, swap, other in zip(examples, wrong, others, strict=True)
    ]
