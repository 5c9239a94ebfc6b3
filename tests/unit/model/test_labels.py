from __future__ import annotations

from dataclasses import replace

import pytest

from plugin.model.labels import canonical_order, data_hash, numbers_of, pairs_of, vocabulary_of
from plugin.records import Hypothesis, Slot, TrainingExample

FIRST = TrainingExample("1", "en-US", "play halo", Hypothesis("music", "play", (Slot(5, 9, "song"),)))
SECOND = TrainingExample("2", "sw-KE", "zima taa", Hypothesis("home", "off", (Slot(5, 8, "device"),)))
THIRD = TrainingExample("3", "en-US", "stop", Hypothesis("music", "off"))


def test_the_order_of_examples_does_not_count_but_a_repetition_does() -> None:
    assert data_hash([FIRST, SECOND, THIRD]) == data_hash([THIRD, FIRST, SECOND])
    assert canonical_order([FIRST, SECOND, THIRD]) == canonical_order([THIRD, FIRST, SECOND])
    assert data_hash([FIRST, FIRST]) != data_hash([FIRST])


@pytest.mark.parametrize(
    "changed",
    [
        replace(FIRST, id="9"),
        replace(FIRST, locale="en-GB"),
        replace(FIRST, text="play hallo"),
        replace(FIRST, label=replace(FIRST.label, domain="video")),
        replace(FIRST, label=replace(FIRST.label, intent="like")),
        replace(FIRST, label=replace(FIRST.label, slots=())),
        replace(FIRST, label=replace(FIRST.label, slots=(Slot(4, 9, "song"),))),
        replace(FIRST, label=replace(FIRST.label, slots=(Slot(5, 8, "song"),))),
        replace(FIRST, label=replace(FIRST.label, slots=(Slot(5, 9, "artist"),))),
    ],
)
def test_the_hash_hears_every_part_of_an_example(changed: TrainingExample) -> None:
    assert data_hash([changed, SECOND]) != data_hash([FIRST, SECOND])


def test_vocabulary_and_pairs_are_what_the_examples_hold() -> None:
    vocabulary = vocabulary_of([FIRST, SECOND, THIRD])
    assert vocabulary.domains == ("home", "music")
    assert vocabulary.intents == ("off", "play")
    assert vocabulary.slots == ("device", "song")
    assert vocabulary.intent_domains == {"play": "music"}
    assert pairs_of([FIRST, SECOND, THIRD], vocabulary).tolist() == [[0, 0], [1, 0], [1, 1]]


def test_an_unknown_label_has_no_number() -> None:
    assert numbers_of(["b", "x", "a"], ("a", "b")).tolist() == [1, -1, 0]
