"""The judge with a memory says what `LabelInterface` says, of anything."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from label_studio_sdk.label_interface.interface import LabelInterface

from plugin.label_studio.checking import Judge
from plugin.label_studio.controls import DOMAIN, NOTE, REASON, REJECT, SLOTS, UTTERANCE, intent_control
from plugin.label_studio.screen import LabelSet, label_config

LABELS = LabelSet({"music": ["play_song", "stop"], "home & garden": ["lights_on"]}, ["artist", "song"])
CONFIG = label_config("en-US", "music", LABELS)
JUDGE = Judge(CONFIG)  # one for all examples: what it remembers of one must not mislead it in another
INTERFACE = LabelInterface(CONFIG)

words = st.sampled_from(["music", "home & garden", "play_song", "lights_on", "artist", "song", "sport", "", "spam"])
junk = st.one_of(st.none(), st.booleans(), st.integers(-3, 30), st.floats(allow_nan=False), words)
texts = st.one_of(words, st.text(max_size=3))
listed = st.one_of(st.lists(words, max_size=2), st.lists(junk, max_size=2), junk)
values = st.fixed_dictionaries(
    {},
    optional={
        "start": st.one_of(st.integers(-1, 9), junk),
        "end": st.one_of(st.integers(-1, 9), junk),
        "text": st.one_of(texts, st.lists(texts, max_size=2), junk),
        "labels": listed,
        "choices": listed,
        "stray": junk,
    },
)
regions = st.fixed_dictionaries(
    {"id": texts},
    optional={
        "from_name": st.sampled_from(
            [SLOTS, DOMAIN, REASON, NOTE, REJECT, intent_control("music"), intent_control("home & garden"), "nowhere"]
        ),
        "to_name": st.sampled_from([UTTERANCE, UTTERANCE, UTTERANCE, "elsewhere"]),
        "type": st.sampled_from(["labels", "choices", "textarea", "taxonomy"]),
        "value": values,
        "readonly": st.booleans(),
    },
)
scores = st.one_of(st.floats(0, 1), st.floats(allow_nan=False))
predictions = st.fixed_dictionaries(
    {"model_version": st.just("v"), "score": scores, "result": st.lists(regions, max_size=3)}
)


@given(predictions)
def test_it_says_what_the_interface_says(prediction: dict[str, Any]) -> None:
    said: object = INTERFACE.validate_prediction(prediction, return_errors=True)  # type: ignore[no-untyped-call]
    assert JUDGE.problems(prediction) == said


@pytest.mark.parametrize("text", ["play it", "", "🎵", " "])
def test_what_differs_in_texts_and_offsets_alone_is_asked_once(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []

    def validate_region(_: LabelInterface, region: object) -> bool:
        asked.append(region)
        return True

    monkeypatch.setattr(LabelInterface, "validate_region", validate_region)
    judge = Judge(CONFIG)
    for start in range(3):
        value = {"start": start, "end": start + 1, "text": text, "labels": ["artist"]}
        region = {"id": f"slot{start}", "from_name": SLOTS, "to_name": UTTERANCE, "type": "labels", "value": value}
        assert judge.problems({"score": 0.5, "result": [region]}) == []
    assert len(asked) == 1
