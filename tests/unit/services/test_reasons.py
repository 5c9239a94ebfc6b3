"""The sentence that an annotator reads above a task."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.repositories.queues import PlannedItem
from plugin.services.reasons import SURE, sentence

VOCABULARY = {
    "domains": ["calendar", "music", "weather"],
    "intents": ["calendar_set", "music_likeness", "music_play", "weather_query"],
}


def item(
    domains: list[float] | None, intents: list[float] | None = None, nlu_score: float | None = 0.61
) -> PlannedItem:
    domain_probs, intent_probs = (
        None if probs is None else np.array(probs, dtype="<f2").tobytes() for probs in (domains, intents)
    )
    return PlannedItem(1, 1, "17", "log", "cheza", "music", "music_play", [], nlu_score, domain_probs, intent_probs)


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (
            item([0.31, 0.48, 0.21], [0.3, 0.1, 0.4, 0.2]),
            "The assistant understood music (score 0.61); 5 models lean to music (48%), then calendar (31%).",
        ),
        (
            item([0.01, 0.02, 0.97], [0.01, 0.01, 0.01, 0.97]),
            (
                "The assistant understood music (score 0.61); "
                "5 models are sure of weather (97%) and of the intent weather_query (97%)."
            ),
        ),
        (
            item([0.01, 0.98, 0.01], [0.01, 0.41, 0.57, 0.01], nlu_score=None),
            (
                "The assistant understood music; "
                "5 models are sure of music (98%) and lean to the intent music_play (57%), then music_likeness (41%)."
            ),
        ),
        (item(None), "The assistant understood music (score 0.61)."),
        (item(None, nlu_score=None), "The assistant understood music."),
    ],
)
def test_it_names_what_competes(shown: PlannedItem, words: str) -> None:
    assert sentence(shown, VOCABULARY, replicates=5) == words


def test_of_one_model_it_speaks_as_of_one() -> None:
    doubtful = sentence(item([0.31, 0.48, 0.21], [0.25] * 4, None), VOCABULARY, replicates=1)
    sure = sentence(item([0.0, 1.0, 0.0], [0.0, 0.5, 0.5, 0.0], None), VOCABULARY, replicates=1)
    assert doubtful.endswith("; one model leans to music (48%), then calendar (31%).")
    assert "; one model is sure of music (100%) and leans to the intent music_likeness (50%), then " in sure


weights = st.lists(st.floats(0.0009765625, 1.0, width=16), min_size=4, max_size=4)


@given(domains=weights, intents=weights)
def test_it_names_the_likeliest_and_no_second_that_nobody_considers(domains: list[float], intents: list[float]) -> None:
    first = np.array(domains[:3]) / sum(domains[:3])
    second = np.array(intents) / sum(intents)
    words = sentence(item(first.tolist(), second.tolist()), VOCABULARY, replicates=5)
    stored = first.astype(np.float16)
    named = re.findall(r"(\w+) \((\d+)%\)", words)
    best = VOCABULARY["domains"].index(named[0][0])
    assert stored[best] == stored.max()
    assert named[0][1] == f"{stored.max():.0%}".rstrip("%")
    assert ("sure of" in words) == bool(stored.astype(np.float64).max() >= SURE)
