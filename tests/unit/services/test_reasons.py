"""The sentence that an annotator reads above a task."""

from __future__ import annotations

import re
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from db.repositories.queues import PlannedItem
from plugin.services.reasons import sentence

VOCABULARY = {
    "domains": ["calendar", "music", "weather"],
    "intents": ["calendar_set", "music_likeness", "music_play", "weather_query"],
}
SURE_OF_MUSIC = [0.01, 0.98, 0.01]
SURE_OF_PLAY = [0.01, 0.01, 0.97, 0.01]


def item(
    domains: list[float] | None,
    intents: list[float] | None = None,
    *,
    nlu_score: float | None = 0.61,
    between_models: float | None = 0.0,
    tag_entropy: float | None = 0.0,
) -> PlannedItem:
    domain_probs, intent_probs = (
        None if probs is None else np.array(probs, dtype="<f2").tobytes() for probs in (domains, intents)
    )
    return PlannedItem(
        utterance_id=1, revision=1, external_id="17", source="log", text="cheza", domain="music", intent="music_play",
        slots=[], nlu_score=nlu_score, domain_probs=domain_probs, intent_probs=intent_probs,
        mutual_information=between_models, token_entropy_max=tag_entropy,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (
            item([0.02, 0.52, 0.46], SURE_OF_PLAY, between_models=0.3),
            "The five models disagree between “music” and “weather”.",
        ),
        (
            item([0.02, 0.46, 0.52], SURE_OF_PLAY, between_models=0.01),
            "The five models waver between “weather” and “music”.",
        ),
        (
            item([0.31, 0.48, 0.21], SURE_OF_PLAY, between_models=None),
            "The five models waver between “music” and “calendar”.",
        ),
        (
            item([0.01, 0.02, 0.97], [0.01, 0.01, 0.01, 0.97]),
            "The assistant heard “music”, but the five models are sure of “weather”.",
        ),
        (
            item(SURE_OF_MUSIC, [0.01, 0.41, 0.57, 0.01]),
            "The five models agree on “music”, but waver between the intents “music_play” and “music_likeness”.",
        ),
        (
            item(SURE_OF_MUSIC, [0.01, 0.97, 0.01, 0.01]),
            "The assistant heard the intent “music_play”, but the five models are sure of “music_likeness”.",
        ),
        (
            item(SURE_OF_MUSIC, SURE_OF_PLAY, tag_entropy=0.6),
            "The five models agree on “music_play”, but waver about the slots.",
        ),
        (
            item(SURE_OF_MUSIC, SURE_OF_PLAY, tag_entropy=None),
            "The five models agree with the assistant on “music_play”: this one is checked all the same.",
        ),
        (item(None), "The assistant heard “music”, but was not sure."),
        (item(None, nlu_score=None), "The assistant heard “music”."),
    ],
)
def test_it_names_the_first_doubt(shown: PlannedItem, words: str) -> None:
    assert sentence(shown, VOCABULARY, replicates=5) == words


@pytest.mark.parametrize(
    ("shown", "words"),
    [
        (
            item([0.02, 0.52, 0.46], SURE_OF_PLAY, between_models=0.6),
            "The model wavers between “music” and “weather”.",
        ),
        (
            item(SURE_OF_MUSIC, SURE_OF_PLAY, tag_entropy=0.6),
            "The model agrees on “music_play”, but wavers about the slots.",
        ),
        (
            item([0.01, 0.02, 0.97], [0.01, 0.01, 0.01, 0.97]),
            "The assistant heard “music”, but the model is sure of “weather”.",
        ),
    ],
)
def test_of_one_model_it_speaks_as_of_one(shown: PlannedItem, words: str) -> None:
    assert sentence(shown, VOCABULARY, replicates=1) == words


def test_many_models_are_written_in_digits() -> None:
    assert sentence(item([0.3, 0.4, 0.3], SURE_OF_PLAY), VOCABULARY, replicates=12).startswith("The 12 models waver")


weights = st.lists(st.floats(0.0009765625, 1.0, width=16), min_size=4, max_size=4)


@given(domains=weights, intents=weights, between=st.none() | st.floats(0.0, 1.1), tags=st.none() | st.floats(0.0, 3.0))
def test_it_is_one_sentence_that_names_the_likeliest(
    domains: list[float], intents: list[float], between: float | None, tags: float | None
) -> None:
    first = np.array(domains[:3]) / sum(domains[:3])
    second = np.array(intents) / sum(intents)
    shown = item(first.tolist(), second.tolist(), between_models=between, tag_entropy=tags)
    words = sentence(shown, VOCABULARY, replicates=5)
    assert re.fullmatch(r"[A-Z][^.]*\.", words)
    assert not re.search(r"\d", words), "a number would tell how the item ranks"
    named = re.findall(r"“(\w+)”", words)
    stored = first.astype(np.float16)
    if "between “" in words and "intents" not in words:
        assert stored[VOCABULARY["domains"].index(named[0])] == stored.max()


SAID_BY_MODELS = (
    "domain", "intent", "nlu_score", "domain_probs", "intent_probs", "mutual_information", "token_entropy_max",
)  # fmt: skip


def test_it_reads_what_models_said_and_nothing_of_how_the_item_was_drawn() -> None:
    shown = item([0.02, 0.52, 0.46], SURE_OF_PLAY, between_models=0.3)
    only = SimpleNamespace(**{name: getattr(shown, name) for name in SAID_BY_MODELS})
    assert sentence(cast("PlannedItem", only), VOCABULARY, replicates=5) == sentence(shown, VOCABULARY, replicates=5)
    for probs in ([0.02, 0.97, 0.01], [0.97, 0.02, 0.01]):
        only.domain_probs = np.array(probs, dtype="<f2").tobytes()
        assert sentence(cast("PlannedItem", only), VOCABULARY, replicates=5)
